package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/kerneltest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// TestRestartKernel: a connection through the kernel's WireGuard does not notice that the gateway's process is replaced, and
// what was revoked is dead in the new one.
func TestRestartKernel(t *testing.T) {
	kerneltest.Run(t, []string{"ip", "nft"}, kerneltest.Test{Name: "restart", Run: func(t *testing.T) {
		inNamespace(t, restartUnderTraffic)
	}})
}

func restartUnderTraffic(t *testing.T) {
	plane := newPlane(t)
	plane.config.ListenPort, plane.config.Masquerade, plane.config.AccessLists = 51820, true, true
	plane.grants = []*heimdrahtv1.AccessGrant{{Prefix: "10.80.0.1/32", Port: 80}} // where it echoes
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	stop := plane.serve(l)
	defer stop()
	server := control.Server{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	dir, err := state.Open(t.TempDir() + "/state")
	check(t, err)
	defer closing(t, dir)
	_, err = Join(t.Context(), JoinOptions{Address: plane.address(server), Token: "token-1", State: dir, Version: "test"})
	check(t, err)

	host := Host{Interface: "hd0", Mode: wireguard.Kernel}
	// What each process makes its table with.
	var tables []string
	open := func(ctx context.Context, s Setup) (Device, error) {
		device, err := host.Open(ctx, s)
		if err != nil {
			return nil, err
		}
		return &watched{Device: device, configured: func() { tables = append(tables, command(t, "nft", "list", "ruleset")) }}, nil
	}
	start := func() (*Gateway, func()) {
		g, err := New(Options{State: dir, Version: "test", Logger: slog.New(slog.DiscardHandler), Open: open, LeaveTunnels: true})
		check(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		return g, func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		}
	}
	g, end := start()
	stays, goes := newLaptop(t, "s-stays", "10.80.1.1"), newLaptop(t, "s-goes", "10.80.1.2")
	revision := plane.change(nil, stays.peer, goes.peer)
	plane.await(t, "the sessions to be acknowledged", func() bool { return plane.ack.GetRevision() == revision })
	echo := echoOn(t, "10.80.0.1:80")
	defer closing(t, echo)
	var lines []*line
	for _, laptop := range []*laptop{stays, goes} {
		laptop.connect(t, g.key.PublicKey(), 51820)
		lines = append(lines, laptop.call(t, "10.80.0.1:80"))
	}
	made, err := net.InterfaceByName("hd0")
	check(t, err)

	end()
	for _, l := range lines {
		l.answers(t) // nobody runs, and the kernel carries on
	}
	expect(t, "ip saddr 10.80.0.0/16", "nft", "list", "ruleset")
	g, end = start()
	until(t, "the new process has the peers", func() bool { return g.Status().Peers == 2 && g.Status().Connected })
	for _, l := range lines {
		l.answers(t)
	}
	if table := tables[1]; !strings.Contains(table, "10.80.1.1 :") || !strings.Contains(table, "10.80.1.2 :") {
		t.Errorf("the new process's table begins without its sessions, so that their packets die:\n%s", table)
	}
	if now, err := net.InterfaceByName("hd0"); err != nil || now.Index != made.Index {
		t.Errorf("the interface was made anew: %v, %v", now, err)
	}
	plane.order(t.Context(), removalOrder("epoch-1", revision+1, "s-goes"))
	plane.await(t, "the removal to be acknowledged", func() bool { return !plane.gone["s-goes"].IsZero() })
	lines[0].answers(t)
	lines[1].isDead(t)

	end()
	check(t, host.Clear())
	check(t, host.Clear()) // nothing is no error
	if _, err := net.InterfaceByName("hd0"); err == nil {
		t.Error("the interface is left")
	}
	if out := command(t, "nft", "list", "ruleset"); strings.Contains(out, "heimdraht") {
		t.Errorf("the packet filter is left:\n%s", out)
	}
}

// watched is a device that says when it has been configured first.
type watched struct {
	Device
	configured func()
}

func (w *watched) Configure(ctx context.Context, s Setup) error {
	err := w.Device.Configure(ctx, s)
	if w.configured != nil {
		w.configured()
	}
	w.configured = nil
	return err
}

// echoOn answers with what it hears.
func echoOn(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	check(t, err)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn) // until the other side is gone
				conn.Close()
			}()
		}
	}()
	return l
}

// line is a connection through a tunnel that stands all along.
type line struct{ net.Conn }

func (l *laptop) call(t *testing.T, address string) *line {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := l.device.Net().DialContext(ctx, "tcp", address)
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	c := &line{conn}
	c.answers(t)
	return c
}

func (l *line) say(within time.Duration) error {
	if err := l.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := l.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(l, make([]byte, 1))
	return err
}

func (l *line) answers(t *testing.T) {
	t.Helper()
	if err := l.say(20 * time.Second); err != nil {
		t.Fatalf("a connection through the tunnel is dead: %v", err)
	}
}

func (l *line) isDead(t *testing.T) {
	t.Helper()
	if err := l.say(time.Second); err == nil {
		t.Error("a connection of a removed session still answers")
	}
}
