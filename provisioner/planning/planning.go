// Package planning makes plans of what has to be bought (package plan) from what the control
// plane knows: tenants, people, laptops, licence pools, gateways and how much was in use.
//
// What always holds here:
//   - A plan is for tenants that its caller may plan for, and made from nothing else.
//   - Planners are told no number below capacity.Smallest, and of tenants of fewer than fifty people
//     only multiples of five. Numbers are rounded before the plan is made, so whatever it
//     says follows from rounded ones.
//   - Of seats in use a plan knows the highest number of past days, and none of today; planners'
//     plans that as a multiple of five, as usage may tell them of the pool.
//
// Not its business: the arithmetic (plan), and who gets a seat (seat).
package planning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// peaksSince is how far back peaks count: more than a year, so that each season is in it.
const peaksSince = 400 * 24 * time.Hour

// Service is the use cases of plans.
type Service struct {
	store *store.Store
}

// New makes the service.
func New(s *store.Store) *Service { return &Service{store: s} }

// Request is what a caller asks for.
type Request struct {
	Tenants []string         // none: all that the caller may plan for
	People  map[string]int64 // who may work from home, where the caller knows it

	// Plan is the rest; what the control plane knows is filled in.
	Plan plan.Request
}

// Answer is a plan, and what it could not know.
type Answer struct {
	*plan.Plan

	At time.Time
	// LeftOut are tenants of which nobody said how many people they have, and it is not known or
	// withheld. PeopleKnown are those planned for with the people who have enrolled, and
	// LaptopsWithheld those whose laptops count as none.
	LeftOut, PeopleKnown, LaptopsWithheld []string
}

// Plan makes a plan. Refusals: not-allowed, not-found, invalid.
func (s *Service) Plan(ctx context.Context, actor provisioner.Actor, r Request) (a Answer, err error) {
	scope, err := scopeOf(actor, r)
	if err != nil {
		return a, err
	}
	now := time.Now()
	p := r.Plan
	year, month, day := provisioner.DayOf(now)
	if p.From.Before(provisioner.DayBegins(year, month, day)) || p.From.After(now.AddDate(plan.MostYears, 0, 0)) {
		return a, invalid("Beginn", "from", "er liegt in der Vergangenheit, oder mehr als zehn Jahre voraus", "it is in the past, or more than ten years away")
	}
	err = s.store.View(ctx, func(tx *store.Reader) error {
		g := gathering{tx: tx, actor: actor, asked: r, scope: scope, now: now}
		if err := g.all(); err != nil {
			return err
		}
		a = g.answer
		p.Tenants, p.Pools, p.Gateways = g.tenants, g.pools, g.gateways
		return nil
	})
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %w", provisioner.ActionPlan, err)
	}
	if len(p.Tenants) == 0 {
		return Answer{}, invalid("Verwaltungen", "tenants", "von keiner ist bekannt, wie viele Menschen von zu Hause arbeiten dürfen; nennen Sie die Zahl (--people)",
			"of none it is known how many people may work from home; say how many (--people)")
	}
	// Outside of the transaction: nobody waits for arithmetic.
	p.At, a.At = now, now
	a.Plan, err = plan.Make(p)
	if errors.Is(err, plan.ErrPeople) {
		return Answer{}, invalid("Menschen", "people", "alle zusammen müssen es in jedem Jahr von 1 bis 1000000 sein", "all together they must be from 1 to 1000000 in each year")
	}
	if errors.Is(err, plan.ErrBad) {
		return Answer{}, invalid("Plan", "plan", "daraus lässt sich keiner machen ("+err.Error()+")", err.Error())
	}
	return a, err
}

func invalid(feld, field, warum, why string) *provisioner.Refusal {
	return provisioner.Refuse(provisioner.CodeInvalid).With("field", feld, field).With("why", warum, why)
}

// scopeOf is the tenants that are asked for, if the actor may plan for each.
func scopeOf(actor provisioner.Actor, r Request) (provisioner.Scope, error) {
	const action = provisioner.ActionPlan
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return provisioner.Scope{}, refusal
	}
	names := slices.Clone(r.Tenants)
	for t := range r.People {
		names = append(names, t)
	}
	for _, t := range names {
		if refusal := provisioner.Allow(actor, action, provisioner.Object{Tenant: t}); refusal != nil {
			return provisioner.Scope{}, refusal
		}
	}
	if len(r.Tenants) == 0 {
		return provisioner.ScopeOf(actor, action), nil
	}
	return provisioner.Within(r.Tenants...), nil
}

// gathering is what one plan is made from.
type gathering struct {
	tx    *store.Reader
	actor provisioner.Actor
	asked Request
	scope provisioner.Scope
	now   time.Time

	tenants  []plan.Tenant
	pools    []plan.Pool
	gateways []plan.Gateway
	answer   Answer

	planned map[string]provisioner.Tenant
	known   map[string]int64 // people who have enrolled
	small   map[string]bool  // tenants whose numbers are rounded
}

func (g *gathering) all() error {
	return errors.Join(g.readTenants(), g.readPools(), g.readGateways())
}

// exact reports whether the actor may list a tenant's sessions anyway.
func (g *gathering) exact(tenant string) bool {
	return provisioner.Allow(g.actor, provisioner.ActionListSessions, provisioner.Object{Tenant: tenant}) == nil
}

