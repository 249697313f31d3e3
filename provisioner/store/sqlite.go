package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// concurrentViews is how many views run at once. Reads are short and the cores
// are few; more connections only cost memory.
const concurrentViews = 8

const (
	// Every so many commits, what they wrote is moved from the write-ahead log into the
	// database beside the writer, which would spend a tenth of its time on that.
	checkpointEvery = 64
	// While commits follow each other without a pause, the log never begins anew that way;
	// with so many pages (of 4 KiB) in it the writer moves the rest itself.
	checkpointPages = 16_000
)

// sqlite is the engine within the process.
type sqlite struct {
	asked   func(statement string)
	writers *sql.DB
	readers *sql.DB
	viewing chan struct{} // one place for each view; preparing needs a connection besides

	checkpoints *sql.DB
	commits     atomic.Int64
	due         chan struct{} // a checkpoint
	stop        func()        // has checkpoint end
	ended       chan struct{} // closed when it has

	mu    sync.Mutex
	stmts map[string]*sql.Stmt // of the readers
}

func openSQLite(ctx context.Context, o Options) (*sqlite, error) {
	path, patience := o.Database, cmp.Or(o.lockTime, lockTime)
	// Made here, so that nobody else can read it; SQLite gives its other files
	// the same mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	writers, err := openFile(ctx, path, patience, 1, "synchronous(FULL)", "foreign_keys(ON)", "journal_mode(WAL)",
		fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages))
	if err != nil {
		return nil, err
	}
	readers, err := openFile(ctx, path, patience, concurrentViews+1, "query_only(ON)")
	if err != nil {
		return nil, errors.Join(err, writers.Close())
	}
	checkpoints, err := openFile(ctx, path, patience, 1)
	if err != nil {
		return nil, errors.Join(err, readers.Close(), writers.Close())
	}
	e := &sqlite{
		asked: o.Asked, writers: writers, readers: readers, checkpoints: checkpoints, viewing: make(chan struct{}, concurrentViews), stmts: make(map[string]*sql.Stmt),
		due: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	go e.checkpoint(running)
	return e, nil
}

// checkpoint moves what was committed into the database, until ctx ends. What it could
// not move is moved the next time, or by the writer.
func (e *sqlite) checkpoint(ctx context.Context) {
	defer close(e.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.due:
			_, _ = e.checkpoints.ExecContext(ctx, "pragma wal_checkpoint(passive)")
		}
	}
}

// committed counts a commit.
func (e *sqlite) committed() {
	if e.commits.Add(1)%checkpointEvery > 0 {
		return
	}
	select {
	case e.due <- struct{}{}:
	default: // one is under way, and another one waits
	}
}

func openFile(ctx context.Context, path string, patience time.Duration, connections int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()), "temp_store(MEMORY)", "cache_size(-32000)"}, pragmas...)}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("first contact: %w", err), db.Close())
	}
	return db, nil
}

func (*sqlite) lock() string { return "" } // begin immediate has locked everything

func (e *sqlite) migrate(ctx context.Context, may allowed) error {
	return migrate(ctx, e.writers, goose.DialectSQLite3, "migrations/sqlite", may)
}

func (*sqlite) isUnique(err error) bool {
	var e *sqlitedriver.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// unavailable: a disk that is full, read-only or broken, and a file that
// somebody else holds.
func (*sqlite) unavailable(err error) bool {
	var e *sqlitedriver.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff { // the extended codes refine these
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return true
	}
	return false
}

// Nobody else writes: a lock beside the database keeps other processes off it.
func (*sqlite) follow(ctx context.Context, _ func(string)) error { <-ctx.Done(); return nil }
func (*sqlite) tell(context.Context, string) error               { return nil }

func (e *sqlite) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stop()
	<-e.ended
	errs := []error{e.checkpoints.Close()}
	for q, st := range e.stmts {
		errs = append(errs, st.Close())
		delete(e.stmts, q)
	}
	return errors.Join(append(errs, e.readers.Close(), e.writers.Close())...)
}

