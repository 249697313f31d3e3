package endpoint

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const (
	// quietRate is the traffic below which nobody works, in bytes a second: no machine is ever silent, and keepalives
	// count too.
	quietRate = 1000
	// quietFor is how long it must have been so for another session to take the present one's place. It takes a moment
	// without traffic, or ends the connection until the person has signed in.
	quietFor = 5 * time.Minute
	// maxEndWithin bounds what is believed of an end that is still to come.
	maxEndWithin = 48 * time.Hour
)

// ending is what the control plane has said of the end of the session that is held.
type ending struct {
	why *control.Problem
	by  time.Time
	// beside: the next session is opened beside this one, and nothing breaks by that.
	beside bool
}

// ending takes note that the session ends before long, or goes on after all.
func (a *attachment) ending(m *heimdrahtv1.SessionEnding) {
	if !a.isOfHeld(m) {
		return
	}
	if m.GetWhy() == nil {
		a.quiet = quiet{}
	}
	end := endingOf(m)
	if end != nil {
		end.beside = a.movesBeside(m)
	}
	a.endpoint.expectEnd(end)
	a.move.Stop()
	switch {
	case end == nil:
	case end.beside:
		a.move.Reset(rand.N(min(max(time.Until(end.by), 0)/2, returnWithin(m.GetSpreadMs())) + 1))
	case end.movesAnyway():
		// In time, and not all at once: what the control plane ends is gone for a moment.
		within := max(time.Until(end.by), 0)
		a.move.Reset(within - rand.N(min(within/2, moveBefore)+1) + rand.N(moveSpread))
	}
}

const (
	// moveBefore is how long before the end laptops begin to move whose person works on and on, and moveSpread by how
	// much they spread in any case. The control plane lets them, and ends what is left a few seconds later.
	moveBefore = time.Minute
	moveSpread = 3 * time.Second
)

// movesAnyway says whether the session moves to another gateway at its end even if its person works: hers ends, and the
// next one is there at once.
func (n *ending) movesAnyway() bool {
	return n.why.Code == codeGatewayDraining || n.why.Code == codeGatewayMaintenance
}

// moveOn asks for another session. The present one ends with it, or goes on if there is no other to be had just now.
func (a *attachment) moveOn() {
	if a.endpoint.heldSession() == nil {
		return
	}
	a.quiet, a.moving = quiet{}, true
	_ = a.openAs("") // a failure to send shows on receiving, with its cause
}

// staysAfter says whether the present session goes on after a refusal: another one was asked for in its place, and no
// gateway can take it now. What has become of the present one a renewal finds out.
func (a *attachment) staysAfter(code string) bool {
	held := a.endpoint.heldSession()
	if !a.moving || held == nil || !isNoPlace(code) {
		return false
	}
	a.moving = false
	a.answer.Stop()
	a.renew.Reset(control.Jitter(soonest, 0.5))
	if a.endpoint.endsBeside() {
		a.move.Reset(control.Jitter(tryAgain, 0.5))
	}
	return true
}

// idle takes note that the session ends because nothing is transferred, or goes on after all. There is nothing to do about
// it by itself: another session would hold the seat for nobody. Its person may say that she is there.
func (a *attachment) idle(m *heimdrahtv1.SessionEnding) {
	if a.isOfHeld(m) {
		a.endpoint.expectIdle(endingOf(m))
	}
}

// stay asks for another session, whose time without work begins anew, for a person who has said that she is there.
func (a *attachment) stay() {
	if a.endpoint.isIdle() && !a.moving {
		a.moveOn()
	}
}

func (e *Endpoint) isIdle() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.idle != nil
}

// StillHere says that the person is there although nothing is transferred, and waits until the session no longer ends for that,
// or the context does. Where it does not end so there is nothing to do.
func (e *Endpoint) StillHere(ctx context.Context) error {
	if !e.isIdle() {
		return nil
	}
	select {
	case e.here <- struct{}{}:
	default: // it is said already
	}
	for {
		e.mu.Lock()
		idle, changed := e.idle, e.changed
		e.mu.Unlock()
		if idle == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return e.inTheWay(ctx.Err())
		}
	}
}

