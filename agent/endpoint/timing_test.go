package endpoint

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// The tests in this file are about hours. They run in a bubble of synctest, where sockets do not work, so that
// the control plane and the tunnel are stood in for.

// paperPlane is a control plane in channels.
type paperPlane struct {
	mu       sync.Mutex
	down     bool
	refusal  error
	answer   func(*heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse
	way      time.Duration // how long what is sent is under way; a stream that is cancelled before takes it along
	attaches []time.Time
	renewals []time.Time
	openings []time.Time
	closings []string
	streams  []*paperStream
}

func (p *paperPlane) attach(wish context.Context) (stream, context.CancelFunc, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attaches = append(p.attaches, time.Now())
	if p.down {
		return nil, nil, status.Error(codes.Unavailable, "away")
	}
	if p.refusal != nil {
		return nil, nil, p.refusal
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(wish))
	s := &paperStream{ctx: ctx, cancel: cancel, plane: p, down: make(chan *heimdrahtv1.AttachResponse, 100)}
	p.streams = append(p.streams, s)
	return s, cancel, nil
}

func (p *paperPlane) hear(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event := m.GetEvent().(type) {
	case *heimdrahtv1.AttachRequest_Open:
		p.openings = append(p.openings, time.Now())
		if p.answer == nil {
			return openedOnPaper("s-1", event.Open.GetResume() == "s-1")
		}
	case *heimdrahtv1.AttachRequest_Renew:
		p.renewals = append(p.renewals, time.Now())
		if p.answer == nil {
			return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Renewed{Renewed: &heimdrahtv1.SessionRenewed{
				SessionId: "s-1", LeaseUntil: timestamppb.New(time.Now().Add(5 * time.Minute)), ServerTime: timestamppb.Now(),
			}}}
		}
	case *heimdrahtv1.AttachRequest_Close:
		p.closings = append(p.closings, event.Close.GetSessionId())
		return endpointtest.Closed(event.Close.GetSessionId(), "session-closed", 0)
	}
	if p.answer != nil {
		return p.answer(m)
	}
	return nil
}

func (p *paperPlane) order(m *heimdrahtv1.AttachResponse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams[len(p.streams)-1].down <- m
}

func openedOnPaper(id string, resumed bool) *heimdrahtv1.AttachResponse {
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Opened{Opened: &heimdrahtv1.SessionOpened{
		SessionId: id, Configuration: goodConfiguration(), Resumed: resumed,
		LeaseUntil: timestamppb.New(time.Now().Add(5 * time.Minute)), RenewEveryMs: 60_000,
	}}}
}

// paperStream is one stream of it.
type paperStream struct {
	grpc.ClientStream
	ctx    context.Context
	cancel context.CancelFunc
	plane  *paperPlane
	down   chan *heimdrahtv1.AttachResponse
	deaf   bool // what is sent is lost
}

func (s *paperStream) Send(m *heimdrahtv1.AttachRequest) error {
	if s.ctx.Err() != nil {
		return io.EOF
	}
	if s.plane.way == 0 {
		s.arrive(m)
	} else {
		time.AfterFunc(s.plane.way, func() { s.arrive(m) })
	}
	return nil
}

func (s *paperStream) arrive(m *heimdrahtv1.AttachRequest) {
	if s.ctx.Err() != nil {
		return
	}
	if answer := s.plane.hear(m); answer != nil && !s.isDeaf() {
		s.down <- answer
	}
}

func (s *paperStream) isDeaf() bool {
	s.plane.mu.Lock()
	defer s.plane.mu.Unlock()
	return s.deaf
}

func (s *paperStream) Recv() (*heimdrahtv1.AttachResponse, error) {
	select {
	case m := <-s.down:
		return m, nil
	case <-s.ctx.Done():
		return nil, status.Error(codes.Unavailable, "broken")
	}
}

func (s *paperStream) CloseSend() error         { return nil }
func (s *paperStream) Context() context.Context { return s.ctx }

