package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// TestTenantsApart has laptops of two tenants on one gateway, with everything
// real: tunnels, packet filter, and an intranet on a machine of its own.
func TestTenantsApart(t *testing.T) {
	testneed.Root(t)
	testneed.File(t, "/dev/net/tun")
	testTenantsApart(t, wireguard.Userspace)
}

func testTenantsApart(t *testing.T, mode wireguard.Mode) {
	inNamespace(t, func(t *testing.T) { tenantsApart(t, mode) })
}

func tenantsApart(t *testing.T, mode wireguard.Mode) {
	intranet := newIntranet(t)
	plane, g := gatewayOfPackets(t, mode)
	stadt, dorf := newTraveller(t, g, "s-stadt", "10.80.1.1", "fd80:1::1:1"), newTraveller(t, g, "s-dorf", "10.80.1.2", "fd80:1::1:2")
	plane.grant(t, stadt, "stadt", "10.1.0.0/16", "fd00:1::/64")
	plane.grant(t, dorf, "dorf", "10.2.0.0/16", "fd00:2::/64")
	for address, who := range map[string]*traveller{"10.1.0.9": stadt, "fd00:1::9": stadt, "10.2.0.9": dorf, "fd00:2::9": dorf} {
		other := map[*traveller]*traveller{stadt: dorf, dorf: stadt}[who]
		if err := who.says(t, address, 10*time.Second); err != nil {
			t.Errorf("%s does not reach its own %s: %v", who.peer.GetSessionId(), address, err)
		}
		if other.says(t, address, 250*time.Millisecond) == nil {
			t.Errorf("%s reaches %s of the other tenant", other.peer.GetSessionId(), address)
		}
	}
	for _, address := range []string{"10.80.1.2", "fd80:1::1:2", "10.1.0.1", "10.80.0.1", "fd80:1::1"} {
		if stadt.says(t, address, 250*time.Millisecond) == nil {
			t.Errorf("a laptop reaches %s, a laptop of another tenant or the gateway itself", address)
		}
	}
	if conn, err := intranet.dial("10.80.1.1:7", 250*time.Millisecond); err == nil {
		t.Error("somebody inside calls a laptop")
		check(t, conn.Close())
	}

	// What stands ends with the right to it.
	conn, err := stadt.dial(t, "10.1.0.9", 10*time.Second)
	check(t, err)
	defer closing(t, conn)
	check(t, echoes(conn, 10*time.Second))
	plane.grant(t, stadt, "weniger", "10.1.7.0/24")
	if echoes(conn, 250*time.Millisecond) == nil {
		t.Error("a connection outlives the right to it")
	}
	if stadt.says(t, "10.1.0.9", 250*time.Millisecond) == nil {
		t.Error("a right that was taken away still holds")
	}
	plane.grant(t, stadt, "stadt", "10.1.0.0/16", "fd00:1::/64")

	// Somebody flushes everything.
	command(t, "nft", "flush", "ruleset")
	until(t, "the table is back", func() bool { return strings.Contains(command(t, "nft", "list", "ruleset"), "access-stadt") })
	check(t, stadt.says(t, "10.1.0.9", 10*time.Second))
	if stadt.says(t, "10.2.0.9", 250*time.Millisecond) == nil {
		t.Error("after a flush tenants meet")
	}
}

// gatewayOfPackets runs a gateway with a real device and a real packet filter, which holds
// its peers to access lists.
func gatewayOfPackets(t *testing.T, mode wireguard.Mode) (*plane, *Gateway) {
	t.Helper()
	plane := newPlane(t)
	plane.config.Addresses = []string{"10.80.0.1/16", "fd80:1::1/48"}
	plane.config.ListenPort, plane.config.AccessLists = 51820, true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(plane.serve(l))
	dir, err := state.Open(t.TempDir() + "/state")
	check(t, err)
	t.Cleanup(func() { closing(t, dir) })
	server := control.Server{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	_, err = Join(t.Context(), JoinOptions{Address: plane.address(server), Token: "token-1", State: dir, Version: "test"})
	check(t, err)
	g, err := New(Options{State: dir, Version: "test", Logger: slog.New(slog.DiscardHandler), Open: Host{Interface: "hd0", Mode: mode}.Open})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
	plane.await(t, "the gateway to be there", func() bool { return plane.ack.GetRevision() == plane.revision })
	plane.with(func() { plane.hold = true })
	return plane, g
}

// grant gives a session an access list, and waits until the gateway has it.
func (p *plane) grant(t *testing.T, l *traveller, name string, prefixes ...string) {
	t.Helper()
	list := &heimdrahtv1.AccessList{Id: name}
	for _, prefix := range prefixes {
		list.Grants = append(list.Grants, &heimdrahtv1.AccessGrant{Prefix: prefix})
	}
	var after int64
	p.with(func() {
		after = p.revision
		p.revision++
		l.peer.Access = name
		p.sessions[l.peer.GetSessionId()] = l.peer
	})
	p.order(t.Context(), &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: &heimdrahtv1.Delta{
		Epoch: p.epoch, After: after, Upto: after + 1, Peers: []*heimdrahtv1.Peer{l.peer}, AccessLists: []*heimdrahtv1.AccessList{list}}}})
	p.await(t, "the list "+name+" to be acknowledged", func() bool { return p.ack.GetRevision() == after+1 })
}