// isOfHeld says whether an order is of the session that is held, not of an older one.
func (a *attachment) isOfHeld(m *heimdrahtv1.SessionEnding) bool {
	held := a.endpoint.heldSession()
	return held != nil && held.id == m.GetSessionId()
}

// endingOf is what an order says; nil: the session goes on.
func endingOf(m *heimdrahtv1.SessionEnding) *ending {
	if m.GetWhy() == nil {
		return nil
	}
	within := time.Duration(min(max(m.GetWithinMs(), 0), maxEndWithin.Milliseconds())) * time.Millisecond
	return &ending{why: control.FromRefusal(m.GetWhy()), by: time.Now().Add(within)}
}

// quiet watches for a moment in which nobody works. The zero value has seen nothing yet.
type quiet struct {
	at    time.Time // of the last look
	moved uint64    // until then
	since time.Time // nothing to speak of
}

// look reports that next to nothing was moved for quietFor.
func (q *quiet) look(now time.Time, r reading) bool {
	moved := r.received + r.sent
	if q.at.IsZero() || moved < q.moved || float64(moved-q.moved) >= quietRate*now.Sub(q.at).Seconds() {
		q.since = now
	}
	q.at, q.moved = now, moved
	return now.Sub(q.since) >= quietFor
}

// expectEnd takes note of the end of the session that is held. Nil: it goes on.
func (e *Endpoint) expectEnd(end *ending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.end = end
	e.touch()
}

// expectIdle takes note that the session that is held ends because nothing is transferred. Nil: it goes on.
func (e *Endpoint) expectIdle(end *ending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.idle = end
	e.touch()
}

func (e *Endpoint) isEnding() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end != nil
}

// endsBeside says that the session is to end, and the next one is opened beside it.
func (e *Endpoint) endsBeside() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end != nil && e.end.beside
}

// asNote is what the person is told while she works.
func (n *ending) asNote() *control.Problem {
	by := n.by.Local().Format("15:04")
	switch n.why.Code {
	case codeSignInNeeded:
		return &control.Problem{Code: codeSignInNeeded,
			German: control.Text{Sentence: "Bitte melden Sie sich wieder an. Sonst endet die Verbindung, sobald Sie eine Pause machen, spätestens um " + by + " Uhr.",
				Next: "heimdraht-agent sign-in"},
			English: control.Text{Sentence: "Please sign in again. Else the connection ends as soon as you take a break, at " + by + " at the latest.",
				Next: "heimdraht-agent sign-in"}}
	case codeGatewayDraining, codeGatewayMaintenance:
		if n.beside {
			return &control.Problem{Code: n.why.Code,
				German: control.Text{Sentence: "Ihr Zugangsserver wird gewartet. Die Verbindung zieht gleich auf einen anderen um. Was schon läuft, läuft bis " + by + " Uhr über den bisherigen weiter.",
					Next: "Nichts zu tun."},
				English: control.Text{Sentence: "Your gateway is going under maintenance. The connection moves to another one in a moment. What is under way goes on over the present one until " + by + ".",
					Next: "Nothing to do."}}
		}
		return &control.Problem{Code: n.why.Code,
			German: control.Text{Sentence: "Ihr Zugangsserver wird gewartet. Die Verbindung zieht auf einen anderen um, sobald Sie eine Pause machen, spätestens um " + by + " Uhr.",
				Next: "Nichts zu tun. Was dann gerade übertragen wird, müssen Sie vielleicht noch einmal beginnen."},
			English: control.Text{Sentence: "Your gateway is going under maintenance. The connection moves to another one as soon as you take a break, at " + by + " at the latest.",
				Next: "Nothing to do. What is being transferred then you may have to begin again."}}
	case codeSessionIdle:
		return &control.Problem{Code: codeSessionIdle,
			German: control.Text{Sentence: "Die Verbindung endet um " + by + " Uhr, weil nichts übertragen wird.",
				Next: "Arbeiten Sie weiter, dann bleibt sie. Danach ist sie mit heimdraht-agent up wieder da."},
			English: control.Text{Sentence: "The connection ends at " + by + " because nothing is being transferred.",
				Next: "Go on working and it stays. Afterwards heimdraht-agent up brings it back."}}
	}
	return n.why
}
