package licensing

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Pool is a licence pool as it is used.
type Pool struct {
	Name         string
	Model        provisioner.PoolModel
	Seats, Burst int64     // by the contracts that run
	NextEnd      time.Time // of one of those; zero: none has an end

	// Of the tenants that the caller sees.
	InUse, GuaranteedUnused, Borrowed Count
	Tenants                           []Share // those of whom the caller may know that much

	All *AllSeats // nil: the caller does not see all tenants
}

// Share is a tenant's part of a pool.
type Share struct {
	Tenant                     string
	Guarantee, InUse, Borrowed int64
}

// AllSeats is what is said of the seats of all tenants.
type AllSeats struct {
	Lent     Count // seats of guarantees that others hold
	Reserved []Reserve
	Waiting  Count // laptops
	Highest  Count // today
	// HighestAt is the quarter of an hour; zero: it is withheld, or nobody has looked yet.
	HighestAt time.Time
	Warning   int64 // the threshold that is passed, in percent; zero: none
}

// Reserve is what is reserved for a class.
type Reserve struct {
	Class  provisioner.PriorityClass
	Seats  int64
	Unused Count
}

// Seats shows the pools that the actor may see, by name, and when that was. An empty
// tenant: of all that the actor sees.
func (s *Service) Seats(ctx context.Context, actor provisioner.Actor, tenant string) (list []Pool, now time.Time, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadConcurrency, provisioner.Object{Tenant: tenant}); refusal != nil {
		return nil, now, refusal
	}
	now = time.Now()
	err = s.store.View(ctx, func(tx *store.Reader) error {
		list = nil
		pools, err := views(tx, actor, tenant, now)
		if err != nil {
			return fmt.Errorf("reading the licence pools: %w", err)
		}
		peaks, err := tx.Peaks(now)
		if err != nil {
			return fmt.Errorf("reading how many seats were held today: %w", err)
		}
		classes, err := tx.PoolClasses()
		if err != nil {
			return fmt.Errorf("reading reserved seats: %w", err)
		}
		for _, v := range pools {
			p := v.used(actor, now)
			if v.whole && tenant == "" {
				p.All = v.all(actor, peaks[p.Name], classes[p.Name])
			}
			list = append(list, p)
		}
		return nil
	})
	return list, now, err
}

// used adds up what tenants hold.
func (v view) used(actor provisioner.Actor, now time.Time) Pool {
	p := Pool{Name: v.Pool.Name, Model: v.Pool.Model, Seats: v.quantity.Seats, Burst: v.quantity.Burst, NextEnd: v.Pool.NextEnd(now)}
	var held, unused, borrowed int64
	for _, s := range v.shares {
		held += s.Held
		unused += max(0, s.Guarantee-s.Held)
		borrowed += max(0, s.Held-s.Guarantee)
		if open(actor, s.Tenant) {
			p.Tenants = append(p.Tenants, Share{s.Tenant, s.Guarantee, s.Held, max(0, s.Held-s.Guarantee)})
		}
	}
	p.InUse, p.GuaranteedUnused, p.Borrowed = v.count(held), v.count(unused), v.count(borrowed)
	return p
}

// all says what there is to say of the whole pool.
func (v view) all(actor provisioner.Actor, peak store.Peak, classes []store.PoolClass) *AllSeats {
	all := &AllSeats{Waiting: v.count(v.Waiting), Highest: v.count(max(peak.Seats, v.Held)), Lent: v.count(v.lent())}
	if !v.withheld {
		all.HighestAt, all.Warning = peak.At, v.warning()
	}
	open := open(actor, v.shares[0].Tenant)
	if !open && v.Waiting > 0 && v.Waiting < capacity.Smallest {
		all.Waiting = Count{Withheld: true}
	}
	for _, c := range classes {
		if c.Reserve == 0 {
			continue
		}
		r := Reserve{Class: c.Class, Seats: c.Reserve, Unused: v.count(max(0, c.Reserve-c.Held))}
		if !open && c.Held < capacity.Smallest {
			r.Unused = Count{Withheld: true}
		}
		all.Reserved = append(all.Reserved, r)
	}
	return all
}

// lent is how many of the seats held beyond guarantees are guaranteed to others: those
// for which what nobody is guaranteed does not suffice.
func (v view) lent() int64 {
	var guaranteed, unused, borrowed int64
	for _, s := range v.shares {
		guaranteed += s.Guarantee
		unused += max(0, s.Guarantee-s.Held)
		borrowed += max(0, s.Held-s.Guarantee)
	}
	return min(unused, max(0, borrowed-max(0, v.quantity.Most()-guaranteed)))
}

// warning is the highest threshold that is passed.
func (v view) warning() (passed int64) {
	thresholds := v.Pool.WarnAt
	if len(thresholds) == 0 {
		thresholds = provisioner.DefaultWarnings()
	}
	for _, percent := range thresholds {
		if v.Held > 0 && v.Held*100 >= percent*v.quantity.Seats {
			passed = percent
		}
	}
	return passed
}
