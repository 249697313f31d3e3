package usage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Day is the longest step: a calendar day in Germany.
const Day = day

// Quarter is the shortest step for tenants and pools.
const Quarter = 15 * time.Minute

// Query asks how much was used.
type Query struct {
	From, To time.Time
	By       Kind
	Name     string // empty: all that the caller may see
	Step     time.Duration
}

// Usage is the answer.
type Usage struct {
	From, To time.Time // as far as there is something to tell: a part of what was asked for
	Step     time.Duration
	Series   []Series
}

// Series is how much was used of one thing.
type Series struct {
	Name   string
	Of     int64 // seats of a pool or places on a gateway, now; zero: there is no such number
	Points []Point
}

// Point is one step of a series.
type Point struct {
	At         time.Time
	Minutes    int64 // of which something is known; zero: a gap
	Incomplete bool  // a gateway was away, and bytes are missing
	Partly     bool  // some of its hours are withheld, and the numbers are of the others
	Sessions   Figures
	Queue      Figures // of which only the highest is told, except to operators
	Opened     capacity.Count
	Received   capacity.Count // bytes
	Sent       capacity.Count
	Refused    [capacity.Reasons]capacity.Count
	// ToMany is Refused of hours in which it were enough different people, where Refused tells of
	// all: whoever tries seven times is one. In steps below an hour it is zero.
	ToMany [capacity.Reasons]int64
}

// Figures are a gauge as it is told.
type Figures struct {
	capacity.Gauge
	Withheld bool // all of it
	OnlyMax  bool
}

const (
	// mostPoints and mostDays are how much one answer holds, and how much is read for it.
	mostPoints = 60_000
	mostDays   = 60_000
	// seriesAtOnce is of how many series days are read at once.
	seriesAtOnce = 20
)

// Usage tells how much was used. Of tenants and pools only full hours are told, and of
// them what was decided to be told when they were over; operators, who see every
// session, are told all of gateways and of the whole.
func (s *Service) Usage(ctx context.Context, actor provisioner.Actor, q Query) (u Usage, err error) {
	if err := allowed(actor, q); err != nil {
		return u, err
	}
	now := time.Now()
	if err := q.check(now); err != nil {
		return u, err
	}
	return s.tell(ctx, provisioner.ScopeOf(actor, provisioner.ActionReadConcurrency), q, now)
}

// Told is what Usage tells who may see all of it, for the control plane itself: of tenants
// and pools it is the same that everybody is told.
func (s *Service) Told(ctx context.Context, q Query) (Usage, error) {
	return s.tell(ctx, provisioner.Everywhere(), q, time.Now())
}

func (s *Service) tell(ctx context.Context, scope provisioner.Scope, q Query, now time.Time) (u Usage, err error) {
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		state, err := tx.UsageState()
		if err != nil {
			return err
		}
		rd := &reading{tx: tx, Query: q, exact: q.exact(), state: state}
		rd.bounds(now)
		if err := rd.find(scope); err != nil {
			return err
		}
		if err := rd.affordable(); err != nil {
			return err
		}
		u.From, u.To, u.Step = rd.From, rd.To, q.Step
		u.Series, err = rd.series()
		return err
	})
	return u, err
}

func allowed(actor provisioner.Actor, q Query) error {
	object := provisioner.Object{}
	if q.By == Tenants {
		object.Tenant = q.Name
	}
	if refusal := provisioner.Allow(actor, provisioner.ActionReadConcurrency, object); refusal != nil {
		return refusal
	}
	if q.exact() {
		if refusal := provisioner.Allow(actor, provisioner.ActionReadGatewayLoad, provisioner.Object{}); refusal != nil {
			return refusal
		}
	}
	return nil
}

// exact reports whether it is about what serves many tenants, of which only operators
// are told, and they all.
func (q Query) exact() bool { return q.By == Gateways || q.By == Provider }

func (q Query) check(now time.Time) error {
	steps := []time.Duration{Quarter, Hour, Day}
	if q.exact() {
		steps = append(steps, Minute, FiveMinutes)
	}
	refuse := func(field, of, german, english string) error {
		return provisioner.Refuse(provisioner.CodeInvalid).With("field", field, of).With("why", german, english)
	}
	switch {
	case !slices.Contains([]Kind{Tenants, Pools, Gateways, Provider}, q.By):
		return refuse("Art", "by", "sie muss tenant, pool, gateway oder provider sein", "it must be tenant, pool, gateway or provider")
	case q.By == Provider && q.Name != "":
		return refuse("Name", "name", "alle zusammen haben keinen", "all together have none")
	case q.Step > 0 && q.Step < Quarter && !slices.Contains(steps, q.Step):
		return refuse("Schritt", "step", "er muss mindestens 15 Minuten lang sein", "it must be 15 minutes at the least")
	case !slices.Contains(steps, q.Step):
		return refuse("Schritt", "step", "möglich sind 15m, 1h und 24h, nach Zugangsservern auch 1m und 5m", "possible are 15m, 1h and 24h, by gateway 1m and 5m, too")
	case q.From.IsZero() || q.To.IsZero():
		return refuse("Zeitraum", "from", "Anfang oder Ende fehlt", "its beginning or end is missing")
	case !q.From.Before(q.To):
		return refuse("Zeitraum", "from", "der Anfang liegt nicht vor dem Ende", "the beginning is not before the end")
	case q.From.After(now):
		return refuse("Zeitraum", "from", "er liegt in der Zukunft", "it is in the future")
	case !q.To.After(now.Add(-keptFor(q.Step))):
		return refuse("Zeitraum", "to", fmt.Sprintf("in diesem Schritt wird nur %d Tage aufbewahrt", keptFor(q.Step)/day), fmt.Sprintf("in this step only %d days are kept", keptFor(q.Step)/day))
	}
	return nil
}

