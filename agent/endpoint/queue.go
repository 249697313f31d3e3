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
	rests    bool          // a crisis is closed to her: her turn comes after it
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
		rests:    m.GetRests(),
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
	if p.rests {
		return placeRests(p.kept)
	}
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
	hold := keptFor(kept)
	return &control.Problem{Code: CodeSeatAwaited, Who: control.Nobody,
		German: control.Text{Sentence: "Alle Plätze sind belegt. Sie warten auf einen" + at.german + until.german + ".",
			Next: "Sie werden von selbst verbunden, sobald Sie an der Reihe sind." + hold.german},
		English: control.Text{Sentence: "All seats are taken. You wait for one" + at.english + until.english + ".",
			Next: "You are connected by itself as soon as it is your turn." + hold.english}}
}

// placeRests says that her place waits for the end of a crisis that is closed to her.
func placeRests(kept time.Duration) *control.Problem {
	hold := keptFor(kept)
	return &control.Problem{Code: CodePlaceRests, Who: control.Nobody,
		German: control.Text{Sentence: "Ihre Verwaltung arbeitet im Krisenbetrieb: Neue Verbindungen bekommen zurzeit nur Krisenstab und Leitstelle. Ihre Stelle in der Reihe bleibt Ihnen.",
			Next: "Nichts zu tun: Endet der Krisenbetrieb, geht es an dieser Stelle weiter, und Sie werden von selbst verbunden, sobald Sie an der Reihe sind. Werden Sie jetzt gebraucht, wenden Sie sich an Ihre Vorgesetzten." + hold.german},
		English: control.Text{Sentence: "Your administration is in crisis mode: only the crisis team and the control room get new connections now. Your place in the queue stays yours.",
			Next: "Nothing to do: when the crisis mode ends the queue goes on with you in your place, and you are connected by itself as soon as it is your turn. If you are needed now, turn to your manager." + hold.english}}
}

// keptFor says for how long a place is kept without a network.
func keptFor(kept time.Duration) phrase {
	if kept <= 0 {
		return phrase{}
	}
	span := about(kept)
	if kept < 2*time.Minute {
		span.english = "a " + span.english
	}
	return phrase{" Verliert der Laptop das Netz, bleibt Ihre Stelle " + span.german + " erhalten.",
		" If the laptop loses its network, your place is kept for " + span.english + "."}
}
