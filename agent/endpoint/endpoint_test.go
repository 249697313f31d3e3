package endpoint

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// TestADay is a laptop's day: enrolled, connected, at work, disconnected.
func TestADay(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(nil)
	if got := e.Status("de"); got.State != NotEnrolled || got.Code != "not-enrolled" {
		t.Errorf("before: %+v", got)
	}
	if err := e.Up(t.Context()); !isProblem(err, "not-enrolled") {
		t.Errorf("up without enrolment: %v", err)
	}
	got := s.enrol(e)
	if got != (Enrolled{DeviceID: "d-1", Tenant: "stadt", Person: "Erika Beispiel"}) {
		t.Errorf("enrolled: %+v", got)
	}
	if st := e.Status("de"); st.State != Disconnected || st.Person != "Erika Beispiel" || st.CertificateUntil.IsZero() {
		t.Errorf("enrolled: %+v", st)
	}
	s.up(e)
	check(t, page(t, e, 5*time.Second))
	st := e.Status("de")
	if st.State != Connected || st.Gateway != "gw1" || !st.ControlPlane || st.HandshakeAge == nil || st.ReceivedBytes == 0 || st.LeaseUntil.IsZero() {
		t.Errorf("connected: %+v", st)
	}
	s.Await("renewed")
	s.Await("renewed")
	usages := s.Seen().Usages
	last := usages[len(usages)-1]
	if last.GetReceivedBytes() == 0 || last.GetSentBytes() == 0 || last.LastHandshakeAgeMs == nil {
		t.Errorf("reported %v", last)
	}
	check(t, e.Down(t.Context()))
	if err := page(t, e, time.Second); !isProblem(err, "not-connected") {
		t.Errorf("after down: %v", err)
	}
	s.Await("closed")
	if st := e.Status("de"); st.State != Disconnected || st.Gateway != "" {
		t.Errorf("after down: %+v", st)
	}
	check(t, e.Down(t.Context())) // again is no error
	s.up(e)
	check(t, page(t, e, 5*time.Second))
}

func isProblem(err error, code string) bool {
	return errors.Is(err, &control.Problem{Code: code})
}

// TestRevoked: the tunnel goes at once, one sentence says why, and nothing is asked again until the person does.
func TestRevoked(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"device-revoked", "device-replaced"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			changed := make(chan struct{}, 1)
			s := newHarness(t)
			e := s.laptop(func(o *Options) { o.NetworkChanged = changed })
			s.enrol(e)
			s.up(e)
			s.Script(func(x *endpointtest.Script) {
				x.OnOpen = func(*heimdrahtv1.OpenSession) *heimdrahtv1.AttachResponse {
					return endpointtest.Refused(code, time.Second)
				}
			})
			s.Revoke(code)
			st := eventually(t, e, "the refusal", inState(Refused))
			if st.Code != code || st.Sentence != "Beendet." || st.Next != "Weiter." || st.Gateway != "" {
				t.Errorf("said %+v", st)
			}
			if err := page(t, e, time.Second); !isProblem(err, "not-connected") {
				t.Errorf("the tunnel is still there: %v", err)
			}
			changed <- struct{}{} // another network changes nothing
			before := s.asked()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := e.Up(ctx); !isProblem(err, code) {
				t.Errorf("up: %v", err)
			}
			if asked := s.asked() - before; asked != 1 {
				t.Errorf("asked %d times", asked)
			}
			// Enrolled again, with new keys, it connects.
			s.Script(func(x *endpointtest.Script) { x.OnOpen = nil })
			if got := s.enrol(e); !got.Replaced {
				t.Error("not told that the old device was replaced")
			}
			eventually(t, e, "the connection", inState(Connected))
		})
	}
}

func (s *harness) asked() int { return len(s.Seen().Openings) }

// TestControlPlaneAway: the tunnel stays, and goes on with the same session afterwards.
func TestControlPlaneAway(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(nil)
	s.enrol(e)
	s.up(e)
	s.Kill()
	st := eventually(t, e, "the note", func(s Status) bool { return len(s.Notes) == 1 })
	if st.State != Connected || st.Notes[0].Code != "server-away" || st.ControlPlane {
		t.Errorf("said %+v", st)
	}
	check(t, page(t, e, 5*time.Second))
	s.Restart()
	st = eventually(t, e, "the stream", func(s Status) bool { return s.ControlPlane })
	check(t, page(t, e, 5*time.Second))
	seen := s.Seen()
	if last := seen.Openings[len(seen.Openings)-1].GetResume(); last != "s-1" || seen.Session != "s-1" || len(st.Notes) != 0 {
		t.Errorf("resumed %q, %q is open, %+v", last, seen.Session, st)
	}
}