// traveller is a laptop that sends everything through its tunnel, whatever it
// was told, and answers whoever calls.
type traveller struct{ *laptop }

func newTraveller(t *testing.T, g *Gateway, id, v4, v6 string) *traveller {
	t.Helper()
	private, err := wireguard.GeneratePrivateKey()
	check(t, err)
	device, err := wireguard.Open(t.Context(), wireguard.Options{
		Mode: wireguard.Netstack, PrivateKey: private, Source: netip.MustParseAddr("127.0.0.1"),
		Addresses: []netip.Addr{netip.MustParseAddr(v4), netip.MustParseAddr(v6)}, SmallFootprint: true,
	})
	check(t, err)
	t.Cleanup(func() { check(t, device.Close()) })
	public, psk := private.PublicKey(), keyOf(int(time.Now().UnixNano()))
	peer := &heimdrahtv1.Peer{SessionId: id, PublicKey: public[:], PresharedKey: psk.bytes(), AllowedIps: []string{v4 + "/32", v6 + "/128"}}
	check(t, device.Apply(t.Context(), wireguard.Readd(wireguard.Peer{
		PublicKey: g.key.PublicKey(), PresharedKey: wireguard.PresharedKey(psk),
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		Endpoint:   netip.MustParseAddrPort("127.0.0.1:51820"), Keepalive: 25 * time.Second,
	})))
	for _, a := range []string{v4, v6} {
		l, err := device.Net().ListenTCP(netip.AddrPortFrom(netip.MustParseAddr(a), 7))
		check(t, err)
		go answer(l)
	}
	return &traveller{&laptop{device: device, peer: peer}}
}

func (l *traveller) dial(t *testing.T, address string, within time.Duration) (conn net.Conn, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for ctx.Err() == nil { // the first tries may come before the tunnel stands
		once, done := context.WithTimeout(ctx, time.Second)
		conn, err = l.device.Net().DialContext(once, "tcp", net.JoinHostPort(address, "7"))
		done()
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// says is an error unless something said to the address is heard and answered.
func (l *traveller) says(t *testing.T, address string, within time.Duration) error {
	t.Helper()
	conn, err := l.dial(t, address, within)
	if err != nil {
		return err
	}
	defer closing(t, conn)
	return echoes(conn, within)
}

func echoes(conn net.Conn, within time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("moin")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return err
}

// answer sends back what comes, until the listener is closed.
func answer(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}()
	}
}

// intranet is the machine behind the gateway: a thread with a network of its own.
type intranet struct{ work chan func() }

func newIntranet(t *testing.T) *intranet {
	t.Helper()
	i := &intranet{work: make(chan func())}
	t.Cleanup(func() { close(i.work) })
	thread := make(chan int)
	go func() {
		runtime.LockOSThread() // it ends with the goroutine, and the network with it
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		thread <- unix.Gettid()
		for f := range i.work {
			f()
		}
	}()
	command(t, "ip", "link", "add", "in0", "type", "veth", "peer", "name", "out0", "netns", strconv.Itoa(<-thread))
	set := func(lines ...string) {
		for _, line := range lines {
			command(t, "ip", strings.Fields(line)...)
		}
	}
	set("addr add 10.1.0.1/16 dev in0", "addr add 10.2.0.1/16 dev in0", "-6 addr add fd00:1::1/64 dev in0 nodad",
		"-6 addr add fd00:2::1/64 dev in0 nodad", "link set in0 up")
	gateway, err := net.Listen("tcp", ":7") // that nobody reaches it is not to be for want of it
	check(t, err)
	t.Cleanup(func() { closing(t, gateway) })
	go answer(gateway)
	i.do(func() {
		set("link set lo up", "addr add 10.1.0.9/16 dev out0", "addr add 10.2.0.9/16 dev out0", "-6 addr add fd00:1::9/64 dev out0 nodad",
			"-6 addr add fd00:2::9/64 dev out0 nodad", "link set out0 up", "route add 10.80.0.0/16 via 10.1.0.1", "-6 route add fd80:1::/48 via fd00:1::1")
		l, err := net.Listen("tcp", ":7")
		check(t, err)
		t.Cleanup(func() { closing(t, l) })
		go answer(l)
	})
	return i
}

// do runs a function on the machine.
func (i *intranet) do(f func()) {
	done := make(chan struct{})
	i.work <- func() { defer close(done); f() }
	<-done
}

func (i *intranet) dial(address string, within time.Duration) (conn net.Conn, err error) {
	i.do(func() { conn, err = net.DialTimeout("tcp", address, within) })
	return conn, err
}