// paperTunnel is a tunnel whose gateway answers at once.
type paperTunnel struct {
	mu       sync.Mutex
	now      *settings
	installs int
	removals int
	prepare_ error
	ahead    time.Duration // how far the last handshake lies in the future
	moved    func() uint64 // nil: next to nothing
	sent     func() uint64 // nil: next to nothing
	probed   []time.Time
	echoes   bool // a probe is answered
	answers  uint64
	two      bool // it holds two, unless the second interface is taken
	taken    bool
	beside   formerReading
}

func (t *paperTunnel) probe(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.probed = append(t.probed, time.Now())
	if t.echoes {
		t.answers += 28
	}
	return nil
}

func (t *paperTunnel) prepare(context.Context, wireguard.PrivateKey) error { return t.prepare_ }

func (t *paperTunnel) install(_ context.Context, s *settings, fresh bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = s
	t.installs++
	if fresh {
		t.ahead, t.beside = 0, formerReading{}
	}
	return nil
}

func (t *paperTunnel) holdsTwo() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.two
}

func (t *paperTunnel) installBeside(_ context.Context, s *settings, _ string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken {
		return errors.New("the other interface is somebody else's")
	}
	t.now, t.beside = s, formerReading{there: true, connections: 1}
	return nil
}

func (t *paperTunnel) former() formerReading {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.beside
}

func (t *paperTunnel) letGo(context.Context, string) error {
	t.carry(formerReading{})
	return nil
}

// carry says what the former tunnel is doing.
func (t *paperTunnel) carry(r formerReading) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.beside = r
}

func (t *paperTunnel) tend(context.Context)   {}
func (t *paperTunnel) wake(context.Context)   {}
func (t *paperTunnel) settle(context.Context) {}

func (t *paperTunnel) keepFitting(context.Context) error { return nil }
func (t *paperTunnel) refit()                            {}

func (t *paperTunnel) reading() reading {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return reading{}
	}
	r := reading{installed: time.Now(), handshake: time.Now().Add(t.ahead), received: 1, sent: 1}
	if t.moved != nil {
		r.received = t.moved()
	}
	r.received += t.answers
	if t.sent != nil {
		r.sent = t.sent()
	}
	return r
}

func (t *paperTunnel) remove(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil {
		t.removals++
	}
	t.now, t.beside = nil, formerReading{}
	return nil
}

func (t *paperTunnel) close() error { return nil }

func (t *paperTunnel) dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("there is no network in a bubble")
}

func (t *paperTunnel) standing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now != nil
}

// onPaper runs a laptop that is enrolled, in a bubble.
func onPaper(t *testing.T, script func(*paperPlane), test func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p, tunnel := &paperPlane{}, &paperTunnel{}
		if script != nil {
			script(p)
		}
		changed := make(chan struct{})
		e, err := New(Options{
			Store: &control.MemoryStore{}, Device: wireguard.Options{Mode: wireguard.Netstack},
			NetworkChanged: changed, Logger: slog.New(slog.DiscardHandler),
		})
		check(t, err)
		e.tunnel, e.plane = tunnel, p
		e.identity = identityOnPaper(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		synctest.Wait()
		test(t, e, p, tunnel)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if tunnel.standing() {
			t.Error("the tunnel outlived the program")
		}
	})
}

func identityOnPaper(t *testing.T) *control.Identity {
	request, err := control.NewKeyRequest()
	check(t, err)
	csr, err := x509.ParseCertificateRequest(request.CSR)
	check(t, err)
	public, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
	}
	ca, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	check(t, err)
	leaf, err := x509.CreateCertificate(rand.Reader, template, template, csr.PublicKey, key)
	check(t, err)
	identity, err := control.SaveIdentity(&control.MemoryStore{}, request, &heimdrahtv1.Certificate{Leaf: leaf, Authorities: [][]byte{ca}}, control.Trust{Pin: control.Fingerprint{1}})
	check(t, err)
	return identity
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d) // of the bubble
	synctest.Wait()
}

