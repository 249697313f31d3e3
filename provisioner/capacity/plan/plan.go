// Package plan says what has to be bought for people who work from home: seats,
// gateways, addresses and laptops, by when, and what each offer costs whom.
//
// What always holds here:
//   - Every number is a Figure, which tells from which others it follows, and how. All are
//     whole numbers, and what a figure says is computed from its inputs and nothing else.
//   - Money is in cents, and shares of it add up to what was shared.
//   - It is pure, and knows of no person. What cannot be computed with is an error.
//
// Not its business: who may ask, and what of it he is told (planning); how a plan is shown.
package plan

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// ErrBad is wrapped by the error for what no plan can be made from.
var ErrBad = errors.New("not what a plan can be made from")

// ErrPeople is the ErrBad of too few or too many people, which whoever says how many there are can mend.
var ErrPeople = fmt.Errorf("%w: people", ErrBad)

// The most that a plan takes.
const (
	MostYears   = 10
	MostTenants = 2000
	MostOffers  = 20
	mostKilo    = 100_000_000_000 // kbit/s
)

// Request is what a plan is made from. Shares are in millionths.
type Request struct {
	At    time.Time // now
	From  time.Time // the beginning of the day from which it has to hold
	Years int       // for how long costs are counted

	HomeShare     int64 // of the people, who work from home
	HomeShareThen int64 // when peaks were observed; zero: not known
	OnlineAtPeak  int64 // of those at home, who are connected at the same time
	Growth        int64 // of the number of people, a year; may be negative
	Refused       int64 // of attempts, at most

	Throughput      int64 // kbit/s a person who is connected
	GatewayKilobits int64 // of each gateway; zero: not known, and not judged

	Tenants  []Tenant
	Pools    []Pool
	Gateways []Gateway // none: they are not planned
	Offers   []Offer
}

// Tenant is an administration that is planned for.
type Tenant struct {
	Name    string
	People  int64 // who may work from home
	Laptops int64 // that are enrolled
}

// Pool is a pool of concurrent seats that only tenants of the plan may use, or the part
// of one that is guaranteed to them.
type Pool struct {
	Name      string
	Tenants   []string
	Contracts []provisioner.Contract
	// Peak is the most seats that were held at the same time; zero: not known.
	Peak int64
	// Guaranteed is what of the pool is guaranteed to tenants of the plan, where others share
	// it: then it counts, and neither contracts nor peak do.
	Guaranteed int64
	Shared     bool
}

// Gateway is one that serves tenants of the plan.
type Gateway struct {
	Name      string
	Sessions  int64
	Addresses int64
	Tenants   []string
}

// Plan is what has to be done.
type Plan struct {
	Figures []*Figure // inputs before what follows from them
	// Reason is why as many seats are needed as are: SeatsByFormula or SeatsByPeak.
	Reason   Name
	Decisive int // the year with the highest need, which gateways and laptops are for
	Warnings []Warning
}

// Warning is something that a number alone does not say.
type Warning struct {
	Code   WarningCode
	Of     string  // contract or offer; may be empty
	Figure *Figure // the number in question; may be nil
}

// WarningCode says what is warned of.
type WarningCode string

// The warnings.
const (
	WarnMandate    WarningCode = "mandate"     // strikes all tenants at once: pooling does not help then
	WarnPeak       WarningCode = "peak"        // the observed peak is above the formula
	WarnNoPeak     WarningCode = "no-peak"     // none was observed, and the formula is optimistic
	WarnLate       WarningCode = "late"        // an offer would be delivered too late
	WarnNotOffered WarningCode = "not-offered" // an offer does not hold when it would have to be ordered
	WarnNotice     WarningCode = "notice"      // a contract runs on unless notice is given by then
	WarnEnds       WarningCode = "ends"        // a contract ends within the plan
	WarnAddresses  WarningCode = "addresses"   // are missing
	WarnNoGateways WarningCode = "no-gateways" // tenants have none, or they are not told
)

