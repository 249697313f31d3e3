package store

import (
	"context"
	"testing"
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
