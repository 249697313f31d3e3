package endpoint

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// agedPlane answers as a control plane whose sessions end.
type agedPlane struct {
	mu      sync.Mutex
	asked   []string                    // what each opening named to resume
	refused *heimdrahtv1.AttachResponse // of openings that resume nothing; nil: none
	session string
}

func (a *agedPlane) answer(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch event := m.GetEvent().(type) {
	case *heimdrahtv1.AttachRequest_Open:
		resume := event.Open.GetResume()
		a.asked = append(a.asked, resume)
		switch {
		case resume == a.session && resume != "":
			return openedOnPaper(resume, true)
		case a.refused != nil:
			return a.refused
		case a.session == "":
			a.session = "s-1"
		default:
			a.session = "s-2"
		}
		return openedOnPaper(a.session, false)
	case *heimdrahtv1.AttachRequest_Renew:
		return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Renewed{Renewed: &heimdrahtv1.SessionRenewed{
			SessionId: event.Renew.GetSessionId(), LeaseUntil: timestamppb.New(time.Now().Add(5 * time.Minute)), ServerTime: timestamppb.Now(),
		}}}
	}
	return nil
}

func (a *agedPlane) openings() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.asked...)
}

// forget has the session closed, as far as the control plane knows.
func (a *agedPlane) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.session = ""
}

func (a *agedPlane) refuse(r *heimdrahtv1.AttachResponse) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = r
}

func idleOn(session string, within time.Duration) *heimdrahtv1.AttachResponse {
	m := endingOn(session, "", within)
	order := m.GetEnding()
	if within > 0 {
		order.Why = &heimdrahtv1.Refusal{Code: codeSessionIdle, Sentence: "Zu Ende.", NextStep: "Weiter."}
	}
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Idle{Idle: order}}
}

func endingOn(session, code string, within time.Duration) *heimdrahtv1.AttachResponse {
	m := &heimdrahtv1.SessionEnding{SessionId: session, WithinMs: within.Milliseconds()}
	if code != "" {
		m.Why = &heimdrahtv1.Refusal{Code: code, Sentence: "Bald.", NextStep: "Weiter."}
	}
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Ending{Ending: m}}
}

// onAged runs a connected laptop on such a control plane.
func onAged(t *testing.T, test func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel)) {
	t.Helper()
	a := new(agedPlane)
	onPaper(t, func(p *paperPlane) { p.answer = a.answer }, func(t *testing.T, e *Endpoint, p *paperPlane, tunnel *paperTunnel) {
		e.Want()
		pass(3 * time.Minute)
		if e.heldSession() == nil {
			t.Fatal("not connected")
		}
		test(t, e, p, a, tunnel)
	})
}

// working is traffic without a pause.
func working(tunnel *paperTunnel) {
	began := time.Now()
	tunnel.mu.Lock()
	defer tunnel.mu.Unlock()
	tunnel.moved = func() uint64 { return uint64(50_000 * time.Since(began).Seconds()) }
}

// resting is the few bytes of a machine at which nobody sits.
func resting(tunnel *paperTunnel) {
	began := time.Now()
	tunnel.mu.Lock()
	defer tunnel.mu.Unlock()
	tunnel.moved = func() uint64 { return uint64(500 * time.Since(began).Seconds()) }
}

