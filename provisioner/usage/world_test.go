package usage_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// world is a city, a town and a village with a pool each has a share of, and a gateway.
type world struct {
	*usage.Service
	store    *store.Store
	people   map[string]int // enrolled, by tenant
	sessions map[string]provisioner.Session
}

var tenants = []string{"stadt", "markt", "dorf"}

func openStore(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newWorld(t *testing.T, file string) *world {
	t.Helper()
	w := &world{store: openStore(t, store.Options{Database: storetest.File(t, file)}), people: make(map[string]int), sessions: make(map[string]provisioner.Session)}
	w.Service = usage.New(usage.Options{Store: w.store, Logger: slog.New(slog.DiscardHandler)})
	w.update(t, func(tx *store.Writer) error {
		err := tx.PutDirectory(provisioner.Directory{Name: "ad"})
		pool := provisioner.LicencePool{Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 1000}}}
		for _, name := range tenants {
			err = errors.Join(err, tx.PutTenant(provisioner.Tenant{Name: name, Directory: "ad", Policy: provisioner.DefaultPolicy()}))
			pool.Shares = append(pool.Shares, provisioner.PoolShare{Tenant: name})
		}
		g := provisioner.Gateway{
			Name: "gw1", Endpoint: "gw1.example:51820", Sessions: 1500, Tenants: tenants,
			AggregateV4: netip.MustParsePrefix("10.64.0.0/12"), AggregateV6: netip.MustParsePrefix("fd80::/48"),
		}
		return errors.Join(err, tx.PutPool(pool), tx.PutGateway(g), tx.JoinGateway(g.Name, sha256.Sum256([]byte(g.Name)), time.Now().Add(time.Hour), "test"))
	})
	w.contact(t, true, 365*24*time.Hour)
	return w
}

func (w *world) update(t testing.TB, do func(*store.Writer) error) {
	t.Helper()
	if err := w.store.Update(t.Context(), do); err != nil {
		t.Fatal(err)
	}
}

// contact has the gateway be there, for some time.
func (w *world) contact(t *testing.T, connected bool, lasts time.Duration) {
	t.Helper()
	w.update(t, func(tx *store.Writer) error {
		_, err := tx.PutContact(store.Contact{Gateway: "gw1", Connected: connected, ContactAt: time.Now().Add(lasts)}, true)
		return err
	})
}

// staff has people of a tenant have the right to access.
func (w *world) staff(t *testing.T, tenant string, n int) {
	t.Helper()
	w.update(t, func(tx *store.Writer) error {
		for i := range n {
			if err := w.enrol(tx, tenant, i); err != nil {
				return err
			}
		}
		return nil
	})
	w.people[tenant] = n
}

func (w *world) enrol(tx *store.Writer, tenant string, i int) error {
	name := fmt.Sprintf("%s%04d", tenant, i)
	p, err := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: name, Login: name, DisplayName: name})
	if err != nil {
		return err
	}
	d := provisioner.Device{ID: "d" + name, Tenant: tenant, Person: p.ID, Generation: 1, Name: name, SerialNumber: "S" + name, PublicKey: sha256.Sum256([]byte(name))}
	return errors.Join(tx.AddDevice(d), tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: tenant, Entitled: true, ReadAt: tx.Now}))
}

// open opens the session of the nth of a tenant's people.
func (w *world) open(t *testing.T, tenant string, n int) {
	t.Helper()
	w.update(t, func(tx *store.Writer) error { return w.openIn(tx, tenant, n) })
}

func (w *world) openIn(tx *store.Writer, tenant string, n int) error {
	name := fmt.Sprintf("%s%04d", tenant, n)
	g, err := tx.Gateway("gw1")
	if err != nil {
		return err
	}
	index, err := tx.TakeAddress(g.Name, tenant, "d"+name, address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6})
	if err != nil {
		return err
	}
	s := provisioner.Session{
		ID: provisioner.NewID(), Device: "d" + name, Tenant: tenant, Person: "p-" + name, Gateway: g.Name, Pool: "vpn",
		AddressIndex: index, KeyVersion: 1, PublicKey: sha256.Sum256([]byte(name)), Stream: "stream", OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(provisioner.Lease),
	}
	err = errors.Join(tx.TakeSeat("vpn", tenant, provisioner.PriorityOrdinary), tx.OpenSession(&s))
	w.sessions[name] = s
	return err
}

