package rpc_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// sticky stands between the server and a client that stops reading: what the
// client says still goes through.
type sticky struct {
	*provisionertest.Client

	stuck chan struct{} // closed by stick
	over  chan struct{} // closed with the test
}

func newSticky(t *testing.T, s *provisionertest.Server) *sticky {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	k := &sticky{Client: provisionertest.Connect(t, l.Addr().String(), s.Fingerprint()), stuck: make(chan struct{}), over: make(chan struct{})}
	k.Operator = s.Operator
	var group sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		close(k.over)
		group.Wait()
	})
	group.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := new(net.Dialer).DialContext(context.Background(), "tcp", s.Address())
			if err != nil {
				client.Close()
				continue
			}
			end := sync.OnceFunc(func() { client.Close(); server.Close() })
			group.Go(func() { defer end(); _, _ = io.Copy(server, client) }) // whatever ends it
			group.Go(func() { defer end(); k.pass(client, server) })
			group.Go(func() { <-k.over; end() })
		}
	})
	return k
}

// pass hands on what the server says, until the client is stuck.
func (k *sticky) pass(client io.Writer, server io.Reader) {
	b := make([]byte, 4096)
	for {
		n, err := server.Read(b)
		if err != nil {
			return
		}
		select {
		case <-k.stuck:
			<-k.over
			return
		default:
		}
		if _, err := client.Write(b[:n]); err != nil {
			return
		}
	}
}

func (k *sticky) stick() { close(k.stuck) }

// insists says something again and again until the stream breaks.
func insists(ctx context.Context, say func() error) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for say() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// A gateway and a laptop that read nothing any more while their connections
// stand, and ask for ever more, cost a bounded time and bounded memory, delay
// nobody, and find what they had when they come back.
func TestWhoDoesNotReadDelaysNobody(t *testing.T) {
	t.Parallel()
	var group sync.WaitGroup
	t.Cleanup(group.Wait) // when the connections have ended, which comes first
	var log faults
	d := provisionertest.Declaration()
	d.LicencePools[0].Contracts[0].Seats = 50
	d.Gateways = append(d.Gateways, &heimdrahtv1.GatewayDeclaration{
		Name: "gw2", Endpoint: "vpn2.stadt.example:51820", Sessions: 1, AggregateV4: "10.81.0.0/16", Tenants: []string{provisionertest.Tenant},
	})
	s := provisionertest.StartWith(t, provisionertest.Options{
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Declaration: d,
	})
	laptop, other := s.Enrol(provisionertest.Staff, "SN1"), s.Enrol(provisionertest.Staff, "SN2")

	// The one session that fits on gw2 is of a laptop that is to be revoked.
	gateway, joined := newSticky(t, s), s.JoinGateway("gw2")
	m := syncs(t, &provisionertest.Server{Client: gateway.Client}, &joined.Certificate, &heimdrahtv1.SyncHello{WireguardPublicKey: joined.PublicKey})
	m.mustHear(snapshotEnd)
	m.acknowledge(m.epoch, m.revision)
	opened := make(chan string, 1)
	stream := s.Attach(t.Context(), other)
	go func() {
		answer, _ := provisionertest.Open(stream, "")
		opened <- answer.GetOpened().GetSessionId()
	}()
	m.mustHear(func(o *heimdrahtv1.SyncResponse) bool { return len(o.GetDelta().GetPeers()) > 0 })
	m.acknowledge(m.epoch, m.revision)
	lost := <-opened
	if !m.peers[lost] {
		t.Fatalf("session %q, peers %v", lost, m.peers)
	}
	s.JoinGateway("gw1").Run()
	line := newSticky(t, s)
	attached := line.Attach(t.Context(), laptop)
	kept := open(t, attached).GetSessionId()

	before, began := heap(), time.Now()
	gateway.stick()
	line.stick()
	group.Go(func() {
		insists(t.Context(), func() error {
			return m.stream.Send(&heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_SnapshotWanted{SnapshotWanted: &heimdrahtv1.SnapshotWanted{}}})
		})
	})
	group.Go(func() {
		insists(t.Context(), func() error {
			return attached.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{Resume: kept}}})
		})
	})
	ended := func(role string) bool {
		return slices.ContainsFunc(strings.Split(log.String(), "\n"), func(line string) bool {
			return strings.Contains(line, "does not read what it is sent") && strings.Contains(line, "role="+role)
		})
	}
	now := time.NewTicker(2 * time.Second) // the test's own connections cost memory too
	defer now.Stop()
	for !ended("gateway") || !ended("device") {
		asked := time.Now()
		othersGoOn(t, s, "SN3")
		if took := time.Since(asked); took > 10*time.Second {
			t.Errorf("enrolling, opening and revoking took others %v", took)
		}
		if more := heap() - before; more > 64<<20 {
			t.Fatalf("%d MB more lie in memory", more>>20)
		}
		<-now.C
		if time.Since(began) > 4*time.Minute {
			t.Fatal("who reads nothing is not ended")
		}
	}
	after := time.Since(began)
	t.Logf("ended after %v; %d KB more lie in memory", after, (heap()-before)>>10)
	if after < 30*time.Second {
		t.Error("ended before its time")
	}
	if log := log.String(); !strings.Contains(log, "gateway=gw2") {
		t.Error("the gateway is not named")
	}
	if revoke(t, s, other.ID, 300) {
		t.Error("confirmed by a gateway that has gone")
	}

	again := syncs(t, s, &joined.Certificate, &heimdrahtv1.SyncHello{Epoch: m.epoch, Revision: m.revision, WireguardPublicKey: joined.PublicKey})
	again.peers[lost] = true
	again.mustHear(func(o *heimdrahtv1.SyncResponse) bool {
		return slices.Contains(o.GetDelta().GetRemovedSessions(), lost) || o.GetSnapshotEnd() != nil
	})
	if again.peers[lost] {
		t.Error("the gateway is not told what it has missed")
	}
	again.acknowledge(again.epoch, again.revision)
	if !revoke(t, s, other.ID, 10_000) {
		t.Error("not confirmed when the gateway is back")
	}
	answer, err := provisionertest.Open(s.Attach(t.Context(), laptop), kept)
	if err != nil || !answer.GetOpened().GetResumed() {
		t.Errorf("the laptop that comes back is told %v, %v", answer, err)
	}
}
