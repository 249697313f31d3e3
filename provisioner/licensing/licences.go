package licensing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// warnedBefore is how long before a contract's end, or its notice date, somebody is told.
	warnedBefore = 90 * 24 * time.Hour
	// unusedAfter is how long a named seat may lie unused before it is counted.
	unusedAfter = 30 * 24 * time.Hour
)

// Licences is what is bought.
type Licences struct {
	At        time.Time
	Contracts []Contract
	Warnings  []Warning
	Unused    []Unused // of pools of named seats
}

// Contract is one that has not ended. Reference and Price are empty where the caller does
// not see all tenants that share the pool.
type Contract struct {
	provisioner.Contract

	Pool  string
	Model provisioner.PoolModel
}

// NetCentsAYear is what all seats cost in a year, the burst not counted.
func (c Contract) NetCentsAYear() int64 { return c.Seats * c.Price.CentsAYear() }

// GrossCentsAYear is NetCentsAYear with tax.
func (c Contract) GrossCentsAYear() int64 {
	gross := provisioner.Price{NetCents: c.Price.GrossCents, Period: c.Price.Period}
	return c.Seats * gross.CentsAYear()
}

// WarningCode says what is to be done about a pool.
type WarningCode string

// What is warned of.
const (
	WarnEnds       WarningCode = "ends"
	WarnNotice     WarningCode = "notice"
	WarnGuarantees WarningCode = "guarantees" // more are promised than there will be
)

// Warning is something to be done about a pool.
type Warning struct {
	Pool string
	Code WarningCode
	At   time.Time // when it happens

	Seats, Promised int64  // of the contract, or then; what is guaranteed and reserved
	Reference       string // of the contract; may be empty
}

// Unused is how many seats of a pool of names nobody has used for 30 days.
type Unused struct {
	Pool  string
	Seats Count
	// Product is set for a product's pool. Whether somebody uses a product is counted
	// without her: so it is how many lie unused at most, assigned or not.
	Product *ProductUse
}

// ProductUse is from what it is reckoned how many seats of a product lie unused.
type ProductUse struct {
	// Owned are the pool's seats; of tenants that are not all that share it, what is
	// guaranteed to them. Zero: nothing is.
	Owned   int64
	Highest Count // in use at one time, within 30 days
}

// Licences shows the contracts of the pools that the actor may see, by pool and beginning,
// and what is to be done in the next 90 days.
func (s *Service) Licences(ctx context.Context, actor provisioner.Actor, tenant string) (l Licences, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadConcurrency, provisioner.Object{Tenant: tenant}); refusal != nil {
		return l, refusal
	}
	now := time.Now()
	err = s.store.View(ctx, func(tx *store.Reader) error {
		l = Licences{At: now}
		pools, err := views(tx, actor, tenant, now)
		if err != nil {
			return fmt.Errorf("reading the licence pools: %w", err)
		}
		unused, err := tx.UnusedSeats(provisioner.ScopeOf(actor, provisioner.ActionReadConcurrency).Narrow(tenant), now.Add(-unusedAfter))
		if err != nil {
			return fmt.Errorf("counting unused seats: %w", err)
		}
		products, err := productsOf(tx, actor, provisioner.ScopeOf(actor, provisioner.ActionReadConcurrency).Narrow(tenant), now)
		if err != nil {
			return err
		}
		for _, v := range pools {
			contracts := v.contracts(now)
			l.Contracts = append(l.Contracts, contracts...)
			l.Warnings = append(l.Warnings, warnings(v, contracts, now)...)
			switch {
			case v.Pool.Model != provisioner.PoolNamed:
			case products.countAny(v):
				l.Unused = append(l.Unused, v.unusedOfProduct(actor, products))
			default:
				l.Unused = append(l.Unused, Unused{Pool: v.Pool.Name, Seats: v.unused(actor, unused)})
			}
		}
		slices.SortStableFunc(l.Warnings, func(a, b Warning) int { return a.At.Compare(b.At) })
		return nil
	})
	return l, err
}

func (v view) contracts(now time.Time) (list []Contract) {
	for _, c := range v.Pool.Contracts {
		if !c.Until.IsZero() && !now.Before(c.Until) {
			continue
		}
		if !v.whole {
			c.Reference, c.Price = "", provisioner.Price{}
		}
		list = append(list, Contract{Contract: c, Pool: v.Pool.Name, Model: v.Pool.Model})
	}
	slices.SortStableFunc(list, func(a, b Contract) int { return a.From.Compare(b.From) })
	return list
}

// unused counts a pool's unused seats. To a planner a small number speaks of individuals.
func (v view) unused(actor provisioner.Actor, list []capacity.Held) (c Count) {
	for _, h := range list {
		if h.Pool != v.Pool.Name {
			continue
		}
		c.Value += h.Seats
		if !open(actor, h.Tenant) && h.Seats < capacity.Smallest {
			c.Withheld = true
		}
	}
	if c.Withheld || v.withheld || !allOpen(actor, v.shares) && c.Value < capacity.Smallest {
		return Count{Withheld: true}
	}
	return c
}

// warnings lists what happens soon to a pool's contracts, and from when on more is promised
// than there is: at any time, because what is promised does not end.
func warnings(v view, contracts []Contract, now time.Time) (list []Warning) {
	soon := func(t time.Time) bool { return !t.IsZero() && now.Before(t) && t.Sub(now) <= warnedBefore }
	for _, c := range contracts {
		if soon(c.Until) {
			list = append(list, Warning{Pool: v.Pool.Name, Code: WarnEnds, At: c.Until, Seats: c.Seats, Reference: c.Reference})
		}
		if soon(c.NoticeBy) {
			list = append(list, Warning{Pool: v.Pool.Name, Code: WarnNotice, At: c.NoticeBy, Seats: c.Seats, Reference: c.Reference})
		}
	}
	if !v.whole {
		return list
	}
	var promised int64
	for _, s := range v.Pool.Shares {
		promised += s.Guarantee
	}
	for _, r := range v.Pool.Reserved {
		promised += r.Seats
	}
	for _, q := range v.Pool.Quantities(now) {
		if q.Seats < promised {
			at := q.From
			if at.Before(now) {
				at = now
			}
			return append(list, Warning{Pool: v.Pool.Name, Code: WarnGuarantees, At: at, Seats: q.Seats, Promised: promised})
		}
	}
	return list
}
