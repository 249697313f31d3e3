package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// wire is a network to the control plane that can be cut.
type wire struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

var errCut = errors.New("the wire is cut")

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return nil, errCut
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		w.conns = append(w.conns, conn)
	}
	return conn, err
}

func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for _, c := range w.conns {
			_ = c.Close()
		}
		w.conns = nil
	}
}

// joined is a gateway with a device in memory at a real control plane.
type joined struct {
	*Gateway
	device *memoryDevice
	wire   wire
}

// join joins a declared gateway and runs it until the test ends.
func join(t testing.TB, server *provisionertest.Server, name, token string) *joined {
	t.Helper()
	address, err := control.ParseAddress(server.Address() + "#" + server.Fingerprint())
	check(t, err)
	dir, err := state.Open(t.TempDir() + "/" + name)
	check(t, err)
	r := &joined{device: newMemoryDevice()}
	_, err = Join(t.Context(), JoinOptions{Address: address, Token: token, State: dir, Version: "test", Dial: r.wire.dial})
	check(t, err)
	r.Gateway, err = New(Options{State: dir, Open: r.device.open, Version: "test", Dial: r.wire.dial, Logger: slog.New(slog.DiscardHandler)})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		check(t, dir.Close())
	})
	return r
}

func (r *joined) connected() bool {
	s := r.Status()
	return s.Connected && s.Interface != "" && s.Revision > 0 && s.Applied == s.Revision
}

func tokens(t testing.TB, server *provisionertest.Server, names []string) []string {
	t.Helper()
	client := heimdrahtv1.NewAdminServiceClient(server.Dial(nil))
	list := make([]string, len(names))
	for i, name := range names {
		token, err := client.CreateGatewayToken(provisionertest.As(t.Context(), server.Operator), &heimdrahtv1.CreateGatewayTokenRequest{Gateway: name})
		check(t, err)
		list[i] = token.GetToken()
	}
	return list
}

// declared is a town with so many gateways and seats.
func declared(gateways, seats int) (*heimdrahtv1.Declaration, []string) {
	d := provisionertest.Declaration()
	d.LicencePools[0].Contracts[0].Seats = int64(seats)
	d.Gateways = nil
	names := make([]string, gateways)
	for i := range names {
		names[i] = fmt.Sprintf("gw%02d", i+1)
		d.Gateways = append(d.Gateways, &heimdrahtv1.GatewayDeclaration{
			Name: names[i], Endpoint: fmt.Sprintf("vpn%d.stadt.example:51820", i+1), Sessions: 2000, AggregateV4: fmt.Sprintf("10.%d.0.0/16", 64+i),
			AggregateV6: fmt.Sprintf("fd80:%x::/48", i+1), Tenants: []string{provisionertest.Tenant},
		})
	}
	return d, names
}

// Sixty-four gateways join at once, from one address, as after a new installation; and all of them are back after the
// control plane was away.
func TestSixtyFourGatewaysAtOnce(t *testing.T) {
	declaration, names := declared(64, 10)
	server := provisionertest.StartWith(t, provisionertest.Options{Declaration: declaration})
	given := tokens(t, server, names)
	gateways := make([]*joined, len(names))
	var joining sync.WaitGroup
	for i, name := range names {
		joining.Go(func() { gateways[i] = join(t, server, name, given[i]) })
	}
	joining.Wait()
	if t.Failed() {
		return
	}
	all := func() bool {
		for _, g := range gateways {
			if !g.connected() {
				return false
			}
		}
		return true
	}
	until(t, "all are connected", all)
	stream := server.Attach(t.Context(), server.Enrol(provisionertest.Staff, "serial-1"))
	answer, err := provisionertest.Open(stream, "")
	check(t, err)
	peers := 0
	for _, g := range gateways {
		peers += len(g.device.holds())
	}
	if answer.GetOpened() == nil || peers != 1 {
		t.Errorf("%d peers, told %v", peers, answer)
	}
	server.Stop()
	server.Run()
	until(t, "all are back", all)
}

// BenchmarkReturn is a gateway that was cut off while a thousand sessions were closed: from the moment at which it is
// connected again until it holds exactly what it should.
func BenchmarkReturn(b *testing.B) {
	const differences = 1000
	declaration, names := declared(1, 2*differences)
	server := provisionertest.StartWith(b, provisionertest.Options{Declaration: declaration, People: differences})
	g := join(b, server, names[0], tokens(b, server, names)[0])
	until(b, "the gateway is connected", g.connected)
	laptops := make([]provisionertest.Laptop, differences)
	for i := range laptops {
		laptops[i] = server.Enrol(provisionertest.Login(i), fmt.Sprint("SN", i))
	}
	streams, sessions := make([]heimdrahtv1.SessionService_AttachClient, differences), make([]string, differences)
	var took time.Duration
	for b.Loop() {
		var opening sync.WaitGroup
		for part := range 32 {
			opening.Go(func() {
				for i := part; i < differences; i += 32 {
					if streams[i] == nil {
						streams[i] = server.Attach(b.Context(), laptops[i])
					}
					answer, err := provisionertest.Open(streams[i], "")
					if err != nil || answer.GetOpened() == nil {
						b.Errorf("opening: %v, %v", answer, err)
						return
					}
					sessions[i] = answer.GetOpened().GetSessionId()
				}
			})
		}
		opening.Wait()
		if n := len(g.device.holds()); n != differences {
			b.Fatalf("%d peers", n)
		}
		g.wire.set(true)
		for i, s := range streams {
			check(b, s.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: sessions[i]}}}))
			if _, err := s.Recv(); err != nil {
				b.Fatal(err)
			}
		}
		g.wire.set(false)
		until(b, "it is back", func() bool { return g.Status().Connected })
		start := time.Now()
		until(b, "it is exact", func() bool { return len(g.device.holds()) == 0 && g.connected() })
		took += time.Since(start)
	}
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms-exact/op")
}
