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
	// takenAtOnce, and begins nothing further after dispatchTime.
	offersAtOnce, takenAtOnce, dispatchTime = 32, 100, 10 * time.Millisecond
)

// takeTurn names the licence pool that gives a device its seat, and takes its place
// out of the queue with the seat that is held for it. own is the pool of whose seats it
// has just given one back; empty: none.
func takeTurn(tx *store.Writer, claim seat.Claim, device, own string) (string, error) {
	offers, err := tx.Offers(claim, tx.Now)
	if err != nil {
		return "", fmt.Errorf("reading the licence pools: %w", err)
	}
	var offered string
	if slices.ContainsFunc(offers, func(o seat.Offer) bool { return o.Queued > 0 }) {
		switch q, err := tx.InQueue(device); {
		case errors.Is(err, store.ErrNone):
		case err != nil:
			return "", fmt.Errorf("reading the queue: %w", err)
		default:
			offered = q.Pool
			if err := tx.Dequeue(q); err != nil {
				return "", fmt.Errorf("taking a place out of the queue: %w", err)
			}
			if offers, err = tx.Offers(claim, tx.Now); err != nil {
				return "", fmt.Errorf("reading the licence pools: %w", err)
			}
		}
	}
	for i := range offers {
		o := &offers[i]
		// A named seat is hers as long as it is assigned to her, whatever sessions she has.
		o.Own = (o.Pool == own || o.Pool == offered) && o.Model != provisioner.PoolNamed
	}
	return chosen(offers)
}

// waitsOn reports whether who is refused so may wait for a seat: for want of one, or, if she
// has a place already, until a crisis that is closed to her is over.
func waitsOn(err error) bool {
	refusal, ok := provisioner.AsRefusal(err)
	return ok && (refusal.Code == provisioner.CodeNoSeat || refusal.Code == provisioner.CodeCrisisMode)
}

