package session_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// crowd is a store with a gateway that serves many tenants and on which n
// sessions are open, the last of them just now.
func crowd(b *testing.B, n int) (_ *session.Service, position store.Position) {
	b.Helper()
	return crowdIn(b, storetest.SQLite(b), n, sharedPool, openSession)
}

// seats is how many licences the crowd has.
const seats = 12_000

// sharedPool is one pool for all tenants; each is guaranteed some of it.
func sharedPool(tenants []string) []provisioner.LicencePool {
	p := provisioner.LicencePool{Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: seats}}}
	for _, name := range tenants {
		p.Shares = append(p.Shares, provisioner.PoolShare{Tenant: name, Guarantee: seats / int64(len(tenants)) / 2})
	}
	return []provisioner.LicencePool{p}
}

// privatePools are one for each tenant.
func privatePools(tenants []string) (list []provisioner.LicencePool) {
	for _, name := range tenants {
		list = append(list, provisioner.LicencePool{
			Name: name, Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: seats / int64(len(tenants))}},
			Shares: []provisioner.PoolShare{{Tenant: name}},
		})
	}
	return list
}

// crowdIn is crowd in a database, of whom each does what make does.
func crowdIn(b *testing.B, o store.Options, n int, pools func(tenants []string) []provisioner.LicencePool,
	make func(*store.Writer, provisioner.Gateway, int) error,
) (_ *session.Service, position store.Position) {
	b.Helper()
	s, err := store.Open(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	update := func(do func(*store.Writer) error) {
		b.Helper()
		if err := s.Update(context.Background(), do); err != nil {
			b.Fatal(err)
		}
	}
	g := provisioner.Gateway{
		Name: "gw1", Endpoint: "gw1.stadt.example:51820", Sessions: 40_000,
		AggregateV4: netip.MustParsePrefix("10.64.0.0/12"), AggregateV6: netip.MustParsePrefix("fd80::/48"),
	}
	const tenants = 500
	update(func(tx *store.Writer) error {
		err := tx.PutDirectory(provisioner.Directory{Name: "ad"})
		for i := range tenants {
			name := fmt.Sprintf("stadt%03d", i)
			err = errors.Join(err, tx.PutTenant(provisioner.Tenant{Name: name, Directory: "ad", StaffGroup: "staff", Policy: provisioner.DefaultPolicy()}))
			g.Tenants = append(g.Tenants, name)
		}
		for _, p := range pools(g.Tenants) {
			err = errors.Join(err, tx.PutPool(p))
		}
		return errors.Join(err, tx.PutGateway(g),
			tx.JoinGateway(g.Name, sha256.Sum256([]byte(g.Name)), time.Now().Add(time.Hour), "test"))
	})
	// Connected for as long as a benchmark may take.
	update(func(tx *store.Writer) error {
		_, err := tx.PutContact(store.Contact{Gateway: g.Name, Connected: true, ContactAt: time.Now().Add(time.Hour)}, true)
		return err
	})
	for first := 0; first < n; first += 200 {
		update(func(tx *store.Writer) error {
			for i := first; i < min(n, first+200); i++ {
				if err := make(tx, g, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if position, err = store.Read(context.Background(), s, (*store.Reader).Position); err != nil {
		b.Fatal(err)
	}
	return session.New(session.Options{
		Store: s, Standings: asLastSaid{s}, Confirmations: atOnce{}, Keys: keys{}, Logger: slog.New(slog.DiscardHandler),
	}), position
}

// asLastSaid is a directory that answers at once.
type asLastSaid struct{ store *store.Store }

func (a asLastSaid) Lookup(_ context.Context, t provisioner.Tenant, p provisioner.Person) (provisioner.Standing, error) {
	return provisioner.Standing{Person: p.ID, Tenant: t.Name, Groups: []string{"staff"}, ReadAt: time.Now()}, nil
}

// atOnce is a gateway that confirms at once.
type atOnce struct{}

func (atOnce) Wait(_ context.Context, _ string, debts []store.Debt) []provisioner.Confirmation {
	return []provisioner.Confirmation{{Gateway: debts[0].Gateway, Confirmed: true}}
}

// deviceOf is the id of the nth laptop of a crowd.
func deviceOf(n int) string { return fmt.Sprintf("device%06d", n) }

func enrol(tx *store.Writer, g provisioner.Gateway, i int) error {
	_, err := laptopOf(tx, g, i)
	return err
}

func laptopOf(tx *store.Writer, g provisioner.Gateway, i int) (provisioner.Device, error) {
	tenant := g.Tenants[i%len(g.Tenants)]
	p, err := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: fmt.Sprint(i), DisplayName: fmt.Sprint("Person ", i)})
	if err != nil {
		return provisioner.Device{}, err
	}
	d := provisioner.Device{ID: deviceOf(i), Tenant: tenant, Person: p.ID, Generation: 1, PublicKey: sha256.Sum256(fmt.Append(nil, i))}
	return d, errors.Join(tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: tenant, ReadAt: tx.Now}), tx.AddDevice(d))
}

// BenchmarkOpen is an opening where directory and gateway answer at once: what
// is read before, the decision, and writing it down. 128 laptops of 500 tenants open
// at a time, which share one licence pool, or each have their own.
func BenchmarkOpen(b *testing.B) {
	for _, e := range databases(b) {
		for _, p := range []struct {
			name  string
			pools func([]string) []provisioner.LicencePool
		}{{"shared", sharedPool}, {"private", privatePools}} {
			s, _ := crowdIn(b, e.make(), seats, p.pools, enrol)
			b.Run("database="+e.name+"/pool="+p.name, func(b *testing.B) { openMany(b, s) })
		}
	}
}

// database makes one.
type database struct {
	name string
	make func() store.Options
}

func databases(b *testing.B) []database {
	return []database{
		{"sqlite", func() store.Options { return storetest.SQLite(b) }},
		{"postgres", func() store.Options { return storetest.Postgres(b) }},
	}
}

// openMany opens sessions of laptops that are enrolled, one after the other.
func openMany(b *testing.B, s *session.Service) {
	const callers = 128
	var next atomic.Int64
	var group sync.WaitGroup
	turns := make(chan struct{})
	for range callers {
		group.Go(func() {
			for range turns {
				n := int(next.Add(1) % seats)
				actor := provisioner.Actor{ID: deviceOf(n), Generation: 1, Grants: []provisioner.Grant{{Role: provisioner.RoleDevice, Tenant: fmt.Sprintf("stadt%03d", n%500)}}}
				if _, err := s.Open(context.Background(), actor, session.OpenRequest{Stream: "stream", AgentVersion: "1"}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for b.Loop() {
		turns <- struct{}{}
	}
	close(turns)
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func openSession(tx *store.Writer, g provisioner.Gateway, i int) error {
	d, err := laptopOf(tx, g, i)
	if err != nil {
		return err
	}
	tenant := d.Tenant
	index, err := tx.TakeAddress(g.Name, tenant, d.ID, address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6})
	if err != nil {
		return err
	}
	return errors.Join(
		tx.TakeSeat("vpn", tenant, provisioner.PriorityOrdinary),
		tx.OpenSession(&provisioner.Session{
			ID: provisioner.NewID(), Device: d.ID, Tenant: tenant, Person: d.Person, Gateway: g.Name, Pool: "vpn",
			AddressIndex: index, KeyVersion: 1, PublicKey: d.PublicKey, Stream: "stream",
			OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(provisioner.Lease),
		}),
	)
}

// BenchmarkOpenBesideAQueue is an opening for which there is a seat of her tenant's
// guarantee, while people of other tenants wait for seats of the same pool.
func BenchmarkOpenBesideAQueue(b *testing.B) {
	for _, e := range databases(b) {
		for _, waiting := range []int{0, 10_000} {
			b.Run(fmt.Sprintf("database=%s/waiting=%d", e.name, waiting), func(b *testing.B) {
				s, _ := crowdIn(b, e.make(), seats, sharedPool, enrol)
				pool := provisioner.LicencePool{
					Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: seats}},
					Shares: []provisioner.PoolShare{{Tenant: "dorf"}},
				}
				for n := range 500 {
					pool.Shares = append(pool.Shares, provisioner.PoolShare{Tenant: fmt.Sprintf("stadt%03d", n), Guarantee: seats / 500})
				}
				if err := s.Store.Update(context.Background(), func(tx *store.Writer) error {
					err := errors.Join(tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "ad", Policy: provisioner.DefaultPolicy()}), tx.PutPool(pool))
					for n := range waiting {
						err = errors.Join(err, tx.Enqueue(fmt.Sprintf("waits%06d", n), seat.Claim{Tenant: "dorf"}, "stream"))
					}
					return err
				}); err != nil {
					b.Fatal(err)
				}
				openMany(b, s)
			})
		}
	}
}

// BenchmarkDispatch is seats that come free while 10,000 wait of 500 tenants: they are
// held for who is next, and given back. longest-ms is of the transactions in which they
// are given, each of which keeps revocations waiting.
func BenchmarkDispatch(b *testing.B) {
	for _, e := range databases(b) {
		for _, free := range []int64{1, 200} {
			b.Run(fmt.Sprintf("database=%s/free=%d", e.name, free), func(b *testing.B) {
				s := queueing10000(b, e, free)
				var longest time.Duration
				for b.Loop() {
					took, err := session.DispatchAll(context.Background(), s.Store, 0)
					if err != nil {
						b.Fatal(err)
					}
					longest = max(longest, took)
					b.StopTimer()
					if err := s.Store.Update(context.Background(), func(tx *store.Writer) error {
						list, err := tx.OffersLapsed(tx.Now.Add(time.Hour), 1000)
						if err == nil && int64(len(list)) != free {
							err = fmt.Errorf("%d are offered a seat", len(list))
						}
						for _, q := range list {
							err = errors.Join(err, tx.Enqueue(q.Device, q.Claim, q.Stream))
						}
						return err
					}); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
			})
		}
	}
}

// BenchmarkTakeBack is 600 places to be taken back at once, of a replica that is gone, while
// 10,000 wait.
func BenchmarkTakeBack(b *testing.B) {
	for _, e := range databases(b) {
		b.Run("database="+e.name, func(b *testing.B) {
			s := queueing10000(b, e, 0)
			var longest time.Duration
			for b.Loop() {
				b.StopTimer()
				if err := s.Store.Update(context.Background(), func(tx *store.Writer) (err error) {
					tx.Now = tx.Now.Add(-time.Hour)
					for n := range 600 {
						err = errors.Join(err, tx.Enqueue(fmt.Sprintf("gone%06d", n), seat.Claim{Tenant: fmt.Sprintf("stadt%03d", n%500)}, "stream"))
					}
					return err
				}); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				for _, later := range []time.Duration{0, session.PlaceKept + time.Second} {
					took, err := session.DispatchAll(context.Background(), s.Store, later)
					if err != nil {
						b.Fatal(err)
					}
					longest = max(longest, took)
				}
			}
			b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
		})
	}
}

// queueing10000 is a crowd of which 10,000 wait, and so many seats are free.
func queueing10000(b *testing.B, e database, free int64) *session.Service {
	b.Helper()
	s, _ := crowdIn(b, e.make(), 0, sharedPool, enrol)
	if err := s.Store.Update(context.Background(), func(tx *store.Writer) (err error) {
		tx.Now = tx.Now.Add(time.Hour) // whoever waits is heard for as long as a benchmark may take
		for n := range 10_000 {
			err = errors.Join(err, tx.Enqueue(fmt.Sprintf("waits%06d", n), seat.Claim{Tenant: fmt.Sprintf("stadt%03d", n%500)}, "stream"))
		}
		pool, none := tx.Pool("vpn")
		pool.Contracts[0].Seats = free
		for i := range pool.Shares {
			pool.Shares[i].Guarantee = 0
		}
		return errors.Join(err, none, tx.PutPool(pool))
	}); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkPlaces is what a replica reckons every two seconds: the places of 10,000 who
// wait, of 500 tenants with one pool or each with its own.
func BenchmarkPlaces(b *testing.B) {
	for _, p := range []struct {
		name  string
		pools func([]string) []provisioner.LicencePool
	}{{"shared", sharedPool}, {"private", privatePools}} {
		b.Run("pool="+p.name, func(b *testing.B) {
			s, _ := crowdIn(b, storetest.SQLite(b), 0, p.pools, enrol)
			if err := s.Store.Update(context.Background(), func(tx *store.Writer) (err error) {
				for n := range 10_000 {
					err = errors.Join(err, tx.Enqueue(fmt.Sprintf("waits%06d", n), seat.Claim{Tenant: fmt.Sprintf("stadt%03d", n%500)}, "stream"))
				}
				return err
			}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := store.Read(context.Background(), s.Store, (*store.Reader).QueuePositions); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDelta is what one change costs to be read for its gateway. It follows
// the change, not how many sessions are open.
func BenchmarkDelta(b *testing.B) {
	for _, open := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("sessions=%d", open), func(b *testing.B) {
			s, position := crowd(b, open)
			for b.Loop() {
				d, err := s.Delta(context.Background(), "gw1", position.Epoch, position.Revision-1)
				if err != nil || len(d.Peers) != 1 {
					b.Fatal(d, err)
				}
			}
		})
	}
}

// BenchmarkSnapshot is what a gateway costs that has lost its place.
func BenchmarkSnapshot(b *testing.B) {
	const open = 10_000
	s, _ := crowd(b, open)
	for b.Loop() {
		if snap, err := s.Snapshot(context.Background(), "gw1"); err != nil || len(snap.Peers) != open {
			b.Fatal(len(snap.Peers), err)
		}
	}
}