// TestAnotherSessionAfterwards: the control plane has forgotten the session (it was restored); the laptop takes
// the new one without the person noticing.
func TestAnotherSessionAfterwards(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(nil)
	s.enrol(e)
	s.up(e)
	s.Kill()
	s.Forget()
	s.Restart()
	s.Await("opened")
	s.Await("opened")
	eventually(t, e, "the connection", func(s Status) bool { return s.State == Connected && s.ControlPlane })
	check(t, page(t, e, 5*time.Second))
}

func TestRefusedOpenings(t *testing.T) {
	t.Parallel()
	t.Run("with leave to try again", func(t *testing.T) {
		t.Parallel()
		s := newHarness(t)
		e := s.laptop(nil)
		s.enrol(e)
		full := true
		s.Script(func(x *endpointtest.Script) {
			x.OnOpen = func(*heimdrahtv1.OpenSession) *heimdrahtv1.AttachResponse {
				if full {
					full = false
					return endpointtest.Refused("no-seat", 300*time.Millisecond)
				}
				return nil
			}
		})
		start := time.Now()
		if err := e.Up(t.Context()); !isProblem(err, "no-seat") {
			t.Errorf("up: %v", err)
		}
		eventually(t, e, "the connection", inState(Connected))
		if waited := time.Since(start); waited < 300*time.Millisecond {
			t.Errorf("tried again after %v", waited)
		}
		if n := s.Seen().Streams; n != 1 {
			t.Errorf("%d streams for one refusal", n)
		}
	})
	t.Run("until the network changes", func(t *testing.T) {
		t.Parallel()
		changed := make(chan struct{}, 1)
		s := newHarness(t)
		e := s.laptop(func(o *Options) { o.NetworkChanged = changed })
		s.enrol(e)
		s.Script(func(x *endpointtest.Script) {
			x.OnOpen = func(*heimdrahtv1.OpenSession) *heimdrahtv1.AttachResponse {
				return endpointtest.Refused("not-in-group", 0)
			}
		})
		if err := e.Up(t.Context()); !isProblem(err, "not-in-group") {
			t.Errorf("up: %v", err)
		}
		s.Script(func(x *endpointtest.Script) { x.OnOpen = nil })
		changed <- struct{}{}
		eventually(t, e, "the connection", inState(Connected))
	})
	t.Run("by a status", func(t *testing.T) {
		t.Parallel()
		s := newHarness(t)
		e := s.laptop(nil)
		s.enrol(e)
		s.Script(func(x *endpointtest.Script) {
			x.StreamError = endpointtest.Refuse(codes.PermissionDenied, &heimdrahtv1.Refusal{Code: "device-suspended", Sentence: "Ruht."})
		})
		if err := e.Up(t.Context()); !isProblem(err, "device-suspended") {
			t.Errorf("up: %v", err)
		}
		if st := e.Status("de"); st.State != Refused || st.Sentence != "Ruht." {
			t.Errorf("said %+v", st)
		}
	})
}

// TestHostileConfiguration: nothing is installed, the session is given back, and the reason is said.
func TestHostileConfiguration(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(nil)
	s.enrol(e)
	s.Script(func(x *endpointtest.Script) {
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) { c.AllowedIps = []string{"0.0.0.0/0"} }
	})
	if err := e.Up(t.Context()); !isProblem(err, control.CodeConfigRefused) {
		t.Errorf("up: %v", err)
	}
	s.Await("closed")
	if err := page(t, e, time.Second); !isProblem(err, "not-connected") {
		t.Errorf("something was installed: %v", err)
	}
}

// TestClock: a clock that is wrong is said, and goes unsaid again.
func TestClock(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(nil)
	s.enrol(e)
	s.Script(func(x *endpointtest.Script) { x.ClockAhead = 3 * time.Minute })
	s.up(e)
	st := eventually(t, e, "the note", func(s Status) bool { return len(s.Notes) == 1 })
	if st.Notes[0].Code != control.CodeClockWrong || st.State != Connected {
		t.Errorf("said %+v", st)
	}
	s.Script(func(x *endpointtest.Script) { x.ClockAhead = 0 })
	eventually(t, e, "silence", func(s Status) bool { return len(s.Notes) == 0 })
}

