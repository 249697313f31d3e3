package session

import (
	"context"
	"errors"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// LookOften looks at sessions whose time for that has come far more often than RunExpiry
// does, until ctx ends.
func LookOften(ctx context.Context, s *Service) error {
	return s.Store.Hold(ctx, "expiry", func(ctx context.Context, duty *store.Duty) error {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if err := s.lookAgain(ctx, duty, time.Now()); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
}

// SpreadOf is over how long so many laptops of a dead gateway spread.
func SpreadOf(open int64) time.Duration { return spreadOf(open) }

// Recall calls lent seats back once.
func Recall(ctx context.Context, s *Service) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return s.Store.Hold(ctx, "queue", func(ctx context.Context, duty *store.Duty) error {
		defer stop()
		return recallLent(ctx, duty, s.Store)
	})
}

// OnDuty takes the duties of the queue and of sessions' ends until end is called. step does
// once what they do.
func OnDuty(s *Service) (step, end func() error) {
	ctx, stop := context.WithCancel(context.Background())
	duties, ended := make(chan *store.Duty), make(chan error, 1)
	go func() {
		ended <- s.Store.Hold(ctx, "queue", func(ctx context.Context, duty *store.Duty) error {
			duties <- duty
			<-ctx.Done()
			return nil
		})
	}()
	duty, idle := <-duties, &idleTimes{known: make(map[string]time.Duration)}
	step = func() error {
		return errors.Join(s.lookAgain(ctx, duty, time.Now()), s.followIdle(ctx, duty, idle), s.dispatch(ctx, duty, lookAtQueue), recallLent(ctx, duty, s.Store))
	}
	return step, func() error {
		stop()
		return <-ended
	}
}

// DispatchAll does all that is to be done for who waits, and tells how long the longest of
// its transactions took.
func DispatchAll(ctx context.Context, db *store.Store, later time.Duration) (longest time.Duration, err error) {
	for again := true; again; {
		do, err := store.Read(ctx, db, func(tx *store.Reader) (step, error) { return nextStep(tx, time.Now().Add(later), lookAtQueue) })
		if err != nil || do == nil {
			return longest, err
		}
		if err := db.Update(ctx, func(tx *store.Writer) (err error) {
			tx.Now = tx.Now.Add(later)
			began := time.Now()
			again, err = do(tx)
			longest = max(longest, time.Since(began))
			return err
		}); err != nil {
			return longest, err
		}
	}
	return longest, nil
}

// Dispatch does a step of the duty that gives seats to who waits, as if it were so much
// later, and then, in its transaction, something else.
func Dispatch(ctx context.Context, db *store.Store, later time.Duration, then func(*store.Writer) error) error {
	return DispatchAfter(ctx, db, later, func() {}, then)
}

// DispatchAfter is Dispatch where something happens between its look and its transaction.
func DispatchAfter(ctx context.Context, db *store.Store, later time.Duration, between func(), then func(*store.Writer) error) error {
	do, err := store.Read(ctx, db, func(tx *store.Reader) (step, error) { return nextStep(tx, time.Now().Add(later), lookAtQueue) })
	if err != nil {
		return err
	}
	between()
	return db.Update(ctx, func(tx *store.Writer) error {
		tx.Now = tx.Now.Add(later)
		var err error
		if do != nil {
			_, err = do(tx)
		}
		return errors.Join(err, then(tx))
	})
}

// FreeIsSeen reports whether a look for free seats alone sees what one at the whole queue
// does.
func FreeIsSeen(ctx context.Context, db *store.Store) (bool, error) {
	return store.Read(ctx, db, func(tx *store.Reader) (bool, error) {
		whole, err := nextStep(tx, time.Now(), lookAtQueue)
		if err != nil {
			return false, err
		}
		free, err := nextStep(tx, time.Now(), lookForFree)
		return (whole == nil) == (free == nil), err
	})
}
