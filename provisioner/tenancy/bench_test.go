package tenancy_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

// country is a declaration of many tenants, all of which are entitled to one pool
// and served by each of 16 gateways.
func country(tenants int) tenancy.Declaration {
	d := tenancy.Declaration{
		Directories: region().Directories,
		Pools:       []provisioner.LicencePool{{Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 100_000}}}},
	}
	var names []string
	for i := range tenants {
		t := tenantOf(fmt.Sprintf("t%03d", i), fmt.Sprintf("10.%d.%d.0/24", 100+i/250, i%250))
		d.Tenants, names = append(d.Tenants, t), append(names, t.Name)
		d.Pools[0].Shares = append(d.Pools[0].Shares, provisioner.PoolShare{Tenant: t.Name, Guarantee: 10})
	}
	for i := range 16 {
		d.Gateways = append(d.Gateways, gatewayOf(fmt.Sprint("gw", i), netip.AddrFrom4([4]byte{10, byte(i), 0, 0}).String()+"/16", names...))
	}
	return d
}

// BenchmarkApply is a declaration of 500 tenants and 16 gateways that serve each
// of them: when it is new, when one tenant or all have changed, and when nothing
// has. ms-longest-wait is what a revocation that came meanwhile had to wait at the
// most, its own commit included; on a busy machine it may be the machine's doing,
// and ms-p99-wait tells more.
func BenchmarkApply(b *testing.B) {
	const tenants = 500
	for _, e := range engines {
		run := func(name string, bench func(*testing.B)) {
			b.Run(fmt.Sprintf("database=%s/tenants=%d/%s", e.name, tenants, name), bench)
		}
		run("new=500", func(b *testing.B) {
			var waits []time.Duration
			for b.Loop() {
				b.StopTimer()
				w := newWorldOn(b, e.make(b))
				b.StartTimer()
				waits = append(waits, besideRevocations(b, w, func() { w.applies(b, country(tenants)) })...)
			}
			reportWaits(b, waits)
		})
		for _, changed := range []int{0, 1, tenants} {
			run("changed="+strconv.Itoa(changed), func(b *testing.B) {
				w := newWorldOn(b, e.make(b))
				d := country(tenants)
				w.applies(b, d)
				b.ResetTimer()
				reportWaits(b, besideRevocations(b, w, func() {
					for n := 0; b.Loop(); n++ {
						for i := range changed {
							d.Tenants[i].DisplayName = fmt.Sprint("Stadt ", n)
						}
						w.applies(b, d)
					}
				}))
			})
		}
	}
}

func reportWaits(b *testing.B, waits []time.Duration) {
	b.Helper()
	slices.Sort(waits)
	inMS := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(inMS(waits[len(waits)*99/100]), "ms-p99-wait")
	b.ReportMetric(inMS(waits[len(waits)-1]), "ms-longest-wait")
}

// besideRevocations does something while one who revokes comes each millisecond,
// and gives how long she waited each time.
func besideRevocations(b *testing.B, w *world, do func()) []time.Duration {
	b.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	var waits []time.Duration
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			came := time.Now()
			if err := w.store.UpdateUrgent(context.WithoutCancel(ctx), func(tx *store.Writer) error {
				_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeDevice, Tenant: "t000", Device: "d"})
				return err
			}); err != nil {
				done <- err
				return
			}
			waits = append(waits, time.Since(came))
			select {
			case <-tick.C:
			case <-ctx.Done():
				done <- nil
				return
			}
		}
	}()
	do()
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return waits
}
