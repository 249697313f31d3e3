//go:build linux

package crash_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/gateway"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store"

	"github.com/heimdraht/heimdraht/internal/testprocess"
)

// gatewayProcess is a gateway's agent in a process of its own: its state
// directory and its WireGuard device are real, and the device ends in the
// process instead of in an interface, so that it needs no rights.
type gatewayProcess struct {
	t       testing.TB
	name    string
	dir     string
	listen  string // of the device: an address of this machine
	servers []string
	process *testprocess.Process
}

// joinGateway lets the declared gateway join in the operator's name. It connects
// to the servers in their order, once it is started.
func joinGateway(t testing.TB, c *provisionertest.Client, name, listen string, servers ...string) *gatewayProcess {
	t.Helper()
	g := &gatewayProcess{t: t, name: name, dir: filepath.Join(t.TempDir(), "state"), servers: servers, listen: listen}
	token, err := heimdrahtv1.NewAdminServiceClient(c.Dial(nil)).CreateGatewayToken(
		provisionertest.As(t.Context(), c.Operator), &heimdrahtv1.CreateGatewayTokenRequest{Gateway: name})
	must(t, "making a gateway's token", err)
	address, err := control.ParseAddress(servers[0] + "#" + c.Fingerprint())
	must(t, "reading the server's address", err)
	dir, err := state.Open(g.dir)
	must(t, "opening the gateway's state directory", err)
	_, err = gateway.Join(t.Context(), gateway.JoinOptions{Address: address, Token: token.GetToken(), State: dir, Version: "test", Language: "en"})
	must(t, "joining", errors.Join(err, dir.Close()))
	return g
}

func (g *gatewayProcess) start() {
	g.t.Helper()
	self, err := os.Executable()
	must(g.t, "finding the test's binary", err)
	cmd := exec.Command(self, append([]string{g.dir, g.listen}, g.servers...)...)
	cmd.Env = append(os.Environ(), roleVariable+"="+roleGateway, "GORACE=atexit_sleep_ms=0")
	g.process, err = testprocess.Start(cmd)
	must(g.t, "starting a gateway", err)
	process := g.process
	g.t.Cleanup(func() {
		if process.Kill(); g.t.Failed() && process == g.process {
			g.t.Logf("gateway %s:\n%s", g.name, process.Output())
		}
	})
}

func (g *gatewayProcess) kill() { g.process.Kill() }

// peers are those that its device holds, in order.
func (g *gatewayProcess) peers(ctx context.Context) (keys []string, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(g.dir, "peers.sock"))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	content, err := io.ReadAll(conn)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &keys); err != nil {
		return nil, fmt.Errorf("%w: %q", err, content)
	}
	slices.Sort(keys)
	return keys, nil
}

// exact holds the device against the sessions that are open now.
func (g *gatewayProcess) exact(b *books, when string) {
	g.t.Helper()
	g.exactly(g.t, openKeys(readSessions(g.t, b.db), g.name), when)
}

func (g *gatewayProcess) exactly(t testing.TB, want []string, when string) {
	t.Helper()
	eventually(t, when+", gateway "+g.name, time.Minute, func() error {
		got, err := g.peers(context.Background())
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("it holds %d peers, %d sessions are open; missing %v, too many %v", len(got), len(want), without(want, got), without(got, want))
		}
		return err
	})
}

func without(list, other []string) (left []string) {
	for _, v := range list {
		if !slices.Contains(other, v) {
			left = append(left, v)
		}
	}
	return left
}

// connected waits until a gateway is, and has said so after since: one that was
// killed a moment ago counts as connected until its replica notices.
func (b *books) connected(gateway string, since time.Time) {
	b.t.Helper()
	eventually(b.t, "gateway "+gateway+" connects", time.Minute, func() error {
		at := value[int64](b.t, b.db, `select coalesce(max(contact_at), 0) from gateway_contact where gateway = $1 and connected = 1`, gateway)
		if contact := time.UnixMilli(at); contact.Before(since) || time.Since(contact) > store.ContactFresh {
			return fmt.Errorf("it is not connected, or says nothing since %v", contact)
		}
		return nil
	})
}

// The intranet lies behind each gateway, and says one thing to everybody.
var intranet = netip.MustParseAddrPort("10.1.0.10:80")

const greeting = "Guten Morgen"

func greet(d *wireguard.Device, log *slog.Logger) {
	l, err := d.Net().ListenTCP(intranet)
	if err != nil {
		log.Error("opening the intranet", "error", err)
		return
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return // the device was closed
		}
		if _, err := io.WriteString(conn, greeting); err != nil {
			log.Error("greeting", "error", err)
		}
		conn.Close()
	}
}

// beGateway is the process.
func beGateway(path, listen string) error {
	servers, err := control.ParseServers(os.Args[3:])
	if err != nil {
		return err
	}
	dir, err := state.Open(path)
	if err != nil {
		return err
	}
	var device atomic.Pointer[wireguard.Device]
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	g, err := gateway.New(gateway.Options{
		Servers: servers, State: dir, Version: "test", Language: "en", Logger: log,
		Open: gateway.Netstack{
			Listen: netip.MustParseAddr(listen), Addresses: []netip.Addr{intranet.Addr()},
			Opened: func(d *wireguard.Device) {
				device.Store(d)
				go greet(d, log)
			},
			Change: func(o *wireguard.Options) { o.SmallFootprint = true },
		}.Open,
	})
	if err != nil {
		return err
	}
	socket := filepath.Join(path, "peers.sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", socket)
	if err != nil {
		return err
	}
	go tellPeers(l, &device, log)
	return g.Run(context.Background())
}

func tellPeers(l net.Listener, device *atomic.Pointer[wireguard.Device], log *slog.Logger) {
	for {
		conn, err := l.Accept()
		if err != nil {
			log.Error("accepting", "error", err)
			return
		}
		if err := json.NewEncoder(conn).Encode(peersOf(device.Load(), log)); err != nil {
			log.Error("telling peers", "error", err)
		}
		conn.Close()
	}
}

func peersOf(d *wireguard.Device, log *slog.Logger) []string {
	keys := []string{}
	if d == nil {
		return keys // no configuration is known yet
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	list, err := d.Peers(ctx)
	if err != nil {
		log.Error("reading the device's peers", "error", err)
		return []string{err.Error()}
	}
	for _, p := range list {
		keys = append(keys, p.PublicKey.String())
	}
	return keys
}