// Nobody works: she is told, and the laptop opens no other session for that. When it has ended,
// it stays so until she says that she wants it back.
func TestAnIdleEnd(t *testing.T) {
	onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
		resting(tunnel)
		p.order(idleOn("s-1", 5*time.Minute))
		pass(time.Minute)
		s := e.Status("en")
		if s.State != Connected || len(s.Notes) != 1 || s.Notes[0].Code != codeSessionIdle || time.Until(s.EndsBy) != 4*time.Minute {
			t.Errorf("she is told %+v", s)
		}
		if at := time.Now().Add(4 * time.Minute).Format("15:04"); len(s.Notes) != 1 || !strings.Contains(s.Notes[0].Sentence, at) {
			t.Errorf("%+v does not name %s", s.Notes, at)
		}
		pass(20 * time.Minute) // a control plane that is late
		if got := a.openings(); len(got) != 1 {
			t.Fatalf("openings %q", got)
		}
		a.forget()
		p.order(endpointtest.Closed("s-1", codeSessionIdle, 0))
		pass(10 * time.Hour)
		if got := a.openings(); len(got) != 1 || tunnel.standing() {
			t.Fatalf("afterwards: openings %q, tunnel %v", got, tunnel.standing())
		}
		if s := e.Status("de"); s.State != Disconnected || s.Code != codeSessionIdle || !s.EndsBy.IsZero() {
			t.Errorf("afterwards: %+v", s)
		}
		e.Want()
		pass(time.Minute)
		if s := e.Status("de"); s.State != Connected || len(s.Notes) != 0 {
			t.Errorf("back: %+v", s)
		}
	})
}

// She says that she is there: another session takes the place of this one at once, in which the time begins anew. Said where
// nothing ends it does nothing, then or later.
func TestSheIsStillHere(t *testing.T) {
	onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
		resting(tunnel)
		check(t, e.StillHere(t.Context()))
		pass(5 * time.Minute)
		if got := a.openings(); len(got) != 1 {
			t.Fatalf("nothing ends, and openings are %q", got)
		}
		p.order(idleOn("s-1", 5*time.Minute))
		pass(time.Second)
		check(t, e.StillHere(t.Context()))
		if s := e.Status("de"); e.heldSession().id != "s-2" || s.State != Connected || len(s.Notes) != 0 || tunnel.removals > 0 {
			t.Errorf("session %s, %+v, taken away %d times", e.heldSession().id, s, tunnel.removals)
		}
		pass(10 * time.Minute)
		if got := a.openings(); len(got) != 2 {
			t.Errorf("openings %q", got)
		}
		// Where no other session is to be had in time, she is told so.
		a.refuse(endpointtest.Refused(codeGatewaysResting, time.Minute))
		p.order(idleOn("s-2", 5*time.Minute))
		pass(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := e.StillHere(ctx); err == nil || e.heldSession().id != "s-2" {
			t.Errorf("%v, session %s", err, e.heldSession().id)
		}
	})
}

// Who works on is told that it goes on; another session, or the same one on another stream,
// knows nothing of what was said.
func TestAnIdleEndIsWithdrawn(t *testing.T) {
	onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
		notes := func() int { return len(e.Status("de").Notes) }
		p.order(idleOn("s-9", 5*time.Minute))
		pass(time.Second)
		if notes() != 0 {
			t.Error("the end of another session")
		}
		p.order(idleOn("s-1", 5*time.Minute))
		pass(time.Second)
		if notes() != 1 {
			t.Error("she is not told")
		}
		p.order(idleOn("s-1", 0))
		pass(time.Second)
		if notes() != 0 || !e.Status("de").EndsBy.IsZero() {
			t.Errorf("it goes on: %+v", e.Status("de"))
		}
		p.order(idleOn("s-1", 5*time.Minute))
		pass(time.Second)
		p.streams[len(p.streams)-1].cancel()
		pass(10 * time.Minute)
		if notes() != 0 || e.heldSession().id != "s-1" {
			t.Error("the former stream's order holds on the next one")
		}
	})
}

// A call that moves little, and somebody who fetches a page now and then, are no quiet moment.
func TestLittleTrafficIsNoQuietMoment(t *testing.T) {
	for name, moved := range map[string]func(time.Duration) uint64{
		"a frugal call":   func(d time.Duration) uint64 { return uint64(1500 * d.Seconds()) },
		"a page at times": func(d time.Duration) uint64 { return 100_000 * uint64(d/(3*time.Minute)) },
	} {
		t.Run(name, func(t *testing.T) {
			onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
				began := time.Now()
				tunnel.mu.Lock()
				tunnel.moved = func() uint64 { return moved(time.Since(began)) }
				tunnel.mu.Unlock()
				p.order(endingOn("s-1", "session-aged", 2*time.Hour))
				pass(2*time.Hour - time.Minute)
				if got := a.openings(); len(got) != 1 || e.heldSession().id != "s-1" {
					t.Errorf("openings %q", got)
				}
			})
		})
	}
}

