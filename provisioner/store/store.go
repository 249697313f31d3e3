package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Options say where the database is.
type Options struct {
	// Database is the path of an SQLite file, which is made if it is not there,
	// or the DSN of a PostgreSQL database: postgres://USER@HOST/NAME.
	Database string
	// Password for PostgreSQL. Empty: what the DSN or libpq's own files say.
	Password string
	// Existing refuses an empty database (ErrEmpty), which would else be made one
	// of ours.
	Existing bool
	// SchemaAsIs refuses a database whose schema is not this program's
	// (ErrSchema), where it would else be brought up to date: for those who only
	// look, while an older program may be running on it.
	SchemaAsIs bool
	// Changed is called after each commit that others may wait for, of this
	// process or of another one on the same database. It must not block. Nil:
	// nobody is told.
	Changed func(Commit)
	// Asked is told each statement before it runs, of views and of the writer: what one
	// asks tells how much something costs, whatever else the machine does. It must not
	// block. Nil: nobody is told.
	Asked func(statement string)
	// Logger for what no caller can be told. Nil: slog.Default.
	Logger *slog.Logger

	// schema of PostgreSQL. Empty: what the DSN and the server say, by default
	// `public`. A restore prepares its database in another one.
	schema string
	// lockTime is how long a lock of SQLite's is waited for. Zero: lockTime.
	lockTime time.Duration
}

// lockTime is how long another process may keep an SQLite file.
const lockTime = 10 * time.Second

// Store is an open database. All its methods may be called by many at once.
type Store struct {
	engine  engine
	queue   *queue
	log     *slog.Logger
	changed func(Commit)
	replica string
	teller  *teller

	unwritable atomic.Bool

	stop context.CancelFunc
	done []chan struct{}
}

// Open opens the database, brings its schema up to date and starts the writer.
// A database whose schema is too new for this program is refused.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Changed == nil {
		o.Changed = func(Commit) {}
	}
	e, err := openEngine(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", nameOf(o.Database), err)
	}
	if err := e.migrate(ctx, allowed{make: !o.Existing, change: !o.SchemaAsIs}); err != nil {
		return nil, errors.Join(fmt.Errorf("bringing the schema of %s up to date: %w", nameOf(o.Database), err), e.close())
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{
		engine: e, queue: newQueue(), log: o.Logger, changed: o.Changed, replica: provisioner.NewID(), stop: stop,
	}
	s.teller = newTeller(s)
	for _, run := range []func(context.Context){(&writer{store: s}).run, s.teller.run, s.follow} {
		done := make(chan struct{})
		s.done = append(s.done, done)
		go func() {
			defer close(done)
			run(ctx)
		}()
	}
	if err := s.Update(ctx, func(tx *Writer) error { return tx.ensureAllocation() }); err != nil {
		return nil, errors.Join(fmt.Errorf("making the allocation row: %w", err), s.Close())
	}
	return s, nil
}

func openEngine(ctx context.Context, o Options) (engine, error) {
	if o.Asked == nil {
		o.Asked = func(string) {}
	}
	if isPostgres(o.Database) {
		return openPostgres(ctx, o)
	}
	return openSQLite(ctx, o)
}

// Close ends the writer after the transaction under way and closes the
// database. Updates that still wait get ErrClosed. Idempotent.
func (s *Store) Close() error {
	s.queue.close()
	s.stop()
	for _, done := range s.done {
		<-done
	}
	return s.engine.close()
}

// ErrClosed is returned by updates that come or wait when the store closes.
var ErrClosed = errors.New("the database is closed")

// Replica names this process among those on the same database. It is drawn
// anew at each start.
func (s *Store) Replica() string { return s.replica }

// View reads one consistent state. It always rolls back.
func (s *Store) View(ctx context.Context, read func(*Reader) error) error {
	err := s.engine.view(ctx, func(q querier) error { return read(&Reader{q: q}) })
	if err != nil && ctx.Err() == nil {
		return s.refuseUnavailable(err)
	}
	return err
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

// refuseUnique turns a violated uniqueness rule into a refusal.
func (s *Store) refuseUnique(err error, code provisioner.Code) error {
	if s.engine.isUnique(err) {
		return provisioner.Refuse(code).Because(err)
	}
	return err
}

// retryUnavailable is when a caller may try again.
const retryUnavailable = 5 * time.Second

// refuseUnavailable turns what keeps us from the database into a refusal: the
// person can wait. The log tells the operator, who can do more.
func (s *Store) refuseUnavailable(err error) error {
	if _, already := provisioner.AsRefusal(err); already || !s.engine.unavailable(err) {
		return err
	}
	return provisioner.Refuse(provisioner.CodeDatabaseUnavailable).Because(err).After(retryUnavailable)
}