func (g *gathering) readTenants() error {
	tenants, err := g.tx.Tenants(g.scope)
	if err != nil {
		return fmt.Errorf("reading tenants: %w", err)
	}
	if err := g.missing(tenants); err != nil {
		return err
	}
	laptops, err := g.tx.EnrolledLaptops(g.scope)
	if err != nil {
		return fmt.Errorf("counting laptops: %w", err)
	}
	if g.known, err = g.tx.EntitledPeople(g.scope); err != nil {
		return fmt.Errorf("counting people: %w", err)
	}
	g.planned, g.small = make(map[string]provisioner.Tenant), make(map[string]bool)
	for _, t := range tenants {
		exact := g.exact(t.Name)
		g.small[t.Name] = !exact && g.known[t.Name] < capacity.FewPeople
		people, given := g.asked.People[t.Name]
		if !given {
			people = g.told(t.Name, g.known[t.Name])
			if people == 0 {
				g.answer.LeftOut = append(g.answer.LeftOut, t.Name)
				continue
			}
			g.answer.PeopleKnown = append(g.answer.PeopleKnown, t.Name)
		}
		n := g.told(t.Name, laptops[t.Name])
		if !exact && laptops[t.Name] < capacity.Smallest {
			g.answer.LaptopsWithheld = append(g.answer.LaptopsWithheld, t.Name)
		}
		g.planned[t.Name] = t
		g.tenants = append(g.tenants, plan.Tenant{Name: t.Name, People: people, Laptops: n})
	}
	return nil
}

// missing refuses tenants that are asked for by name and are not there.
func (g *gathering) missing(tenants []provisioner.Tenant) error {
	there := func(name string) bool {
		return slices.ContainsFunc(tenants, func(t provisioner.Tenant) bool { return t.Name == name })
	}
	for _, name := range g.asked.Tenants {
		if !there(name) {
			return notFound(name)
		}
	}
	for name := range g.asked.People {
		if !there(name) {
			if len(g.asked.Tenants) > 0 {
				return invalid("Menschen", "people", "sie sind auch für eine Verwaltung genannt, für die nicht geplant wird", "they are given for a tenant too that is not planned for")
			}
			return notFound(name)
		}
	}
	return nil
}

func notFound(tenant string) *provisioner.Refusal {
	return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(tenant, 64)).With("what", "Diese Verwaltung", "tenant")
}

// told is a number of people or laptops of a tenant as the actor may know it; zero: it is
// withheld.
func (g *gathering) told(tenant string, n int64) int64 {
	switch {
	case g.exact(tenant):
		return n
	case n < capacity.Smallest:
		return 0
	case g.small[tenant]:
		return capacity.Round(n)
	}
	return n
}

func (g *gathering) readPools() error {
	pools, err := g.tx.Pools()
	if err != nil {
		return fmt.Errorf("reading licence pools: %w", err)
	}
	peaks, err := g.tx.HighestPeaks(g.now.Add(-peaksSince), g.now)
	if err != nil {
		return fmt.Errorf("reading how many seats were held: %w", err)
	}
	for _, p := range pools {
		if p.Pool.Model != provisioner.PoolConcurrent {
			continue
		}
		if one := g.pool(p.Pool, peaks[p.Pool.Name]); one != nil {
			g.pools = append(g.pools, *one)
		}
	}
	return nil
}

// pool is what a pool has for the plan; nil: nothing.
func (g *gathering) pool(p provisioner.LicencePool, peak int64) *plan.Pool {
	one := &plan.Pool{Name: p.Name}
	rounded, few := false, false
	for _, s := range p.Shares {
		t, planned := g.planned[s.Tenant]
		if !planned || t.CountsPool(p.Name) {
			one.Shared = true
			continue
		}
		one.Tenants = append(one.Tenants, s.Tenant)
		one.Guaranteed += s.Guarantee
		rounded = rounded || !g.exact(s.Tenant)
		few = few || !g.exact(s.Tenant) && g.known[s.Tenant] < capacity.Smallest
	}
	switch {
	case len(one.Tenants) == 0:
		return nil
	case one.Shared:
		return one
	}
	one.Guaranteed, one.Contracts, one.Peak = 0, p.Contracts, peak
	switch {
	case few: // who knows all the others would learn of them
		one.Peak = 0
	case rounded: // up, or there would be too few seats; of whom usage tells exactly it matters little
		one.Peak = capacity.RoundUp(peak)
	}
	return one
}

// readGateways is for who may know them: they serve many tenants.
func (g *gathering) readGateways() error {
	if refusal := provisioner.Allow(g.actor, provisioner.ActionReadGatewayLoad, provisioner.Object{}); refusal != nil {
		return nil //nolint:nilerr // a refusal is an answer here: the plan is made without
	}
	gateways, err := g.tx.Gateways()
	if err != nil {
		return fmt.Errorf("reading gateways: %w", err)
	}
	for _, w := range gateways {
		space := address.Aggregate{V4: w.AggregateV4, V6: w.AggregateV6}
		g.gateways = append(g.gateways, plan.Gateway{Name: w.Name, Sessions: max(1, w.Sessions), Addresses: int64(space.Blocks()) * address.BlockSize, Tenants: w.Tenants})
	}
	return nil
}
