package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// dutyBeat is how often the holder of a duty says that it lives, and how
	// often the others look.
	dutyBeat = time.Second
	// dutyDeadline is how long it may be silent before another replica takes the
	// duty over. Each replica counts by its own steady clock, so that clocks that
	// differ, or are set, neither give a duty away nor hold it back.
	dutyDeadline = 3 * time.Second
	// dutyPause is how long the holder may have been unable to write before what
	// others did not do meanwhile proves nothing (Duty.WritingSince).
	dutyPause = 10 * time.Second
)

// ErrDutyLost says that another replica has taken a duty over. Nothing of the
// transaction was done.
var ErrDutyLost = errors.New("another replica has taken this duty over")

// Duty is something that one replica at a time does, while this one does it.
type Duty struct {
	store *Store
	name  string
	fence int64

	mu      sync.Mutex
	written time.Time // the last beat
	since   time.Time // beats have come without a pause
}

// Hold does work whenever this replica holds the duty of that name, until ctx
// ends. The context given to work ends when another replica has taken over; work
// that returns before is begun again after a second.
func (s *Store) Hold(ctx context.Context, name string, work func(context.Context, *Duty) error) error {
	watched := &candidate{store: s, name: name}
	for {
		d, err := watched.claim(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Warn("claiming a duty", "duty", name, "error", err)
		case d != nil:
			s.log.Debug("this replica has a duty", "duty", name, "fence", d.fence)
			if err := d.do(ctx, work); err != nil && ctx.Err() == nil && !errors.Is(err, ErrDutyLost) {
				s.log.Error("a duty ended; it begins again", "duty", name, "error", err)
			}
		}
		timer := time.NewTimer(dutyBeat/2 + rand.N(dutyBeat/4))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// dutyRow is the state of a duty.
type dutyRow struct {
	holder      string
	fence, beat int64
}

func scanDuty(s scanner) (v dutyRow, err error) {
	err = s.Scan(&v.holder, &v.fence, &v.beat)
	return v, err
}

const selectDuty = `select holder, fence, beat from duty where name = $1`

// candidate waits for a duty to become free.
type candidate struct {
	store *Store
	name  string
	seen  dutyRow
	at    time.Time // when it was first seen so
}

// claim takes the duty if nobody has it, or if its holder has been silent for
// too long; nil if neither.
func (c *candidate) claim(ctx context.Context) (*Duty, error) {
	row, err := Read(ctx, c.store, func(tx *Reader) (dutyRow, error) { return one(tx.q, scanDuty, selectDuty, c.name) })
	if err != nil && !errors.Is(err, ErrNone) {
		return nil, err
	}
	if now := time.Now(); row != c.seen || c.at.IsZero() {
		c.seen, c.at = row, now
	}
	if row.holder != "" && time.Since(c.at) < dutyDeadline {
		return nil, nil
	}
	d := &Duty{store: c.store, name: c.name, fence: row.fence + 1}
	var n int64
	err = c.store.Update(ctx, func(tx *Writer) (err error) {
		n, err = changed(tx.q, `insert into duty (name, holder, fence, beat) values ($1, $2, $3, $4)
			on conflict (name) do update set holder = excluded.holder, fence = excluded.fence, beat = excluded.beat
			where duty.fence = $5 and duty.beat = $6`, c.name, c.store.replica, d.fence, row.beat+1, row.fence, row.beat)
		return err
	})
	if err != nil || n == 0 {
		return nil, err
	}
	d.written = time.Now()
	d.since = d.written
	return d, nil
}

// do does the work and keeps the duty meanwhile.
func (d *Duty) do(ctx context.Context, work func(context.Context, *Duty) error) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- work(working, d) }()
	ticker := time.NewTicker(dutyBeat)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return errors.Join(err, d.release(ctx))
		case <-ticker.C:
			err := d.beat(ctx)
			if errors.Is(err, ErrDutyLost) {
				stop()
				return errors.Join(err, <-ended)
			}
			if err != nil && ctx.Err() == nil {
				d.store.log.Warn("keeping a duty", "duty", d.name, "error", err)
			}
		}
	}
}

// beat says that the holder lives.
func (d *Duty) beat(ctx context.Context) error {
	if err := d.Update(ctx, func(tx *Writer) error {
		return run(tx.q, `update duty set beat = beat + 1 where name = $1`, d.name)
	}); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if now.Sub(d.written) > dutyPause {
		d.since = now
	}
	d.written = now
	return nil
}

// release lets another replica take over without waiting.
func (d *Duty) release(ctx context.Context) error {
	err := d.Update(context.WithoutCancel(ctx), func(tx *Writer) error {
		return run(tx.q, `update duty set holder = '' where name = $1`, d.name)
	})
	if errors.Is(err, ErrDutyLost) || errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// Update is Store.Update, refused with ErrDutyLost if another replica has taken
// the duty over by then: what it has done since is not undone by one that was
// stopped for a while and goes on.
func (d *Duty) Update(ctx context.Context, do func(*Writer) error) error {
	return d.store.Update(ctx, d.fenced(do))
}

// UpdateUrgent is Update ahead of everything that waits.
func (d *Duty) UpdateUrgent(ctx context.Context, do func(*Writer) error) error {
	return d.store.UpdateUrgent(ctx, d.fenced(do))
}

func (d *Duty) fenced(do func(*Writer) error) func(*Writer) error {
	return func(tx *Writer) error {
		row, err := one(tx.q, scanDuty, selectDuty, d.name)
		if err != nil {
			return fmt.Errorf("reading the duty %s: %w", d.name, err)
		}
		if row.holder != d.store.replica || row.fence != d.fence {
			return ErrDutyLost
		}
		return do(tx)
	}
}

// WritingSince is since when this replica has held the duty and been able to
// write, without a pause in which others could not have done what they should.
func (d *Duty) WritingSince() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.written) > dutyPause {
		return time.Now()
	}
	return d.since
}

// Holder names the replica that holds a duty, and with which fence; empty if
// nobody does.
func (r *Reader) Holder(duty string) (replica string, fence int64, err error) {
	row, err := one(r.q, scanDuty, selectDuty, duty)
	if errors.Is(err, ErrNone) {
		return "", 0, nil
	}
	return row.holder, row.fence, err
}
