package rpc_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// machine is a gateway that says what the test wants.
type machine struct {
	t      *testing.T
	stream heimdrahtv1.GatewayService_SyncClient

	epoch    string
	revision int64
	peers    map[string]bool
	removed  map[string]bool // by a Removal ahead
}

func syncs(t *testing.T, s *provisionertest.Server, c *tls.Certificate, hello *heimdrahtv1.SyncHello) *machine {
	t.Helper()
	stream, err := heimdrahtv1.NewGatewayServiceClient(s.Dial(c)).Sync(english())
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, stream: stream, epoch: hello.GetEpoch(), revision: hello.GetRevision(), peers: make(map[string]bool), removed: make(map[string]bool)}
	m.say(&heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_Hello{Hello: hello}})
	return m
}

func (m *machine) say(r *heimdrahtv1.SyncRequest) {
	m.t.Helper()
	if err := m.stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
		m.t.Fatal(err)
	}
}

func (m *machine) acknowledge(epoch string, revision int64, removed ...string) {
	m.t.Helper()
	m.say(&heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_Acknowledgement{
		Acknowledgement: &heimdrahtv1.SyncAcknowledgement{Epoch: epoch, Revision: revision, RemovedSessions: removed},
	}})
}

// hear takes orders until one satisfies enough; it acknowledges nothing.
func (m *machine) hear(enough func(*heimdrahtv1.SyncResponse) bool) error {
	for {
		order, err := m.stream.Recv()
		if err != nil {
			return err
		}
		switch o := order.GetOrder().(type) {
		case *heimdrahtv1.SyncResponse_SnapshotPage:
			for _, p := range o.SnapshotPage.GetPeers() {
				m.peers[p.GetSessionId()] = true
			}
		case *heimdrahtv1.SyncResponse_SnapshotEnd:
			m.epoch, m.revision = o.SnapshotEnd.GetEpoch(), o.SnapshotEnd.GetRevision()
		case *heimdrahtv1.SyncResponse_Delta:
			m.revision = o.Delta.GetUpto()
			for _, id := range o.Delta.GetRemovedSessions() {
				delete(m.peers, id)
			}
			for _, p := range o.Delta.GetPeers() {
				m.peers[p.GetSessionId()] = true
			}
		case *heimdrahtv1.SyncResponse_Removal:
			for _, id := range o.Removal.GetSessions() {
				m.removed[id] = true
			}
		}
		if enough(order) {
			return nil
		}
	}
}

func (m *machine) mustHear(enough func(*heimdrahtv1.SyncResponse) bool) {
	m.t.Helper()
	if err := m.hear(enough); err != nil {
		m.t.Fatal(err)
	}
}

func snapshotEnd(o *heimdrahtv1.SyncResponse) bool { return o.GetSnapshotEnd() != nil }

// revoke revokes a device and tells whether every gateway confirmed within ms.
func revoke(t *testing.T, s *provisionertest.Server, device string, ms int64) bool {
	t.Helper()
	desk := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	answer, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)).RevokeDevice(desk, &heimdrahtv1.RevokeDeviceRequest{DeviceId: device, Reason: "lost", WaitMs: ms})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range answer.GetConfirmations() {
		if !c.GetConfirmed() {
			t.Logf("%s has not confirmed", c.GetGateway())
			return false
		}
	}
	return true
}

// A gateway that acknowledges what it was never told, as one does that was
// restored from a copy, or lies ahead, confirms nothing by it.
func TestAnAcknowledgementAheadConfirmsNothing(t *testing.T) {
	s := provisionertest.Start(t, nil)
	joined := s.JoinGateway("gw1")
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	m := syncs(t, s, &joined.Certificate, &heimdrahtv1.SyncHello{WireguardPublicKey: joined.PublicKey})
	m.mustHear(snapshotEnd)
	m.acknowledge(m.epoch, math.MaxInt64)
	stream := s.Attach(t.Context(), laptop)
	answer, err := provisionertest.Open(stream, "")
	if err != nil || answer.GetRefused().GetCode() != "gateway-not-ready" {
		t.Errorf("an opening that the gateway has not been told of: %v, %v", answer, err)
	}
	m.acknowledge(m.epoch, math.MaxInt64)
	if revoke(t, s, laptop.ID, 300) {
		t.Error("confirmed by a gateway that was not told")
	}
}

// What a gateway says when it connects is where deltas go on, and no
// acknowledgement: it may have been told more than it has installed.
func TestAHelloConfirmsNothing(t *testing.T) {
	s := provisionertest.Start(t, nil)
	joined := s.JoinGateway("gw1")
	joined.Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	stream := s.Attach(t.Context(), laptop)
	id := open(t, stream).GetSessionId()
	joined.Stop()
	m := syncs(t, s, &joined.Certificate, &heimdrahtv1.SyncHello{WireguardPublicKey: joined.PublicKey})
	m.mustHear(snapshotEnd)
	m.acknowledge(m.epoch, m.revision)
	if revoke(t, s, laptop.ID, 200) {
		t.Fatal("confirmed before the gateway has said anything")
	}
	m.mustHear(func(o *heimdrahtv1.SyncResponse) bool { return len(o.GetDelta().GetRemovedSessions()) > 0 })
	if m.peers[id] {
		t.Fatal("the peer is not removed")
	}
	again := syncs(t, s, &joined.Certificate, &heimdrahtv1.SyncHello{Epoch: m.epoch, Revision: m.revision, WireguardPublicKey: joined.PublicKey})
	again.mustHear(func(o *heimdrahtv1.SyncResponse) bool { return o.GetConfiguration() != nil })
	if revoke(t, s, laptop.ID, 200) {
		t.Error("confirmed by a hello")
	}
	again.acknowledge(m.epoch, m.revision)
	if !revoke(t, s, laptop.ID, 5000) {
		t.Error("not confirmed by the acknowledgement")
	}
}

