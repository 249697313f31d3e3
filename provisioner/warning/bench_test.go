package warning_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// BenchmarkHour judges an hour of 500 tenants with a pool each, and 100 that all share; every
// tenth of them has passed both thresholds, and is judged again.
func BenchmarkHour(b *testing.B) {
	w := &world{store: openStore(b, storetest.SQLite(b)), log: new(log)}
	w.replica(nil)
	hour := time.Now().UTC().Truncate(time.Hour)
	const tenants, pools = 500, 600
	var series []store.UsageSeries
	ids, intervals := make(map[string][]int64), make(map[string][]capacity.Interval)
	measured := func(kind, name string, n int) {
		series = append(series, store.UsageSeries{Kind: kind, Name: name})
		most := int64(50)
		if n%10 == 0 {
			most = 97
		}
		ids[kind] = append(ids[kind], int64(len(series)))
		intervals[kind] = append(intervals[kind], capacity.Interval{Minutes: 60, Complete: 60, Sessions: capacity.Gauge{Max: most}, Disclosed: capacity.DiscloseSessions})
	}
	declare := func(tx *store.Writer) (err error) {
		for i := range tenants {
			name := fmt.Sprintf("t%03d", i)
			err = errors.Join(err, tx.PutTenant(provisioner.Tenant{Name: name, Directory: "ad", Policy: provisioner.DefaultPolicy()}))
			measured("tenant", name, 1)
		}
		for i := range pools {
			name := fmt.Sprintf("p%03d", i)
			p := provisioner.LicencePool{Name: name, Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 100}}, Shares: []provisioner.PoolShare{{Tenant: fmt.Sprintf("t%03d", i%tenants)}}}
			err = errors.Join(err, tx.PutPool(p))
			measured("pool", name, i)
		}
		err = errors.Join(err, tx.AddUsageSeries(series))
		for kind, list := range ids {
			for _, step := range []time.Duration{usage.FiveMinutes, usage.Hour} {
				for at := hour.Add(-time.Hour); at.Before(hour); at = at.Add(step) {
					err = errors.Join(err, tx.PutUsageInterval(step, at, kind, capacity.PackIntervals(list, intervals[kind])))
				}
			}
		}
		return errors.Join(err, tx.PutUsageState(store.UsageState{SeenAt: hour, MinutesTo: hour, HoursTo: hour, DaysTo: hour.Add(-48 * time.Hour)}))
	}
	again := func(tx *store.Writer) error {
		return tx.PutWarningState(store.WarningState{HoursTo: hour.Add(-time.Hour), DaysTo: hour.Add(48 * time.Hour)})
	}
	w.update(b, func(tx *store.Writer) error {
		return errors.Join(tx.PutDirectory(provisioner.Directory{Name: "ad"}), declare(tx), again(tx))
	})
	for b.Loop() {
		w.judge(b)
		b.StopTimer()
		if got := view(b, w.store, (*store.Reader).OpenWarnings); len(got) != 120 {
			b.Fatalf("%d warnings", len(got))
		}
		w.update(b, again)
		b.StartTimer()
	}
}
