package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/pressly/goose/v3"
	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dialect is what differs between engines. Everything else is one SQL text:
// $n placeholders in order of appearance, `on conflict`, `returning`.
type dialect interface {
	name() string
	goose() goose.Dialect
	openWriter(context.Context) (*sql.DB, error)
	openReaders(context.Context) (*sql.DB, error)
	// begin starts the writer's transaction; lock is added to the query that
	// reads the allocation row.
	begin() string
	lock() string
	isUnique(error) bool
}

// concurrentViews is how many views run at once. Reads are short and the cores
// are few; more connections only cost memory.
const concurrentViews = 8

type sqlite struct{ path string }

func (sqlite) name() string         { return "sqlite" }
func (sqlite) goose() goose.Dialect { return goose.DialectSQLite3 }
func (sqlite) begin() string        { return "begin immediate" }
func (sqlite) lock() string         { return "" } // begin immediate has locked everything

func (d sqlite) openWriter(ctx context.Context) (*sql.DB, error) {
	// Made here, so that nobody else can read it; SQLite gives its other files
	// the same mode.
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return d.open(ctx, 1, "synchronous(FULL)", "foreign_keys(ON)", "journal_mode(WAL)")
}

func (d sqlite) openReaders(ctx context.Context) (*sql.DB, error) {
	return d.open(ctx, concurrentViews+1, "query_only(ON)")
}

func (d sqlite) open(ctx context.Context, connections int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "temp_store(MEMORY)", "cache_size(-32000)"}, pragmas...)}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: d.path}).EscapedPath()+"?"+q.Encode())
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

func (sqlite) isUnique(err error) bool {
	var e *sqlitedriver.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}