func TestRenewalsEachMinuteWithJitter(t *testing.T) {
	onPaper(t, nil, func(t *testing.T, e *Endpoint, p *paperPlane, _ *paperTunnel) {
		check(t, e.Up(t.Context()))
		pass(10 * time.Hour)
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.renewals); n < 590 || n > 610 {
			t.Errorf("%d renewals in 600 minutes", n)
		}
		differ := false
		for i := 1; i < len(p.renewals); i++ {
			d := p.renewals[i].Sub(p.renewals[i-1])
			if d < 48*time.Second || d > 72*time.Second {
				t.Fatalf("a renewal after %v", d)
			}
			differ = differ || d != p.renewals[1].Sub(p.renewals[0])
		}
		if !differ {
			t.Error("there is no jitter")
		}
		if len(p.attaches) != 1 {
			t.Errorf("%d streams", len(p.attaches))
		}
	})
}

// TestSilenceIsNoOrder: a control plane that is away for a day takes nothing away, is asked at a bearable pace,
// and the session goes on when it is back, long after its lease has run out.
func TestSilenceIsNoOrder(t *testing.T) {
	onPaper(t, nil, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		check(t, e.Up(t.Context()))
		p.mu.Lock()
		p.down = true
		p.streams[0].cancel()
		p.mu.Unlock()
		pass(24 * time.Hour)
		if !tunnel.standing() || tunnel.removals != 0 {
			t.Fatal("the tunnel was taken away")
		}
		if st := e.Status("de"); st.State != Connected || len(st.Notes) != 1 {
			t.Errorf("said %+v", st)
		}
		p.mu.Lock()
		n := len(p.attaches)
		p.down = false
		p.mu.Unlock()
		if n < 24*60*2 || n > 24*60*5 {
			t.Errorf("asked %d times in a day", n)
		}
		pass(40 * time.Second)
		if st := e.Status("de"); !st.ControlPlane || tunnel.installs != 1 || tunnel.removals != 0 {
			t.Errorf("afterwards: %+v, %d installs", st, tunnel.installs)
		}
	})
}

// TestUnansweredRenewal: a stream that stands and says nothing is broken.
func TestUnansweredRenewal(t *testing.T) {
	onPaper(t, nil, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		check(t, e.Up(t.Context()))
		p.mu.Lock()
		p.answer = func(*heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse { return nil }
		p.mu.Unlock()
		pass(72*time.Second + answerWithin - time.Second)
		p.mu.Lock()
		p.answer = nil
		p.mu.Unlock()
		pass(2 * openWithin)
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.streams) < 2 || !tunnel.standing() || tunnel.removals != 0 {
			t.Errorf("%d streams, tunnel standing: %v", len(p.streams), tunnel.standing())
		}
	})
}

// TestClockSetBackTakesAnotherSession: to a tunnel whose last handshake lies in the future no other one follows, so that the laptop takes
// another session before its keys have ended.
func TestClockSetBackTakesAnotherSession(t *testing.T) {
	onPaper(t, func(p *paperPlane) {
		p.answer = func(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
			if m.GetOpen() == nil {
				return nil
			}
			resume := m.GetOpen().GetResume()
			return openedOnPaper(cmp.Or(resume, fmt.Sprint("s-", len(p.openings))), resume != "")
		}
	}, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		check(t, e.Up(t.Context()))
		tunnel.mu.Lock()
		tunnel.ahead = time.Hour
		tunnel.mu.Unlock()
		pass(tendSeldom * 6 / 5)
		if held := e.heldSession(); held == nil || held.id != "s-2" || tunnel.installs != 2 || tunnel.removals != 0 {
			t.Errorf("it holds %+v after %d installs and %d removals", held, tunnel.installs, tunnel.removals)
		}
		if len(p.openings) != 2 || len(p.attaches) != 1 {
			t.Errorf("%d openings on %d streams", len(p.openings), len(p.attaches))
		}
	})
}