// Who works is left alone; in the first pause the next session takes the place of
// the old one.
func TestAQuietMoment(t *testing.T) {
	onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
		working(tunnel)
		p.order(endingOn("s-1", "session-aged", 2*time.Hour))
		pass(time.Hour)
		if got := a.openings(); len(got) != 1 {
			t.Fatalf("while she works: openings %q", got)
		}
		if s := e.Status("de"); len(s.Notes) != 0 || time.Until(s.EndsBy) != time.Hour {
			t.Errorf("she is told %+v", s)
		}
		resting(tunnel)
		pass(quietFor - 2*time.Minute)
		if got := a.openings(); len(got) != 1 {
			t.Fatalf("after three minutes: openings %q", got)
		}
		pass(5 * time.Minute)
		if got := a.openings(); len(got) != 2 || got[1] != "" || e.heldSession().id != "s-2" {
			t.Fatalf("in a pause: openings %q", got)
		}
		if s := e.Status("de"); s.State != Connected || !s.EndsBy.IsZero() {
			t.Errorf("afterwards: %+v", s)
		}
		pass(time.Hour)
		if got := a.openings(); len(got) != 2 {
			t.Errorf("the next session is left too: %q", got)
		}
	})
}

// She is told while she works; in a pause she learns that it takes a sign-in, and
// nothing is tried until then.
func TestSignInNeeded(t *testing.T) {
	onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
		working(tunnel)
		p.order(endingOn("s-1", codeSignInNeeded, 2*time.Hour))
		pass(time.Minute)
		if s := e.Status("en"); s.State != Connected || len(s.Notes) != 1 || s.Notes[0].Code != codeSignInNeeded || s.Notes[0].Next != "heimdraht-agent sign-in" {
			t.Errorf("she is told %+v", s)
		}
		a.refuse(endpointtest.Refused(codeSignInNeeded, 0))
		resting(tunnel)
		pass(10 * time.Minute)
		if s := e.Status("de"); s.State != Refused || s.Code != codeSignInNeeded || tunnel.standing() {
			t.Fatalf("in a pause: %+v", s)
		}
		before := len(a.openings())
		pass(3 * time.Hour)
		if got := len(a.openings()); got != before {
			t.Errorf("asked %d times more without a sign-in", got-before)
		}
		a.refuse(nil)
		e.signedIn()
		pass(time.Minute)
		if s := e.Status("de"); s.State != Connected {
			t.Errorf("after the sign-in: %+v", s)
		}
	})
}

// Who has signed in goes on in the same session, whether the laptop learns it by
// itself or from the control plane.
func TestSignedInInTime(t *testing.T) {
	for name, learn := range map[string]func(*Endpoint, *paperPlane){
		"by itself":              func(e *Endpoint, _ *paperPlane) { e.signedIn() },
		"from the control plane": func(_ *Endpoint, p *paperPlane) { p.order(endingOn("s-1", "", 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
				working(tunnel)
				p.order(endingOn("s-1", codeSignInNeeded, 2*time.Hour))
				pass(time.Minute)
				learn(e, p)
				resting(tunnel)
				pass(time.Hour)
				if got := a.openings(); len(got) != 1 || e.heldSession().id != "s-1" || len(e.Status("de").Notes) != 0 {
					t.Errorf("openings %q, %+v", got, e.Status("de"))
				}
			})
		})
	}
}

