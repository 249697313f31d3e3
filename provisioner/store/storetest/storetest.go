// Package storetest gives tests new databases that have the schema already.
//
// What always holds: nothing is in one, not even what the store's first opening
// draws (epoch, instance): it is as if a migration had just ended. The schema is
// that of the program under test, made once in a test binary by the store
// itself and then copied, because making it takes longer than most tests.
//
// Not its business: tests of the migrations, and of a database that is empty.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/store"
)

// SQLite gives a new database, in a directory that ends with the test.
func SQLite(t testing.TB) store.Options {
	t.Helper()
	return store.Options{Database: File(t, filepath.Join(t.TempDir(), "db"))}
}

// File makes a new database of SQLite in a file, and returns the file's name.
func File(t testing.TB, name string) string {
	t.Helper()
	b, err := template()
	if err != nil {
		t.Fatal("making a database: ", err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal("making a database: ", err)
	}
	return name
}

//nolint:gochecknoglobals // one of a test binary; tests that know nothing of each other copy it
var template = sync.OnceValues(func() (b []byte, err error) {
	dir, err := os.MkdirTemp("", "heimdraht-sqlite-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	name := filepath.Join(dir, "db")
	db, err := sql.Open("sqlite", name) // the driver is the store's
	if err != nil {
		return nil, err
	}
	if err := empty(store.Options{Database: name}, db); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
})

// empty makes the schema, and takes away what the opening has written.
func empty(o store.Options, db *sql.DB) (err error) {
	defer func() { err = errors.Join(err, db.Close()) }()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := store.Open(context.Background(), o)
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	_, err = db.ExecContext(context.Background(), `delete from allocation`)
	return err
}