// Make makes a plan. An error that wraps ErrBad says what is wrong with the request.
func Make(r Request) (*Plan, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	m := &maker{Request: r, plan: &Plan{}, index: make(map[string]int, len(r.Tenants)), serversOf: make([][]*Figure, len(r.Offers))}
	for i, t := range r.Tenants {
		m.index[t.Name] = i
	}
	m.given()
	m.seats()
	m.owned()
	m.laptops()
	m.gateways()
	m.offers()
	m.cliff()
	m.deadlines()
	if m.err != nil {
		return nil, m.err
	}
	return m.plan, nil
}

func (r Request) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrBad}, args...)...)
	}
	share := func(n, least int64, what string) error {
		if n < least || n > million {
			return bad("%s is %d millionths, must be from %d to %d", what, n, least, million)
		}
		return nil
	}
	switch {
	case r.From.IsZero() || r.At.IsZero():
		return bad("it has no date")
	case r.From.Before(r.At.AddDate(0, 0, -1)):
		return bad("it begins in the past")
	case r.From.After(r.At.AddDate(MostYears, 0, 0)):
		return bad("it begins in more than %d years", MostYears)
	case r.Years < 1 || r.Years > MostYears:
		return bad("it is for %d years, must be from 1 to %d", r.Years, MostYears)
	case len(r.Tenants) == 0 || len(r.Tenants) > MostTenants:
		return bad("it is for %d tenants, must be from 1 to %d", len(r.Tenants), MostTenants)
	case len(r.Offers) > MostOffers:
		return bad("it has %d offers, must be at most %d", len(r.Offers), MostOffers)
	case r.Growth < -million/2 || r.Growth > million:
		return bad("growth is %d millionths a year, must be from %d to %d", r.Growth, -million/2, million)
	case r.Refused < 1 || r.Refused > million/2:
		return bad("%d of a million attempts may be refused, must be from 1 to %d", r.Refused, million/2)
	case r.Throughput < 1 || r.Throughput > 1_000_000:
		return bad("a person moves %d kbit/s, must be from 1 to 1000000", r.Throughput)
	case r.GatewayKilobits < 0 || r.GatewayKilobits > mostKilo:
		return bad("a gateway carries %d kbit/s, must be from 0 to %d", r.GatewayKilobits, int64(mostKilo))
	}
	errs := []error{share(r.HomeShare, 1, "the share at home"), share(r.HomeShareThen, 0, "the share at home when observed"), share(r.OnlineAtPeak, 1, "the share online at peak")}
	return errors.Join(append(errs, r.checkParts(bad))...)
}

func (r Request) checkParts(bad func(string, ...any) error) error {
	var people int64
	seen := make(map[string]bool)
	for _, t := range r.Tenants {
		switch {
		case t.Name == "" || seen[t.Name]:
			return bad("the tenant %q is there twice, or has no name", t.Name)
		case t.People < 0 || t.People > capacity.MostSeats || t.Laptops < 0 || t.Laptops > capacity.MostSeats:
			return bad("the tenant %q has %d people and %d laptops, must be from 0 to %d", t.Name, t.People, t.Laptops, capacity.MostSeats)
		}
		seen[t.Name] = true
		people += t.People
	}
	last := people
	if r.Growth > 0 {
		var err error
		if last, err = grown(people, r.Growth, int64(r.Years+r.yearsUntil())); err != nil {
			return err
		}
	}
	if people == 0 || last == 0 || last+int64(len(r.Tenants)) > capacity.MostSeats {
		return fmt.Errorf("%w: they are %d, in the end %d, must be from 1 to %d", ErrPeople, people, last, capacity.MostSeats)
	}
	for _, p := range r.Pools {
		if p.Peak < 0 || p.Peak > capacity.MostSeats || p.Guaranteed < 0 || slices.ContainsFunc(p.Tenants, func(t string) bool { return !seen[t] }) {
			return bad("the pool %q has a peak of %d and tenants %v", p.Name, p.Peak, p.Tenants)
		}
	}
	for _, g := range r.Gateways {
		if g.Sessions < 1 || g.Addresses < 0 {
			return bad("the gateway %q carries %d sessions and has %d addresses", g.Name, g.Sessions, g.Addresses)
		}
	}
	names := make(map[string]bool)
	for _, o := range r.Offers {
		if err := o.check(); err != nil {
			return bad("the offer %q: %w", o.Name, err)
		}
		if names[o.Name] {
			return bad("the offer %q is there twice", o.Name)
		}
		names[o.Name] = true
	}
	return nil
}

