package wireguard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ErrAddressTaken says that a peer was to get an address that another peer holds.
var ErrAddressTaken = errors.New("another peer holds the address")

// ErrOwnKey says that a peer has the public key of the device itself, which WireGuard ignores silently.
var ErrOwnKey = errors.New("the peer has the device's own key")

// ChangeError is a change that failed.
type ChangeError struct {
	Change Change
	Err    error
}

// Error names the peer and what was to be done with it.
func (e *ChangeError) Error() string {
	verb := "installing"
	if e.Change.Remove {
		verb = "removing"
	}
	return fmt.Sprintf("%s the peer %v: %v", verb, e.Change.Peer.PublicKey, e.Err)
}

// Unwrap returns the cause.
func (e *ChangeError) Unwrap() error { return e.Err }

// ApplyError is what of an Apply failed; all the rest was done.
type ApplyError struct {
	Failed []*ChangeError
}

// Error names the first failures and counts the others.
func (e *ApplyError) Error() string {
	const shown = 3
	var b strings.Builder
	for i, failed := range e.Failed {
		if i == shown {
			fmt.Fprintf(&b, "; and %d more", len(e.Failed)-shown)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(failed.Error())
	}
	return b.String()
}

// Unwrap returns the failures.
func (e *ApplyError) Unwrap() []error {
	out := make([]error, len(e.Failed))
	for i, failed := range e.Failed {
		out[i] = failed
	}
	return out
}

// Apply takes the changes in their order, in small calls; another Apply may come in between two of them. If
// changes fail, the others are done all the same, and the error is an *ApplyError that names each. A peer
// that could not be installed whole is removed.
//
// Apply gives up between two calls when the context ends, and at once when the device is closed; the error
// then wraps the cause and says how many changes were done.
func (d *Device) Apply(ctx context.Context, changes []Change) error {
	maxPeers, maxIPs := d.backend.limits()
	var failed []*ChangeError
	done := 0
	for chunk := range chunks(changes, maxPeers, maxIPs) {
		more, err := d.applyChunk(ctx, chunk)
		if err != nil {
			err = fmt.Errorf("applying WireGuard changes, %d of %d done: %w", done, len(changes), err)
			if len(failed) > 0 {
				err = errors.Join(err, &ApplyError{Failed: failed})
			}
			return err
		}
		failed = append(failed, more...)
		done += len(chunk)
	}
	if len(failed) > 0 {
		return fmt.Errorf("applying WireGuard changes: %w", &ApplyError{Failed: failed})
	}
	return nil
}

// applyChunk applies changes that fit into one call. The error is the device's; that of single changes is
// returned beside it.
func (d *Device) applyChunk(ctx context.Context, chunk []Change) ([]*ChangeError, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(ctx); err != nil {
		return nil, err
	}
	var failed []*ChangeError
	ready := make([]Change, 0, len(chunk))
	for _, change := range chunk {
		change, err := d.admit(change)
		if err != nil {
			failed = append(failed, &ChangeError{Change: change, Err: err})
			continue
		}
		ready = append(ready, change)
	}
	if len(ready) == 0 {
		return failed, nil
	}
	if err := d.backend.configure(ready); err == nil {
		return failed, nil
	} else if len(ready) == 1 {
		return append(failed, d.giveUp(ready[0], err)), nil
	}
	// WireGuard stopped somewhere in the list, and does not say where. Every change can be repeated, so
	// one at a time finds the culprit and does the rest.
	for _, change := range ready {
		if err := d.backend.configure([]Change{change}); err != nil {
			failed = append(failed, d.giveUp(change, err))
		}
	}
	return failed, nil
}

// admit checks a change, brings it into normal form and enters it into the table of addresses.
func (d *Device) admit(change Change) (Change, error) {
	key := change.Peer.PublicKey
	if change.Remove {
		if key.IsZero() {
			return change, errNoKey
		}
		d.table.remove(key)
		return change, nil
	}
	if err := change.Peer.validate(); err != nil {
		return change, err
	}
	if key == d.publicKey {
		return change, ErrOwnKey
	}
	change.Peer.AllowedIPs = normalPrefixes(change.Peer.AllowedIPs)
	if change.KeepAllowedIPs {
		return change, nil
	}
	return change, d.table.claim(change.Peer)
}

// giveUp removes a peer whose change failed: half of it may be installed.
func (d *Device) giveUp(change Change, cause error) *ChangeError {
	key := change.Peer.PublicKey
	d.table.remove(key)
	if !change.Remove {
		if err := d.backend.configure([]Change{{Remove: true, Peer: Peer{PublicKey: key}}}); err != nil {
			cause = errors.Join(cause, fmt.Errorf("removing what was installed of it: %w", err))
		}
	}
	return &ChangeError{Change: change, Err: cause}
}

// chunks cuts the changes into pieces with at most maxPeers changes and maxIPs allowed IPs, in order. A
// removal stays with the addition of the same peer that follows it: apart, they would leave the peer absent
// for a while. One peer with more allowed IPs than that is a piece of its own.
func chunks(changes []Change, maxPeers, maxIPs int) func(yield func([]Change) bool) {
	return func(yield func([]Change) bool) {
		start, ips := 0, 0
		for i := 0; i < len(changes); {
			end, weight := i+1, len(changes[i].Peer.AllowedIPs)
			if pairs(changes, i) && len(changes[i+1].Peer.AllowedIPs) <= maxIPs {
				end, weight = i+2, weight+len(changes[i+1].Peer.AllowedIPs)
			}
			if i > start && (end-start > maxPeers || ips+weight > maxIPs) {
				if !yield(changes[start:i]) {
					return
				}
				start, ips = i, 0
			}
			ips += weight
			i = end
		}
		if start < len(changes) {
			yield(changes[start:])
		}
	}
}

// pairs says whether the change removes a peer that the next one adds again.
func pairs(changes []Change, i int) bool {
	return i+1 < len(changes) && changes[i].Remove && !changes[i+1].Remove &&
		changes[i].Peer.PublicKey == changes[i+1].Peer.PublicKey
}

// addressTable knows which peer of the device holds which address.
type addressTable struct {
	owner map[netip.Prefix]Key
	held  map[Key][]netip.Prefix
}

func newAddressTable() *addressTable {
	return &addressTable{owner: map[netip.Prefix]Key{}, held: map[Key][]netip.Prefix{}}
}

// inherit enters a peer that the device holds already.
func (t *addressTable) inherit(peer Peer) {
	prefixes := normalPrefixes(peer.AllowedIPs)
	for _, prefix := range prefixes {
		t.owner[prefix] = peer.PublicKey
	}
	t.held[peer.PublicKey] = prefixes
}

// claim gives the peer exactly its allowed IPs, or fails and changes nothing.
func (t *addressTable) claim(peer Peer) error {
	for _, prefix := range peer.AllowedIPs {
		if owner, ok := t.owner[prefix]; ok && owner != peer.PublicKey {
			return fmt.Errorf("%v: %w: %v", prefix, ErrAddressTaken, owner)
		}
	}
	t.remove(peer.PublicKey)
	for _, prefix := range peer.AllowedIPs {
		t.owner[prefix] = peer.PublicKey
	}
	t.held[peer.PublicKey] = slices.Clone(peer.AllowedIPs)
	return nil
}

// remove frees what the peer holds.
func (t *addressTable) remove(key Key) {
	for _, prefix := range t.held[key] {
		delete(t.owner, prefix)
	}
	delete(t.held, key)
}
