package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// benchEach runs a benchmark on an empty database of every engine.
func benchEach(b *testing.B, bench func(*testing.B, *store.Store)) {
	for _, e := range engines {
		// Made once, though the benchmark runs several times to find its length.
		s := open(b, e.make(b))
		town(b, s)
		b.Run("database="+e.name, func(b *testing.B) { bench(b, s) })
	}
}

// BenchmarkUpdate is what a durable change costs when one, 8 or 128 callers
// wait at a time: those who wait together share one commit.
func BenchmarkUpdate(b *testing.B) {
	benchEach(b, func(b *testing.B, s *store.Store) {
		for _, writers := range []int{1, 8, 128} {
			b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
				together(b, writers, func(n int64) error {
					return s.Update(context.Background(), func(tx *store.Writer) error {
						_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeDevice, Tenant: "stadt", Device: fmt.Sprint("device", n)})
						return err
					})
				})
			})
		}
	})
}

// BenchmarkOpenAndClose is the writing of one session's opening and closing,
// beside many that are open: its cost must not follow their number.
func BenchmarkOpenAndClose(b *testing.B) {
	for _, open := range []int{100, 10_000} {
		benchEach(b, func(b *testing.B, s *store.Store) { benchOpenAndClose(b, s, open) })
	}
}

func benchOpenAndClose(b *testing.B, s *store.Store, open int) {
	opened(b, s, open)
	const callers = 128
	free := make(chan provisioner.Device, callers)
	for n := range callers {
		update(b, s, func(tx *store.Writer) error {
			d, err := laptop(tx, open+n)
			free <- d
			return err
		})
	}
	b.Run(fmt.Sprintf("open=%d", open), func(b *testing.B) {
		together(b, callers, func(int64) error {
			d := <-free
			defer func() { free <- d }()
			return s.UpdateAbout(context.Background(), d.ID, func(tx *store.Writer) error {
				v, err := session(tx, d)
				if err != nil {
					return err
				}
				_, err = tx.CloseSession(v, provisioner.CodeSessionClosed)
				return err
			})
		})
	})
}

// BenchmarkOpening is all that an opening reads and writes in its transaction,
// with 128 callers, each time for a device that has no session yet.
func BenchmarkOpening(b *testing.B) {
	benchEach(b, func(b *testing.B, s *store.Store) {
		g := gateway()
		g.Sessions, g.AggregateV4 = 1_000_000, netip.MustParsePrefix("10.0.0.0/8") // no session of any run closes
		update(b, s, func(tx *store.Writer) error {
			return errors.Join(tx.PutGateway(g), tx.PutPool(provisioner.LicencePool{
				Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 1_000_000}}, Shares: []provisioner.PoolShare{{Tenant: "stadt", Guarantee: 3}},
			}))
		})
		var devices []string
		for first := 0; first < b.N; first += 200 {
			update(b, s, func(tx *store.Writer) error {
				for range min(200, b.N-first) {
					d, err := laptop(tx, int(benchLaptops.Add(1)))
					if err != nil {
						return err
					}
					devices = append(devices, d.ID)
				}
				return nil
			})
		}
		together(b, 128, func(n int64) error {
			return s.UpdateAbout(context.Background(), devices[n-1], func(tx *store.Writer) error { return opening(tx, devices[n-1]) })
		})
	})
}

var benchLaptops atomic.Int64 // numbers laptops over all runs of a benchmark

// opening does with the store what session.Open does.
func opening(tx *store.Writer, device string) error {
	d, err := tx.OwnDevice(provisioner.Actor{ID: device, Generation: 1})
	if err != nil {
		return err
	}
	if _, err := tx.CloseSessionOf(d.ID, provisioner.CodeSessionElsewhere); !errors.Is(err, store.ErrNone) {
		return fmt.Errorf("a session before the first: %w", err)
	}
	pools, err := tx.Offers(seat.Claim{Tenant: d.Tenant}, time.Now())
	if err != nil || len(pools) != 1 {
		return fmt.Errorf("%d pools: %w", len(pools), err)
	}
	gateways, err := tx.GatewaysOf(d.Tenant)
	if err != nil || len(gateways) != 1 {
		return fmt.Errorf("%d gateways: %w", len(gateways), err)
	}
	if _, err := tx.FormerGateway(d.ID); !errors.Is(err, store.ErrNone) {
		return fmt.Errorf("a gateway before the first: %w", err)
	}
	_, err = sessionAt(tx, d, gateways[0].Gateway)
	return errors.Join(err, tx.NoteAgent(d.ID, "1"))
}

// BenchmarkOpenDatabase is what a start costs beyond the process.
func BenchmarkOpenDatabase(b *testing.B) {
	for _, e := range engines {
		o := e.make(b)
		town(b, open(b, o))
		b.Run("database="+e.name, func(b *testing.B) {
			for b.Loop() {
				s, err := store.Open(context.Background(), o)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// opened opens sessions of as many laptops.
func opened(b testing.TB, s *store.Store, n int) {
	b.Helper()
	for first := 0; first < n; first += 200 {
		update(b, s, func(tx *store.Writer) error {
			for i := first; i < min(n, first+200); i++ {
				d, err := laptop(tx, i)
				if err != nil {
					return err
				}
				if _, err := session(tx, d); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// together does b.N things, n callers at a time.
func together(b *testing.B, n int, do func(i int64) error) {
	b.Helper()
	var next atomic.Int64
	done := make(chan error, n)
	b.ResetTimer()
	for range n {
		go func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					done <- nil
					return
				}
				if err := do(i); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range n {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

// BenchmarkAudit records events: of the installation; of a tenant, which reads and
// writes the head of its chain; and of a tenant among 500 with a log each.
func BenchmarkAudit(b *testing.B) {
	for _, e := range engines {
		s := open(b, e.make(b))
		record := func(name, tenant string) {
			b.Run("database="+e.name+"/"+name, func(b *testing.B) {
				together(b, 64, func(int64) error {
					return s.Update(context.Background(), func(tx *store.Writer) error { return audited(tx, tenant, "d", "") })
				})
			})
		}
		record("of=installation", "")
		record("of=tenant", "t0")
		for i := range 500 {
			update(b, s, func(tx *store.Writer) error {
				for range 20 {
					if err := audited(tx, fmt.Sprint("t", i), "d", ""); err != nil {
						return err
					}
				}
				return nil
			})
		}
		record("of=tenant-among-500", "t0")
	}
}
