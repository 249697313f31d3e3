package endpoint

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// lossPlane answers as a control plane that may hear a gateway or not.
type lossPlane struct {
	agedPlane
	deaf   bool // it hears nothing from the gateway either
	silent int  // how often a laptop said that the gateway answers nothing
	full   bool // and no other gateway has room
}

func (l *lossPlane) answer(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
	if open := m.GetOpen(); open.GetGatewaySilent() {
		l.mu.Lock()
		l.silent++
		deaf, full := l.deaf, l.full
		l.mu.Unlock()
		switch {
		case deaf && full:
			return endpointtest.Refused("gateway-full", 30*time.Second)
		case deaf:
			open.Resume = ""
		}
	}
	return l.agedPlane.answer(m)
}

func (l *lossPlane) reports() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silent
}

func onLoss(t *testing.T, test func(t *testing.T, e *Endpoint, p *paperPlane, l *lossPlane, tunnel *paperTunnel)) {
	t.Helper()
	l := new(lossPlane)
	onPaper(t, func(p *paperPlane) { p.answer = l.answer }, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		e.Want()
		pass(3 * time.Minute)
		if e.heldSession() == nil {
			t.Fatal("not connected")
		}
		test(t, e, p, l, tunnel)
	})
}

// loud sends without pause, and nothing comes back any more.
func loud(tunnel *paperTunnel) {
	began := time.Now()
	tunnel.mu.Lock()
	defer tunnel.mu.Unlock()
	tunnel.sent = func() uint64 { return uint64(5_000 * time.Since(began).Seconds()) }
}

func unheardOn(session string, spread time.Duration) *heimdrahtv1.AttachResponse {
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Unheard{Unheard: &heimdrahtv1.GatewayUnheard{
		SessionId: session, SpreadMs: spread.Milliseconds(),
	}}}
}

func (t *paperTunnel) probes() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.probed)
}

// Nothing comes back, the gateway answers no probe, and the control plane hears nothing either: the laptop has another
// session within ten seconds. A laptop at which nobody works learns it from the control plane, in the same time.
func TestADeadGateway(t *testing.T) {
	for name, die := range map[string]func(p *paperPlane, tunnel *paperTunnel){
		"noticed": func(_ *paperPlane, tunnel *paperTunnel) { loud(tunnel) },
		"told": func(p *paperPlane, _ *paperTunnel) {
			pass(4500 * time.Millisecond)
			p.order(unheardOn("s-1", 1800*time.Millisecond))
		},
	} {
		t.Run(name, func(t *testing.T) {
			onLoss(t, func(t *testing.T, e *Endpoint, p *paperPlane, l *lossPlane, tunnel *paperTunnel) {
				l.mu.Lock()
				l.deaf = true
				l.mu.Unlock()
				began := time.Now()
				die(p, tunnel)
				for e.heldSession().id == "s-1" && time.Since(began) < time.Minute {
					pass(100 * time.Millisecond)
				}
				if took := time.Since(began); took > 10*time.Second || took < 3*time.Second {
					t.Errorf("it is elsewhere after %s", took)
				}
				if n := tunnel.probes(); n != probes {
					t.Errorf("%d probes", n)
				}
			})
		})
	}
}

// Laptops of a dead gateway do not move all at once: each takes its time within what the control plane says.
func TestLaptopsOfADeadGatewaySpread(t *testing.T) {
	const spread = 9 * time.Second
	var first, last time.Duration
	for n := range 12 {
		onLoss(t, func(t *testing.T, _ *Endpoint, p *paperPlane, l *lossPlane, _ *paperTunnel) {
			began := time.Now()
			p.order(unheardOn("s-1", spread))
			for l.reports() == 0 && time.Since(began) < time.Minute {
				pass(100 * time.Millisecond)
			}
			took := time.Since(began)
			if first = min(first, took); n == 0 {
				first = took
			}
			last = max(last, took)
		})
	}
	// Twelve that draw by themselves are all within a fourth of it three times in a million.
	if last-first < spread/4 || last > spread+5*time.Second {
		t.Errorf("the first one asks after %v, the last one after %v", first, last)
	}
}

