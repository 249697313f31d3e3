//go:build kernel

package wireguard

// These tests need a kernel with WireGuard, which the machines that run the others seldom have: go test -tags kernel. They
// need nothing else but root, so that the compiled test can also run as the only program of a virtual machine.

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inKernel runs the test in a namespace of its own, and fails if the kernel has no WireGuard.
func inKernel(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	alone(t, func(t *testing.T) {
		probe := &netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: "probe"}}
		if err := netlink.LinkAdd(probe); errors.Is(err, unix.EOPNOTSUPP) {
			t.Fatal("the kernel has no WireGuard")
		} else if err != nil {
			t.Fatal(err)
		}
		must(t, netlink.LinkDel(probe))
		test(t)
	})
}

func TestKernelAgainstUserspace(t *testing.T) {
	inKernel(t, func(t *testing.T) { between(t, Kernel) })
}

func TestKernelManyPeers(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		d := open(t, Options{Mode: Kernel, Name: "hd0"})
		var want []Peer
		for i := range 200 {
			private, err := GeneratePrivateKey()
			must(t, err)
			want = append(want, Peer{
				PublicKey: private.PublicKey(), PresharedKey: PresharedKey(private), Keepalive: 25 * time.Second,
				Endpoint:   netip.MustParseAddrPort("192.0.2.1:7"),
				AllowedIPs: []netip.Prefix{host(netip.AddrFrom4([4]byte{10, 90, byte(i >> 8), byte(i)}))},
			})
		}
		// One of them with more addresses than fit into a message.
		for i := range 600 {
			want[100].AllowedIPs = append(want[100].AllowedIPs, host(netip.AddrFrom4([4]byte{10, 91, byte(i >> 8), byte(i)})))
		}
		reach := func(want []Peer) {
			t.Helper()
			dump, err := d.Peers(t.Context())
			must(t, err)
			must(t, d.Apply(t.Context(), Plan(want, Installed(dump))))
			dump, err = d.Peers(t.Context())
			must(t, err)
			if diff := cmp.Diff(want, Installed(dump), asSets); diff != "" {
				t.Fatalf("not what is wanted (-want +got):\n%s", diff)
			}
		}
		reach(want)
		for _, i := range []int{0, 100} { // a removal and an addition in one call keep the preshared key
			must(t, d.Apply(t.Context(), Readd(want[i])))
		}
		reach(want)
		first := want[0].AllowedIPs
		for i := range want[1:] {
			want[i].AllowedIPs = want[i+1].AllowedIPs
		}
		want[len(want)-1].AllowedIPs = first
		reach(want[1:])
	})
}

// TestKernelTakesOver opens an interface that a killed process left behind: its peers go on.
func TestKernelTakesOver(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		private := testKey(t, 1)
		options := Options{Mode: Kernel, Name: "hd0", PrivateKey: private, Logger: slog.New(slog.DiscardHandler)}
		killed, err := Open(t.Context(), options)
		must(t, err)
		peer := Peer{PublicKey: key(1), PresharedKey: psk(1), AllowedIPs: prefixes("10.80.1.1/32")}
		apply(t, killed, Change{Peer: peer})

		d, err := Open(t.Context(), options)
		must(t, err)
		if d.ListenPort() != killed.ListenPort() {
			t.Errorf("port %d, before it was %d", d.ListenPort(), killed.ListenPort())
		}
		dump, err := d.Peers(t.Context())
		must(t, err)
		if diff := cmp.Diff([]Peer{peer}, Installed(dump), asSets); diff != "" {
			t.Errorf("peers (-want +got):\n%s", diff)
		}
		thief := Change{Peer: Peer{PublicKey: key(2), AllowedIPs: prefixes("10.80.1.1/32")}}
		if err := d.Apply(t.Context(), []Change{thief}); !errors.Is(err, ErrAddressTaken) {
			t.Errorf("error %v: the address is that of a peer from before", err)
		}
		apply(t, d, Change{Remove: true, Peer: Peer{PublicKey: key(9)}}, Change{Remove: true, Peer: peer})
		must(t, d.Close())
		if _, err := netlink.LinkByName("hd0"); !errors.As(err, &netlink.LinkNotFoundError{}) {
			t.Errorf("the interface is still there: %v", err)
		}
		must(t, killed.Close()) // the interface is gone already

		// An interface of that name which is something else is left alone.
		must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "hd0", TxQLen: 1, MTU: 1500}, PeerName: "other"}))
		if _, err := Open(t.Context(), options); err == nil || !strings.Contains(err.Error(), "there is an interface hd0 already, of type veth") {
			t.Errorf("error %v", err)
		}
	})
}
