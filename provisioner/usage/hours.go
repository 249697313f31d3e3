package usage

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// leastKnown is how many minutes of an hour must be known for it to be no gap.
const leastKnown = 30

// Hours gives the most sessions at one time of each hour, from a time on and before
// another; of the provider name is empty. What is not known is a gap (NaN). Fewer than
// capacity.Smallest count as none: that is how they are kept. An unknown name gives gaps.
//
// It is not narrowed to what may be told: who shows something of it to planners answers
// for that.
func (s *Service) Hours(ctx context.Context, by Kind, name string, from, to time.Time) (capacity.Series, error) {
	from, to = from.UTC().Truncate(Hour), to.UTC().Truncate(Hour)
	var known *intervals
	err := s.Store.View(ctx, func(tx *store.Reader) error {
		state, err := tx.UsageState()
		if err != nil {
			return err
		}
		r := &reading{tx: tx, Query: Query{From: from, To: to, By: by, Name: name, Step: Hour}, state: state}
		list, err := tx.UsageSeries()
		if err != nil {
			return err
		}
		for _, v := range list {
			if Kind(v.Kind) == by && v.Name == name {
				r.names = []store.UsageSeries{v}
			}
		}
		if len(r.names) == 0 {
			known = r.room(Hour)
			return nil
		}
		id := r.names[0].ID
		tail, err := r.tail()
		if err != nil {
			return err
		}
		days, err := r.days(Hour, []int64{id})
		if err == nil {
			known = days[id]
			known.add(tail[Hour][id])
		}
		return err
	})
	if err != nil {
		return capacity.Series{}, fmt.Errorf("reading the hours of %s %s: %w", by, name, err)
	}
	values := make([]float64, 0, to.Sub(from)/Hour)
	for at := from; at.Before(to); at = at.Add(Hour) {
		v, n := known.at(at), math.NaN()
		if v.Minutes >= leastKnown {
			n = float64(v.Sessions.Max)
		}
		values = append(values, n)
	}
	return capacity.Hours(from, values...), nil
}

// Latest lists of each tenant or pool the numbers of the last full hour that may be told
// to everybody who reads metrics; those that are told rounded are not among them.
func (s *Service) Latest(ctx context.Context, by Kind) (at time.Time, list map[string]capacity.Interval, err error) {
	list = make(map[string]capacity.Interval)
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		state, err := tx.UsageState()
		if err != nil || state.HoursTo.IsZero() {
			return err
		}
		at = state.HoursTo.Add(-Hour)
		ids, err := readSeries(tx)
		if err != nil {
			return err
		}
		names := namesOf(ids)
		rows, err := tx.UsageIntervals(Hour, string(by), at, state.HoursTo)
		if err != nil {
			return err
		}
		for _, row := range rows {
			keys, of, err := capacity.UnpackIntervals(row.Packed)
			if err != nil {
				return fmt.Errorf("reading %s: %w", row.At.Format(time.RFC3339), err)
			}
			for i, id := range keys {
				if v := of[i]; v.Disclosed&capacity.Rounded == 0 && v.Disclosed&capacity.DiscloseSessions != 0 {
					list[names[id]] = v
				}
			}
		}
		return nil
	})
	return at, list, err
}

// FewPeople names the pools whose tenants have, together, fewer people with the right to
// access than it takes to tell numbers exactly.
func (s *Service) FewPeople(ctx context.Context) (map[string]bool, error) {
	few := make(map[string]bool)
	err := s.Store.View(ctx, func(tx *store.Reader) error {
		shares, err := tx.PoolShares()
		if err != nil {
			return fmt.Errorf("reading the shares of pools: %w", err)
		}
		heads, err := tx.Headcounts()
		if err != nil {
			return fmt.Errorf("counting the people of tenants: %w", err)
		}
		people := make(map[string]int64)
		for _, h := range heads {
			people[h.Tenant] = h.People
		}
		ofPool := make(map[string]int64)
		for _, v := range shares {
			ofPool[v.Pool] += people[v.Tenant]
		}
		for pool, n := range ofPool {
			few[pool] = n < capacity.FewPeople
		}
		return nil
	})
	return few, err
}
