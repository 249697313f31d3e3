package store

import (
	"errors"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

// What the ledger keeps of licence pools and their seats.

// poolsOf names the pools to which a tenant is entitled, and has read them.
func (l *ledger) poolsOf(tenant string) ([]string, error) {
	if names, ok := l.rows.entitled[tenant]; ok {
		return names, nil
	}
	list, err := all(l.pen, scanEntitled, selectEntitled+`where s.tenant = $1 and `+forSessions+` order by p.name`, tenant)
	if err != nil {
		return nil, err
	}
	read(l, l.rows.entitled, tenant, []string{})
	for _, e := range list {
		l.keepPool(e)
	}
	return l.rows.entitled[tenant], nil
}

// offers gives the pools that somebody is entitled to, as they are without a place of her
// tenant's in the queue; zero: without none.
func (l *ledger) offers(c seat.Claim, now time.Time, but Queued) ([]seat.Offer, error) {
	list, err := l.unnamed(c, now)
	if err != nil {
		return nil, err
	}
	rank := c.Class.Rank()
	for i := range list {
		waiting := l.rows.shares[shareKey{list[i].Pool, c.Tenant}].waiting // a copy
		if but.Device != "" && but.Waits() && but.Tenant == c.Tenant {
			waiting[but.Class.Rank()]--
			list[i].Waiting--
		}
		list[i].ClassBefore = waiting[rank] > 0
		list[i].TenantBefore = slices.Max(waiting[:rank+1]) > 0
	}
	return list, l.named([]seat.Claim{c}, [][]seat.Offer{list})
}

// unnamed is offers without what only matters to who comes now: the named seats that she
// has, and who waits before her.
func (l *ledger) unnamed(c seat.Claim, now time.Time) ([]seat.Offer, error) {
	names, err := l.poolsOf(c.Tenant)
	if err != nil {
		return nil, err
	}
	list := make([]seat.Offer, len(names))
	for i, name := range names {
		if list[i], err = l.offer(name, c, now); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// offer is one pool as somebody meets it, without the named seat that she has.
func (l *ledger) offer(pool string, c seat.Claim, now time.Time) (seat.Offer, error) {
	p, s, err := l.seat(pool, c.Tenant)
	if err != nil {
		return seat.Offer{}, err
	}
	class, err := l.class(pool, c.Class)
	if err != nil {
		return seat.Offer{}, err
	}
	if !p.quantity.Covers(now) {
		declared, err := declaredPool(l.pen, pool)
		if err != nil {
			return seat.Offer{}, err
		}
		change(l, p)
		p.quantity = declared.At(now)
	}
	return seat.Offer{
		Pool: pool, Model: p.model, Quantity: p.quantity, Held: p.held, UnusedGuarantee: p.unused, UnusedReserve: p.unusedReserve,
		Guarantee: s.guarantee, Protected: s.protected, TenantHeld: s.held - s.reserved, Reserve: class.reserve, ClassHeld: class.held,
		Waiting: p.waiting, Queued: s.queued,
	}, nil
}

// keepPool keeps a pool and a tenant's share as they were read, unless they are
// known already and perhaps counted in.
func (l *ledger) keepPool(e entitlement) {
	if _, ok := l.rows.pools[e.pool]; !ok {
		read(l, l.rows.pools, e.pool, &e.poolRow)
	}
	key := shareKey{e.pool, e.tenant}
	if _, ok := l.rows.shares[key]; !ok {
		read(l, l.rows.shares, key, &e.shareRow)
	}
	l.rows.entitled[e.tenant] = append(l.rows.entitled[e.tenant], e.pool)
}

// reserves reports whether seats can be reserved for a class; what the others hold
// is not counted.
func reserves(class provisioner.PriorityClass) bool {
	return class.Rank() < provisioner.PriorityOrdinary.Rank()
}

// class gives what a pool reserves for a class.
func (l *ledger) class(pool string, class provisioner.PriorityClass) (*classRow, error) {
	if !reserves(class) {
		return &classRow{}, nil
	}
	key := classKey{pool, class}
	if r, ok := l.rows.classes[key]; ok {
		return r, nil
	}
	r, err := one(l.pen, func(s scanner) (r classRow, err error) { err = s.Scan(&r.reserve, &r.held); return r, err },
		`select reserve, held from pool_class where pool = $1 and class = $2`, pool, string(class))
	if err != nil && !errors.Is(err, ErrNone) {
		return nil, err
	}
	return read(l, l.rows.classes, key, &r), nil
}

// seat gives the rows in which a seat of a tenant is counted.
func (l *ledger) seat(pool, tenant string) (*poolRow, *shareRow, error) {
	p, s := l.rows.pools[pool], l.rows.shares[shareKey{pool, tenant}]
	if p != nil && s != nil {
		return p, s, nil
	}
	e, err := one(l.pen, scanEntitled, selectEntitled+`where s.pool = $1 and s.tenant = $2`, pool, tenant)
	if errors.Is(err, ErrNone) {
		return nil, nil, offTheBooks("seat of " + tenant + " in " + pool)
	}
	if err != nil {
		return nil, nil, err
	}
	if p == nil {
		p = read(l, l.rows.pools, pool, &e.poolRow)
	}
	if s == nil {
		s = read(l, l.rows.shares, shareKey{pool, tenant}, &e.shareRow)
	}
	return p, s, nil
}

// moveSeat counts one seat more or less.
func (l *ledger) moveSeat(pool, tenant string, class provisioner.PriorityClass, by int64) error {
	p, s, err := l.seat(pool, tenant)
	if err != nil {
		return err
	}
	change(l, s)
	change(l, p)
	p.dirty, s.dirty = true, true
	p.held += by
	s.held += by
	if !reserves(class) {
		own := s.held - s.reserved
		p.unused += max(0, s.protected-own) - max(0, s.protected-own+by)
		return nil
	}
	c, err := l.class(pool, class)
	if err != nil {
		return err
	}
	change(l, c)
	p.unusedReserve += max(0, c.reserve-c.held-by) - max(0, c.reserve-c.held)
	s.reserved += by
	c.held += by
	c.dirty = true
	return nil
}

// poolsAhead reads at once what many claims have to know of pools.
func (l *ledger) poolsAhead(claims []seat.Claim) error {
	var fresh []string
	for _, c := range claims {
		if _, known := l.rows.entitled[c.Tenant]; !known {
			read(l, l.rows.entitled, c.Tenant, []string{})
			fresh = append(fresh, c.Tenant)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	var a args
	list, err := all(l.pen, scanEntitled, selectEntitled+`where s.tenant`+a.in(fresh)+` and `+forSessions+` order by s.tenant, p.name`, a.list...)
	if err != nil {
		return err
	}
	var pools []string
	for _, e := range list {
		if l.rows.pools[e.pool] == nil {
			pools = append(pools, e.pool)
		}
		l.keepPool(e)
	}
	return l.classesAhead(pools)
}

// classesAhead reads at once what pools reserve for classes.
func (l *ledger) classesAhead(pools []string) error {
	if len(pools) == 0 {
		return nil
	}
	type row struct {
		classKey
		classRow
	}
	var a args
	list, err := all(l.pen, func(s scanner) (v row, err error) {
		err = s.Scan(&v.pool, &v.class, &v.reserve, &v.held)
		return v, err
	}, `select pool, class, reserve, held from pool_class where pool`+a.in(pools), a.list...)
	if err != nil {
		return err
	}
	known := make(map[classKey]classRow)
	for _, v := range list {
		known[v.classKey] = v.classRow
	}
	for _, pool := range pools {
		for _, class := range provisioner.PriorityClasses() {
			key := classKey{pool, class}
			if r := known[key]; reserves(class) && l.rows.classes[key] == nil {
				read(l, l.rows.classes, key, &r)
			}
		}
	}
	return nil
}

// named adds, of those who claim a seat, which named ones they have.
func (l *ledger) named(claims []seat.Claim, offers [][]seat.Offer) error {
	var people []string
	for i, c := range claims {
		if c.Person != "" && slices.ContainsFunc(offers[i], func(o seat.Offer) bool { return o.Model == provisioner.PoolNamed }) {
			people = append(people, c.Person)
		}
	}
	if len(people) == 0 {
		return nil
	}
	seats, err := namedSeats(l.pen, people...)
	if err != nil {
		return err
	}
	has := make(map[[2]string]NamedSeat)
	for _, n := range seats {
		has[[2]string{n.Pool, n.Person}] = n
	}
	for i, c := range claims {
		list := offers[i]
		for j, o := range list {
			if n, ok := has[[2]string{o.Pool, c.Person}]; ok {
				list[j].Assigned, list[j].Kept = !n.Returned(), n.Returned() && n.Tenant == c.Tenant
			}
		}
	}
	return nil
}
