//go:build nonetstack

package wireguard

import (
	"context"
	"net"
	"net/netip"
)

// HasNetstack says whether this program has mode Netstack. A laptop's agent that its administration installs does without: it
// may make interfaces, and the network stack would be a sixth of the program.
const HasNetstack = false

// openNetstack reports that there is none.
func openNetstack(Options) (backend, facts, error) { return nil, facts{}, ErrNoNetstack }

// Net is the network inside the tunnel of a Netstack device. Without a network stack there is none.
type Net struct{}

// SetAddresses does nothing.
func (*Net) SetAddresses([]netip.Addr) error { return ErrNoNetstack }

// SetNameServers does nothing.
func (*Net) SetNameServers([]netip.Addr) {}

// DialContext does nothing.
func (*Net) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, ErrNoNetstack
}

// Echo does nothing.
func (*Net) Echo(netip.Addr) error { return ErrNoNetstack }
