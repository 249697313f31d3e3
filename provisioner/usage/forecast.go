package usage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// MostDays is how far ahead a forecast may look.
const MostDays = capacity.Furthest / 24

// lookBack is what a forecast is made from: as much as its method looks at.
const lookBack = capacity.LookBack * Hour

// ForecastQuery asks what is to be expected.
type ForecastQuery struct {
	By   Kind
	Name string // of the provider: empty
	Days int    // 1 to MostDays
}

// Forecast is what is to be expected of a series.
type Forecast struct {
	Name            string
	Of              int64     // seats of a pool or places on a gateway, now; zero: there is no such number, or none now
	Land            string    // whose public holidays count; empty: none
	Since           time.Time // the first hour that it is made from
	Known, Withheld int       // hours since, in which something is told, and nothing may be
	Exhausted       []Exhaustion
	*capacity.Forecast
}

// Exhaustion is the first hour in which more than there is is used with at least a
// probability.
type Exhaustion struct {
	Probability float64
	At          time.Time
	Of          int64 // what there is then: another number than now where a contract ends or begins before
}

// Forecast says what is to be expected. It is made from what Usage tells the same caller,
// by hours, so that it can tell nothing else: hours that are withheld count as not known.
// history-too-short refuses what is known too little of.
func (s *Service) Forecast(ctx context.Context, actor provisioner.Actor, q ForecastQuery) (Forecast, error) {
	refuse := func(field, of, german, english string) (Forecast, error) {
		return Forecast{}, provisioner.Refuse(provisioner.CodeInvalid).With("field", field, of).With("why", german, english)
	}
	switch {
	case q.Days < 1 || q.Days > MostDays:
		return refuse("Tage", "days", fmt.Sprintf("möglich sind 1 bis %d", MostDays), fmt.Sprintf("possible are 1 to %d", MostDays))
	case q.Name == "" && q.By != Provider:
		return refuse("Name", "name", "er fehlt", "it is missing")
	}
	now := time.Now()
	u, err := s.Usage(ctx, actor, Query{From: now.Add(-lookBack), To: now, By: q.By, Name: q.Name, Step: Hour})
	if err != nil {
		return Forecast{}, err
	}
	return s.forecast(ctx, q, u)
}

// Expect is Forecast as everybody is told it who may see a pool, made at a time from what was
// before, for the control plane itself.
func (s *Service) Expect(ctx context.Context, pool string, at time.Time, days int) (Forecast, error) {
	u, err := s.Told(ctx, Query{From: at.Add(-lookBack), To: at, By: Pools, Name: pool, Step: Hour})
	if err != nil {
		return Forecast{}, err
	}
	return s.forecast(ctx, ForecastQuery{By: Pools, Name: pool, Days: days}, u)
}

func (s *Service) forecast(ctx context.Context, q ForecastQuery, u Usage) (_ Forecast, err error) {
	f := Forecast{Name: q.Name, Since: u.From}
	if f.Land, err = s.land(ctx, q); err != nil {
		return Forecast{}, err
	}
	var values []float64
	of := func(time.Time) int64 { return f.Of }
	if len(u.Series) > 0 {
		f.Of = u.Series[0].Of
		values = f.values(u.Series[0].Points)
		if q.By == Pools {
			if of, err = s.seats(ctx, q.Name); err != nil {
				return Forecast{}, err
			}
		}
	}
	// It takes half a second of a processor: one after the other.
	select {
	case s.forecasting <- struct{}{}:
		defer func() { <-s.forecasting }()
	case <-ctx.Done():
		return Forecast{}, ctx.Err()
	}
	f.Forecast, err = capacity.Hours(f.Since, values...).Forecast(f.Land, q.Days*24)
	if errors.Is(err, capacity.ErrTooShort) {
		known := strconv.Itoa(f.Known)
		return Forecast{}, provisioner.Refuse(provisioner.CodeHistoryTooShort).With("known", known, known).Because(err)
	}
	if err != nil {
		return Forecast{}, fmt.Errorf("making a forecast of %s %s: %w", q.By, q.Name, err)
	}
	return f, f.exhaust(of)
}

// seats is how many a pool has at a time, by its contracts.
func (s *Service) seats(ctx context.Context, name string) (func(time.Time) int64, error) {
	pools, err := store.Read(ctx, s.Store, (*store.Reader).Pools)
	if err != nil {
		return nil, fmt.Errorf("reading licence pools: %w", err)
	}
	var pool provisioner.LicencePool // of one that has gone meanwhile: none
	for _, p := range pools {
		if p.Pool.Name == name {
			pool = p.Pool
		}
	}
	return func(at time.Time) int64 { return pool.At(at).Seats }, nil
}

// values are the highest numbers of hours. An hour of which little is known counts as a
// gap, as does one that is withheld. Gaps at the beginning are left out.
func (f *Forecast) values(points []Point) []float64 {
	values := make([]float64, len(points))
	first := len(points)
	for i, p := range points {
		values[i] = math.NaN()
		switch {
		case p.Minutes < leastKnown:
		case p.Sessions.Withheld:
			f.Withheld++
		default:
			values[i] = float64(p.Sessions.Max)
			f.Known++
			first = min(first, i)
		}
	}
	if first < len(points) {
		f.Since = points[first].At
	}
	return values[first:]
}

// exhaust looks for the times at which there is not enough of what there is then.
func (f *Forecast) exhaust(of func(time.Time) int64) error {
	if f.Of <= 0 {
		return nil
	}
	for _, p := range []float64{.05, .5, .95} {
		at, found, err := f.ExhaustedOf(func(t time.Time) float64 { return float64(of(t)) }, p)
		if err != nil {
			return fmt.Errorf("looking for the time at which all %d are used: %w", f.Of, err)
		}
		if found {
			f.Exhausted = append(f.Exhausted, Exhaustion{p, at, of(at)})
		}
	}
	return nil
}

// land is that of the tenant, or that in which most of the tenants are.
func (s *Service) land(ctx context.Context, q ForecastQuery) (string, error) {
	lands := make(map[string]int)
	err := s.Store.View(ctx, func(tx *store.Reader) error {
		var of map[string]bool // nil: all
		switch q.By {
		case Tenants:
			of = map[string]bool{q.Name: true}
		case Pools:
			of = make(map[string]bool)
			shares, err := tx.PoolShares()
			if err != nil {
				return fmt.Errorf("reading the shares of pools: %w", err)
			}
			for _, v := range shares {
				if v.Pool == q.Name {
					of[v.Tenant] = true
				}
			}
		}
		list, err := tx.Tenants(provisioner.Everywhere())
		if err != nil {
			return fmt.Errorf("reading tenants: %w", err)
		}
		for _, t := range list {
			if of == nil || of[t.Name] {
				lands[t.Land]++
			}
		}
		return nil
	})
	if err != nil || len(lands) == 0 {
		return "", err
	}
	names := slices.Sorted(maps.Keys(lands))
	return slices.MaxFunc(names, func(a, b string) int { return cmp.Compare(lands[a], lands[b]) }), nil
}
