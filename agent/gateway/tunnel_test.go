package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// laptop is the other end of a tunnel.
type laptop struct {
	device *wireguard.Device
	peer   *heimdrahtv1.Peer
}

func newLaptop(t *testing.T, id, address string) *laptop {
	t.Helper()
	private, err := wireguard.GeneratePrivateKey()
	check(t, err)
	device, err := wireguard.Open(t.Context(), wireguard.Options{
		Mode: wireguard.Netstack, PrivateKey: private, Source: netip.MustParseAddr("127.0.0.1"),
		Addresses: []netip.Addr{netip.MustParseAddr(address)}, SmallFootprint: true,
	})
	check(t, err)
	t.Cleanup(func() { check(t, device.Close()) })
	public, psk := private.PublicKey(), keyOf(int(time.Now().UnixNano()))
	return &laptop{device: device, peer: &heimdrahtv1.Peer{
		SessionId: id, PublicKey: public[:], PresharedKey: psk.bytes(), AllowedIps: []string{address + "/32"}}}
}

func (l *laptop) connect(t *testing.T, gateway wireguard.Key, port uint16) {
	t.Helper()
	check(t, l.device.Apply(t.Context(), wireguard.Readd(wireguard.Peer{
		PublicKey: gateway, PresharedKey: wireguard.PresharedKey(l.peer.GetPresharedKey()),
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.80.0.0/16")},
		Endpoint:   netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port), Keepalive: 25 * time.Second,
	})))
}

// reaches says whether the host behind the gateway answers through the tunnel.
func (l *laptop) reaches(t *testing.T, within time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for ctx.Err() == nil {
		once, done := context.WithTimeout(ctx, time.Second)
		conn, err := l.device.Net().DialContext(once, "tcp", "10.80.0.1:80")
		done()
		if err == nil {
			check(t, conn.Close())
			return true
		}
	}
	return false
}

// The whole way, with real tunnels: an opened session carries traffic, a
// removal stops it before it is acknowledged, and a restart brings the others
// back by the gateway's own call.
func TestTunnels(t *testing.T) {
	plane := newPlane(t)
	plane.config.ListenPort = uint32(freePort(t)) // the same after a restart, as on a real gateway
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	stop := plane.serve(l)
	defer stop()
	server := control.Server{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	dir, err := state.Open(t.TempDir() + "/state")
	check(t, err)
	defer closing(t, dir)
	joined, err := Join(t.Context(), JoinOptions{Address: plane.address(server), Token: "token-1", State: dir, Version: "test"})
	check(t, err)
	if joined.Gateway != "gw1" || joined.Server != server.String() {
		t.Errorf("joined %+v", joined)
	}

	devices := make(chan *wireguard.Device, 1)
	start := func() (g *Gateway, device *wireguard.Device, end func()) {
		g, err := New(Options{
			State: dir, Version: "test", Logger: slog.New(slog.DiscardHandler),
			Open: Netstack{
				Listen: netip.MustParseAddr("127.0.0.1"),
				Change: func(o *wireguard.Options) { o.SmallFootprint = true },
				Opened: func(d *wireguard.Device) { devices <- d },
			}.Open,
		})
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		device = <-devices
		inside, err := device.Net().ListenTCP(netip.MustParseAddrPort("0.0.0.0:80"))
		check(t, err)
		go func() {
			for {
				conn, err := inside.Accept()
				if err != nil {
					return
				}
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
		return g, device, func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		}
	}
	_, device, end := start()
	first, second := newLaptop(t, "s-first", "10.80.1.1"), newLaptop(t, "s-second", "10.80.1.2")
	revision := plane.change(nil, first.peer, second.peer)
	plane.await(t, "the sessions to be acknowledged", func() bool { return plane.ack.GetRevision() == revision })
	for _, l := range []*laptop{first, second} {
		l.connect(t, device.PublicKey(), device.ListenPort())
		if !l.reaches(t, 10*time.Second) {
			t.Fatal("an acknowledged session carries no traffic")
		}
	}

	plane.with(func() { plane.hold = true })
	plane.order(t.Context(), removalOrder("epoch-1", revision+1, "s-first"))
	plane.await(t, "the removal to be acknowledged", func() bool { return !plane.gone["s-first"].IsZero() })
	if first.reaches(t, 3*time.Second) {
		t.Error("a removed session still carries traffic")
	}
	if !second.reaches(t, 10*time.Second) {
		t.Error("the removal of one session stopped another one")
	}

	end()
	_, _, end = start()
	defer end()
	if !second.reaches(t, 20*time.Second) {
		t.Error("the tunnel did not come back after a restart")
	}
	if first.reaches(t, 2*time.Second) {
		t.Error("a removed session came back with the restart")
	}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(t, err)
	defer closing(t, conn)
	return uint16(conn.LocalAddr().(*net.UDPAddr).Port)
}

// await waits until the condition, which is asked under the lock, holds.
func (p *plane) await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		p.mu.Lock()
		ok, moved := condition(), p.heard
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-moved:
		case <-time.After(time.Until(end)):
			t.Fatalf("waited too long for %s", what)
		}
	}
}
