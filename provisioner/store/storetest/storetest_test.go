//go:build unix

package storetest_test

import (
	"log/slog"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// Two databases have nothing in common but the schema: gateways tell them apart by what the store draws at the first opening.
func TestEachBeginsAnew(t *testing.T) {
	for name, database := range map[string]func(testing.TB) store.Options{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			one, two := begun(t, database(t)), begun(t, database(t))
			if one.Epoch == two.Epoch || one.Revision != 0 || two.Revision != 0 {
				t.Errorf("they begin at %+v and %+v", one, two)
			}
		})
	}
}

func begun(t *testing.T, o store.Options) store.Position {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := store.Read(t.Context(), s, (*store.Reader).Position)
	if err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return p
}
