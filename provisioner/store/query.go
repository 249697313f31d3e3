package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/audit"
)

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
	heard bool // a gateway's words were written
	// chains are the heads of tenants' audit logs as far as they were read.
	chains map[string]audit.Head
	moved  map[string]bool // chains that the present request has added to
}

// ErrNone says that the row asked for is not there.
var ErrNone = errors.New("no such row")

// scanner is the part of a result that reads one row.
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
func closing(rows rows, err *error) {
	if e := rows.Close(); e != nil {
		*err = errors.Join(*err, e)
	}
}

// value scans a row of one column.
func value[T any](s scanner) (v T, err error) { err = s.Scan(&v); return v, err }

// changed runs a statement and gives the number of rows it touched.
func changed(q querier, query string, args ...any) (int64, error) { return q.exec(query, args...) }

// run runs a statement whose number of rows does not matter, nor its error
// before the end of the transaction.
func run(q querier, query string, args ...any) error { return q.run(query, args...) }

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
