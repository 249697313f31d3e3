package store

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Exec runs a statement past the store, as another version of the program might.
func Exec(t *testing.T, o Options, query string, args ...any) {
	t.Helper()
	e, err := openEngine(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.close() }()
	p, err := e.pen(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }()
	if err := p.begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.exec(query, args...); err != nil {
		t.Fatal(err)
	}
	if err := p.commit(); err != nil {
		t.Fatal(err)
	}
}

// ToolProblem says why a program of PostgreSQL's in one of the places cannot be
// used for a database; nil: it can.
func ToolProblem(ctx context.Context, name string, places []string, o Options) error {
	t, err := findTool(ctx, name, places)
	if err != nil {
		return err
	}
	conn, err := connectTools(ctx, o, "test")
	if err != nil {
		return err
	}
	return errors.Join(t.newEnough(conn), conn.Close(ctx))
}

// ToolEnvironment is how a program of PostgreSQL's is told where the database is.
func ToolEnvironment(o Options) ([]string, error) { return toolEnvironment(o) }

// Connect makes a connection that looks like a replica's and shares no lock.
func Connect(t *testing.T, o Options) (end func()) {
	t.Helper()
	conn, err := connectTools(context.Background(), o, applicationName)
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = conn.Close(context.Background()) }
}

// Impatient waits for no lock of SQLite's: a test plays an outage with one, on a
// clock of its own that SQLite would not wait by.
func Impatient(o Options) Options {
	o.lockTime = time.Millisecond
	return o
}