// TestNoStorm: what trying again cannot change is not tried again, for a day.
func TestNoStorm(t *testing.T) {
	t.Run("revoked", func(t *testing.T) {
		onPaper(t, nil, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
			check(t, e.Up(t.Context()))
			p.order(endpointtest.Closed("s-1", "device-revoked", time.Second))
			synctest.Wait() // no time passes: at once
			if tunnel.standing() {
				t.Error("the tunnel stands")
			}
			pass(24 * time.Hour)
			if len(p.attaches) != 1 || len(p.openings) != 1 {
				t.Errorf("asked %d times on %d streams", len(p.openings), len(p.attaches))
			}
			if st := e.Status("de"); st.State != Refused || st.Code != "device-revoked" {
				t.Errorf("said %+v", st)
			}
		})
	})
	t.Run("refused with leave to try again in an hour", func(t *testing.T) {
		script := func(p *paperPlane) {
			p.answer = func(*heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
				return endpointtest.Refused("no-seat", time.Hour)
			}
		}
		onPaper(t, script, func(t *testing.T, e *Endpoint, p *paperPlane, _ *paperTunnel) {
			if err := e.Up(t.Context()); !isProblem(err, "no-seat") {
				t.Errorf("up: %v", err)
			}
			pass(24 * time.Hour)
			for i := 1; i < len(p.openings); i++ {
				if d := p.openings[i].Sub(p.openings[i-1]); d < time.Hour || d > 72*time.Minute {
					t.Errorf("asked again after %v", d)
				}
			}
			if n := len(p.openings); n < 20 || len(p.attaches) != 1 {
				t.Errorf("asked %d times on %d streams", n, len(p.attaches))
			}
		})
	})
	t.Run("a machine without rights", func(t *testing.T) {
		onPaper(t, nil, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
			tunnel.prepare_ = errors.New("no")
			if err := e.Up(t.Context()); !isProblem(err, CodeTunnelFailed) {
				t.Errorf("up: %v", err)
			}
			pass(24 * time.Hour)
			if len(p.attaches) != 0 {
				t.Error("a session was asked for that could not be installed")
			}
		})
	})
}

// TestLapsedSession: a session that ended because the laptop was away comes back by itself.
func TestLapsedSession(t *testing.T) {
	onPaper(t, nil, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		check(t, e.Up(t.Context()))
		p.order(endpointtest.Closed("s-1", "session-expired", 10*time.Second))
		synctest.Wait()
		if tunnel.standing() {
			t.Error("the tunnel stands")
		}
		pass(10*time.Second - 1)
		if tunnel.standing() {
			t.Error("the connection came back before it should")
		}
		pass(3 * time.Second)
		if !tunnel.standing() {
			t.Error("the connection did not come back")
		}
		// Without a time to wait, the person is told why, and decides.
		p.order(endpointtest.Closed("s-1", "session-expired", 0))
		pass(24 * time.Hour)
		if st := e.Status("de"); tunnel.standing() || st.State != Refused || st.Code != "session-expired" || len(p.openings) != 2 {
			t.Errorf("said %+v after %d openings", st, len(p.openings))
		}
		check(t, e.Up(t.Context()))
	})
}

// TestForeignClosing: the end of another session is not the end of this one.
func TestForeignClosing(t *testing.T) {
	onPaper(t, nil, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		check(t, e.Up(t.Context()))
		p.order(endpointtest.Closed("s-0", "session-elsewhere", 0))
		synctest.Wait()
		if !tunnel.standing() {
			t.Error("the tunnel is gone")
		}
	})
}

// TestDownWhileConnecting does not wait for the control plane.
func TestDownWhileConnecting(t *testing.T) {
	onPaper(t, func(p *paperPlane) { p.down = true }, func(t *testing.T, e *Endpoint, p *paperPlane, _ *paperTunnel) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := e.Up(ctx); err == nil {
			t.Error("connected to nobody")
		}
		start := time.Now()
		check(t, e.Down(t.Context()))
		if time.Since(start) != 0 {
			t.Errorf("took %v", time.Since(start))
		}
		n := len(p.attaches)
		pass(time.Hour)
		if len(p.attaches) != n {
			t.Error("it goes on trying")
		}
	})
}
