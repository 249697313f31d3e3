package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// How much one transaction takes in. 20 ms is what a revocation may have to
// wait for work that began before it.
const (
	batchTime = 20 * time.Millisecond
	batchSize = 256
	// patience is how long what can wait is gathered.
	patience = 500 * time.Millisecond
	// aboutSize is how many requests about devices go one after the other without
	// a look at what is urgent.
	aboutSize = 64
)

// Update runs do in a transaction that holds the allocation row, and returns
// when it is durable. An error of do takes back what do wrote, and nothing
// else. do runs on the writer's goroutine: it must not block, and it may run
// although ctx ends meanwhile.
func (s *Store) Update(ctx context.Context, do func(*Writer) error) error {
	return s.submit(&update{ctx: ctx, do: do})
}

// UpdateAbout is Update for what concerns one device, such as opening a session
// for it: what is known of the devices of several that wait is read together.
func (s *Store) UpdateAbout(ctx context.Context, device string, do func(*Writer) error) error {
	return s.submit(&update{ctx: ctx, do: do, about: device})
}

// UpdateUrgent is Update ahead of everything that waits: for revocations.
func (s *Store) UpdateUrgent(ctx context.Context, do func(*Writer) error) error {
	return s.submit(&update{ctx: ctx, do: do, urgent: true})
}

// UpdatePatiently is Update for what comes often and is urgent to nobody, such as
// renewals: it waits up to half a second for others, so that they share a commit.
func (s *Store) UpdatePatiently(ctx context.Context, do func(*Writer) error) error {
	return s.submit(&update{ctx: ctx, do: do, until: time.Now().Add(patience)})
}

func (s *Store) submit(u *update) error {
	u.done = make(chan error, 1)
	if err := s.queue.put(u); err != nil {
		return err
	}
	// The answer is waited for even if ctx ends: a caller that went away
	// half-way would not know whether it was done.
	err := <-u.done
	if err != nil {
		return s.refuseUnavailable(err)
	}
	return nil
}

// Writable reports whether the last that was tried could be written.
func (s *Store) Writable() bool { return !s.unwritable.Load() }

// Waiting is how many updates wait for the next transaction.
func (s *Store) Waiting() int { return s.queue.waiting() }

// writer owns the one connection that writes.
type writer struct {
	store *Store
	pen   *ledger // nil: none at present

	// Why there is none, and since when nothing could be written.
	failure error
	since   time.Time
	again   time.Time // not before
}

// connectAgain is how long nobody tries to reach a database that was not
// reached; who comes meanwhile is refused at once.
const connectAgain = 250 * time.Millisecond

// run serves the queue until ctx ends, then answers what still waits.
func (w *writer) run(ctx context.Context) {
	defer w.drop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var due <-chan time.Time
		switch rest := w.store.queue.rest(); {
		case rest == 0:
			if first := w.store.queue.take(); first != nil {
				w.batch(context.WithoutCancel(ctx), first, batchSize)
			}
			if ctx.Err() == nil {
				continue
			}
		case rest > 0:
			timer.Reset(rest)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			w.refuseAll(ErrClosed)
			return
		case <-w.store.queue.wake:
		case <-due:
		}
	}
}

func (w *writer) refuseAll(err error) {
	for u := w.store.queue.take(); u != nil; u = w.store.queue.take() {
		u.done <- err
	}
}

// connect sees that there is a connection.
func (w *writer) connect(ctx context.Context) error {
	if w.pen != nil {
		return nil
	}
	if time.Now().Before(w.again) {
		return w.failure
	}
	p, err := w.store.engine.pen(ctx)
	if err != nil {
		w.failure, w.again = fmt.Errorf("connecting to the database: %w", err), time.Now().Add(connectAgain)
		return w.failure
	}
	w.pen = &ledger{pen: p}
	return nil
}

// drop gives a connection up.
func (w *writer) drop() {
	if w.pen == nil {
		return
	}
	_ = w.pen.close() // of no use any more, whatever it says
	w.pen = nil
}

// outcome is what a request will be told once the transaction is durable.
type outcome struct {
	u   *update
	err error
}

// batch runs first and whatever waits, up to limit, in one transaction.
func (w *writer) batch(ctx context.Context, first *update, limit int) {
	var t transaction
	err := w.begin(ctx, &t)
	if err != nil {
		w.cannot(err)
		first.done <- err
		w.refuseAll(err) // nobody has begun anything
		return
	}
	err = w.work(&t, first, limit)
	if err != nil && !w.pen.usable() {
		w.drop()
	}
	if t.late && len(t.outcomes) > 1 {
		// One of them did what the database refused only later. Alone, each is
		// told what is its own.
		for _, o := range t.outcomes {
			w.batch(ctx, o.u, 1)
		}
		return
	}
	w.note(err)
	for _, o := range t.outcomes {
		// What failed by itself says why itself; the rest shares the
		// transaction's fate.
		if o.err == nil {
			o.err = err
		}
		o.u.done <- o.err
	}
	if err == nil {
		w.store.teller.committed(t.commit, t.urgent)
	}
}

// transaction is one under way.
type transaction struct {
	tx       *Writer
	before   allocation
	began    time.Time
	outcomes []outcome
	late     bool // a statement failed after its request had been told that all is well
	urgent   bool
	commit   Commit
}

