package wireguard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It is only ever waited out by a failure.
const patience = 20 * time.Second

// gatewayInside and intranetInside are two addresses of the test gateway, laptopInside the laptops'.
var (
	gatewayInside  = netip.MustParseAddr("10.80.0.1")
	gatewayInside6 = netip.MustParseAddr("fd80:1::1")
	intranetInside = netip.MustParseAddr("10.1.0.10")
)

func laptopInside(n int) (netip.Addr, netip.Addr) {
	return netip.AddrFrom4([4]byte{10, 80, 1, byte(n)}), netip.MustParseAddr(fmt.Sprintf("fd80:1::1:%x", n))
}

func host(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

func open(t testing.TB, o Options) *Device {
	t.Helper()
	var err error
	if o.PrivateKey, err = GeneratePrivateKey(); err != nil {
		t.Fatal(err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func apply(t testing.TB, d *Device, changes ...Change) {
	t.Helper()
	if err := d.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
}

func openGateway(t testing.TB) *Device {
	return open(t, Options{
		Mode: Netstack, Source: netip.MustParseAddr("127.0.0.1"),
		Addresses: []netip.Addr{gatewayInside, gatewayInside6, intranetInside},
	})
}

// openLaptop opens laptop n, small and with an address of its own, as a load test has it.
func openLaptop(t testing.TB, n int) *Device {
	v4, v6 := laptopInside(n)
	return open(t, Options{
		Mode: Netstack, Source: netip.AddrFrom4([4]byte{127, 0, 1, byte(n)}), SmallFootprint: true,
		Addresses: []netip.Addr{v4, v6}, NameServers: []netip.Addr{intranetInside},
	})
}

// onGateway is laptop n as the gateway's peer; onLaptop the gateway as the laptop's.
func onGateway(laptop *Device, n int) Peer {
	v4, v6 := laptopInside(n)
	return Peer{PublicKey: laptop.PublicKey(), PresharedKey: psk(n), AllowedIPs: []netip.Prefix{host(v4), host(v6)}}
}

func onLaptop(gateway *Device, n int) Peer {
	return Peer{
		PublicKey: gateway.PublicKey(), PresharedKey: psk(n), AllowedIPs: prefixes("10.0.0.0/8", "fd80:1::/64"),
		Endpoint: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), gateway.ListenPort()), Keepalive: 25 * time.Second,
	}
}

// echo answers on a TCP address inside the gateway until the test ends.
func echo(t testing.TB, gateway *Device, address netip.AddrPort) {
	t.Helper()
	listener, err := gateway.Net().ListenTCP(address)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Errorf("accepting: %v", err)
				return
			}
			served.Go(func() {
				_, _ = io.Copy(conn, conn) // ends with the tunnel, one way or the other
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = gateway.Close()
		served.Wait()
	})
}

// says sends a message and wants it back.
func says(t testing.TB, conn net.Conn, message string) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != message {
		t.Fatalf("got %q back, error %v", got, err)
	}
}