func (e *sqlite) view(ctx context.Context, read func(querier) error) error {
	select {
	case e.viewing <- struct{}{}:
		defer func() { <-e.viewing }()
	case <-ctx.Done():
		return fmt.Errorf("waiting to read: %w", ctx.Err())
	}
	tx, err := e.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("beginning to read: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return read(pooled{ctx: ctx, tx: tx, engine: e})
}

// prepared gives the statement of a query, prepared once for all readers. It
// needs a connection of its own while those who view hold theirs and wait for
// it: one at a time, so one more than there are views suffices.
func (e *sqlite) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	e.asked(query)
	e.mu.Lock()
	defer e.mu.Unlock()
	if st, ok := e.stmts[query]; ok {
		return st, nil
	}
	st, err := e.readers.PrepareContext(ctx, query) //nolint:sqlclosecheck // kept for the next time; close closes them all
	if err == nil {
		e.stmts[query] = st
	}
	return st, err
}

// pooled runs on one of the readers.
type pooled struct {
	ctx    context.Context
	tx     *sql.Tx
	engine *sqlite
}

func (p pooled) query(query string, args ...any) (rows, error) {
	st, err := p.engine.prepared(p.ctx, query)
	if err != nil {
		return nil, err
	}
	return p.tx.StmtContext(p.ctx, st).QueryContext(p.ctx, args...) //nolint:sqlclosecheck,rowserrcheck // one and all do both; the transaction closes the statement
}

func (pooled) exec(string, ...any) (int64, error) { return 0, errReader }
func (pooled) run(string, ...any) error           { return errReader }

var errReader = errors.New("a reader does not write")

func (e *sqlite) pen(ctx context.Context) (pen, error) {
	conn, err := e.writers.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("taking the writer's connection: %w", err)
	}
	return &pinned{ctx: ctx, engine: e, conn: conn, stmts: make(map[string]*sql.Stmt)}, nil
}

// pinned runs on the writer's connection and keeps its statements.
type pinned struct {
	ctx    context.Context
	engine *sqlite
	conn   *sql.Conn
	// changed: a statement of the present transaction changed rows.
	changed bool
	stmts   map[string]*sql.Stmt
}

func (p *pinned) prepare(query string) (*sql.Stmt, error) {
	p.engine.asked(query)
	if st, ok := p.stmts[query]; ok {
		return st, nil
	}
	st, err := p.conn.PrepareContext(p.ctx, query)
	if err == nil {
		p.stmts[query] = st
	}
	return st, err
}

func (p *pinned) query(query string, args ...any) (rows, error) {
	st, err := p.prepare(query) //nolint:sqlclosecheck // kept for the next time; close closes them all
	if err != nil {
		return nil, err
	}
	return st.QueryContext(p.ctx, args...) //nolint:rowserrcheck // one and all do
}

func (p *pinned) exec(query string, args ...any) (int64, error) {
	n, err := p.do(query, args...)
	p.changed = p.changed || n > 0
	return n, err
}

// do runs a statement. For one that changes no rows by itself the number says nothing.
func (p *pinned) do(query string, args ...any) (int64, error) {
	st, err := p.prepare(query) //nolint:sqlclosecheck // kept for the next time; close closes them all
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(p.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (p *pinned) run(query string, args ...any) error {
	_, err := p.exec(query, args...)
	return err
}

func (p *pinned) begin(ctx context.Context) error {
	p.ctx, p.changed = ctx, false
	return p.control("begin immediate")
}
func (p *pinned) commit() error {
	defer p.engine.committed()
	return p.control("commit")
}
func (p *pinned) rollback() error { return p.control("rollback") }
func (p *pinned) save() error     { return p.control("savepoint request") }
func (p *pinned) release() error  { return p.control("release request") }
func (p *pinned) undo() error {
	return errors.Join(p.control("rollback to request"), p.control("release request"))
}

// control runs a statement about the transaction itself.
func (p *pinned) control(query string) error {
	_, err := p.do(query)
	return err
}
func (*pinned) failed() error { return nil }
func (p *pinned) wrote() bool { return p.changed }
func (*pinned) usable() bool  { return true }

func (p *pinned) close() error {
	for _, st := range p.stmts {
		_ = st.Close() // the connection closes with it
	}
	return p.conn.Close()
}
