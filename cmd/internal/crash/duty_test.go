//go:build linux

package crash_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testprocess"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

// passwordVariable holds the database's password for roleDuty.
const passwordVariable = "HEIMDRAHT_CRASH_PASSWORD"

const (
	dutyName = "test"
	// takeover is how long a duty may be nobody's.
	takeover = 5 * time.Second
)

// beDuty is a replica that does nothing but a duty, which leaves a trace of each
// thing it does: a change with its own name, in commit order.
func beDuty(dsn, password string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := store.Open(context.Background(), store.Options{Database: dsn, Password: password, Logger: log})
	if err != nil {
		return err
	}
	// From here on it looks for the duty: a trace tells the test.
	if err := s.Update(context.Background(), func(tx *store.Writer) error {
		_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeGateway, Device: s.Replica()})
		return err
	}); err != nil {
		return err
	}
	return s.Hold(context.Background(), dutyName, func(ctx context.Context, d *store.Duty) error {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			err := d.Update(ctx, func(tx *store.Writer) error {
				_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeGateway, Gateway: s.Replica()})
				return err
			})
			if err != nil && !errors.Is(err, store.ErrDutyLost) {
				log.Error("working", "error", err)
			}
		}
	})
}

// row of a duty.
type dutyRow struct {
	holder      string
	fence, beat int64
}

func (b *books) duty(name string) (row dutyRow) {
	b.t.Helper()
	for _, row = range list(b.t, b.db, func(r *sql.Rows) (d dutyRow, err error) { err = r.Scan(&d.holder, &d.fence, &d.beat); return d, err },
		`select holder, fence, beat from duty where name = $1`, name) {
	}
	return row
}

// taken waits until somebody else has a duty, and fails if that takes too long.
func (b *books) taken(name string, from dutyRow) (row dutyRow) {
	b.t.Helper()
	began := time.Now()
	eventually(b.t, "the duty "+name+" is taken over", time.Minute, func() error {
		if row = b.duty(name); row.holder == from.holder || row.holder == "" {
			return fmt.Errorf("%+v", row)
		}
		return nil
	})
	if after := time.Since(began); from.holder == "" {
		return row // nobody had it
	} else if after > takeover {
		b.t.Errorf("the duty %s was taken over after %v", name, after)
	} else {
		b.t.Logf("the duty %s was taken over after %v", name, after.Round(time.Millisecond))
	}
	return row
}

// TestAStoppedHolderDoesNothingMore stops a replica in the midst of what it does
// in a duty's name. Another one takes over; when the first goes on, it believes
// for a moment that it still has the duty, and nothing of what it does then
// counts. It is of use again: it takes over when the other one is killed.
func TestAStoppedHolderDoesNothingMore(t *testing.T) {
	d := postgrestest.New(t)
	start := func() *testprocess.Process {
		self, err := os.Executable()
		must(t, "finding the test's binary", err)
		cmd := exec.Command(self, d.DSN)
		cmd.Env = append(os.Environ(), roleVariable+"="+roleDuty, passwordVariable+"="+d.Password, "GORACE=atexit_sleep_ms=0")
		p, err := testprocess.Start(cmd)
		must(t, "starting a replica", err)
		t.Cleanup(p.Kill)
		return p
	}
	first := start()
	b := openBooksOn(t, d)
	worked := func(replica string, more int64) {
		t.Helper()
		count := func() int64 { return value[int64](t, b.db, `select count(*) from change where gateway = $1`, replica) }
		before := count()
		eventually(t, "the replica works", time.Minute, func() error {
			if n := count() - before; n < more {
				return fmt.Errorf("%d of %d things done", n, more)
			}
			return nil
		})
	}
	eventually(t, "the tables are made", time.Minute, func() error {
		var n int64
		return b.db.QueryRowContext(t.Context(), `select count(*) from duty`).Scan(&n)
	})
	one := b.taken(dutyName, dutyRow{})
	worked(one.holder, 20)
	second := start()
	eventually(t, "the second replica looks for the duty", time.Minute, func() error {
		if n := value[int64](t, b.db, `select count(*) from change where device <> ''`); n < 2 {
			return fmt.Errorf("%d replicas do", n)
		}
		return nil
	})
	must(t, "stopping the holder", first.Pause(t.Context()))
	two := b.taken(dutyName, one)
	worked(two.holder, 20)
	must(t, "letting it go on", first.Resume())
	worked(two.holder, 200)
	if now := b.duty(dutyName); now.holder != two.holder || now.fence != two.fence {
		t.Errorf("the duty went from %+v to %+v", two, now)
	}
	after := list(t, b.db, func(r *sql.Rows) (n int64, err error) { err = r.Scan(&n); return n, err },
		`select revision from change where gateway = $1 and revision > (select min(revision) from change where gateway = $2)`, one.holder, two.holder)
	if len(after) > 0 {
		t.Errorf("after another had taken over, the stopped one still did something, in the revisions %v", after)
	}
	second.Kill()
	three := b.taken(dutyName, two)
	worked(three.holder, 20)
	if three.holder != one.holder || three.fence <= two.fence {
		t.Errorf("after %+v, %+v: the duty is not that of the one that was stopped: %+v", one, two, three)
	}
}

func openBooksOn(t testing.TB, d postgrestest.Database) *books {
	t.Helper()
	return openBooks(t, nil, database{name: "postgres", dsn: d.DSN, password: d.Password})
}
