package session

import (
	"context"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// sweepEvery is how often somebody looks for named seats that go back: it takes a look
// at every one of them.
const sweepEvery = time.Minute

// takeSeatsBack frees the named seats of those who have left or have not used them, in
// slices. Nobody is told: whoever comes again takes what is free then.
func takeSeatsBack(ctx context.Context, duty *store.Duty, db *store.Store, now time.Time) error {
	pools, err := store.Read(ctx, db, (*store.Reader).Pools)
	if err != nil {
		return err
	}
	for _, p := range pools {
		if p.Pool.Model != provisioner.PoolNamed || p.Held == 0 {
			continue
		}
		for full := true; full; {
			people, err := store.Read(ctx, db, func(tx *store.Reader) ([]string, error) { return tx.SeatsOverdue(p.Pool, now, slice) })
			if err != nil {
				return err
			}
			dropped := 0
			if err := duty.Update(ctx, func(tx *store.Writer) (err error) { dropped, err = tx.DropSeats(p.Pool, people); return err }); err != nil {
				return err
			}
			full = len(people) == slice && dropped > 0
		}
	}
	return nil
}

// notePeaks keeps the highest number of seats of the day.
func notePeaks(ctx context.Context, duty *store.Duty, db *store.Store, now time.Time) error {
	more, err := store.Read(ctx, db, func(tx *store.Reader) (bool, error) { return tx.MorePeaks(now) })
	if err != nil || !more {
		return err
	}
	return duty.Update(ctx, (*store.Writer).NotePeaks)
}
