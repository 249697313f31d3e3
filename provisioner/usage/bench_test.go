package usage

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// The provider that everything is measured with.
const (
	benchTenants, benchPools, benchGateways = 500, 600, 16
	benchSessions                           = 12_000
)

// provider is a store with that many tenants, pools and gateways, and sessions that are
// open on them.
func provider(b *testing.B, sessions int) (*Service, string) {
	b.Helper()
	file := filepath.Join(b.TempDir(), "db")
	db, err := store.Open(context.Background(), store.Options{Database: file, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	s := New(Options{Store: db, Logger: slog.New(slog.DiscardHandler)})
	must := func(do func(*store.Writer) error) {
		b.Helper()
		if err := db.Update(context.Background(), do); err != nil {
			b.Fatal(err)
		}
	}
	var tenants []string
	must(func(tx *store.Writer) error {
		err := tx.PutDirectory(provisioner.Directory{Name: "ad"})
		for i := range benchTenants {
			tenants = append(tenants, fmt.Sprintf("stadt%03d", i))
			err = errors.Join(err, tx.PutTenant(provisioner.Tenant{Name: tenants[i], Directory: "ad", Policy: provisioner.DefaultPolicy()}))
		}
		return err
	})
	must(func(tx *store.Writer) (err error) {
		for i := range benchPools { // one for each tenant, and a hundred that five share
			p := provisioner.LicencePool{Name: fmt.Sprintf("vpn%03d", i), Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 20_000}}}
			if i < benchTenants {
				p.Shares = []provisioner.PoolShare{{Tenant: tenants[i]}}
			} else {
				for n := range 5 {
					p.Shares = append(p.Shares, provisioner.PoolShare{Tenant: tenants[5*(i-benchTenants)+n]})
				}
			}
			err = errors.Join(err, tx.PutPool(p))
		}
		return err
	})
	for i := range benchGateways {
		must(func(tx *store.Writer) error {
			g := benchGateway(i)
			g.Tenants = tenants
			if err := errors.Join(tx.PutGateway(g), tx.JoinGateway(g.Name, sha256.Sum256([]byte(g.Name)), time.Now().Add(time.Hour), "test")); err != nil {
				return err
			}
			_, err := tx.PutContact(store.Contact{Gateway: g.Name, Connected: true, ContactAt: time.Now().Add(24 * time.Hour)}, true)
			return err
		})
	}
	for first := 0; first < sessions; first += 200 {
		must(func(tx *store.Writer) error {
			for i := first; i < min(sessions, first+200); i++ {
				if err := connect(tx, i, tenants[i%benchTenants]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return s, file
}

func benchGateway(i int) provisioner.Gateway {
	return provisioner.Gateway{
		Name: fmt.Sprintf("gw%02d", i), Endpoint: fmt.Sprintf("gw%02d.example:51820", i), Sessions: 1500,
		AggregateV4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(16 * (i % 16)), 0, 0}), 12), AggregateV6: netip.MustParsePrefix(fmt.Sprintf("fd%02x::/48", i+1)),
	}
}

func connect(tx *store.Writer, i int, tenant string) error {
	p, err := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: fmt.Sprint(i)})
	if err != nil {
		return err
	}
	d := provisioner.Device{ID: fmt.Sprintf("d%06d", i), Tenant: tenant, Person: p.ID, Generation: 1, PublicKey: sha256.Sum256(fmt.Append(nil, i))}
	g := benchGateway(i % benchGateways)
	if err := errors.Join(tx.AddDevice(d), tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: tenant, Entitled: true, ReadAt: tx.Now})); err != nil {
		return err
	}
	index, err := tx.TakeAddress(g.Name, tenant, d.ID, address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6})
	if err != nil {
		return err
	}
	pool := "vpn" + tenant[len("stadt"):]
	return errors.Join(tx.TakeSeat(pool, tenant, provisioner.PriorityOrdinary), tx.OpenSession(&provisioner.Session{
		ID: provisioner.NewID(), Device: d.ID, Tenant: tenant, Person: p.ID, Gateway: g.Name, Pool: pool, AddressIndex: index, KeyVersion: 1, PublicKey: d.PublicKey, Stream: "stream",
		OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(provisioner.Lease),
	}))
}

