package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// querier runs prepared statements: on a reader's transaction, or on the
// writer's own connection.
type querier interface {
	query(query string, args ...any) (*sql.Rows, error)
	exec(query string, args ...any) (sql.Result, error)
}

// pooled runs on one of the readers.
type pooled struct {
	ctx   context.Context
	tx    *sql.Tx
	store *Store
}

func (p pooled) query(query string, args ...any) (*sql.Rows, error) {
	st, err := p.store.prepared(p.ctx, query)
	if err != nil {
		return nil, err
	}
	return p.tx.StmtContext(p.ctx, st).QueryContext(p.ctx, args...) //nolint:sqlclosecheck // one and all close them; the transaction closes the statement
}

func (pooled) exec(string, ...any) (sql.Result, error) {
	return nil, errors.New("a reader does not write")
}

// pinned runs on the writer's connection and keeps its statements.
type pinned struct {
	ctx   context.Context
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func (p pinned) prepare(query string) (*sql.Stmt, error) {
	if st, ok := p.stmts[query]; ok {
		return st, nil
	}
	st, err := p.conn.PrepareContext(p.ctx, query)
	if err == nil {
		p.stmts[query] = st
	}
	return st, err
}

func (p pinned) query(query string, args ...any) (*sql.Rows, error) {
	st, err := p.prepare(query) //nolint:sqlclosecheck // kept for the next time; the writer closes them all
	if err != nil {
		return nil, err
	}
	return st.QueryContext(p.ctx, args...)
}

func (p pinned) exec(query string, args ...any) (sql.Result, error) {
	st, err := p.prepare(query) //nolint:sqlclosecheck // kept for the next time; the writer closes them all
	if err != nil {
		return nil, err
	}
	return st.ExecContext(p.ctx, args...)
}

// Reader reads. It is valid only inside the function it was given to.
type Reader struct{ q querier }

// Writer reads and writes. It is valid only inside the function it was given
// to, which runs on the writer's goroutine and must not wait for anything.
type Writer struct {
	Reader
	// Now is the time of the transaction.
	Now time.Time

	store *Store
	alloc allocation
}

// ErrNone says that the row asked for is not there.
var ErrNone = errors.New("no such row")

// scanner is the half of sql.Rows that reads one row.
type scanner interface{ Scan(...any) error }

// one reads exactly one row; ErrNone if there is none.
func one[T any](q querier, scan func(scanner) (T, error), query string, args ...any) (v T, err error) {
	rows, err := q.query(query, args...)
	if err != nil {
		return v, err
	}
	defer closing(rows, &err)
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return v, err
		}
		return v, ErrNone
	}
	return scan(rows)
}

// all reads every row.
func all[T any](q querier, scan func(scanner) (T, error), query string, args ...any) (list []T, err error) {
	rows, err := q.query(query, args...)
	if err != nil {
		return nil, err
	}
	defer closing(rows, &err)
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// closing closes rows and keeps what went wrong with it.
func closing(rows *sql.Rows, err *error) {
	if e := rows.Close(); e != nil {
		*err = errors.Join(*err, e)
	}
}

// value scans a row of one column.
func value[T any](s scanner) (v T, err error) { err = s.Scan(&v); return v, err }

// changed runs a statement and gives the number of rows it touched.
func changed(q querier, query string, args ...any) (int64, error) {
	res, err := q.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// run runs a statement whose number of rows does not matter.
func run(q querier, query string, args ...any) error {
	_, err := q.exec(query, args...)
	return err
}

// ms is a time as it is stored; the zero time is 0.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at is a stored time; 0 is the zero time.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

func fromJSON(s string, v any) error {
	if err := json.Unmarshal([]byte(s), v); err != nil {
		return fmt.Errorf("reading a stored declaration: %w", err)
	}
	return nil
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
