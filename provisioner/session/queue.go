package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Who finds no seat waits in the queue while her laptop holds its stream. One replica
// at a time turns seats that come free into offers: the seat is counted as held, the
// laptop's stream is woken, wherever it is, and opens with it. All of that stands in
// the database; whoever takes over goes on.

const (
	// PlaceKept is how long a laptop that has lost its connection keeps its place.
	PlaceKept = 3 * time.Minute
	// offerFor is how long a seat is held for who is next: her laptop is connected, and
	// opening takes a second.
	offerFor = 20 * time.Second
	// hearEvery is how often a replica says whose streams it has, and unheardAfter how
	// long after the last time they count as lost: the replica is gone.
	hearEvery, unheardAfter = 30 * time.Second, 90 * time.Second
	// dispatchEvery is how often somebody looks, whether woken or not; dispatchPause is
	// the pause after a look, so that many closings are one reason for the next.
	dispatchEvery, dispatchPause = time.Second, 25 * time.Millisecond
	// A transaction gives no more seats than offersAtOnce, takes no more back than
	// takenAtOnce, and begins nothing further after dispatchTime: it holds the writer.
	offersAtOnce, takenAtOnce, dispatchTime = 32, 100, 10 * time.Millisecond
)

// takeTurn names the licence pool that gives a device its seat, and takes its place
// out of the queue with the seat that is held for it. own is the pool of whose seats it
// has just given one back; empty: none. Taken says that it has taken something back, which a
// refusal has to undo.
func takeTurn(tx *store.Writer, claim seat.Claim, device, own string) (pool string, taken bool, err error) {
	offers, err := tx.Offers(claim, tx.Now)
	if err != nil {
		return "", false, fmt.Errorf("reading the licence pools: %w", err)
	}
	var place store.Queued
	if slices.ContainsFunc(offers, func(o seat.Offer) bool { return o.Queued > 0 }) {
		switch q, err := tx.InQueue(device); {
		case errors.Is(err, store.ErrNone):
		case err != nil:
			return "", false, fmt.Errorf("reading the queue: %w", err)
		default:
			place, taken = q, q.Pool != ""
			if offers, err = withoutPlace(tx, claim, place); err != nil {
				return "", taken, err
			}
		}
	}
	for i := range offers {
		o := &offers[i]
		// A named seat is hers as long as it is assigned to her, whatever sessions she has.
		o.Own = (o.Pool == own || o.Pool == place.Pool) && o.Model != provisioner.PoolNamed
	}
	pool, refusal := seat.Choose(offers)
	if refusal != nil {
		return "", taken, refusal
	}
	if place.Device != "" && !taken {
		err = dequeue(tx, place)
	}
	return pool, taken, err
}

// withoutPlace is what is offered to who has a place in the queue: as if she had none. A seat
// that is held for her goes back, to be taken.
func withoutPlace(tx *store.Writer, claim seat.Claim, place store.Queued) (offers []seat.Offer, err error) {
	if place.Pool == "" {
		offers, err = tx.OffersBut(place, claim, tx.Now)
	} else if err = dequeue(tx, place); err == nil {
		offers, err = tx.Offers(claim, tx.Now)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the licence pools: %w", err)
	}
	return offers, nil
}

func dequeue(tx *store.Writer, place store.Queued) error {
	if err := tx.Dequeue(place); err != nil {
		return fmt.Errorf("taking a place out of the queue: %w", err)
	}
	return nil
}

// waitsOn reports whether who is refused so may wait for a seat: for want of one, or, if she
// has a place already, until a crisis that is closed to her is over.
func waitsOn(err error) bool {
	refusal, ok := provisioner.AsRefusal(err)
	return ok && (refusal.Code == provisioner.CodeNoSeat || refusal.Code == provisioner.CodeCrisisMode)
}

// enqueue has the calling device wait whose opening was refused when it had begun to take
// something back, all of which is undone: the former sessions of its laptop, or a seat that was held
// for it. In between a seat may have come free. Nobody loses by it: the duty gives it to who
// is next, and she is among them.
func (s *Service) enqueue(ctx context.Context, actor provisioner.Actor, r OpenRequest, claim seat.Claim, refusal error) (opened Opened, err error) {
	err = s.Store.UpdateAbout(ctx, actor.ID, func(tx *store.Writer) error {
		device, err := tx.OwnDevice(actor)
		if err != nil {
			return err
		}
		opened, err = takePlace(tx, device, r, claim, refusal)
		return err
	})
	return opened, err
}

