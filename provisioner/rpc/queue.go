package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/session"
)

// waiting is how a stream waits for a seat.
type waiting struct {
	*session.Waiter
	request session.OpenRequest // to ask again with
	told    session.Place
}

// moved says that there is something to look at; nil: it does not wait.
func (w *waiting) moved() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.C
}

// end ends waiting, if it does.
func (w *waiting) end() {
	if w != nil {
		w.Close()
	}
}

// wait tells the laptop that it waits, and follows its place.
func (a *attachment) wait(r session.OpenRequest, place session.Place) error {
	a.session = ""
	a.reports.end() // of the one that it had
	r.Resume = ""
	if a.waiting == nil {
		a.waiting = &waiting{Waiter: a.sessions.Await(a.actor.ID, place)}
	}
	a.waiting.request = r
	a.waiting.told = a.waiting.Place()
	return a.tellPlace()
}

func (a *attachment) tellPlace() error {
	place := a.waiting.told
	order := &heimdrahtv1.SessionWaiting{Position: place.Position, KeptForMs: session.PlaceKept.Milliseconds(),
		ReturnWithinMs: a.streams.returnWithin().Milliseconds(), Rests: place.Rests}
	if place.Wait > 0 {
		wait := place.Wait.Milliseconds()
		order.ExpectedWaitMs = &wait
	}
	return a.send(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Waiting{Waiting: order}})
}

// lookAtQueue opens the session if it is the laptop's turn, or tells it its place.
func (a *attachment) lookAtQueue(ctx context.Context) error {
	turn, err := a.sessions.Turn(ctx, a.actor, a.id)
	if err != nil {
		return err
	}
	if turn {
		return a.openAs(ctx, a.waiting.request)
	}
	place := a.waiting.Place()
	if place == a.waiting.told {
		return nil
	}
	a.waiting.told = place
	return a.tellPlace()
}

// leaveQueue ends waiting: the place is kept for a while.
func (a *attachment) leaveQueue(ctx context.Context) error {
	if a.waiting == nil {
		return nil
	}
	a.waiting.end()
	a.waiting = nil
	return a.sessions.Leave(ctx, a.actor, a.id)
}