// Where there is no other session to be had just now, the old one goes on.
func TestNoOtherSessionJustNow(t *testing.T) {
	onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
		p.order(endingOn("s-1", "session-aged", 2*time.Hour))
		a.refuse(endpointtest.Refused(codeDirectoryUnavailable, time.Minute))
		pass(9 * time.Minute)
		if got := a.openings(); len(got) != 3 || got[1] != "" || got[2] != "s-1" || !tunnel.standing() {
			t.Fatalf("openings %q", got)
		}
		if s := e.Status("de"); s.State != Connected {
			t.Errorf("meanwhile: %+v", s)
		}
		// The control plane says it again to whoever comes back.
		a.refuse(nil)
		p.order(endingOn("s-1", "session-aged", time.Hour))
		pass(10 * time.Minute)
		if e.heldSession().id != "s-2" {
			t.Error("it does not try again")
		}
	})
}

// A stream that breaks takes the order along; the next one brings it again.
func TestAnOrderIsLostWithItsStream(t *testing.T) {
	onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
		working(tunnel)
		p.order(endingOn("s-1", codeSignInNeeded, 2*time.Hour))
		pass(time.Minute)
		p.streams[len(p.streams)-1].cancel()
		pass(10 * time.Minute)
		if e.isEnding() || e.heldSession().id != "s-1" {
			t.Error("the former stream's order holds on the next one")
		}
		p.order(endingOn("s-1", codeSignInNeeded, 110*time.Minute))
		pass(time.Minute)
		if !e.isEnding() {
			t.Error("the order is not taken again")
		}
	})
}

// What is said of another session, or cannot be, does no harm.
func TestOddEndings(t *testing.T) {
	onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
		p.order(endingOn("s-9", codeSignInNeeded, time.Hour))
		p.order(endingOn("", codeSignInNeeded, time.Hour))
		pass(time.Minute)
		if e.isEnding() {
			t.Error("the end of another session")
		}
		working(tunnel)
		p.order(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Ending{Ending: &heimdrahtv1.SessionEnding{
			SessionId: "s-1", Why: &heimdrahtv1.Refusal{}, WithinMs: -1 << 63,
		}}})
		pass(time.Minute)
		if by := e.Status("de").EndsBy; time.Since(by) > 2*time.Minute || by.After(time.Now()) {
			t.Errorf("ends by %v", by)
		}
		p.order(endingOn("s-1", "outside-hours", 1<<62))
		pass(time.Minute)
		if s := e.Status("de"); time.Until(s.EndsBy) > maxEndWithin || len(s.Notes) != 1 || s.Notes[0].Sentence != "Bald." {
			t.Errorf("an end of another kind, far away: %+v", s)
		}
	})
}

func codeOf(err error) string {
	if p, ok := control.AsProblem(err); ok {
		return p.Code
	}
	return ""
}

// The certificate of somebody who signs in when it has expired is renewed: that is
// one sign-in, not two.
func TestSignInAgainOnTheWire(t *testing.T) {
	s := newHarness(t)
	e := s.laptop(nil)
	if _, err := e.SignInAgain(t.Context(), control.Proof{Password: endpointtest.Password}); codeOf(err) != control.CodeNotEnrolled {
		t.Errorf("without an enrolment: %v", err)
	}
	s.enrol(e)
	for _, c := range []struct {
		proof control.Proof
		want  string
	}{
		{control.Proof{}, CodePasswordMissing},
		{control.Proof{Password: "a\nb"}, CodePasswordLong},
		{control.Proof{Login: "x\x00", Password: "x"}, CodeLoginMissing},
		{control.Proof{Password: "falsch"}, "sign-in-failed"},
		{control.Proof{Login: "emil", Password: endpointtest.Password}, "other-person"},
	} {
		if _, err := e.SignInAgain(t.Context(), c.proof); codeOf(err) != c.want {
			t.Errorf("%q: %v, want %s", c.proof.Login, err, c.want)
		}
	}
	goodFor, err := e.SignInAgain(t.Context(), control.Proof{Password: endpointtest.Password, Code: "123456"})
	if err != nil || goodFor != 7*24*time.Hour {
		t.Errorf("signing in: %v, %v", goodFor, err)
	}
	if seen := s.Seen().SignIns; len(seen) != 3 || seen[2].GetLogin() != "beispiel" || seen[2].GetCode() != "123456" {
		t.Errorf("the control plane saw %v", seen)
	}

	expired := newHarness(t)
	expired.Script(func(x *endpointtest.Script) { x.Lifetime = time.Millisecond })
	late, err := New(expired.options()) // does not run: it would renew by itself
	check(t, err)
	expired.enrol(late)
	expired.Script(func(x *endpointtest.Script) { x.Lifetime = 0 })
	if _, err := late.SignInAgain(t.Context(), control.Proof{Password: endpointtest.Password, Code: "654321"}); err != nil {
		t.Fatal("with an expired certificate: ", err)
	}
	if seen := expired.Seen(); len(seen.SignIns) != 0 || len(seen.Renewals) != 1 || seen.Renewals[0].GetCode() != "654321" {
		t.Errorf("renewals %v, sign-ins %v", seen.Renewals, seen.SignIns)
	}
}

