package store_test

import (
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

// Before PostgreSQL has statistics, an open session is found by its device and
// by nothing else, and no query is compiled: either took longer than all the
// rest of an opening or a revocation.
func TestPostgresPlansWithoutStatistics(t *testing.T) {
	t.Parallel()
	d := postgrestest.New(t)
	o := store.Options{Database: d.DSN, Password: d.Password}
	open(t, o) // makes the tables
	one, several := store.Plans(t, o)
	for _, plan := range []string{one, several} {
		if !strings.Contains(plan, "session_of_device") || strings.Contains(plan, "Filter: (device") {
			t.Errorf("open sessions are looked for so:\n%s", plan)
		}
	}
	if jit := store.Setting(t, o, "jit"); jit != "off" {
		t.Errorf("compiling of queries is %s", jit)
	}
}