// holding runs something as the holder of the duty.
func holding(b *testing.B, s *Service, do func(context.Context, *roller) error) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var once sync.Once
	if err := s.Store.Hold(ctx, "usage", func(ctx context.Context, duty *store.Duty) error {
		once.Do(func() {
			defer cancel()
			r := &roller{Service: s, duty: duty}
			if err := errors.Join(r.sample(ctx, time.Now()), r.resume(ctx, time.Now())); err != nil {
				b.Error(err)
				return
			}
			if err := do(ctx, r); err != nil {
				b.Error(err)
			}
		})
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMinute is what is done each minute: six samples, and the minute itself, with
// 12,000 sessions open. B/op aside, sec/op through 60 is the part of a core.
func BenchmarkMinute(b *testing.B) {
	s, _ := provider(b, benchSessions)
	holding(b, s, func(ctx context.Context, r *roller) error {
		begins := r.state.MinutesTo
		for b.Loop() {
			for range 6 {
				if err := r.sample(ctx, time.Now()); err != nil {
					return err
				}
			}
			if err := r.minute(ctx, begins); err != nil {
				return err
			}
			begins = begins.Add(Minute)
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/60*100, "%core")
		return nil
	})
}

// BenchmarkHour is what is done each hour, BenchmarkDay what each day.
func BenchmarkHour(b *testing.B) {
	s, _ := provider(b, benchSessions)
	holding(b, s, func(ctx context.Context, r *roller) error {
		begins := r.state.MinutesTo.Truncate(Hour).Add(Hour)
		for i := range 60 {
			if err := r.minute(ctx, begins.Add(time.Duration(i)*Minute)); err != nil {
				return err
			}
		}
		for b.Loop() {
			if err := r.hour(ctx, begins); err != nil {
				return err
			}
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/3600*100, "%core")
		return nil
	})
}

func BenchmarkDay(b *testing.B) {
	s, _ := provider(b, 0)
	holding(b, s, func(ctx context.Context, r *roller) error {
		begins := r.state.DaysTo.Add(day)
		for _, step := range []time.Duration{FiveMinutes, Hour} {
			for at := begins; at.Before(begins.Add(day)); at = at.Add(step) {
				of := make(map[Kind]map[int64]capacity.Interval)
				for name, id := range r.series {
					if of[name.kind] == nil {
						of[name.kind] = make(map[int64]capacity.Interval)
					}
					of[name.kind][id] = anInterval(id, at, step)
				}
				if err := r.duty.Update(ctx, func(tx *store.Writer) error {
					for kind, rows := range of {
						if err := tx.PutUsageInterval(step, at, string(kind), packed(rows)); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					return err
				}
			}
		}
		for b.Loop() {
			if err := r.day(ctx, begins); err != nil {
				return err
			}
		}
		b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/86400*100, "%core")
		return nil
	})
}

// anInterval makes one up as it is in an office: nobody at night, most at ten.
func anInterval(id int64, at time.Time, step time.Duration) capacity.Interval {
	minutes := int64(step / Minute)
	v := capacity.Interval{Minutes: minutes, Complete: minutes}
	size := 5 + (id*7919)%60
	if id%100 == 0 {
		size = 2000
	}
	hour := at.Hour()
	if hour >= 6 && hour < 18 && at.Weekday() != time.Sunday {
		noise := (at.Unix()/int64(step/time.Second)*2654435761 + id*40503) & 0xffff
		n := size*(12-int64(max(hour-12, 12-hour)))/8 + noise%7
		v.Sessions = capacity.Gauge{Max: n + 3, Mean: 100*n + noise%100, P95: n + 2}
		v.Opened, v.Received, v.Sent = n/10, n*minutes*(100_000+noise), n*minutes*(20_000+noise)
		v.Disclosed = capacity.DiscloseSessions
	}
	return v
}

// history has three years of hours and sixty days of five minutes of all.
func history(b *testing.B) (s *Service, megabytes float64) {
	b.Helper()
	s, file := provider(b, 0)
	holding(b, s, func(ctx context.Context, r *roller) error {
		end := time.Now().UTC().Truncate(day)
		made := make(map[[3]int64]string) // a hundred different series, of two weeks, again and again
		for _, kept := range []struct{ step, span time.Duration }{{Hour, KeepHours}, {FiveMinutes, KeepFiveMinutes}} {
			for _, id := range r.series { // one after the other, as a table is made that is read by series
				var rows []store.UsageRow
				for begins := end.Add(-kept.span); begins.Before(end); begins = begins.Add(day) {
					like := [3]int64{id % 100, begins.Unix() / 86400 % 14, int64(kept.step)}
					if made[like] == "" {
						var keys []int64
						var list []capacity.Interval
						for i := range int64(day / kept.step) {
							keys = append(keys, i)
							list = append(list, anInterval(id, begins.Add(time.Duration(i)*kept.step), kept.step))
						}
						made[like] = capacity.PackIntervals(keys, list)
					}
					rows = append(rows, store.UsageRow{Series: id, At: begins, Packed: made[like]})
				}
				if err := s.Store.Update(ctx, func(tx *store.Writer) error { return tx.PutUsageDays(kept.step, rows) }); err != nil {
					return err
				}
			}
		}
		state := r.state
		state.DaysTo, state.HoursTo, state.MinutesTo = end, end, end
		return s.Store.Update(ctx, func(tx *store.Writer) error { return tx.PutUsageState(state) })
	})
	for _, name := range []string{file, file + "-wal"} {
		if info, err := os.Stat(name); err == nil {
			megabytes += float64(info.Size()) / 1e6
		}
	}
	return s, megabytes
}

// BenchmarkHistory asks a database that has been kept for three years: for a tenant's year
// by hours, and for the provider's overview (its year by days, a week of all gateways by
// hours, and a week of all tenants and pools by days).
func BenchmarkHistory(b *testing.B) {
	s, megabytes := history(b)
	operator := provisioner.Actor{ID: "o", Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}}
	now := time.Now()
	ask := func(b *testing.B, want int, q Query) {
		b.Helper()
		q.To = now
		u, err := s.Usage(context.Background(), operator, q)
		if err != nil || len(u.Series) != want || len(u.Series[0].Points) == 0 {
			b.Fatalf("%d series, %v", len(u.Series), err)
		}
	}
	year, week := now.AddDate(-1, 0, 0), now.AddDate(0, 0, -7)
	b.Run("tenant-year", func(b *testing.B) {
		for b.Loop() {
			ask(b, 1, Query{By: Tenants, Name: "stadt017", Step: Hour, From: year})
		}
		b.ReportMetric(megabytes, "MB")
	})
	b.Run("overview", func(b *testing.B) {
		for b.Loop() {
			ask(b, 1, Query{By: Provider, Step: Day, From: year})
			ask(b, benchGateways, Query{By: Gateways, Step: Hour, From: week})
			ask(b, benchTenants, Query{By: Tenants, Step: Day, From: week})
			ask(b, benchPools, Query{By: Pools, Step: Day, From: week})
		}
	})
}
