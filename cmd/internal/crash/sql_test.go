//go:build linux

package crash_test

import (
	"cmp"
	"context"
	"database/sql"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver
)

// books reads a control plane's database by SQL of its own, beside whatever runs
// on it: what the control plane's own code says of it would prove little.
type books struct {
	t  testing.TB
	db *sql.DB
}

func openBooks(t testing.TB, p *plane, on database) *books {
	t.Helper()
	var db *sql.DB
	if on.dsn == "" {
		var err error
		db, err = sql.Open("sqlite", "file:"+(&url.URL{Path: p.file()}).EscapedPath()+"?_pragma=busy_timeout(10000)")
		must(t, "opening the database", err)
	} else {
		config, err := pgx.ParseConfig(cmp.Or(on.beside, on.dsn))
		must(t, "reading the DSN", err)
		config.Password = on.password
		db = stdlib.OpenDB(*config)
	}
	t.Cleanup(func() { db.Close() })
	return &books{t: t, db: db}
}

// consistent gives what read does, of one consistent state.
func (b *books) consistent(read func(*sql.Tx)) {
	b.t.Helper()
	tx, err := b.db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
	must(b.t, "beginning to read", err)
	defer func() { _ = tx.Rollback() }() // nothing was written
	read(tx)
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// list reads rows of one shape.
func list[T any](t testing.TB, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) (all []T) {
	t.Helper()
	rows, err := q.QueryContext(context.Background(), query, args...)
	must(t, query, err)
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		must(t, query, err)
		all = append(all, v)
	}
	must(t, query, rows.Err())
	return all
}

// value reads one value of one row.
func value[T any](t testing.TB, q querier, query string, args ...any) (v T) {
	t.Helper()
	all := list(t, q, func(r *sql.Rows) (v T, err error) { err = r.Scan(&v); return v, err }, query, args...)
	if len(all) != 1 {
		t.Fatalf("%s: %d rows", query, len(all))
	}
	return all[0]
}
