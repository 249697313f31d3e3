package usage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// day packs the numbers of a day that is over, so that those of one series lie together.
func (r *roller) day(ctx context.Context, begins time.Time) error {
	for _, step := range []time.Duration{FiveMinutes, Hour} {
		for _, kind := range []Kind{Provider, Tenants, Pools, Gateways} {
			if err := r.packDay(ctx, step, kind, begins); err != nil {
				return err
			}
		}
	}
	next := r.state
	next.DaysTo = begins.Add(day)
	if err := r.duty.Update(ctx, func(tx *store.Writer) error { return tx.PutUsageState(next) }); err != nil {
		return err
	}
	r.state = next
	return nil
}

func (r *roller) packDay(ctx context.Context, step time.Duration, kind Kind, begins time.Time) error {
	list, err := store.Read(ctx, r.Store, func(tx *store.Reader) ([]store.UsageRow, error) {
		return tx.UsageIntervals(step, string(kind), begins, begins.Add(day))
	})
	if err != nil {
		return fmt.Errorf("reading a day: %w", err)
	}
	keys, intervals := make(map[int64][]int64), make(map[int64][]capacity.Interval)
	for _, v := range list {
		ids, of, err := capacity.UnpackIntervals(v.Packed)
		if err != nil {
			return fmt.Errorf("reading %s: %w", v.At.Format(time.RFC3339), err)
		}
		for i, id := range ids {
			keys[id] = append(keys[id], int64(v.At.Sub(begins)/step))
			intervals[id] = append(intervals[id], of[i])
		}
	}
	for ids := slices.Sorted(maps.Keys(keys)); len(ids) > 0; {
		part := ids[:min(slice, len(ids))]
		ids = ids[len(part):]
		rows := make([]store.UsageRow, len(part))
		for i, id := range part {
			rows[i] = store.UsageRow{Series: id, At: begins, Packed: capacity.PackIntervals(keys[id], intervals[id])}
		}
		if err := r.duty.Update(ctx, func(tx *store.Writer) error { return tx.PutUsageDays(step, rows) }); err != nil {
			return err
		}
	}
	return nil
}

// tidyEvery is how often is deleted what has been kept long enough.
const tidyEvery = 10 * time.Minute

// forget deletes what has been kept long enough, and what stands in packed days.
func (r *roller) forget(ctx context.Context, now time.Time) error {
	if now.Sub(r.tidied).Abs() < tidyEvery {
		return nil
	}
	r.tidied = now
	daysTo := r.state.DaysTo
	for _, some := range []func(*store.Writer) (int64, error){
		func(tx *store.Writer) (int64, error) {
			return tx.ForgetUsageIntervals(Minute, now.Add(-KeepMinutes), slice)
		},
		func(tx *store.Writer) (int64, error) { return tx.ForgetUsageIntervals(FiveMinutes, daysTo, slice) },
		func(tx *store.Writer) (int64, error) {
			return tx.ForgetUsageIntervals(Hour, daysTo.Add(-Hour), slice) // the last one is for metrics
		},
		func(tx *store.Writer) (int64, error) {
			return tx.ForgetUsageDays(FiveMinutes, now.Add(-KeepFiveMinutes-day), slice)
		},
		func(tx *store.Writer) (int64, error) { return tx.ForgetUsageDays(Hour, now.Add(-KeepHours-day), slice) },
		func(tx *store.Writer) (int64, error) { return tx.ForgetQueueMoves(r.state.MinutesTo, slice) },
	} {
		for n := int64(1); n > 0; {
			if err := r.duty.Update(ctx, func(tx *store.Writer) (err error) { n, err = some(tx); return err }); err != nil {
				return fmt.Errorf("deleting what has been kept long enough: %w", err)
			}
		}
	}
	return nil
}