// yearsUntil is how many whole years pass before the plan begins.
func (r Request) yearsUntil() int {
	n := 0
	for !r.At.AddDate(n+1, 0, 0).After(r.From) {
		n++
	}
	return n
}

// yearBegins is the beginning of a year of the plan, from 1.
func (r Request) yearBegins(year int) time.Time {
	y, m, d := provisioner.DayOf(r.From)
	return provisioner.DayBegins(y+year-1, m, d)
}

// Find gives the figure of a name; nil: there is none.
func (p *Plan) Find(name Name, tenant, of string, year int) *Figure {
	i := slices.IndexFunc(p.Figures, func(f *Figure) bool {
		return f.Name == name && f.Tenant == tenant && f.Of == of && f.Year == year && f.Step == 0
	})
	if i < 0 {
		return nil
	}
	return p.Figures[i]
}

// maker makes a plan.
type maker struct {
	Request
	plan *Plan
	err  error

	index map[string]int // of tenants

	home, homeThen, online, growth, most *Figure
	share                                *Figure   // online, of all people
	grownFor                             []*Figure // by year

	now          []*Figure   // people, by tenant
	people       [][]*Figure // by year and tenant
	atHome       [][]*Figure // by year and tenant
	alone        [][]*Figure // seats, by year and tenant
	all          []*Figure   // people, by year
	needed       []*Figure   // seats, by year
	toBuy, owns  []*Figure   // seats, by year
	laptopsToBuy []*Figure   // by tenant
	laptopsNow   []*Figure   // by tenant
	from         *Figure
	serversOf    [][]*Figure // to add, by offer and group of gateways
	places       []*Figure   // see which

	memo map[[3]int64]int64 // of SeatsFor
}

// leaf is a figure that was given or counted.
func (m *maker) leaf(f Figure) *Figure {
	m.plan.Figures = append(m.plan.Figures, &f)
	return &f
}

// follows is a figure that follows from others.
func (m *maker) follows(f Figure, formula Formula, inputs ...*Figure) *Figure {
	f.Formula, f.Inputs = formula, inputs
	values := make([]int64, len(inputs))
	for i, in := range inputs {
		values[i] = in.Value
	}
	var err error
	if formula == SeatsFor {
		f.Value, err = m.seatsFor([3]int64(values))
	} else {
		f.Value, err = formula.apply(values)
	}
	if err != nil && m.err == nil {
		m.err = fmt.Errorf("%s: %w", f.Name, err)
	}
	return m.leaf(f)
}

// seatsFor remembers: years without growth, and many small tenants, are alike.
func (m *maker) seatsFor(v [3]int64) (int64, error) {
	if m.memo == nil {
		m.memo = make(map[[3]int64]int64)
	}
	if n, known := m.memo[v]; known {
		return n, nil
	}
	n, err := SeatsFor.apply(v[:])
	m.memo[v] = n
	return n, err
}

func (m *maker) warn(code WarningCode, of string, f *Figure) {
	m.plan.Warnings = append(m.plan.Warnings, Warning{code, of, f})
}

func dateValue(t time.Time) int64 {
	y, mo, d := provisioner.DayOf(t)
	return time.Date(y, mo, d, 0, 0, 0, 0, time.UTC).Unix() / 86400
}
