package endpoint

import (
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func waitingOrder(position, wait int64) *heimdrahtv1.AttachResponse {
	order := &heimdrahtv1.SessionWaiting{Position: position, KeptForMs: (3 * time.Minute).Milliseconds()}
	if wait > 0 {
		order.ExpectedWaitMs = &wait
	}
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Waiting{Waiting: order}}
}

// TestWaitingForASeat: while all seats are taken the laptop waits on its stream, says at which place, comes back when it
// loses the control plane, and is connected when it is its turn.
func TestWaitingForASeat(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	s.Script(func(x *endpointtest.Script) {
		x.OnOpen = func(*heimdrahtv1.OpenSession) *heimdrahtv1.AttachResponse { return waitingOrder(0, 0) }
	})
	e := s.laptop(nil)
	s.enrol(e)
	e.Want()
	at := func(position int64) func(Status) bool {
		return func(st Status) bool { return st.Code == CodeSeatAwaited && st.QueuePosition == position }
	}
	st := eventually(t, e, "that it waits", at(0))
	if st.State != Connecting || !st.ControlPlane || st.ExpectedWait != nil || st.Sentence != "Alle Plätze sind belegt. Sie warten auf einen, wie lange noch, ist nicht abzusehen." {
		t.Errorf("said %+v", st)
	}
	s.Order(waitingOrder(2, 600_000))
	st = eventually(t, e, "its place", at(2))
	if st.ExpectedWait == nil || *st.ExpectedWait != 600 || st.Sentence != "Alle Plätze sind belegt. Sie warten auf einen an Stelle 2, voraussichtlich noch 10 Minuten." {
		t.Errorf("said %+v", st)
	}

	s.Kill()
	eventually(t, e, "that the control plane is away", func(st Status) bool { return !st.ControlPlane && st.Code != CodeSeatAwaited && st.QueuePosition == 0 })
	s.Restart()
	eventually(t, e, "that it waits again", at(0))

	resting := waitingOrder(0, 0)
	resting.GetWaiting().Rests = true
	s.Order(resting)
	st = eventually(t, e, "that its place rests", func(st Status) bool { return st.Code == CodePlaceRests })
	if st.QueuePosition != 0 || !strings.HasPrefix(st.Sentence, "Ihre Verwaltung arbeitet im Krisenbetrieb") || !strings.Contains(st.Next, "geht es an dieser Stelle weiter") {
		t.Errorf("said %+v", st)
	}
	s.Order(waitingOrder(1, 0))
	eventually(t, e, "its place after the crisis", at(1))

	// A person who asks again loses nothing, and hears at once if the stream is dead.
	before := len(s.Seen().Openings)
	e.nudge()
	eventually(t, e, "another question", func(Status) bool { return len(s.Seen().Openings) > before })
	s.Script(func(x *endpointtest.Script) { x.OnOpen = nil })
	e.nudge()
	st = eventually(t, e, "the connection", inState(Connected))
	if st.Code != "" || st.QueuePosition != 0 {
		t.Errorf("said %+v", st)
	}
	check(t, page(t, e, 5*time.Second))

	// Its session is gone, and there is no seat for another: the tunnel goes too.
	s.Order(waitingOrder(1, 0))
	st = eventually(t, e, "that it waits without a tunnel", at(1))
	if st.Gateway != "" {
		t.Errorf("said %+v", st)
	}
	if err := page(t, e, time.Second); err == nil {
		t.Error("the tunnel is still there")
	}
}

// What cannot be is not believed.
func TestWhatAQueueMayNotSay(t *testing.T) {
	least, most := int64(-1<<63), int64(1<<63-1)
	for _, ms := range []int64{least, -1, most} {
		p := placeOf(&heimdrahtv1.SessionWaiting{Position: ms, ExpectedWaitMs: &ms, KeptForMs: ms})
		if p.position < 0 || p.position > maxPosition || p.wait < 0 || p.wait > maxWait || p.kept < 0 || p.kept > maxKept {
			t.Errorf("%d: %+v", ms, p)
		}
	}
	for d, want := range map[time.Duration]string{time.Second: "eine Minute", 119 * time.Minute: "119 Minuten", 3 * time.Hour: "3 Stunden"} {
		if got := about(d).german; got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
