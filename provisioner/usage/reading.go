package usage

import (
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// What is kept stands in three places: minutes and the newest hours in rows of all series,
// whole days in a row for each. A query reads from all of them.

func (r *reading) series() ([]Series, error) {
	var result []Series
	tail, err := r.tail()
	if err != nil {
		return nil, err
	}
	for names := r.names; len(names) > 0; {
		part := names[:min(seriesAtOnce, len(names))]
		names = names[len(part):]
		ids := make([]int64, len(part))
		for i, v := range part {
			ids[i] = v.ID
		}
		known, err := r.days(r.base(), ids)
		if err != nil {
			return nil, err
		}
		decided := known
		if !r.exact && r.base() < Hour {
			if decided, err = r.days(Hour, ids); err != nil {
				return nil, err
			}
		}
		for _, v := range part {
			known[v.ID].add(tail[r.base()][v.ID])
			if r.base() < Hour && !r.exact {
				decided[v.ID].add(tail[Hour][v.ID])
			}
			result = append(result, Series{Name: v.Name, Of: r.of[v.Name], Points: r.points(known[v.ID], decided[v.ID])})
		}
	}
	return result, nil
}

// newest are intervals of a series by when they begin.
type newest map[int64]capacity.Interval

// intervals are those of a series, one after the other. What is not known is a gap in it.
type intervals struct {
	from, step int64 // when the first one begins, and how long one is; in milliseconds
	list       []capacity.Interval
}

// room makes intervals that hold all that is asked for.
func (r *reading) room(step time.Duration) *intervals {
	from := r.From.UTC().Truncate(step)
	return &intervals{from: from.UnixMilli(), step: step.Milliseconds(), list: make([]capacity.Interval, max(0, (r.To.Sub(from)+step-1)/step))}
}

// index is where an instant is, if it is after the beginning.
func (v *intervals) index(at int64) int { return int((at - v.from) / v.step) }

func (v *intervals) put(at int64, one capacity.Interval) {
	if i := v.index(at); at >= v.from && i < len(v.list) {
		v.list[i] = one
	}
}

func (v *intervals) add(more newest) {
	for at, one := range more {
		v.put(at, one)
	}
}

// at gives the one that begins at a time; else a gap.
func (v *intervals) at(t time.Time) capacity.Interval {
	if i := v.index(t.UnixMilli()); t.UnixMilli() >= v.from && i < len(v.list) {
		return v.list[i]
	}
	return capacity.Interval{}
}

// between gives those that begin from a time on, which is not before the first one, and
// before another.
func (v *intervals) between(from, to time.Time) []capacity.Interval {
	n := len(v.list)
	return v.list[min(n, v.index(from.UnixMilli())):min(n, v.index(to.UnixMilli()))]
}

// base is the step in which what is asked for is kept.
func (r *reading) base() time.Duration {
	switch {
	case r.Step >= Hour:
		return Hour
	case r.Step >= FiveMinutes:
		return FiveMinutes
	default:
		return Minute
	}
}

// days reads what is packed by days, into room for all that is asked for.
func (r *reading) days(step time.Duration, ids []int64) (map[int64]*intervals, error) {
	all := make(map[int64]*intervals, len(ids))
	for _, id := range ids {
		all[id] = r.room(step)
	}
	if step == Minute {
		return all, nil
	}
	list, err := r.tx.UsageDays(step, ids, r.From.UTC().Truncate(day), before(r.To, r.state.DaysTo))
	if err != nil {
		return nil, fmt.Errorf("reading days: %w", err)
	}
	var unpacker capacity.Unpacker
	for _, v := range list {
		keys, of, err := unpacker.Intervals(v.Packed)
		if err != nil {
			return nil, fmt.Errorf("reading the day %s: %w", v.At.Format(time.DateOnly), err)
		}
		for i, k := range keys {
			all[v.Series].put(v.At.UnixMilli()+k*step.Milliseconds(), of[i])
		}
	}
	return all, nil
}

func before(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func after(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tail reads what is newer than whole days, of all series, by step and series: hours and
// five minutes, and for who is told all of it the minutes that make up the hour under way.
func (r *reading) tail() (map[time.Duration]map[int64]newest, error) {
	steps := []time.Duration{r.base()}
	if !r.exact && r.base() < Hour {
		steps = append(steps, Hour)
	}
	all := make(map[time.Duration]map[int64]newest)
	for _, step := range steps {
		all[step] = make(map[int64]newest)
		from := r.From.UTC().Truncate(step)
		if step != Minute {
			from = after(from, r.state.DaysTo)
		}
		if err := r.rows(step, step, from, r.To, all[step]); err != nil {
			return nil, err
		}
		if r.exact && step != Minute {
			if err := r.rows(Minute, step, after(from, r.state.HoursTo), r.To, all[step]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// rows reads rows of all series of one step, merged into another.
func (r *reading) rows(step, into time.Duration, from, to time.Time, all map[int64]newest) error {
	wanted := make(map[int64]bool, len(r.names))
	for _, v := range r.names {
		wanted[v.ID] = true
	}
	list, err := r.tx.UsageIntervals(step, string(r.By), from, to)
	if err != nil {
		return fmt.Errorf("reading the newest numbers: %w", err)
	}
	parts := make(map[int64]map[int64][]capacity.Interval)
	for _, v := range list {
		ids, of, err := capacity.UnpackIntervals(v.Packed)
		if err != nil {
			return fmt.Errorf("reading %s: %w", v.At.Format(time.RFC3339), err)
		}
		for i, id := range ids {
			if !wanted[id] {
				continue
			}
			if parts[id] == nil {
				parts[id] = make(map[int64][]capacity.Interval)
			}
			at := v.At.Truncate(into).UnixMilli()
			parts[id][at] = append(parts[id][at], of[i])
		}
	}
	for id, by := range parts {
		if all[id] == nil {
			all[id] = make(newest, len(by))
		}
		for at, list := range by {
			if len(list) == 1 {
				all[id][at] = list[0]
			} else {
				all[id][at] = capacity.Merge(list)
			}
		}
	}
	return nil
}