// begin starts a transaction and locks the allocation row. A connection that
// turns out to be broken is made anew, once: nothing was asked on it yet.
func (w *writer) begin(ctx context.Context, t *transaction) error {
	for fresh := w.pen == nil; ; fresh = true {
		if err := w.connect(ctx); err != nil {
			return err
		}
		err := w.lock(ctx, t)
		if err == nil {
			return nil
		}
		err = errors.Join(err, w.pen.rollback())
		if w.pen.usable() {
			return err
		}
		w.drop()
		if fresh {
			return err
		}
	}
}

func (w *writer) lock(ctx context.Context, t *transaction) error {
	w.pen.clear()
	if err := w.pen.begin(ctx); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	tx := &Writer{Reader: Reader{q: w.pen}, store: w.store}
	var err error
	if tx.alloc, err = tx.lockAllocation(w.store.engine.lock()); err != nil {
		return fmt.Errorf("locking the allocation row: %w", err)
	}
	t.tx, t.before, t.began = tx, tx.alloc, time.Now()
	tx.Now = t.began.UTC()
	return nil
}

// work runs requests and commits. After an error nothing of it is in the database.
func (w *writer) work(t *transaction, first *update, limit int) error {
	err := w.requests(t, first, limit)
	if err == nil {
		err = w.commit(t)
	}
	if err != nil {
		return errors.Join(err, w.pen.rollback())
	}
	return nil
}

func (w *writer) requests(t *transaction, first *update, limit int) error {
	for u := first; u != nil; u = w.store.queue.take() {
		group := []*update{u}
		if u.about != "" {
			group = append(group, w.store.queue.takeAbout(min(aboutSize, limit-len(t.outcomes))-1)...)
			if err := w.ahead(t, group); err != nil {
				return err
			}
		}
		for i, u := range group {
			if err := w.request(t, u); err != nil {
				for _, left := range group[i+1:] {
					t.outcomes = append(t.outcomes, outcome{u: left})
				}
				return err
			}
		}
		if len(t.outcomes) >= limit || time.Since(t.began) >= batchTime {
			break
		}
	}
	return nil
}

// ahead reads what the requests will need.
func (w *writer) ahead(t *transaction, group []*update) error {
	devices := make([]string, len(group))
	for i, u := range group {
		devices[i] = u.about
	}
	err := w.pen.ahead(devices)
	if err == nil {
		return nil
	}
	for _, u := range group {
		t.outcomes = append(t.outcomes, outcome{u: u})
	}
	t.late = w.pen.failed() != nil
	return err
}

// request runs one request. An error says that the transaction cannot go on.
func (w *writer) request(t *transaction, u *update) error {
	err := w.one(t.tx, u)
	t.outcomes = append(t.outcomes, outcome{u, err})
	t.urgent = t.urgent || u.urgent
	if late := w.pen.failed(); late != nil {
		t.late = true
		return late
	}
	var broken *brokenError
	if errors.As(err, &broken) {
		return err
	}
	return nil
}

func (w *writer) commit(t *transaction) error {
	if t.tx.alloc != t.before {
		if err := t.tx.saveAllocation(); err != nil {
			return fmt.Errorf("writing the allocation row: %w", err)
		}
	}
	if err := w.pen.commit(); err != nil {
		t.late = w.pen.failed() != nil
		return fmt.Errorf("committing: %w", err)
	}
	t.commit = Commit{Moved: t.tx.alloc.revision != t.before.revision, Heard: t.tx.heard}
	return nil
}

// note follows whether the database can be written, for the log.
func (w *writer) note(err error) {
	if err != nil {
		if w.store.engine.unavailable(err) {
			w.cannot(err)
		}
		return
	}
	if !w.since.IsZero() && w.pen.wrote() {
		w.store.log.Info("the database can be written again", "after", time.Since(w.since))
		w.since = time.Time{}
		w.store.unwritable.Store(false)
	}
}

// cannot notes that nothing can be written, and says so once.
func (w *writer) cannot(err error) {
	if w.since.IsZero() {
		w.since = time.Now()
		w.store.unwritable.Store(true)
		w.store.log.Error("the database cannot be written: tunnels stay up, and nothing can be changed until it can", "error", err)
	}
}

// brokenError says that the whole transaction cannot go on.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// one runs a request in a savepoint of its own.
func (w *writer) one(tx *Writer, u *update) error {
	if err := u.ctx.Err(); err != nil {
		return err // the caller has gone, and nothing was begun
	}
	before, heard := tx.alloc, tx.heard
	if err := w.pen.save(); err != nil {
		return &brokenError{fmt.Errorf("setting a savepoint: %w", err)}
	}
	err := protect(tx, u.do)
	if err == nil {
		err = tx.saveChains()
	}
	if err == nil {
		if err := w.pen.release(); err != nil {
			return &brokenError{fmt.Errorf("releasing a savepoint: %w", err)}
		}
		return nil
	}
	tx.alloc, tx.heard, tx.chains, tx.moved = before, heard, nil, nil
	if undo := w.pen.undo(); undo != nil {
		return &brokenError{errors.Join(err, undo)}
	}
	return err
}

// protect keeps a panic in one request from taking the writer down.
func protect(tx *Writer, do func(*Writer) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in an update: %v\n%s", p, debug.Stack())
		}
	}()
	return do(tx)
}