func dial(t testing.TB, d *Device, network, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := d.Net().DialContext(ctx, network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestTrafficThroughNetstack(t *testing.T) {
	gateway, laptop := openGateway(t), openLaptop(t, 1)
	apply(t, gateway, Change{Peer: onGateway(laptop, 1)})
	apply(t, laptop, Change{Peer: onLaptop(gateway, 1)})
	echo(t, gateway, netip.AddrPortFrom(netip.Addr{}, 7))

	for _, address := range []string{"10.80.0.1:7", "[fd80:1::1]:7", "10.1.0.10:7"} {
		conn := dial(t, laptop, "tcp", address)
		says(t, conn, "hello to "+address)
		large := bytes.Repeat([]byte("many packets "), 50_000)
		sent := make(chan error, 1)
		go func() {
			_, err := conn.Write(large)
			sent <- err
		}()
		got := make([]byte, len(large))
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, large) {
			t.Errorf("%s: a long answer came back wrong: %v", address, err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}

	dump, err := gateway.Peers(t.Context())
	if err != nil || len(dump) != 1 {
		t.Fatalf("%d peers, error %v", len(dump), err)
	}
	peer := dump[0]
	if peer.Rx < 1e6 || peer.Tx < 1e6 || time.Since(peer.LastHandshake) > time.Minute ||
		peer.Endpoint.Addr() != netip.MustParseAddr("127.0.1.1") || peer.Endpoint.Port() != laptop.ListenPort() {
		t.Errorf("the peer's state is wrong: rx %d, tx %d, handshake %v, endpoint %v", peer.Rx, peer.Tx, peer.LastHandshake, peer.Endpoint)
	}
	if len(Plan([]Peer{onGateway(laptop, 1)}, Installed(dump))) != 0 {
		t.Error("what is installed is not what is wanted")
	}
	if _, err := laptop.Net().DialContext(t.Context(), "tcp", "10.80.0.1:9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v at a closed port, want ECONNREFUSED", err)
	}
}

// TestRemovedPeerIsDeadAtOnce sends through a removed peer, then through another one until an answer has come
// back several times: had the first one still been let through, it would have arrived by then.
func TestRemovedPeerIsDeadAtOnce(t *testing.T) {
	gateway, gone, stays := openGateway(t), openLaptop(t, 1), openLaptop(t, 2)
	apply(t, gateway, Change{Peer: onGateway(gone, 1)}, Change{Peer: onGateway(stays, 2)})
	apply(t, gone, Change{Peer: onLaptop(gateway, 1)})
	apply(t, stays, Change{Peer: onLaptop(gateway, 2)})
	listener, err := gateway.Net().ListenUDP(netip.AddrPortFrom(gatewayInside, 7))
	if err != nil {
		t.Fatal(err)
	}
	receive := func() (string, net.Addr) {
		t.Helper()
		if err := listener.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, from, err := listener.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n]), from
	}
	send := func(conn net.Conn, message string) {
		t.Helper()
		if _, err := conn.Write([]byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	fromGone, fromStays := dial(t, gone, "udp", "10.80.0.1:7"), dial(t, stays, "udp", "10.80.0.1:7")
	for _, conn := range []net.Conn{fromGone, fromStays} {
		send(conn, "before")
		if got, _ := receive(); got != "before" {
			t.Fatalf("got %q", got)
		}
	}

	apply(t, gateway, Change{Remove: true, Peer: Peer{PublicKey: gone.PublicKey()}})
	for range 20 {
		send(fromGone, "after the removal")
		send(fromStays, "fence")
		if got, _ := receive(); got != "fence" {
			t.Fatalf("a removed peer was heard: %q", got)
		}
	}
	dump, err := gateway.Peers(t.Context())
	if err != nil || len(dump) != 1 || dump[0].PublicKey != stays.PublicKey() {
		t.Errorf("peers %v, error %v", dump, err)
	}

	// Added again on the gateway, with a new key: a laptop that adds its peer anew is back at once.
	again := onGateway(gone, 1)
	again.PresharedKey = psk(77)
	apply(t, gateway, Change{Peer: again})
	back := onLaptop(gateway, 1)
	back.PresharedKey = psk(77)
	start := time.Now()
	apply(t, gone, Readd(back)...)
	send(fromGone, "back")
	// The laptop may still have held back something that it sent before.
	for got := ""; got != "back"; {
		if got, _ = receive(); got != "back" && got != "after the removal" {
			t.Fatalf("got %q", got)
		}
	}
	// 5 s later it would have repeated a handshake that got no answer; so fast only the re-adding is.
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("it took %v to be back", took)
	}
}

func TestManyPeersInSmallCalls(t *testing.T) {
	gateway := openGateway(t)
	peers := make([]Peer, 1000)
	for i := range peers {
		private, err := GeneratePrivateKey()
		if err != nil {
			t.Fatal(err)
		}
		peers[i] = Peer{
			PublicKey: private.PublicKey(), PresharedKey: PresharedKey(private), Keepalive: 25 * time.Second,
			AllowedIPs: []netip.Prefix{host(netip.AddrFrom4([4]byte{10, 90, byte(i >> 8), byte(i)}))},
		}
	}
	want := peers
	for step := range 3 {
		dump, err := gateway.Peers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		changes := Plan(want, Installed(dump))
		if (step == 2) != (len(changes) == 0) {
			t.Errorf("step %d: %d changes", step, len(changes))
		}
		apply(t, gateway, changes...)
		if step == 0 { // turn the addresses round, and drop one
			want = append([]Peer(nil), peers[1:]...)
			for i := range want {
				want[i].AllowedIPs = peers[len(peers)-1-i].AllowedIPs
			}
		}
	}
}

func TestForwarding(t *testing.T) {
	laptop := openLaptop(t, 1)
	gateway := open(t, Options{
		Mode: Netstack, Source: netip.MustParseAddr("127.0.0.1"), Addresses: []netip.Addr{gatewayInside},
		Foreign: func(conn net.Conn, to netip.AddrPort) {
			_, _ = fmt.Fprintf(conn, "you wanted %v", to)
			_ = conn.Close()
		},
	})
	apply(t, gateway, Change{Peer: onGateway(laptop, 1)})
	apply(t, laptop, Change{Peer: onLaptop(gateway, 1)})
	echo(t, gateway, netip.AddrPortFrom(gatewayInside, 7))
	conn := dial(t, laptop, "tcp", "10.1.2.3:443")
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "you wanted 10.1.2.3:443" {
		t.Errorf("got %q, error %v", got, err)
	}
	says(t, dial(t, laptop, "tcp", "10.80.0.1:7"), "own addresses are still served")
	if _, err := laptop.Net().DialContext(t.Context(), "tcp", "10.80.0.1:9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v at a closed port of the gateway itself, want ECONNREFUSED", err)
	}
}

