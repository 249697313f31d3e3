package wireguard

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/heimdraht/heimdraht/internal/kerneltest"
)

// TestKernel runs on the kernel's WireGuard: here where there is one, else in a virtual machine.
func TestKernel(t *testing.T) {
	var tests []kerneltest.Test
	for name, test := range map[string]func(*testing.T){
		"against-userspace": func(t *testing.T) { between(t, Kernel) },
		"many-peers":        kernelManyPeers,
		"takes-over":        kernelTakesOver,
		"auto":              kernelIsFirst,
	} {
		tests = append(tests, kerneltest.Test{Name: name, Run: func(t *testing.T) { alone(t, test) }})
	}
	kerneltest.Run(t, nil, tests...)
}

// kernelIsFirst: who leaves the choice to us gets the kernel's WireGuard.
func kernelIsFirst(t *testing.T) {
	if d := open(t, Options{Name: "hd0"}); d.Mode() != Kernel {
		t.Errorf("mode %v", d.Mode())
	}
}

func kernelManyPeers(t *testing.T) {
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
		// cmp would take a minute over them on a processor that is a program.
		if got := Installed(dump); !reflect.DeepEqual(sorted(want), sorted(got)) {
			t.Fatalf("not what is wanted (-want +got):\n%s", cmp.Diff(want, got, asSets))
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
}

// sorted returns peers and their addresses in one order.
func sorted(peers []Peer) []Peer {
	peers = slices.SortedFunc(slices.Values(peers), func(a, b Peer) int { return bytes.Compare(a.PublicKey[:], b.PublicKey[:]) })
	for i := range peers {
		peers[i].AllowedIPs = slices.SortedFunc(slices.Values(peers[i].AllowedIPs), netip.Prefix.Compare)
	}
	return peers
}

// kernelTakesOver opens an interface that a killed process left behind: its peers go on.
func kernelTakesOver(t *testing.T) {
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

	// One that is somebody else's is left alone, by who opens and by who clears away.
	for what, foreign := range map[string]netlink.Link{
		"is of type veth": &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "hd0", TxQLen: 1, MTU: 1500}, PeerName: "other"},
		"has another key": &netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: "hd0", TxQLen: 1, MTU: 1300}},
	} {
		must(t, netlink.LinkAdd(foreign))
		if _, err := Open(t.Context(), options); !errors.Is(err, ErrNameTaken) || !strings.Contains(err.Error(), "hd0 "+what) {
			t.Errorf("error %v, want that it %s", err, what)
		}
		must(t, RemoveKernel("hd0"))
		after, err := netlink.LinkByName("hd0")
		must(t, err)
		if after.Attrs().MTU != foreign.Attrs().MTU || after.Attrs().Flags&net.FlagUp != 0 || after.Attrs().Alias != "" {
			t.Errorf("what %s was touched: %+v", what, after.Attrs())
		}
		must(t, netlink.LinkDel(after))
	}
	// One that an older version of ours made, without a mark, is ours by its key.
	made, err := Open(t.Context(), options)
	must(t, err)
	link, err := netlink.LinkByName("hd0")
	must(t, err)
	must(t, netlink.LinkSetAlias(link, ""))
	must(t, made.Leave())
	again, err := Open(t.Context(), options)
	must(t, err)
	must(t, again.Leave())
	must(t, RemoveKernel("hd0"))
	if _, err := netlink.LinkByName("hd0"); !errors.As(err, &netlink.LinkNotFoundError{}) {
		t.Errorf("what was left is still there: %v", err)
	}
}
