package endpoint

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// Bounds of what is believed of a queue.
const (
	maxPosition = 1_000_000
	maxWait     = 24 * time.Hour
	maxKept     = time.Hour
)

// place is where this laptop stands in the queue for a seat.
type place struct {
	position int64         // from 1; zero: not counted yet
	wait     time.Duration // zero: nobody can tell
	kept     time.Duration // for how long the place is kept without a stream
}

// placeOf reads an order, as far as it is believed.
func placeOf(m *heimdrahtv1.SessionWaiting) place {
	bounded := func(ms int64, most time.Duration) time.Duration {
		return time.Duration(min(max(ms, 0), most.Milliseconds())) * time.Millisecond
	}
	return place{
		position: min(max(m.GetPosition(), 0), maxPosition),
		wait:     bounded(m.GetExpectedWaitMs(), maxWait),
		kept:     bounded(m.GetKeptForMs(), maxKept),
	}
}

// waiting takes note that there is no seat just now and this laptop waits for one. Its tunnel, if it has one still, is
// of a session that is no more. The stream stays: the session is opened on it when its turn comes.
func (a *attachment) waiting(ctx context.Context, m *heimdrahtv1.SessionWaiting) {
	e := a.endpoint
	a.answer.Stop()
	a.renew.Stop()
	a.reopen.Stop()
	if e.heldSession() != nil {
		e.dropSession(ctx)
	}
	a.waits = true
	e.returnWithin = returnWithin(m.GetReturnWithinMs())
	e.backoff.Succeeded()
	e.await(placeOf(m))
}

// await takes note of the place in the queue.
func (e *Endpoint) await(p place) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.place, e.problem, e.attached = &p, p.problem(), true
	e.touch()
}

// problem is what the person is told while she waits.
func (p place) problem() *control.Problem {
	at, until := phrase{}, phrase{", wie lange noch, ist nicht abzusehen", ", and nobody can tell for how long"}
	if p.position > 0 {
		n := strconv.FormatInt(p.position, 10)
		at = phrase{" an Stelle " + n, " at place " + n}
	}
	if p.wait > 0 {
		span := about(p.wait)
		until = phrase{", voraussichtlich noch " + span.german, ", probably for another " + span.english}
	}
	return seatAwaited(at, until, p.kept)
}

// about is a span as people say it.
func about(d time.Duration) phrase {
	switch minutes := int64(d.Round(time.Minute) / time.Minute); {
	case minutes <= 1:
		return phrase{"eine Minute", "minute"}
	case minutes < 120:
		return phrase{fmt.Sprintf("%d Minuten", minutes), fmt.Sprintf("%d minutes", minutes)}
	default:
		hours := int64(d.Round(time.Hour) / time.Hour)
		return phrase{fmt.Sprintf("%d Stunden", hours), fmt.Sprintf("%d hours", hours)}
	}
}

// seatAwaited says that all seats are taken and the laptop waits for one.
func seatAwaited(at, until phrase, kept time.Duration) *control.Problem {
	german, english := "Sie werden von selbst verbunden, sobald Sie an der Reihe sind.", "You are connected by itself as soon as it is your turn."
	if kept > 0 {
		span := about(kept)
		if kept < 2*time.Minute {
			span.english = "a " + span.english
		}
		german += " Verliert der Laptop das Netz, bleibt Ihre Stelle " + span.german + " erhalten."
		english += " If the laptop loses its network, your place is kept for " + span.english + "."
	}
	return &control.Problem{Code: CodeSeatAwaited, Who: control.Nobody,
		German:  control.Text{Sentence: "Alle Plätze sind belegt. Sie warten auf einen" + at.german + until.german + ".", Next: german},
		English: control.Text{Sentence: "All seats are taken. You wait for one" + at.english + until.english + ".", Next: english}}
}