// takePlace has a device wait. One that has a session still, which its laptop
// may have forgotten, is refused as before: it must not lose that seat by asking. So is
// one without a place that is refused for something else than a seat, and one that takes
// its place again and again.
func takePlace(tx *store.Writer, device provisioner.Device, r OpenRequest, claim seat.Claim, refusal error) (Opened, error) {
	switch _, err := tx.OpenSessionOf(device.ID); {
	case err == nil:
		return Opened{}, refusal
	case !errors.Is(err, store.ErrNone):
		return Opened{}, err
	}
	had, err := tx.InQueue(device.ID)
	switch refused, _ := provisioner.AsRefusal(refusal); {
	case errors.Is(err, store.ErrNone) && refused.Code != provisioner.CodeNoSeat:
		return Opened{}, refusal
	case err != nil && !errors.Is(err, store.ErrNone):
		return Opened{}, err
	}
	if again := refuseAgain(had.Taken, tx.Now); again != nil {
		return Opened{}, again
	}
	if err := tx.Enqueue(device.ID, claim, r.Stream); err != nil {
		return Opened{}, fmt.Errorf("taking a place in the queue: %w", err)
	}
	is, err := tx.InQueue(device.ID)
	if err != nil {
		return Opened{}, fmt.Errorf("reading the place in the queue: %w", err)
	}
	return Opened{Waits: true, Place: Place{Rests: is.Rests}}, tx.NoteAgent(device.ID, r.AgentVersion)
}

// refuseAgain says that a laptop has to wait before it takes its place again; nil: it need not.
func refuseAgain(taken seat.Taken, now time.Time) *provisioner.Refusal {
	if wait := taken.Wait(now); wait > 0 {
		return provisioner.Refuse(provisioner.CodeTryLater).After(wait)
	}
	return nil
}

// Turn reports whether a stream that waits should ask for its session again: a seat is
// held for its device, or its place is lost, which asking again mends.
func (s *Service) Turn(ctx context.Context, actor provisioner.Actor, stream string) (bool, error) {
	q, err := store.Read(ctx, s.Store, func(tx *store.Reader) (store.Queued, error) { return tx.InQueue(actor.ID) })
	if errors.Is(err, store.ErrNone) {
		return true, nil
	}
	return err == nil && q.Stream == stream && !q.Waits() && !q.Rests, err
}

// Leave notes that a stream that waited has ended: its device keeps its place for
// PlaceKept. A newer stream of the device is left alone.
func (s *Service) Leave(ctx context.Context, actor provisioner.Actor, stream string) error {
	return s.Store.UpdatePatiently(context.WithoutCancel(ctx), func(tx *store.Writer) error {
		q, err := tx.InQueue(actor.ID)
		if errors.Is(err, store.ErrNone) || err == nil && q.Stream != stream {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.Lose(q)
	})
}

// RunQueue gives seats to who waits, until ctx ends: one replica at a time does.
func (s *Service) RunQueue(ctx context.Context) error {
	return s.Store.Hold(ctx, "queue", s.runQueue)
}

func (s *Service) runQueue(ctx context.Context, duty *store.Duty) error {
	if err := countQueues(ctx, duty, s.Store); err != nil && ctx.Err() == nil {
		s.Logger.Error("counting who waits for seats", "error", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var whole, recalled time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.Freed:
		}
		look := lookForFree
		if time.Since(whole) >= dispatchEvery {
			whole, look = time.Now(), lookAtQueue
		}
		if err := s.dispatch(ctx, duty, look); err != nil && ctx.Err() == nil {
			s.Logger.Error("giving seats to those who wait", "error", err)
		}
		if time.Since(recalled) >= recallEvery {
			recalled = time.Now()
			if err := recallLent(ctx, duty, s.Store); err != nil && ctx.Err() == nil {
				s.Logger.Error("calling back seats that are lent", "error", err)
			}
		}
		timer.Reset(dispatchPause)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		timer.Reset(dispatchEvery)
	}
}