// A gateway that comes back from an older copy of its own state is told what it
// has forgotten, and owes its confirmation again.
func TestAGatewayFromAnOlderCopyOwesAgain(t *testing.T) {
	s := provisionertest.Start(t, nil)
	joined := s.JoinGateway("gw1")
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	hello := &heimdrahtv1.SyncHello{WireguardPublicKey: joined.PublicKey}
	m := syncs(t, s, &joined.Certificate, hello)
	m.mustHear(snapshotEnd)
	m.acknowledge(m.epoch, m.revision)
	stream := s.Attach(t.Context(), laptop)
	opened := make(chan string, 1)
	go func() {
		answer, _ := provisionertest.Open(stream, "")
		opened <- answer.GetOpened().GetSessionId()
	}()
	m.mustHear(func(o *heimdrahtv1.SyncResponse) bool { return len(o.GetDelta().GetPeers()) > 0 })
	m.acknowledge(m.epoch, m.revision)
	id := <-opened
	copied := m.revision
	if id == "" || !m.peers[id] {
		t.Fatalf("session %q, peers %v", id, m.peers)
	}
	done := make(chan bool, 1)
	go func() { done <- revoke(t, s, laptop.ID, 5000) }()
	m.mustHear(func(o *heimdrahtv1.SyncResponse) bool { return len(o.GetDelta().GetRemovedSessions()) > 0 })
	m.acknowledge(m.epoch, m.revision)
	if !<-done {
		t.Fatal("not confirmed")
	}
	hello.Epoch, hello.Revision = m.epoch, copied
	old := syncs(t, s, &joined.Certificate, hello)
	old.acknowledge(m.epoch, copied)
	old.mustHear(func(o *heimdrahtv1.SyncResponse) bool {
		return len(o.GetDelta().GetRemovedSessions()) == 1 && o.GetDelta().GetRemovedSessions()[0] == id
	})
	m.acknowledge(m.epoch, m.revision, id) // the former stream, if it is still heard
	if revoke(t, s, laptop.ID, 200) {
		t.Error("what the gateway confirmed before it was set back still counts")
	}
	old.acknowledge(m.epoch, old.revision)
	if !revoke(t, s, laptop.ID, 5000) {
		t.Error("not confirmed again")
	}
}

// What an agent says of itself is shown on terminals.
func TestVersionsCarryNoControlCharacters(t *testing.T) {
	s := provisionertest.Start(t, nil)
	s.JoinGateway("gw1").Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	stream := s.Attach(t.Context(), laptop)
	if err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{AgentVersion: "1.0\x1b[2J\n"}}}); err != nil {
		t.Fatal(err)
	}
	if answer, err := stream.Recv(); err != nil || answer.GetOpened() == nil {
		t.Fatalf("opening: %v, %v", answer, err)
	}
	desk := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	shown, err := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)).GetDevice(desk, &heimdrahtv1.GetDeviceRequest{DeviceId: laptop.ID})
	if err != nil || strings.ContainsFunc(shown.GetDevice().GetAgentVersion(), unicode.IsControl) || !strings.HasPrefix(shown.GetDevice().GetAgentVersion(), "1.0") {
		t.Errorf("shown as %q, %v", shown.GetDevice().GetAgentVersion(), err)
	}
}

// A machine that was replaced is told so on its open stream, before the next
// one has connected.
func TestAReplacedGatewayIsToldAtOnce(t *testing.T) {
	s := provisionertest.Start(t, nil)
	old := s.JoinGateway("gw1")
	m := syncs(t, s, &old.Certificate, &heimdrahtv1.SyncHello{WireguardPublicKey: old.PublicKey})
	m.mustHear(snapshotEnd)
	s.JoinGateway("gw1")
	expect(t, "the former machine", m.hear(func(*heimdrahtv1.SyncResponse) bool { return false }), "gateway-replaced")
}

func TestHeadersAreBounded(t *testing.T) {
	s := provisionertest.Start(t, nil)
	conn := s.Dial(nil)
	_, err := heimdrahtv1.NewAuthServiceClient(conn).WhoAmI(provisionertest.As(t.Context(), strings.Repeat("x", 1<<20)), &heimdrahtv1.WhoAmIRequest{})
	if err == nil || codeOf(err) != "" {
		t.Errorf("a megabyte of headers was read: %v", err)
	}
	_, err = heimdrahtv1.NewAuthServiceClient(s.Dial(nil)).WhoAmI(provisionertest.As(t.Context(), strings.Repeat("x", 1<<10)), &heimdrahtv1.WhoAmIRequest{})
	expect(t, "afterwards", err, "not-signed-in")
}