func TestAddressesChange(t *testing.T) {
	gateway, laptop := openGateway(t), openLaptop(t, 1)
	peer := onGateway(laptop, 1)
	apply(t, gateway, Change{Peer: peer})
	apply(t, laptop, Change{Peer: onLaptop(gateway, 1)})
	echo(t, gateway, netip.AddrPortFrom(gatewayInside, 7))
	for _, next := range []string{"10.80.1.1", "10.80.1.77"} {
		address := netip.MustParseAddr(next)
		if err := laptop.Net().SetAddresses([]netip.Addr{address}); err != nil {
			t.Fatal(err)
		}
		peer.AllowedIPs = []netip.Prefix{host(address)}
		apply(t, gateway, Change{Peer: peer})
		conn := dial(t, laptop, "tcp", "10.80.0.1:7")
		says(t, conn, "hello")
		if got := netip.MustParseAddrPort(conn.LocalAddr().String()).Addr(); got != address {
			t.Errorf("the connection comes from %v, want %v", got, address)
		}
	}
	if _, err := laptop.Net().DialContext(t.Context(), "tcp", "[fd80:1::1]:7"); err == nil {
		t.Error("dialled IPv6 without an address")
	}
}

// TestClosing closes devices that are busy, twice, and uses them afterwards.
func TestClosing(t *testing.T) {
	gateway, laptop := openGateway(t), openLaptop(t, 1)
	apply(t, gateway, Change{Peer: onGateway(laptop, 1)})
	apply(t, laptop, Change{Peer: onLaptop(gateway, 1)})
	echo(t, gateway, netip.AddrPortFrom(gatewayInside, 7))
	conn := dial(t, laptop, "tcp", "10.80.0.1:7")
	says(t, conn, "hello")
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			if _, err := conn.Write(make([]byte, 10_000)); err != nil {
				return
			}
		}
	})
	busy.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	for range 2 {
		if err := laptop.Close(); err != nil {
			t.Error(err)
		}
	}
	busy.Wait()
	select {
	case <-laptop.Done():
	default:
		t.Error("a closed device is not done")
	}
	if err := laptop.Apply(t.Context(), []Change{{Peer: onLaptop(gateway, 1)}}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Apply: error %v, want net.ErrClosed", err)
	}
	if _, err := laptop.Net().DialContext(t.Context(), "tcp", "10.80.0.1:7"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("DialContext: error %v, want net.ErrClosed", err)
	}
	if _, err := laptop.Net().ListenTCP(netip.AddrPort{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ListenTCP: error %v, want net.ErrClosed", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	private, err := GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"no key":             {Options{Mode: Netstack}, "opening a WireGuard device: a device needs a private key"},
		"no name":            {Options{PrivateKey: private}, "opening a WireGuard device: an interface needs a name"},
		"no such mode":       {Options{PrivateKey: private, Mode: 9}, "opening a WireGuard device: there is no mode 9"},
		"an MTU of 1":        {Options{PrivateKey: private, Mode: Netstack, MTU: 1}, "opening a WireGuard device: an MTU of 1 bytes is not between 576 and 65,535"},
		"a mark on netstack": {Options{PrivateKey: private, Mode: Netstack, FirewallMark: 1}, "opening a WireGuard device: a firewall mark needs a device in the kernel or on a TUN, with the usual socket"},
		"addresses on a TUN": {Options{PrivateKey: private, Name: "hd0", Addresses: []netip.Addr{gatewayInside}}, "opening a WireGuard device: addresses, name servers and foreign connections are the host's, except in mode netstack"},
		"a source for auto":  {Options{PrivateKey: private, Name: "hd0", Source: gatewayInside}, "opening a WireGuard device: a source address and a small footprint are for the modes userspace and netstack, chosen by name"},
		"an invalid address": {Options{PrivateKey: private, Mode: Netstack, Addresses: []netip.Addr{{}}}, "opening the WireGuard device in this process: setting the addresses inside the tunnel: one of them is none"},
	} {
		if _, err := Open(t.Context(), test.options); err == nil || err.Error() != test.want {
			t.Errorf("%s: error %v, want %s", name, err, test.want)
		}
	}
	// The port is taken.
	first := openGateway(t)
	_, err = Open(t.Context(), Options{
		Mode: Netstack, PrivateKey: private, Source: netip.MustParseAddr("127.0.0.1"), ListenPort: first.ListenPort(), Logger: slog.New(slog.DiscardHandler),
	})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v, want EADDRINUSE", err)
	}
}