// enqueue has the calling device wait. One that has a session still, which its laptop
// may have forgotten, is refused as before: it must not lose that seat by asking. So is
// one without a place that is refused for something else than a seat.
func (s *Service) enqueue(ctx context.Context, actor provisioner.Actor, r OpenRequest, claim seat.Claim, refusal error) (Opened, error) {
	s.again.note(actor.ID, time.Now())
	err := s.Store.UpdateAbout(ctx, actor.ID, func(tx *store.Writer) error {
		device, err := tx.OwnDevice(actor)
		if err != nil {
			return err
		}
		switch _, err := tx.OpenSessionOf(device.ID); {
		case err == nil:
			return refusal
		case !errors.Is(err, store.ErrNone):
			return err
		}
		if refused, _ := provisioner.AsRefusal(refusal); refused.Code != provisioner.CodeNoSeat {
			if _, err := tx.InQueue(device.ID); errors.Is(err, store.ErrNone) {
				return refusal
			} else if err != nil {
				return err
			}
		}
		if err := tx.Enqueue(device.ID, claim, r.Stream); err != nil {
			return fmt.Errorf("taking a place in the queue: %w", err)
		}
		return tx.NoteAgent(device.ID, r.AgentVersion)
	})
	return Opened{Waits: err == nil}, err
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
	var recalled time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.Freed:
		}
		if err := s.dispatch(ctx, duty); err != nil && ctx.Err() == nil {
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

// countedAtOnce is for how many pools it is counted anew who waits, in one transaction: each
// time the whole queue is gone through.
const countedAtOnce = 2

// countQueues counts anew who waits, pool by pool.
func countQueues(ctx context.Context, duty *store.Duty, db *store.Store) error {
	pools, err := store.Read(ctx, db, (*store.Reader).QueuedPools)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(pools, countedAtOnce) {
		if err := duty.Update(ctx, func(tx *store.Writer) error { return tx.CountQueues(part) }); err != nil {
			return err
		}
	}
	return nil
}

// dispatch does all that is to be done now, in slices.
func (s *Service) dispatch(ctx context.Context, duty *store.Duty) error {
	for {
		// Mostly nobody waits, or there is nothing to give: then nothing is locked.
		do, err := store.Read(ctx, s.Store, func(tx *store.Reader) (step, error) { return nextStep(tx, time.Now()) })
		if err != nil || do == nil {
			return err
		}
		for more := true; more; {
			if err := duty.Update(ctx, func(tx *store.Writer) error { more, err = do(tx); return err }); err != nil {
				return err
			}
		}
	}
}

// step is one transaction of what is to be done for the queue. It begins nothing further
// once it has done so for dispatchTime, and says whether there may be more of the same.
type step func(*store.Writer) (more bool, err error)

// nextStep is what is to be done first; nil: nothing.
func nextStep(tx *store.Reader, now time.Time) (step, error) {
	if empty, err := tx.QueueEmpty(); err != nil || empty {
		return nil, err
	}
	for _, due := range []func() ([]store.Queued, error){
		func() ([]store.Queued, error) { return tx.OffersLapsed(now, 1) },
		func() ([]store.Queued, error) { return tx.QueueUnheard(now.Add(-unheardAfter), 1) },
		func() ([]store.Queued, error) { return tx.QueueLost(now.Add(-PlaceKept), 1) },
	} {
		if list, err := due(); err != nil || len(list) > 0 {
			return takeBack, err
		}
	}
	heads, err := tx.QueueHeads()
	if err != nil {
		return nil, err
	}
	waiting, err := withOffers(tx, heads, now)
	if err != nil {
		return nil, err
	}
	if next, _ := seat.Next(waiting, nil); next == nil && !slices.ContainsFunc(waiting, hopeless) {
		return nil, nil
	}
	return offerSeats, nil
}

func hopeless(w seat.Waiting) bool { return w.Hopeless() }

// lateFrom says when a step that begins now begins nothing further.
func lateFrom(began time.Time) func() bool {
	return func() bool { return time.Since(began) > dispatchTime }
}

// takeBack takes back what was not taken, and forgets who has not come back.
func takeBack(tx *store.Writer) (more bool, err error) {
	late := lateFrom(time.Now())
	lapsed, err := tx.OffersLapsed(tx.Now, takenAtOnce)
	if err != nil {
		return false, err
	}
	unheard, err := tx.QueueUnheard(tx.Now.Add(-unheardAfter), takenAtOnce)
	if err != nil {
		return false, err
	}
	lost := make(map[string]bool)
	for _, q := range append(lapsed, unheard...) {
		if late() {
			return true, nil
		}
		if lost[q.Device] {
			continue
		}
		lost[q.Device] = true
		if err := errors.Join(tx.Lose(q), tx.Wake(q)); err != nil {
			return false, err
		}
	}
	gone, err := tx.QueueLost(tx.Now.Add(-PlaceKept), takenAtOnce)
	if err != nil {
		return false, err
	}
	for _, q := range gone {
		if late() {
			return true, nil
		}
		if err := tx.Dequeue(q); err != nil {
			return false, err
		}
	}
	return len(lapsed) == takenAtOnce || len(unheard) == takenAtOnce || len(gone) == takenAtOnce, nil
}

// offerSeats holds seats for who is next.
func offerSeats(tx *store.Writer) (more bool, err error) {
	heads, err := tx.QueueHeads()
	if err != nil {
		return false, err
	}
	waiting, err := withOffers(&tx.Reader, heads, tx.Now)
	if err != nil {
		return false, err
	}
	late := lateFrom(time.Now())
	// Of 500 heads the first ones alone are looked at again after each seat that is given.
	first, last := seat.First(waiting, offersAtOnce)
	if err := endHopeless(tx, heads, waiting, late); err != nil {
		return false, err
	}
	heads = slices.DeleteFunc(heads, func(q store.Queued) bool {
		return !slices.ContainsFunc(first, func(e seat.Entry) bool { return e.Device == q.Device })
	})
	for given := 0; len(heads) > 0 && given < offersAtOnce; given++ {
		if waiting, err = withOffers(&tx.Reader, heads, tx.Now); err != nil {
			return false, err
		}
		next, pool := seat.Next(waiting, last)
		if next == nil {
			return last != nil, nil
		}
		i := slices.IndexFunc(heads, func(q store.Queued) bool { return q.Device == next.Device })
		if err := tx.OfferSeat(heads[i], pool, tx.Now.Add(offerFor)); err != nil || late() {
			return err == nil, err
		}
		switch head, err := tx.QueueHead(next.Tenant, next.Class); {
		case err == nil:
			heads[i] = head
		case errors.Is(err, store.ErrNone):
			heads = slices.Delete(heads, i, i+1)
		default:
			return false, err
		}
	}
	return len(first) > 0, nil
}

// endHopeless has the laptops ask again of those who wait for what no contract gives: they
// hear that there is nothing to wait for.
func endHopeless(tx *store.Writer, heads []store.Queued, waiting []seat.Waiting, late func() bool) error {
	for i := range waiting {
		if !waiting[i].Hopeless() {
			continue
		}
		if err := errors.Join(tx.Lose(heads[i]), tx.Wake(heads[i])); err != nil || late() {
			return err
		}
	}
	return nil
}

// withOffers adds what each is offered.
func withOffers(tx *store.Reader, heads []store.Queued, now time.Time) ([]seat.Waiting, error) {
	claims := make([]seat.Claim, len(heads))
	for i, q := range heads {
		claims[i] = q.Claim
	}
	offers, err := tx.OffersOf(claims, now)
	if err != nil {
		return nil, fmt.Errorf("reading the licence pools: %w", err)
	}
	waiting := make([]seat.Waiting, len(heads))
	for i, q := range heads {
		waiting[i] = seat.Waiting{Entry: q.Entry, Offers: offers[i]}
	}
	return waiting, nil
}
