package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// ProductCount is in how many sessions of a tenant a product is in use.
type ProductCount struct {
	Tenant, Product string
	Version         string // empty: all versions together
	Sessions        int64
}

func scanProductCount(s scanner) (c ProductCount, err error) {
	err = s.Scan(&c.Tenant, &c.Product, &c.Version, &c.Sessions)
	return c, err
}

// PutProductCounts writes how many sessions the laptops of this replica say; zero
// takes a number away. What is not named stays.
func (w *Writer) PutProductCounts(counts []ProductCount) error {
	rows := make([][]any, len(counts))
	for i, c := range counts {
		rows[i] = []any{w.store.replica, c.Tenant, c.Product, c.Version, c.Sessions}
	}
	if err := insertMany(w.q, `insert into product_present (replica, tenant, product, version, sessions)`, rows,
		` on conflict (replica, tenant, product, version) do update set sessions = excluded.sessions`); err != nil {
		return err
	}
	return run(w.q, `delete from product_present where replica = $1 and sessions = 0`, w.store.replica)
}

// HoldProductCounts has the numbers of this replica count until a time.
func (w *Writer) HoldProductCounts(until time.Time) error {
	return run(w.q, `insert into product_replica (replica, until) values ($1, $2)
		on conflict (replica) do update set until = excluded.until`, w.store.replica, ms(until))
}

// DropProductCounts takes the numbers of this replica away.
func (w *Writer) DropProductCounts() error {
	if err := run(w.q, `delete from product_present where replica = $1`, w.store.replica); err != nil {
		return err
	}
	return run(w.q, `delete from product_replica where replica = $1`, w.store.replica)
}

// ForgetProductCounts deletes the numbers that counted until before t.
func (w *Writer) ForgetProductCounts(t time.Time) error {
	if err := run(w.q, `delete from product_present where replica not in (select replica from product_replica where until >= $1)`, ms(t)); err != nil {
		return err
	}
	return run(w.q, `delete from product_replica where until < $1`, ms(t))
}

// ProductCounts adds up what all replicas say at a time of the tenants in scope, by
// tenant, product and version.
func (r *Reader) ProductCounts(scope provisioner.Scope, now time.Time) ([]ProductCount, error) {
	a := new(args)
	return all(r.q, scanProductCount, `select p.tenant, p.product, p.version, cast(sum(p.sessions) as bigint) from product_present p
		join product_replica r on r.replica = p.replica where r.until >= `+a.add(ms(now))+` and `+a.scope(scope, "p.tenant")+`
		group by p.tenant, p.product, p.version order by p.tenant, p.product, p.version`, a.list...)
}

// RaiseProductPeaks keeps the numbers of an hour that are higher than those kept.
func (w *Writer) RaiseProductPeaks(hour time.Time, counts []ProductCount) error {
	rows := make([][]any, len(counts))
	for i, c := range counts {
		rows[i] = []any{c.Tenant, c.Product, c.Version, ms(hour), c.Sessions}
	}
	return insertMany(w.q, `insert into product_peak (tenant, product, version, hour, sessions)`, rows,
		` on conflict (tenant, product, version, hour) do update set sessions = excluded.sessions where excluded.sessions > product_peak.sessions`)
}

// ProductPeaks lists the highest numbers of hours that began at a time or later, and before
// another, by tenant, product and version.
func (r *Reader) ProductPeaks(scope provisioner.Scope, since, before time.Time) ([]ProductCount, error) {
	a := new(args)
	return all(r.q, scanProductCount, `select tenant, product, version, max(sessions) from product_peak
		where hour >= `+a.add(ms(since))+` and hour < `+a.add(ms(before))+` and `+a.scope(scope, "tenant")+` group by tenant, product, version order by tenant, product, version`, a.list...)
}

// ForgetProductPeaks deletes hours that began before t, at most limit rows, and tells how many.
func (w *Writer) ForgetProductPeaks(t time.Time, limit int) (int64, error) {
	return changed(w.q, `delete from product_peak where (tenant, product, version, hour) in
		(select tenant, product, version, hour from product_peak where hour < $1 order by hour limit $2)`, ms(t), limit)
}
