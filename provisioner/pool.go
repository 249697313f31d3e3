package provisioner

import (
	"encoding/json"
	"slices"
	"time"
)

// LicencePool is seats that some tenants share. They come from contracts, which begin and end on dates.
type LicencePool struct {
	Name      string
	Model     PoolModel
	Contracts []Contract
	Shares    []PoolShare // by tenant

	// Concurrent seats.

	// LendGuaranteed is how many percent of each guarantee others may borrow while the tenant does not use it. Zero:
	// an opening within a guarantee never waits. More: a tenant may wait for that part until lent seats return.
	LendGuaranteed int64
	// Recall is after which time without data a borrowed session is ended for a tenant that waits for seats of its
	// guarantee. Zero: none is.
	Recall   time.Duration
	Reserved []Reserve // by class

	// Named seats.

	// TakeBackUnused is after which time without a session a named seat is taken back. Zero: never.
	TakeBackUnused time.Duration
	// HoldAtLeast is how long a named seat stays with a person at least, as some contracts want it.
	HoldAtLeast time.Duration

	// WarnAt is from which percent of the seats in use somebody is to be warned, rising. Empty: DefaultWarnings.
	WarnAt []int64
	// WarnForecast is with which probability, in percent, seats must be expected to run out for somebody to be warned,
	// rising. Of concurrent seats. Empty: DefaultForecastWarnings.
	WarnForecast []int64
}

// PoolModel says who holds a seat of a pool.
type PoolModel string

// What is bought.
const (
	PoolConcurrent PoolModel = "concurrent" // a seat is held by a session, from open to close
	PoolNamed      PoolModel = "named"      // a seat is assigned to a person
)

// PoolShare entitles a tenant to a pool.
type PoolShare struct {
	Tenant    string
	Guarantee int64 // seats that are there for it
}

// Reserve is seats of a pool that only people of a class take.
type Reserve struct {
	Class PriorityClass
	Seats int64
}

// Contract is seats bought together.
type Contract struct {
	Reference string
	Seats     int64
	Burst     int64     // agreed beyond Seats, counted apart
	From      time.Time // zero: always was
	Until     time.Time // exclusive; zero: open end
	// NoticeBy is the end of the last day on which notice can be given. Zero: not said.
	NoticeBy time.Time
	Price    Price
}

// Price is what a seat costs in a period.
type Price struct {
	NetCents, GrossCents int64 // zero: not said
	Period               PricePeriod
}

// PricePeriod is for how long a price is paid.
type PricePeriod string

// The periods. Empty is PerYear.
const (
	PerYear  PricePeriod = "year"
	PerMonth PricePeriod = "month"
)

// CentsAYear is the net price of a year.
func (p Price) CentsAYear() int64 {
	if p.Period == PerMonth {
		return 12 * p.NetCents
	}
	return p.NetCents
}

// Thresholds are those of the pool, or DefaultWarnings.
func (p LicencePool) Thresholds() []int64 {
	if len(p.WarnAt) == 0 {
		return DefaultWarnings()
	}
	return p.WarnAt
}

// ForecastThresholds are those of the pool, or DefaultForecastWarnings.
func (p LicencePool) ForecastThresholds() []int64 {
	if len(p.WarnForecast) == 0 {
		return DefaultForecastWarnings()
	}
	return p.WarnForecast
}

// DefaultWarnings are the thresholds of a pool or a gateway that names none, in percent.
func DefaultWarnings() []int64 { return []int64{80, 95} }

// DefaultForecastWarnings are the probabilities, in percent, at which is warned of a pool that names none.
func DefaultForecastWarnings() []int64 { return []int64{5, 50} }

// MostProbable is the highest of them that can be named: no forecast is certain.
const MostProbable = 99

// RunsAt reports whether the contract runs at t.
func (c Contract) RunsAt(t time.Time) bool {
	return !t.Before(c.From) && (c.Until.IsZero() || t.Before(c.Until))
}

// Overlaps reports whether two contracts are one, as their references tell, and run on the
// same days.
func (c Contract) Overlaps(other Contract) bool {
	before := func(a, b Contract) bool { return !a.Until.IsZero() && !a.Until.After(b.From) }
	return c.Reference != "" && c.Reference == other.Reference && !before(c, other) && !before(other, c)
}

// Quantity is what a pool's contracts give together from one time to another.
type Quantity struct {
	Seats, Burst int64
	Running      int       // contracts
	From         time.Time // zero: always was
	Until        time.Time // exclusive: then a contract begins or ends; zero: none does
}

// Most is how many seats may be held.
func (q Quantity) Most() int64 { return q.Seats + q.Burst }

// Covers reports whether the quantity is that of t.
func (q Quantity) Covers(t time.Time) bool {
	return !t.Before(q.From) && (q.Until.IsZero() || t.Before(q.Until))
}

// At tells what the pool's contracts give at t.
func (p LicencePool) At(t time.Time) Quantity {
	var q Quantity
	for _, c := range p.Contracts {
		if c.RunsAt(t) {
			q.Running++
			q.Seats += c.Seats
			q.Burst += c.Burst
		}
		for _, edge := range []time.Time{c.From, c.Until} {
			switch {
			case edge.IsZero():
			case edge.After(t):
				if q.Until.IsZero() || edge.Before(q.Until) {
					q.Until = edge
				}
			case edge.After(q.From):
				q.From = edge
			}
		}
	}
	return q
}

// Quantities lists what the contracts give, one after the other, from the one of t on.
func (p LicencePool) Quantities(t time.Time) []Quantity {
	list := []Quantity{p.At(t)}
	for {
		next := list[len(list)-1].Until
		if next.IsZero() {
			return list
		}
		list = append(list, p.At(next))
	}
}

// MostSeats is how many seats contracts ever give together, bursts not counted.
func MostSeats(contracts []Contract) int64 {
	var most int64
	for _, c := range contracts {
		// Together they give most when the last of those that run has just begun.
		most = max(most, LicencePool{Contracts: contracts}.At(c.From).Seats)
	}
	return most
}

// NextEnd is when the first of the contracts that run at t ends; zero: none does.
func (p LicencePool) NextEnd(t time.Time) (end time.Time) {
	for _, c := range p.Contracts {
		if c.RunsAt(t) && !c.Until.IsZero() && (end.IsZero() || c.Until.Before(end)) {
			end = c.Until
		}
	}
	return end
}

// Share gives a tenant's share of the pool.
func (p LicencePool) Share(tenant string) (PoolShare, bool) {
	i := slices.IndexFunc(p.Shares, func(s PoolShare) bool { return s.Tenant == tenant })
	if i < 0 {
		return PoolShare{}, false
	}
	return p.Shares[i], true
}

// Protected is how much of a guarantee is never lent.
func (p LicencePool) Protected(guarantee int64) int64 {
	return guarantee - guarantee*p.LendGuaranteed/100
}

// UnmarshalJSON reads a pool as it is kept, and as it was kept when a pool had one contract.
func (p *LicencePool) UnmarshalJSON(text []byte) error {
	type now LicencePool
	var was struct {
		now
		Seats, Burst     int64
		From, Until      time.Time
		Contract         string
		CentsPerSeatYear int64
	}
	if err := json.Unmarshal(text, &was); err != nil {
		return err
	}
	*p = LicencePool(was.now)
	if p.Contracts == nil && was.Seats > 0 {
		p.Contracts = []Contract{{
			Reference: was.Contract, Seats: was.Seats, Burst: was.Burst, From: was.From, Until: was.Until,
			Price: Price{NetCents: was.CentsPerSeatYear, Period: PerYear},
		}}
	}
	return nil
}
