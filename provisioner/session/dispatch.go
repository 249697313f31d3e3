package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// How seats that come free get to those who wait for them.

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

// look is how closely the queue is looked at.
type look bool

const (
	// lookForFree passes the queue by while no pool for which somebody waits has a seat that
	// nobody holds, however many sessions end elsewhere.
	lookForFree look = false
	lookAtQueue look = true
)

// dispatch does all that is to be done now, in slices.
func (s *Service) dispatch(ctx context.Context, duty *store.Duty, how look) error {
	for again := true; again; {
		// Mostly nobody waits, or there is nothing to give: then nothing is locked.
		do, err := store.Read(ctx, s.Store, func(tx *store.Reader) (step, error) { return nextStep(tx, time.Now(), how) })
		if err != nil || do == nil {
			return err
		}
		if err := duty.Update(ctx, func(tx *store.Writer) error { again, err = do(tx); return err }); err != nil {
			return err
		}
	}
	return nil
}

// step is one transaction of what is to be done for the queue. It does one thing at least,
// begins nothing further once it has taken dispatchTime, and says whether to look again at once.
type step func(*store.Writer) (again bool, err error)

// nextStep is what is to be done first; nil: nothing. To look at the whole queue takes longer
// than anybody may hold the writer. So it is done in a view, and the step goes by what was
// seen there: who comes while it is on its way is looked at with the next one.
func nextStep(tx *store.Reader, now time.Time, how look) (step, error) {
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
	if how == lookForFree {
		if free, err := tx.SeatsWaitedFor(now); err != nil || !free {
			return nil, err
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
	var hopeless []store.Queued
	for i := range waiting {
		if waiting[i].Hopeless() {
			hopeless = append(hopeless, heads[i])
		}
	}
	if len(hopeless) > 0 {
		return func(tx *store.Writer) (bool, error) { return endHopeless(tx, hopeless) }, nil
	}
	first, last := seat.First(waiting, offersAtOnce)
	if len(first) == 0 {
		return nil, nil
	}
	return func(tx *store.Writer) (bool, error) { return offerSeats(tx, first, last) }, nil
}

// lateFrom says when a step that begins now begins nothing further.
func lateFrom(began time.Time) func() bool {
	return func() bool { return time.Since(began) > dispatchTime }
}

// takeBack takes back what was not taken, and forgets who has not come back.
func takeBack(tx *store.Writer) (again bool, err error) {
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
		if lost[q.Device] {
			continue
		}
		lost[q.Device] = true
		if err := errors.Join(tx.Lose(q), tx.Wake(q)); err != nil || late() {
			return err == nil, err
		}
	}
	gone, err := tx.QueueLost(tx.Now.Add(-PlaceKept), takenAtOnce)
	if err != nil {
		return false, err
	}
	for _, q := range gone {
		if err := tx.Dequeue(q); err != nil || late() {
			return err == nil, err
		}
	}
	return true, nil
}

// offerSeats holds seats for those who are next now. Behind the last turn of those who were
// first when the whole queue was looked at nobody gets one: so only those have to be
// looked at again who stand before it, whether they were there at the time, have come meanwhile or have
// come forward by a seat that came free.
func offerSeats(tx *store.Writer, first []seat.Entry, last *seat.Turn) (again bool, err error) {
	late := lateFrom(time.Now())
	heads, last, err := headsNow(tx, first, last)
	if err != nil {
		return false, err
	}
	if len(heads) == 0 {
		return true, nil // they have gone meanwhile, or the seats have
	}
	for given := 0; len(heads) > 0 && given < offersAtOnce; given++ {
		waiting, err := withOffers(&tx.Reader, heads, tx.Now)
		if err != nil {
			return false, err
		}
		next, pool := seat.Next(waiting, last)
		if next == nil {
			return given > 0, nil
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
	return true, nil
}

// headsNow lists who is first now of each tenant and class, of those for whom there is a seat
// and who are not behind a turn; it gives the turn behind which those are that it leaves out. The
// tenants and classes of those who were first of all are looked at though their pool may not count
// them: a program of the version before does not.
func headsNow(tx *store.Writer, first []seat.Entry, last *seat.Turn) ([]store.Queued, *seat.Turn, error) {
	lines, err := tx.LinesAhead(last, tx.Now)
	if err != nil {
		return nil, nil, fmt.Errorf("reading who is next: %w", err)
	}
	for _, e := range first {
		if !slices.ContainsFunc(lines, func(l seat.Entry) bool { return l.Tenant == e.Tenant && l.Class.Rank() == e.Class.Rank() }) {
			lines = append(lines, e)
		}
	}
	heads, err := tx.HeadsLike(lines)
	if err != nil {
		return nil, nil, fmt.Errorf("reading who is next: %w", err)
	}
	waiting, err := withOffers(&tx.Reader, heads, tx.Now)
	if err != nil {
		return nil, nil, err
	}
	next, behind := seat.First(waiting, offersAtOnce)
	if behind == nil || last != nil && last.Compare(*behind) < 0 {
		behind = last
	}
	return slices.DeleteFunc(heads, func(q store.Queued) bool {
		return !slices.ContainsFunc(next, func(e seat.Entry) bool { return e.Device == q.Device })
	}), behind, nil
}

// endHopeless has the laptops ask again of those who wait for what no contract gives: they
// hear that there is nothing to wait for.
func endHopeless(tx *store.Writer, list []store.Queued) (again bool, err error) {
	late := lateFrom(time.Now())
	for _, q := range list {
		now, err := tx.InQueue(q.Device)
		if errors.Is(err, store.ErrNone) || err == nil && !now.Waits() {
			continue
		}
		if err != nil {
			return false, err
		}
		if err := errors.Join(tx.Lose(now), tx.Wake(now)); err != nil || late() {
			return err == nil, err
		}
	}
	return true, nil
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