// TestSilentGateway is told apart from a control plane that is away.
func TestSilentGateway(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(nil)
	s.enrol(e)
	s.Script(func(x *endpointtest.Script) {
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) { c.GatewayEndpoint = "127.0.0.1:9" }
	})
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
	defer cancel()
	if err := e.Up(ctx); !isProblem(err, CodeGatewaySilent) {
		t.Errorf("up: %v", err)
	}
	if st := e.Status("de"); st.State != NoAnswer || !st.ControlPlane {
		t.Errorf("said %+v", st)
	}
}

// TestGoodbye: stopping the program closes the session, so that its seat is free.
func TestGoodbye(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e, err := New(s.options())
	check(t, err)
	stop := s.run(e)
	s.enrol(e)
	s.up(e)
	stop()
	if got := s.Seen().Closings; len(got) != 1 || got[0] != "s-1" {
		t.Errorf("closed %v", got)
	}
	if st := e.Status("de"); st.Gateway != "" {
		t.Errorf("after the end: %+v", st)
	}
}

// TestGoodbyeWithoutStream: down while the stream is broken still closes the session.
func TestGoodbyeWithoutStream(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(nil)
	s.enrol(e)
	s.up(e)
	s.Kill()
	eventually(t, e, "the note", func(s Status) bool { return len(s.Notes) == 1 })
	s.Restart()
	check(t, e.Down(t.Context()))
	s.Await("closed")
}

// TestStartsConnected: a laptop that is enrolled and wants to be connected from the start is.
func TestStartsConnected(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	o := s.options()
	first, err := New(o)
	check(t, err)
	stop := s.run(first)
	s.enrol(first)
	stop()
	o.Connect = true
	second, err := New(o)
	check(t, err)
	s.run(second)
	st := eventually(t, second, "the connection", inState(Connected))
	if st.Person != "Erika Beispiel" || st.DeviceID != "d-1" {
		t.Errorf("remembered %+v", st)
	}
	check(t, page(t, second, 5*time.Second))
}

// TestSecondAddress: a gateway's name has two addresses, of which the first is dead.
func TestSecondAddress(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(func(o *Options) {
		o.Resolve = func(_ context.Context, _, host string) ([]netip.Addr, error) {
			if host != "vpn1.stadt.example" {
				return nil, errors.New("no such host")
			}
			return []netip.Addr{netip.MustParseAddr("127.99.0.1"), netip.MustParseAddr("127.0.0.1")}, nil
		}
	})
	s.enrol(e)
	s.Script(func(x *endpointtest.Script) {
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) {
			c.GatewayEndpoint = strings.Replace(c.GatewayEndpoint, "127.0.0.1", "vpn1.stadt.example", 1)
		}
	})
	s.up(e)
	check(t, page(t, e, 5*time.Second))
}

// TestGatewayWithoutAddress: the session stands, the sentence says what is missing, and it heals.
func TestGatewayWithoutAddress(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	var known atomic.Bool
	e := s.laptop(func(o *Options) {
		o.Resolve = func(context.Context, string, string) ([]netip.Addr, error) {
			if !known.Load() {
				return nil, errors.New("no network")
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
	})
	s.enrol(e)
	s.Script(func(x *endpointtest.Script) {
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) {
			c.GatewayEndpoint = strings.Replace(c.GatewayEndpoint, "127.0.0.1", "vpn1.stadt.example", 1)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := e.Up(ctx); !isProblem(err, CodeGatewayNotFound) {
		t.Errorf("up: %v", err)
	}
	known.Store(true)
	eventually(t, e, "the connection", inState(Connected))
}

// TestNewPolicy: a configuration that changes while the session is open is installed without another session.
func TestNewPolicy(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(nil)
	s.enrol(e)
	s.up(e)
	s.Script(func(x *endpointtest.Script) {
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) { c.AllowedIps = []string{"10.99.0.0/16"} }
	})
	s.Kill()
	eventually(t, e, "the note", func(s Status) bool { return len(s.Notes) == 1 })
	s.Restart()
	eventually(t, e, "the stream", func(s Status) bool { return s.ControlPlane })
	if err := page(t, e, time.Second); err == nil {
		t.Error("a network that is not allowed any more is still reached")
	}
	if seen := s.Seen(); seen.Session != "s-1" {
		t.Errorf("%s is open", seen.Session)
	}
}
