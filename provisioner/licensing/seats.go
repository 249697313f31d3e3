package licensing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Pool is a licence pool as it is used.
type Pool struct {
	Name         string
	Model        provisioner.PoolModel
	Seats, Burst int64     // by the contracts that run
	NextEnd      time.Time // of one of those; zero: none has an end
	// Product: it is a product's. Sessions take none of its seats; how much is in use says
	// metering, and of named ones InUse how many are assigned.
	Product bool

	// Of the tenants that the caller asks about. Over the tenants of a pool they add up.
	InUse, GuaranteedUnused, Borrowed Count
	Waiting                           Count   // laptops; who may use several pools waits for each of them
	Tenants                           []Share // those of whom the caller may know that much

	// Of all tenants; withheld from who does not see all of them.
	Lent      Count // seats of guarantees that others hold
	Reserved  []Reserve
	Highest   Count     // today
	HighestAt time.Time // the quarter of an hour; zero: it is withheld, or nobody has looked yet
	Warning   Count     // the threshold that is passed, in percent; zero: none

	// Until is set for those who may not list the sessions: InUse, and Warning with it, is the
	// most at one time in the quarter of an hour that ended then, and Highest that in the full
	// hours of today. Zero: now.
	Until time.Time

	Thresholds []int64 // in percent
	Probable   []int64 // of which a forecast warns, in percent; of concurrent seats
}

// Share is a tenant's part of a pool.
type Share struct {
	Tenant                              string
	Guarantee, InUse, Borrowed, Waiting int64
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
		waiting, err := queuesOf(tx, actor)
		if err != nil {
			return fmt.Errorf("reading who waits: %w", err)
		}
		meters, err := metersIn(tx, provisioner.ScopeOf(actor, provisioner.ActionReadConcurrency).Narrow(tenant))
		if err != nil {
			return err
		}
		told, err := readTold(tx, pools, now)
		if err != nil {
			return err
		}
		for _, v := range pools {
			p := v.used(actor, waiting, now)
			p.Product = meters.countAny(v)
			v.addAll(&p, peaks[p.Name], classes[p.Name])
			if v.Pool.Model == provisioner.PoolConcurrent && !p.Product {
				v.tell(&p, told)
			}
			list = append(list, p)
		}
		return nil
	})
	return list, now, err
}

// share is what the rules of lending are about.
func share(s store.PoolShare) seat.Share {
	return seat.Share{Guarantee: s.Guarantee, Held: s.Held - s.Reserved}
}

// used adds up what tenants hold that are asked about.
func (v view) used(actor provisioner.Actor, waiting queues, now time.Time) Pool {
	p := Pool{Name: v.Pool.Name, Model: v.Pool.Model, Seats: v.quantity.Seats, Burst: v.quantity.Burst, NextEnd: v.Pool.NextEnd(now)}
	var held, unused, borrowed int64
	for _, s := range v.shares {
		held += s.Held
		unused += share(s).Unused()
		borrowed += share(s).Borrowed()
		if open(actor, s.Tenant) {
			p.Tenants = append(p.Tenants, Share{s.Tenant, s.Guarantee, s.Held, share(s).Borrowed(), waiting[s.Pool][s.Tenant]})
		}
	}
	p.InUse, p.GuaranteedUnused, p.Borrowed = v.count(held), v.count(unused), v.count(borrowed)
	p.Waiting = v.waiting(actor, waiting)
	return p
}

// addAll says what there is to say of the whole pool.
func (v view) addAll(p *Pool, peak store.Peak, classes []store.PoolClass) {
	p.Thresholds = v.Pool.Thresholds()
	if v.Pool.Model == provisioner.PoolConcurrent {
		p.Probable = v.Pool.ForecastThresholds()
	}
	p.Lent, p.Highest, p.Warning = v.of(v.lent(classes)), v.of(max(peak.Seats, v.Held)), v.of(v.warning(v.Held))
	if !p.Highest.Withheld {
		p.HighestAt = peak.At
	}
	for _, c := range classes {
		if c.Reserve > 0 {
			p.Reserved = append(p.Reserved, Reserve{Class: c.Class, Seats: c.Reserve, Unused: v.of(max(0, c.Reserve-c.Held))})
		}
	}
}

// lent is how many of all seats that are held beyond guarantees are guaranteed to others.
func (v view) lent(classes []store.PoolClass) int64 {
	var reserved int64
	for _, c := range classes {
		reserved += max(c.Reserve, c.Held)
	}
	var shares []seat.Share
	for _, s := range slices.Concat(v.shares, v.others) {
		shares = append(shares, share(s))
	}
	return seat.Lent(v.quantity.Most(), reserved, shares)
}

// warning is the highest threshold that so many held seats pass.
func (v view) warning(held int64) (passed int64) {
	for _, percent := range v.Pool.Thresholds() {
		if held > 0 && held*100 >= percent*v.quantity.Seats {
			passed = percent
		}
	}
	return passed
}

// queues is how many laptops wait, by pool and tenant.
type queues map[string]map[string]int64

// queuesOf counts who waits, of tenants that the actor sees.
func queuesOf(tx *store.Reader, actor provisioner.Actor) (queues, error) {
	list, err := tx.QueueLengths(provisioner.ScopeOf(actor, provisioner.ActionReadConcurrency))
	q := make(queues)
	for _, h := range list {
		if q[h.Pool] == nil {
			q[h.Pool] = make(map[string]int64)
		}
		q[h.Pool][h.Tenant] = h.Seats
	}
	return q, err
}

// waiting counts who waits of the tenants that are asked about, for those who may list
// their sessions.
func (v view) waiting(actor provisioner.Actor, q queues) (c Count) {
	if !allOpen(actor, v.shares) {
		return Count{Withheld: true}
	}
	for _, s := range v.shares {
		c.Value += q[v.Pool.Name][s.Tenant]
	}
	return c
}
