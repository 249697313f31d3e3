//go:build windows || darwin

package hostnet

// Host is the network of this machine, as far as one interface is concerned. It is safe for concurrent use.
type Host struct{ *planned }

// Open reads the journal. What a killed process left is then known: Set goes on from there, Clear undoes it.
func Open(options Options) (*Host, error) {
	p, err := openPlanned(options, newSystem())
	if err != nil {
		return nil, err
	}
	return &Host{p}, nil
}
