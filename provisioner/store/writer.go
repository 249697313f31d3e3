package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// How much one transaction takes in. 20 ms is what a revocation may have to
// wait for work that began before it.
const (
	batchTime = 20 * time.Millisecond
	batchSize = 256
)

// update is one waiting request.
type update struct {
	ctx  context.Context
	do   func(*Writer) error
	done chan error // buffered: the writer never waits for a caller
}

// queue holds what waits; urgent goes first.
type queue struct {
	mu     sync.Mutex
	urgent []*update
	normal []*update
	closed bool
	wake   chan struct{} // buffered by one
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) put(u *update, urgent bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	if urgent {
		q.urgent = append(q.urgent, u)
	} else {
		q.normal = append(q.normal, u)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// take gives the next request, or nil.
func (q *queue) take() *update {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, line := range []*[]*update{&q.urgent, &q.normal} {
		if len(*line) > 0 {
			u := (*line)[0]
			(*line)[0] = nil
			*line = (*line)[1:]
			return u
		}
	}
	return nil
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.urgent) + len(q.normal)
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// Update runs do in a transaction that holds the allocation row, and returns
// when it is durable. An error of do takes back what do wrote, and nothing
// else. do runs on the writer's goroutine: it must not block, and it may run
// although ctx ends meanwhile.
func (s *Store) Update(ctx context.Context, do func(*Writer) error) error {
	return s.submit(ctx, do, false)
}

// UpdateUrgent is Update ahead of everything that waits: for revocations.
func (s *Store) UpdateUrgent(ctx context.Context, do func(*Writer) error) error {
	return s.submit(ctx, do, true)
}

func (s *Store) submit(ctx context.Context, do func(*Writer) error, urgent bool) error {
	u := &update{ctx: ctx, do: do, done: make(chan error, 1)}
	if err := s.queue.put(u, urgent); err != nil {
		return err
	}
	// The answer is waited for even if ctx ends: a caller that went away
	// half-way would not know whether it was done.
	return <-u.done
}

// Waiting is how many updates wait for the next transaction.
func (s *Store) Waiting() int { return s.queue.waiting() }

// writer owns the one connection that writes.
type writer struct {
	store *Store
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func (s *Store) newWriter(ctx context.Context) (*writer, error) {
	conn, err := s.writers.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("taking the writer's connection: %w", err)
	}
	return &writer{store: s, conn: conn, stmts: make(map[string]*sql.Stmt)}, nil
}

// run serves the queue until ctx ends, then answers what still waits.
func (w *writer) run(ctx context.Context) {
	defer func() {
		for _, st := range w.stmts {
			_ = st.Close() // the connection closes with it
		}
		_ = w.conn.Close()
	}()
	for {
		select {
		case <-ctx.Done():
			for u := w.store.queue.take(); u != nil; u = w.store.queue.take() {
				u.done <- ErrClosed
			}
			return
		case <-w.store.queue.wake:
		}
		for {
			first := w.store.queue.take()
			if first == nil {
				break
			}
			w.batch(context.WithoutCancel(ctx), first)
			if ctx.Err() != nil {
				break
			}
		}
	}
}

// outcome is what a request will be told once the transaction is durable.
type outcome struct {
	u   *update
	err error
}

// batch runs first and whatever waits in one transaction.
func (w *writer) batch(ctx context.Context, first *update) {
	var outcomes []outcome
	revision, err := w.transaction(ctx, first, &outcomes)
	for _, o := range outcomes {
		// What failed by itself says why itself; the rest shares the
		// transaction's fate.
		if o.err == nil {
			o.err = err
		}
		o.u.done <- o.err
	}
	if err == nil && revision > 0 {
		w.store.committed(revision)
	}
}

// transaction gives the new revision, or 0 if it did not move.
func (w *writer) transaction(ctx context.Context, first *update, outcomes *[]outcome) (moved int64, err error) {
	q := pinned{ctx: ctx, conn: w.conn, stmts: w.stmts}
	began := time.Now()
	if err := run(q, w.store.dialect.begin()); err != nil {
		*outcomes = append(*outcomes, outcome{u: first})
		return 0, fmt.Errorf("beginning a transaction: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, run(q, "rollback"))
		}
	}()
	tx := &Writer{Reader: Reader{q: q}, Now: began.UTC(), store: w.store}
	if tx.alloc, err = tx.lockAllocation(w.store.dialect.lock()); err != nil {
		*outcomes = append(*outcomes, outcome{u: first})
		return 0, fmt.Errorf("locking the allocation row: %w", err)
	}
	before := tx.alloc
	for u := first; u != nil; {
		err := w.one(tx, u)
		*outcomes = append(*outcomes, outcome{u, err})
		var broken *brokenError
		if errors.As(err, &broken) {
			return 0, err
		}
		if len(*outcomes) >= batchSize || time.Since(began) >= batchTime {
			break
		}
		u = w.store.queue.take()
	}
	if tx.alloc == before {
		return 0, run(q, "commit")
	}
	if err := tx.saveAllocation(); err != nil {
		return 0, fmt.Errorf("writing the allocation row: %w", err)
	}
	if err := run(q, "commit"); err != nil {
		return 0, fmt.Errorf("committing: %w", err)
	}
	if tx.alloc.revision == before.revision {
		return 0, nil
	}
	return tx.alloc.revision, nil
}

// brokenError says that the whole transaction cannot go on.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// one runs a request in a savepoint of its own.
func (w *writer) one(tx *Writer, u *update) error {
	if err := u.ctx.Err(); err != nil {
		return err // the caller has gone, and nothing was begun
	}
	before := tx.alloc
	if err := run(tx.q, "savepoint request"); err != nil {
		return &brokenError{fmt.Errorf("setting a savepoint: %w", err)}
	}
	err := protect(tx, u.do)
	if err == nil {
		if err := run(tx.q, "release request"); err != nil {
			return &brokenError{fmt.Errorf("releasing a savepoint: %w", err)}
		}
		return nil
	}
	tx.alloc = before
	if undo := errors.Join(run(tx.q, "rollback to request"), run(tx.q, "release request")); undo != nil {
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