// The gateway is to be empty: a laptop at which nobody works moves soon, one at which somebody does shortly before the
// end, or at once if that is now; each to a session that is there before it lets go of its own.
func TestALeftGateway(t *testing.T) {
	for name, c := range map[string]struct {
		within      time.Duration
		people      func(*paperTunnel)
		after, most time.Duration
	}{
		"nobody works":           {2 * time.Hour, resting, 5 * time.Minute, 10 * time.Minute},
		"somebody works":         {2 * time.Hour, working, 2*time.Hour - moveBefore, 2*time.Hour + moveSpread},
		"now":                    {0, working, 0, moveSpread + time.Second},
		"it should be empty yet": {-time.Hour, working, 0, moveSpread + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
				c.people(tunnel)
				began := time.Now()
				p.order(endingOn("s-1", codeGatewayMaintenance, c.within))
				pass(time.Second / 2)
				if s := e.Status("de"); c.within > 0 && (len(s.Notes) != 1 || !strings.Contains(s.Notes[0].Sentence, "gewartet")) {
					t.Errorf("she is told %+v", s.Notes)
				}
				for e.heldSession().id == "s-1" && time.Since(began) < 3*time.Hour {
					pass(time.Second / 2)
				}
				if took := time.Since(began); took < c.after || took > c.most || tunnel.removals > 0 {
					t.Errorf("it moved after %s, and let go %d times in between", took, tunnel.removals)
				}
				if s := e.Status("de"); len(s.Notes) != 0 {
					t.Errorf("afterwards she is told %+v", s.Notes)
				}
			})
		})
	}
}

// No other gateway takes it: the present session goes on, and the laptop tries again at the next break.
func TestALeftGatewayWithoutAnother(t *testing.T) {
	onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, a *agedPlane, tunnel *paperTunnel) {
		resting(tunnel)
		a.refuse(endpointtest.Refused(codeGatewaysResting, time.Minute))
		p.order(endingOn("s-1", codeGatewayDraining, 2*time.Hour))
		pass(30 * time.Minute)
		if held := e.heldSession(); held == nil || held.id != "s-1" || tunnel.removals > 0 || len(a.openings()) < 3 {
			t.Fatalf("session %v, openings %q", held, a.openings())
		}
		a.refuse(nil)
		pass(15 * time.Minute)
		if e.heldSession().id != "s-2" {
			t.Error("it tries no more")
		}
	})
}

// Nobody is told of the wish to go where there is more room.
func TestGoingHome(t *testing.T) {
	onAged(t, func(t *testing.T, e *Endpoint, p *paperPlane, _ *agedPlane, tunnel *paperTunnel) {
		working(tunnel)
		p.order(endingOn("s-1", codeGatewayHome, 24*time.Hour))
		pass(3 * time.Hour)
		if s := e.Status("de"); len(s.Notes) != 0 || e.heldSession().id != "s-1" {
			t.Errorf("while she works: %+v", s)
		}
		resting(tunnel)
		pass(10 * time.Minute)
		if e.heldSession().id != "s-2" {
			t.Error("it stays in a break")
		}
	})
}