// all opens the sessions of the first n of a tenant's people, or closes them.
func (w *world) all(t *testing.T, tenant string, n int, opens bool) {
	t.Helper()
	w.update(t, func(tx *store.Writer) error {
		for i := range n {
			if opens {
				if err := w.openIn(tx, tenant, i); err != nil {
					return err
				}
			} else if _, err := tx.CloseSessionOf(fmt.Sprintf("d%s%04d", tenant, i), provisioner.CodeSessionClosed); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) close(t *testing.T, tenant string, n int) {
	t.Helper()
	w.update(t, func(tx *store.Writer) error {
		_, err := tx.CloseSessionOf(fmt.Sprintf("d%s%04d", tenant, n), provisioner.CodeSessionClosed)
		return err
	})
}

// wait has the first n of a tenant's people wait for a seat, and leave has them wait no more.
func (w *world) wait(t *testing.T, tenant string, n int) {
	t.Helper()
	w.update(t, func(tx *store.Writer) error {
		for i := range n {
			if err := tx.Enqueue(fmt.Sprintf("d%s%04d", tenant, i), seat.Claim{Tenant: tenant, Person: "p", Class: provisioner.PriorityOrdinary}, "stream"); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) leave(t *testing.T, tenant string, n int) {
	t.Helper()
	w.update(t, func(tx *store.Writer) error {
		for i := range n {
			switch q, err := tx.InQueue(fmt.Sprintf("d%s%04d", tenant, i)); {
			case errors.Is(err, store.ErrNone):
			case err != nil:
				return err
			default:
				if err := tx.Dequeue(q); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// minutes reads the minutes that are kept of a series.
func (w *world) minutes(t *testing.T, kind usage.Kind, name string, from, to time.Time) (list []capacity.Interval) {
	t.Helper()
	if err := w.store.View(t.Context(), func(tx *store.Reader) error {
		all, err := tx.UsageSeries()
		if err != nil {
			return err
		}
		rows, err := tx.UsageIntervals(usage.Minute, string(kind), from, to)
		if err != nil {
			return err
		}
		for _, row := range rows {
			ids, of, err := capacity.UnpackIntervals(row.Packed)
			if err != nil {
				return err
			}
			for i, id := range ids {
				if slices.Contains(all, store.UsageSeries{ID: id, Kind: string(kind), Name: name}) {
					list = append(list, of[i])
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// moves counts the moves of the queue that are kept.
func (w *world) moves(t *testing.T) (n int) {
	t.Helper()
	if err := w.store.View(t.Context(), func(tx *store.Reader) error {
		_, list, err := tx.WaitedAt(begin())
		n = len(list)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// carry has the gateway count bytes in somebody's session.
func (w *world) carry(t *testing.T, tenant string, n int, received, sent uint64) {
	t.Helper()
	s := w.sessions[fmt.Sprintf("%s%04d", tenant, n)]
	w.update(t, func(tx *store.Writer) error {
		return tx.Observe("gw1", store.Observed{Session: s.ID, ReceivedBytes: received, SentBytes: sent}, provisioner.Traffic{})
	})
}

// start measures, until the function that it gives is called.
func (w *world) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 2)
	for _, run := range []func(context.Context) error{w.RunRollups, w.RunRefusals} {
		go func() { done <- run(ctx) }()
	}
	return func() { cancel(); _, _ = <-done, <-done }
}

func (w *world) end(t *testing.T) {
	t.Helper()
	if err := w.store.Close(); err != nil {
		t.Error(err)
	}
}

func operator() provisioner.Actor {
	return provisioner.Actor{ID: "o", Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}}
}

func planner(tenants ...string) provisioner.Actor {
	a := provisioner.Actor{ID: "p"}
	for _, t := range tenants {
		a.Grants = append(a.Grants, provisioner.Grant{Role: provisioner.RolePlanner, Tenant: t})
	}
	return a
}

// ask gives the points of the one series that a query is about.
func (w *world) ask(t *testing.T, a provisioner.Actor, q usage.Query) []usage.Point {
	t.Helper()
	u, err := w.Usage(t.Context(), a, q)
	if err != nil {
		t.Fatal(err)
	}
	if len(u.Series) != 1 {
		t.Fatalf("%+v", u)
	}
	return u.Series[0].Points
}

func dbFile(dir string) string { return filepath.Join(dir, "db") }

func storeAt(dir string) store.Options { return store.Options{Database: dbFile(dir)} }

// kept tells how many rows of the first day are left: of five minutes and hours, and days of series.
func (w *world) kept(t *testing.T) (n [3]int) {
	t.Helper()
	day := begin().Add(24 * time.Hour)
	if err := w.store.View(t.Context(), func(tx *store.Reader) error {
		fives, err := tx.UsageIntervals(usage.FiveMinutes, string(usage.Tenants), begin(), day)
		if err != nil {
			return err
		}
		hours, err := tx.UsageIntervals(usage.Hour, string(usage.Tenants), begin(), day)
		if err != nil {
			return err
		}
		days, err := tx.UsageDays(usage.Hour, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9}, begin(), day)
		n = [3]int{len(fives), len(hours), len(days)}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}