// The control plane hears nothing, and the gateway answers: it is cut off, and its laptops stay.
func TestACutOffGateway(t *testing.T) {
	onLoss(t, func(t *testing.T, e *Endpoint, p *paperPlane, l *lossPlane, tunnel *paperTunnel) {
		tunnel.mu.Lock()
		tunnel.echoes = true
		tunnel.mu.Unlock()
		l.mu.Lock()
		l.deaf = true
		l.mu.Unlock()
		for range 10 {
			p.order(unheardOn("s-1", time.Second))
			pass(time.Minute)
		}
		if e.heldSession().id != "s-1" || l.reports() > 0 || tunnel.probes() != 10 {
			t.Errorf("session %s, %d reports, %d probes", e.heldSession().id, l.reports(), tunnel.probes())
		}
		// An order of a session that is long gone says nothing.
		p.order(unheardOn("s-0", time.Second))
		pass(time.Minute)
		if tunnel.probes() != 10 {
			t.Error("it probed for another session")
		}
	})
}

// The gateway is silent for this laptop alone: the control plane hears it. The session stays, and it is not asked for
// another one again and again.
func TestASilentGatewayThatLives(t *testing.T) {
	onLoss(t, func(t *testing.T, e *Endpoint, _ *paperPlane, l *lossPlane, tunnel *paperTunnel) {
		loud(tunnel)
		pass(10 * time.Minute)
		if n := l.reports(); e.heldSession().id != "s-1" || n < 3 || n > 30 {
			t.Errorf("session %s, %d reports in ten minutes", e.heldSession().id, n)
		}
		// It is back: whatever comes by proves that.
		tunnel.mu.Lock()
		tunnel.echoes = true
		tunnel.mu.Unlock()
		pass(5 * time.Minute)
		n := l.reports()
		pass(10 * time.Minute)
		if l.reports() != n || e.silentSession() != "" {
			t.Errorf("%d reports, and %d before", l.reports(), n)
		}
	})
}

// Both are lost, and no other gateway has room: the tunnel stays, for there is nothing better.
func TestNowhereToGo(t *testing.T) {
	onLoss(t, func(t *testing.T, e *Endpoint, _ *paperPlane, l *lossPlane, tunnel *paperTunnel) {
		l.mu.Lock()
		l.deaf, l.full = true, true
		l.mu.Unlock()
		loud(tunnel)
		pass(2 * time.Minute)
		if held := e.heldSession(); held == nil || held.id != "s-1" || !tunnel.standing() || l.reports() < 2 {
			t.Fatalf("session %v, tunnel %v, %d reports", held, tunnel.standing(), l.reports())
		}
		l.mu.Lock()
		l.full = false
		l.mu.Unlock()
		pass(2 * time.Minute)
		if held := e.heldSession(); held == nil || held.id == "s-1" {
			t.Error("there is room again, and it is still there")
		}
	})
}

// Nobody probes while what was sent is answered, or is no more than keepalives.
func TestNoProbeWithoutNeed(t *testing.T) {
	onLoss(t, func(t *testing.T, _ *Endpoint, _ *paperPlane, _ *lossPlane, tunnel *paperTunnel) {
		loud(tunnel)
		working(tunnel)
		pass(10 * time.Minute)
		if n := tunnel.probes(); n > 0 {
			t.Errorf("%d probes", n)
		}
	})
}

func TestSilence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s silence
		now := time.Now()
		var r reading
		answered, owed := now, uint64(0) // when something came back last, and what has gone out since
		var since time.Time              // when that was enough to be answered
		for range rapid.IntRange(1, 40).Draw(t, "looks") {
			now = now.Add(time.Duration(rapid.IntRange(100, 1500).Draw(t, "ms")) * time.Millisecond)
			sent, received := rapid.Uint64Range(0, 120).Draw(t, "sent"), uint64(0)
			if rapid.IntRange(0, 3).Draw(t, "back") == 0 {
				received = rapid.Uint64Range(1, 100).Draw(t, "received")
			}
			r.sent, r.received, owed = r.sent+sent, r.received+received, owed+sent
			if received > 0 {
				answered, owed, since = now, 0, time.Time{}
			}
			if owed >= unanswered && since.IsZero() {
				since = now
			}
			want := !since.IsZero() && now.Sub(since) >= nothingFor
			if got := s.look(now, r); got != want {
				t.Fatalf("silent: %v, answered %s ago, %d bytes owed since %s", got, now.Sub(answered), owed, since)
			}
		}
	})
}
