package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/heimdraht/heimdraht/provisioner"
)

//go:embed migrations
var migrations embed.FS

// Options say where the database is.
type Options struct {
	// Path of the SQLite file; it is made if it is not there.
	Path string
	// SchemaAsIs refuses a database whose schema is not this program's
	// (ErrSchema), where it would else be brought up to date: for those who only
	// look, while an older program may be running on it.
	SchemaAsIs bool
	// Committed is called after each commit that moved the revision, with the
	// newest one, from the writer's goroutine: it must not block. Nil: nobody
	// is told.
	Committed func(revision int64)
	// Logger for what no caller can be told. Nil: slog.Default.
	Logger *slog.Logger
}

// Store is an open database. All its methods may be called by many at once.
type Store struct {
	readers *sql.DB
	viewing chan struct{} // one place for each View; preparing needs a connection besides
	writers *sql.DB
	dialect dialect
	queue   *queue
	log     *slog.Logger

	committed func(int64)

	mu    sync.Mutex
	stmts map[string]*sql.Stmt

	stop context.CancelFunc
	done chan struct{}
}

// Open opens the database, brings its schema up to date and starts the writer.
// A file that belongs to a newer version of the schema is refused.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	d := sqlite{path: o.Path}
	writers, err := d.openWriter(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", o.Path, err)
	}
	if err := migrate(ctx, writers, d, o.SchemaAsIs); err != nil {
		return nil, errors.Join(fmt.Errorf("bringing the schema of %s up to date: %w", o.Path, err), writers.Close())
	}
	readers, err := d.openReaders(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database %s for reading: %w", o.Path, err), writers.Close())
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{
		readers: readers, viewing: make(chan struct{}, concurrentViews), writers: writers, dialect: d,
		queue: newQueue(), log: o.Logger, committed: o.Committed,
		stmts: make(map[string]*sql.Stmt), stop: stop, done: make(chan struct{}),
	}
	if s.committed == nil {
		s.committed = func(int64) {}
	}
	w, err := s.newWriter(ctx)
	if err != nil {
		stop()
		return nil, errors.Join(err, readers.Close(), writers.Close())
	}
	go func() {
		defer close(s.done)
		w.run(ctx)
	}()
	if err := s.Update(ctx, func(tx *Writer) error { return tx.ensureAllocation() }); err != nil {
		return nil, errors.Join(fmt.Errorf("making the allocation row: %w", err), s.Close())
	}
	return s, nil
}

// Close ends the writer after the transaction under way and closes the
// database. Updates that still wait get ErrClosed. Idempotent.
func (s *Store) Close() error {
	s.queue.close()
	s.stop()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for q, st := range s.stmts {
		errs = append(errs, st.Close())
		delete(s.stmts, q)
	}
	return errors.Join(append(errs, s.readers.Close(), s.writers.Close())...)
}

// ErrClosed is returned by updates that come or wait when the store closes.
var ErrClosed = errors.New("the database is closed")

// View reads one consistent state. It always rolls back.
func (s *Store) View(ctx context.Context, read func(*Reader) error) error {
	select {
	case s.viewing <- struct{}{}:
		defer func() { <-s.viewing }()
	case <-ctx.Done():
		return fmt.Errorf("waiting to read: %w", ctx.Err())
	}
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("beginning to read: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return read(&Reader{q: pooled{ctx: ctx, tx: tx, store: s}})
}

// Read is View for a function that gives a value.
func Read[T any](ctx context.Context, s *Store, read func(*Reader) (T, error)) (T, error) {
	var v T
	err := s.View(ctx, func(tx *Reader) (err error) {
		v, err = read(tx)
		return err
	})
	return v, err
}

// prepared gives the statement of a query, prepared once for all readers. It
// needs a connection of its own while those who view hold theirs and wait for
// it: one at a time, so one more than there are views suffices.
func (s *Store) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.stmts[query]; ok {
		return st, nil
	}
	st, err := s.readers.PrepareContext(ctx, query) //nolint:sqlclosecheck // kept for the next time; Close closes them all
	if err == nil {
		s.stmts[query] = st
	}
	return st, err
}

// ErrSchema says that the database has the schema of another version of the
// program.
var ErrSchema = errors.New("the schema is of another version of the program")

func migrate(ctx context.Context, db *sql.DB, d dialect, asIs bool) error {
	dir, err := fs.Sub(migrations, "migrations/"+d.name())
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(d.goose(), db, dir)
	if err != nil {
		return err
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("%w: the database has version %d, this program knows %d: run the newer program", ErrSchema, current, target)
	}
	if asIs && current < target {
		return fmt.Errorf("%w: the database has version %d, this program knows %d: heimdrahtd run brings it up to date", ErrSchema, current, target)
	}
	_, err = p.Up(ctx)
	return err
}

// refuseUnique turns a violated uniqueness rule into a refusal.
func (s *Store) refuseUnique(err error, code provisioner.Code) error {
	if s.dialect.isUnique(err) {
		return provisioner.Refuse(code).Because(err)
	}
	return err
}
