package entitlement_test

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

// lent is a directory that is always the same.
type lent struct{ directory.Directory }

func (l lent) Use(_ provisioner.Directory, use func(directory.Directory) error) error {
	return use(l.Directory)
}

// city is a store that follows a real slapd with everybody in a group that somebody asks for.
type city struct {
	tb     testing.TB
	slapd  *slapdtest.Server
	ldap   directory.Directory
	store  *store.Store
	rights *entitlement.Service
	log    *logged
}

const outsideGroup = "cn=Innendienst," + slapdtest.GroupsBase

func startCity(tb testing.TB, people int) *slapdtest.Server {
	tb.Helper()
	return slapdtest.Start(tb, slapdtest.Options{People: people, Sync: true, SizeLimit: slapdtest.Unlimited, MemberOf: true})
}

func newCity(tb testing.TB, slapd *slapdtest.Server, o store.Options) *city {
	tb.Helper()
	d, err := ldap.New(slapd.Configuration(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = d.Close() })
	s, err := store.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	c := &city{tb: tb, slapd: slapd, ldap: d, store: s, log: new(logged)}
	c.rights = entitlement.New(entitlement.Options{
		Store: s, Directories: lent{d}, Logger: slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug})), RestAtMost: 500 * time.Millisecond,
	})
	if err := s.Update(tb.Context(), func(tx *store.Writer) error {
		if err := tx.PutDirectory(provisioner.Directory{Name: "stadt", Servers: []string{slapd.LDAPS}, Base: slapdtest.PeopleBase}); err != nil {
			return err
		}
		return tx.PutTenant(provisioner.Tenant{
			Name: "stadt", Directory: "stadt", StaffGroup: slapdtest.StaffGroup, Roles: provisioner.RoleGroups{Helpdesk: outsideGroup},
			Policy: provisioner.DefaultPolicy(),
		})
	}); err != nil {
		tb.Fatal(err)
	}
	return c
}

// follow runs the service until the returned function is called.
func (c *city) follow() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background()) // ends in the cleanup, which the test's context does not reach
	done := make(chan error, 1)
	go func() { done <- c.rights.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			c.tb.Error(err)
		}
	})
	c.tb.Cleanup(stop)
	return stop
}

func (c *city) status() entitlement.Status {
	c.tb.Helper()
	list, err := c.rights.Status(context.Background(), operator)
	if err != nil || len(list) != 1 {
		c.tb.Fatalf("status %v, %v", list, err)
	}
	return list[0]
}

// until waits for something, looking often enough for a measurement of seconds.
func (c *city) until(what string, holds func() bool) {
	c.tb.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			c.tb.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // real: nothing tells of what was written to the log or the store
	}
}

// settled waits until so many full reads have been compared with the store.
func (c *city) settled(reads int) {
	c.tb.Helper()
	c.until("a full read is settled", func() bool { return c.log.count("a full read was compared") >= reads })
}

// peakMB is the most memory that the process has had resident since reset, in MB; reset begins anew.
func peakMB(tb testing.TB, reset bool) float64 {
	tb.Helper()
	if reset {
		runtime.GC()
		debug.FreeOSMemory()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			tb.Fatal("the peak of resident memory cannot be reset: ", err)
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if kb, found := strings.CutPrefix(line, "VmHWM:"); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 64)
			if err != nil {
				tb.Fatal(err)
			}
			return n / 1024
		}
	}
	tb.Fatal("no VmHWM")
	return 0
}

func TestMain(m *testing.M) { postgrestest.Main(m) }

// BenchmarkFollow reads a city of 29,000 people and 501 groups into the store for the first time, and then once more with
// nothing new.
func BenchmarkFollow(b *testing.B) {
	slapd := startCity(b, 29000)
	for name, database := range map[string]func(*testing.B) store.Options{
		"sqlite":   func(b *testing.B) store.Options { return storetest.SQLite(b) },
		"postgres": func(b *testing.B) store.Options { return storetest.Postgres(b) },
	} {
		b.Run("database="+name+"/first", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				c := newCity(b, slapd, database(b))
				idle := peakMB(b, true)
				b.StartTimer()
				stop := c.follow()
				c.settled(1)
				b.StopTimer()
				b.ReportMetric(peakMB(b, false)-idle, "MB-above-idle")
				stop()
				b.StartTimer()
			}
		})
		b.Run("database="+name+"/nothing-new", func(b *testing.B) {
			c := newCity(b, slapd, database(b))
			stop := c.follow()
			defer stop()
			c.settled(1)
			for reads := 2; b.Loop(); reads++ {
				b.StopTimer()
				idle := peakMB(b, true)
				b.StartTimer()
				c.rights.Reconcile("stadt")
				c.settled(reads)
				b.StopTimer()
				b.ReportMetric(peakMB(b, false)-idle, "MB-above-idle")
				b.StartTimer()
			}
		})
	}
}
