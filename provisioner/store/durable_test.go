package store

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

// TestAnAnswerIsOnTheDisk holds the settings by which a commit waits for the disk:
// that they are missing shows only when a machine loses its power.
func TestAnAnswerIsOnTheDisk(t *testing.T) {
	d := postgrestest.New(t)
	for _, c := range []struct{ name, database, password, ask, want string }{
		{"sqlite", filepath.Join(t.TempDir(), "db"), "", "select case synchronous when 2 then 'full' else 'less' end from pragma_synchronous", "full"},
		{"postgres", d.DSN, d.Password, "show synchronous_commit", "on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(context.Background(), Options{Database: c.database, Password: c.password})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			var got string
			if err := s.Update(context.Background(), func(tx *Writer) (err error) {
				got, err = one(tx.q, value[string], c.ask)
				return err
			}); err != nil || got != c.want {
				t.Errorf("commits are written %q: %v", got, err)
			}
		})
	}
}

// TestWhatIsToBeWaitedFor holds that a lock which is not had in time reads as the
// database's state, and a mistake in a statement does not.
func TestWhatIsToBeWaitedFor(t *testing.T) {
	d := postgrestest.New(t)
	o := Options{Database: d.DSN, Password: d.Password}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for query, want := range map[string]bool{
		"do $$ begin raise exception sqlstate '55P03'; end $$": true,
		"do $$ begin raise exception sqlstate '25006'; end $$": true,
		"select 1 from no_such_table":                          false,
	} {
		err := s.Update(context.Background(), func(tx *Writer) error { return run(tx.q, query) })
		if got := s.engine.unavailable(err); err == nil || got != want {
			t.Errorf("%s: %v, to be waited for: %v", query, err, got)
		}
	}
}
