package wireguard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// brittle is a WireGuard that fails at some peers, in the middle of a call, as the real ones do.
type brittle struct {
	*model
	fails   map[Key]bool
	calls   [][]Change
	stopped chan struct{}
}

func newBrittle(t testing.TB, fails ...Key) *brittle {
	b := &brittle{model: newModel(t, nil), fails: map[Key]bool{}, stopped: make(chan struct{})}
	for _, k := range fails {
		b.fails[k] = true
	}
	return b
}

func (b *brittle) configure(changes []Change) error {
	b.calls = append(b.calls, slices.Clone(changes))
	for _, change := range changes {
		b.apply([]Change{change})
		if b.fails[change.Peer.PublicKey] && !change.Remove {
			return fs.ErrInvalid
		}
	}
	return nil
}

func (b *brittle) dump() ([]PeerStatus, error)     { return nil, nil }
func (b *brittle) limits() (peers, allowedIPs int) { return 3, 6 }
func (b *brittle) done() <-chan struct{}           { return b.stopped }
func (b *brittle) close() error                    { return nil }
func (b *brittle) leave() error                    { return nil }

func deviceOn(b backend) *Device {
	return &Device{backend: b, publicKey: key(200), table: newAddressTable(), log: slog.New(slog.DiscardHandler)}
}

// additions makes peers with an address each.
func additions(numbers ...int) (out []Change) {
	for _, n := range numbers {
		out = append(out, Change{Peer: Peer{PublicKey: key(n), AllowedIPs: prefixes(fmt.Sprintf("10.0.0.%d/32", n))}})
	}
	return out
}

func TestApplyDoesAllThatCanBeDone(t *testing.T) {
	b := newBrittle(t, key(2), key(5))
	err := deviceOn(b).Apply(t.Context(), additions(1, 2, 3, 4, 5, 6, 7))

	var failed *ApplyError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 || !errors.Is(err, fs.ErrInvalid) {
		t.Fatalf("error %v, want two failures", err)
	}
	if failed.Failed[0].Change.Peer.PublicKey != key(2) || failed.Failed[1].Change.Peer.PublicKey != key(5) {
		t.Errorf("failed: %v, want the peers 2 and 5", err)
	}
	for n := 1; n <= 7; n++ {
		if _, installed := b.peers[key(n)]; installed == b.fails[key(n)] {
			t.Errorf("peer %d installed: %v", n, installed)
		}
	}
	for _, call := range b.calls {
		if len(call) > 3 {
			t.Errorf("a call of %d changes", len(call))
		}
	}
}

func TestApplyRefusesWhatWireGuardWouldDoSilently(t *testing.T) {
	b := newBrittle(t)
	d := deviceOn(b)
	if err := d.Apply(t.Context(), additions(1, 2)); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change Change
		want   error
	}{
		"stealing an address":  {Change{Peer: Peer{PublicKey: key(3), AllowedIPs: prefixes("10.0.0.9/32", "10.0.0.1/32")}}, ErrAddressTaken},
		"in another spelling":  {Change{Peer: Peer{PublicKey: key(3), AllowedIPs: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.1/128")}}}, ErrAddressTaken},
		"the device's own key": {Change{Peer: Peer{PublicKey: key(200)}}, ErrOwnKey},
		"no key":               {Change{Peer: Peer{}}, errNoKey},
		"removing no key":      {Change{Remove: true}, errNoKey},
		"half a second":        {Change{Peer: Peer{PublicKey: key(3), Keepalive: 1500e6}}, errKeepalive},
	} {
		calls := len(b.calls)
		if err := d.Apply(t.Context(), []Change{test.change}); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
		if len(b.calls) != calls {
			t.Errorf("%s: WireGuard was called", name)
		}
	}
	// The refused peer holds nothing: the address that was free stays free.
	if err := d.Apply(t.Context(), additions(9)); err != nil {
		t.Error(err)
	}
	// What is given back in the same list can be taken.
	moved := []Change{{Remove: true, Peer: Peer{PublicKey: key(1)}}, {Peer: Peer{PublicKey: key(3), AllowedIPs: prefixes("10.0.0.1/32")}}}
	if err := d.Apply(t.Context(), moved); err != nil {
		t.Error(err)
	}
	if err := d.Apply(t.Context(), additions(1)); !errors.Is(err, ErrAddressTaken) {
		t.Errorf("error %v: the address has moved to another peer", err)
	}
}

func TestApplyAfterAFailureTheAddressIsFree(t *testing.T) {
	b := newBrittle(t, key(1))
	d := deviceOn(b)
	if err := d.Apply(t.Context(), additions(1)); err == nil {
		t.Fatal("no error")
	}
	other := Change{Peer: Peer{PublicKey: key(2), AllowedIPs: prefixes("10.0.0.1/32")}}
	if err := d.Apply(t.Context(), []Change{other}); err != nil {
		t.Error(err)
	}
}

func TestApplyStopsWithItsContextAndItsDevice(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := newBrittle(t)
	d := deviceOn(b)
	if err := d.Apply(ctx, additions(1)); !errors.Is(err, context.Canceled) || len(b.calls) != 0 {
		t.Errorf("error %v after %d calls", err, len(b.calls))
	}
	close(b.stopped) // the interface was taken away
	if err := d.Apply(t.Context(), additions(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want net.ErrClosed", err)
	}
	if _, err := d.Peers(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want net.ErrClosed", err)
	}
}

func TestApplyErrorStaysReadable(t *testing.T) {
	var many ApplyError
	for n := range 1000 {
		many.Failed = append(many.Failed, &ChangeError{Change: Change{Remove: n == 0, Peer: Peer{PublicKey: key(n)}}, Err: fs.ErrInvalid})
	}
	text := many.Error()
	if len(text) > 400 || !strings.Contains(text, "removing the peer "+key(0).String()) || !strings.HasSuffix(text, "; and 997 more") {
		t.Errorf("message: %s", text)
	}
}

func TestChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var changes []Change
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			n := rapid.IntRange(0, 20).Draw(t, "peer")
			peer := Peer{PublicKey: key(n), AllowedIPs: make([]netip.Prefix, rapid.IntRange(0, 12).Draw(t, "addresses"))}
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				changes = append(changes, Change{Remove: true, Peer: Peer{PublicKey: key(n)}})
			case 1:
				changes = append(changes, Change{Peer: peer})
			case 2:
				changes = append(changes, Readd(peer)...)
			}
		}
		maxPeers, maxIPs := rapid.IntRange(2, 8).Draw(t, "most peers"), rapid.IntRange(1, 10).Draw(t, "most addresses")
		var all []Change
		for chunk := range chunks(changes, maxPeers, maxIPs) {
			ips := 0
			for _, change := range chunk {
				ips += len(change.Peer.AllowedIPs)
			}
			if len(chunk) == 0 || len(chunk) > maxPeers || ips > maxIPs && len(chunk) > 1 {
				t.Fatalf("a piece of %d changes with %d addresses", len(chunk), ips)
			}
			all = append(all, chunk...)
			next := len(all)
			if next < len(changes) && pairs(changes, next-1) && len(changes[next].Peer.AllowedIPs) <= maxIPs {
				t.Fatalf("a removal was parted from its addition at %d", next)
			}
		}
		if diff := cmp.Diff(changes, all, asSets); diff != "" {
			t.Fatalf("the pieces are not the whole:\n%s", diff)
		}
	})
}
