package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// poolCollector reads what licence pools give and what is held of them, all tenants
// together; the latter not where these have fewer than 50 people in all, of whom each
// would be seen to come and go. Fewer than five stand as none: metrics are kept, and of a night
// they would say when somebody works.
type poolCollector struct {
	app                                                       *App
	seats, burst, held, guaranteed, reserved, waiting, endsAt *prometheus.Desc
	refused                                                   *prometheus.Desc
}

func newPoolCollector(a *App) *poolCollector {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("heimdraht_licence_pool_"+name, help, []string{"pool"}, nil)
	}
	return &poolCollector{
		app:        a,
		seats:      d("seats", "Seats owned by the contracts that run, without burst."),
		burst:      d("burst_seats", "Seats agreed beyond those."),
		held:       d("seats_held", "Seats held by sessions, or assigned to people; fewer than 5 stand as 0."),
		guaranteed: d("seats_guaranteed_unused", "Seats guaranteed to tenants that do not hold them, less what may be lent."),
		reserved:   d("seats_reserved_unused", "Seats reserved for classes that do not hold them."),
		waiting:    d("waiting", "Laptops that wait for a seat; fewer than 5 stand as 0."),
		endsAt:     d("contract_end_timestamp_seconds", "When the next contract that runs ends, in seconds since 1970; missing if none does."),
		refused:    prometheus.NewDesc("heimdraht_seats_refused_total", "Openings refused by this process for want of a seat.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *poolCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *poolCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ch <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(c.app.sessions.RefusedForSeats()))
	pools, err := store.Read(ctx, c.app.store, (*store.Reader).Pools)
	if err != nil {
		c.app.log.Error("reading metrics of licence pools", "error", err)
		ch <- prometheus.NewInvalidMetric(c.seats, err)
		return
	}
	few, err := c.app.usage.FewPeople(ctx)
	if err != nil {
		c.app.log.Error("reading metrics of licence pools", "error", err)
		ch <- prometheus.NewInvalidMetric(c.held, err)
		return
	}
	unused, err := store.Read(ctx, c.app.store, unusedOf)
	if err != nil {
		c.app.log.Error("reading metrics of licence pools", "error", err)
		ch <- prometheus.NewInvalidMetric(c.guaranteed, err)
		return
	}
	now := time.Now()
	for _, p := range pools {
		gauge := func(d *prometheus.Desc, v int64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), p.Pool.Name)
		}
		q := p.Pool.At(now)
		gauge(c.seats, q.Seats)
		gauge(c.burst, q.Burst)
		if !few[p.Pool.Name] {
			gauge(c.held, unlessFew(p.Held))
			rest := unused(p)
			gauge(c.guaranteed, rest.guarantees)
			gauge(c.reserved, rest.reserves)
			gauge(c.waiting, unlessFew(p.Waiting))
		}
		if end := p.Pool.NextEnd(now); !end.IsZero() {
			gauge(c.endsAt, end.Unix())
		}
	}
}

// unlessFew is a number of people as it is kept: fewer than five are none.
func unlessFew(n int64) int64 {
	if n < capacity.Smallest {
		return 0
	}
	return n
}

// promised is what nobody uses of a pool's promises.
type promised struct{ guarantees, reserves int64 }

// unusedOf tells what of promises is unused, as if fewer than five people of a tenant or a class held
// nothing: from what is missing it would be seen that they do.
func unusedOf(tx *store.Reader) (func(store.PoolState) promised, error) {
	shares, err := tx.PoolShares()
	if err != nil {
		return nil, err
	}
	classes, err := tx.PoolClasses()
	if err != nil {
		return nil, err
	}
	return func(p store.PoolState) (n promised) {
		for _, s := range shares {
			if s.Pool == p.Pool.Name {
				n.guarantees += max(0, p.Pool.Protected(s.Guarantee)-unlessFew(s.Held-s.Reserved))
			}
		}
		for _, c := range classes[p.Pool.Name] {
			n.reserves += max(0, c.Reserve-unlessFew(c.Held))
		}
		return n
	}, nil
}