func keptFor(step time.Duration) time.Duration {
	switch {
	case step >= Hour:
		return KeepHours
	case step >= FiveMinutes:
		return KeepFiveMinutes
	default:
		return KeepMinutes
	}
}

// reading is a query under way.
type reading struct {
	Query
	tx    *store.Reader
	exact bool
	state store.UsageState
	names []store.UsageSeries
	of    map[string]int64
}

// bounds rounds the time asked for to whole steps, and leaves out what nothing can be
// told of.
func (r *reading) bounds(now time.Time) {
	if oldest := now.Add(-keptFor(r.Step)); r.From.Before(oldest) {
		r.From = oldest
	}
	until := r.state.HoursTo
	if r.exact {
		until = r.state.MinutesTo
	}
	r.From = stepOf(r.From, r.Step)
	if r.To.After(until) {
		r.To = until
	} else if begins := stepOf(r.To, r.Step); begins.Before(r.To) {
		r.To = next(begins, r.Step)
	}
	if r.To.Before(r.From) {
		r.To = r.From
	}
}

// stepOf is when the step begins that t is in. Days are those of Germany.
func stepOf(t time.Time, step time.Duration) time.Time {
	if step == Day {
		year, month, d := provisioner.DayOf(t)
		return provisioner.DayBegins(year, month, d)
	}
	return t.UTC().Truncate(step)
}

func next(begins time.Time, step time.Duration) time.Time {
	if step == Day {
		year, month, d := provisioner.DayOf(begins)
		return provisioner.DayBegins(year, month, d+1)
	}
	return begins.Add(step)
}

// find looks up what the caller may see.
func (r *reading) find(scope provisioner.Scope) error {
	visible, err := r.visible(scope)
	if err != nil {
		return err
	}
	list, err := r.tx.UsageSeries()
	if err != nil {
		return fmt.Errorf("reading which series there are: %w", err)
	}
	for _, v := range list {
		if Kind(v.Kind) == r.By && (r.Name == "" || v.Name == r.Name) && visible(v.Name) {
			r.names = append(r.names, v)
		}
	}
	if _, known := r.of[r.Name]; len(r.names) == 0 && r.Name != "" && !known { // nor is it there and not measured yet
		return r.notFound()
	}
	slices.SortFunc(r.names, func(a, b store.UsageSeries) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return nil
}

func (r *reading) notFound() error {
	german, english := "Diese Verwaltung", "tenant"
	switch r.By {
	case Pools:
		german, english = "Diesen Vorrat an Lizenzen", "licence pool"
	case Gateways:
		german, english = "Diesen Zugangsserver", "gateway"
	}
	return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(r.Name, 64)).With("what", german, english)
}

// visible tells of which names the caller may see numbers. A pool that others share, too,
// tells of them.
func (r *reading) visible(scope provisioner.Scope) (func(string) bool, error) {
	r.of = make(map[string]int64)
	switch r.By {
	case Tenants:
		tenants, err := r.tx.TenantNames()
		if err != nil {
			return nil, fmt.Errorf("reading tenants: %w", err)
		}
		for _, name := range tenants {
			if scope.Includes(name) {
				r.of[name] = 0
			}
		}
		return scope.Includes, nil
	case Pools:
		pools, err := r.tx.Pools()
		if err != nil {
			return nil, fmt.Errorf("reading pools: %w", err)
		}
		shares, err := r.tx.PoolShares()
		if err != nil {
			return nil, fmt.Errorf("reading the shares of pools: %w", err)
		}
		mine := make(map[string]bool)
		for _, s := range shares {
			whole, seen := mine[s.Pool]
			mine[s.Pool] = (whole || !seen) && scope.Includes(s.Tenant)
		}
		_, everywhere := scope.Tenants()
		for _, p := range pools {
			if mine[p.Pool.Name] || everywhere {
				r.of[p.Pool.Name] = p.Pool.At(r.To).Seats
			}
		}
		return func(name string) bool { return mine[name] || everywhere }, nil
	case Gateways:
		gateways, err := r.tx.GatewayStates()
		if err != nil {
			return nil, fmt.Errorf("reading gateways: %w", err)
		}
		for _, g := range gateways {
			r.of[g.Name] = g.Sessions
		}
	}
	return func(string) bool { return true }, nil
}

// affordable refuses what would be too much for one answer.
func (r *reading) affordable() error {
	spans := int64(r.To.Sub(r.From)/r.Step) + 1
	days := int64(r.To.Sub(r.From)/day) + 1
	if n := int64(len(r.names)); n*spans > mostPoints || n*days > mostDays {
		return provisioner.Refuse(provisioner.CodeInvalid).With("field", "Zeitraum", "from").
			With("why", "das wären zu viele Zahlen auf einmal: wählen Sie einen größeren Schritt, einen kürzeren Zeitraum oder einen Namen",
				"that would be too many numbers at once: choose a longer step, a shorter time or a name")
	}
	return nil
}