// The certificate of a former installation must not push the present one off
// its stream.
func TestAReplacedCertificateCannotDisturb(t *testing.T) {
	s := provisionertest.Start(t, nil)
	s.JoinGateway("gw1").Run()
	old := s.Enrol(provisionertest.Staff, "SN1")
	now := s.Enrol(provisionertest.Staff, "SN1")
	stream := s.Attach(t.Context(), now)
	opened := open(t, stream)
	for range 3 {
		_, err := s.Attach(t.Context(), old).Recv()
		expect(t, "the former certificate", err, "device-replaced")
	}
	if err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Renew{Renew: &heimdrahtv1.RenewSession{SessionId: opened.GetSessionId()}}}); err != nil {
		t.Fatal(err)
	}
	if order, err := stream.Recv(); err != nil || order.GetRenewed() == nil {
		t.Errorf("the present installation is told %v, %v", order, err)
	}
}

// eventually waits until something is so that this process does not see coming.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	late := time.After(10 * time.Second)
	for !so() {
		select {
		case <-look.C:
		case <-late:
			t.Fatal("not so: " + what)
		}
	}
}

// faults collects what the log calls a fault.
type faults struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (f *faults) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.Write(p)
}

func (f *faults) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.String()
}

// A stream that ends in the middle of something says why it ended; nothing of
// it is a fault of the server.
func TestStreamsEndWithTheReason(t *testing.T) {
	var log faults
	s := provisionertest.Start(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})))
	g := s.JoinGateway("gw1")
	g.Run()
	g.Mute(true)
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	waiting := func() heimdrahtv1.SessionService_AttachClient {
		stream := s.Attach(t.Context(), laptop)
		if err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{}}}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the gateway is told of the opening that waits for it", func() bool { return len(g.Sessions()) > 0 })
		return stream
	}
	first := waiting()
	second := s.Attach(t.Context(), laptop)
	_, err := first.Recv()
	expect(t, "a stream that a newer one replaced", err, "stream-replaced")
	if err := second.CloseSend(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session of the abandoned opening ends", func() bool { return len(g.Sessions()) == 0 })
	third := waiting()
	s.Stop()
	_, err = third.Recv()
	expect(t, "a stream when the server stops", err, "shutting-down")
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*heimdrahtv1.Refusal); ok && r.GetRetryAfterMs() == 0 {
			t.Error("the laptop is not told that trying again helps")
		}
	}
	if text := log.String(); strings.Contains(text, "fault") {
		t.Errorf("the log has faults:\n%s", text)
	}
}

// What no honest agent sends ends its own stream, with a refusal, and hurts
// nobody else.
func TestExcessIsRefused(t *testing.T) {
	s := provisionertest.Start(t, nil)
	joined := s.JoinGateway("gw1")
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	long := strings.Repeat("x", 1<<14)
	for name, r := range map[string]*heimdrahtv1.AttachRequest{
		"a long session to resume": {Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{Resume: long}}},
		"a long version":           {Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{AgentVersion: long}}},
		"a long session to renew":  {Event: &heimdrahtv1.AttachRequest_Renew{Renew: &heimdrahtv1.RenewSession{SessionId: long}}},
		"a long session to close":  {Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: long}}},
		"nothing":                  {},
	} {
		stream := s.Attach(t.Context(), laptop)
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
		_, err := stream.Recv()
		expect(t, name, err, "protocol")
	}
	many := make([]string, 10_000)
	peers := make([]*heimdrahtv1.PeerObservation, len(many))
	for i := range many {
		many[i], peers[i] = "abc", &heimdrahtv1.PeerObservation{SessionId: "abc"}
	}
	for name, r := range map[string]*heimdrahtv1.SyncRequest{
		"many removed sessions":    {Event: &heimdrahtv1.SyncRequest_Acknowledgement{Acknowledgement: &heimdrahtv1.SyncAcknowledgement{RemovedSessions: many}}},
		"a long removed session":   {Event: &heimdrahtv1.SyncRequest_Acknowledgement{Acknowledgement: &heimdrahtv1.SyncAcknowledgement{RemovedSessions: []string{long}}}},
		"a removed session unsaid": {Event: &heimdrahtv1.SyncRequest_Acknowledgement{Acknowledgement: &heimdrahtv1.SyncAcknowledgement{RemovedSessions: []string{""}}}},
		"many observations":        {Event: &heimdrahtv1.SyncRequest_Observation{Observation: &heimdrahtv1.SyncObservation{Peers: peers}}},
		"a second hello":           {Event: &heimdrahtv1.SyncRequest_Hello{Hello: &heimdrahtv1.SyncHello{}}},
	} {
		m := syncs(t, s, &joined.Certificate, &heimdrahtv1.SyncHello{WireguardPublicKey: joined.PublicKey})
		m.say(r)
		expect(t, name, m.hear(func(*heimdrahtv1.SyncResponse) bool { return false }), "protocol")
	}
}
