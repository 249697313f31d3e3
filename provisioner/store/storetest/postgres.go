//go:build unix

package storetest

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

// Postgres gives a new database on the test binary's server, which
// postgrestest.Main ends.
func Postgres(t testing.TB) store.Options {
	t.Helper()
	d := postgrestest.NewLike(t, func(d postgrestest.Database) error {
		c, err := pgx.ParseConfig(d.DSN)
		if err != nil {
			return err
		}
		c.Password = d.Password
		return empty(store.Options{Database: d.DSN, Password: d.Password}, stdlib.OpenDB(*c))
	})
	return store.Options{Database: d.DSN, Password: d.Password}
}
