package store

import (
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// PoolState is a licence pool with what is held of it, as one tenant meets it.
type PoolState struct {
	Pool            provisioner.LicencePool
	Held            int64
	UnusedGuarantee int64 // over all tenants
	// Of the tenant asked for; zero where none was.
	Guarantee  int64
	TenantHeld int64
}

func scanPool(s scanner) (p PoolState, err error) {
	var text string
	if err := s.Scan(&text, &p.Held, &p.UnusedGuarantee, &p.Guarantee, &p.TenantHeld); err != nil {
		return p, err
	}
	return p, fromJSON(text, &p.Pool)
}

// Pools lists every licence pool, by name.
func (r *Reader) Pools() ([]PoolState, error) {
	return all(r.q, scanPool, `select declaration, held, unused_guarantee, 0, 0 from licence_pool order by name`)
}

// Pool reads the declaration of a pool; ErrNone if there is none.
func (r *Reader) Pool(name string) (provisioner.LicencePool, error) {
	return one(r.q, scanDeclaration[provisioner.LicencePool], `select declaration from licence_pool where name = $1`, name)
}

// PoolsOf lists the pools a tenant is entitled to, by name, as an opening must
// know them: without contract, price and the list of shares, which may name some
// hundred tenants. Those from which the tenant only still holds seats are not
// among them.
func (r *Reader) PoolsOf(tenant string) ([]PoolState, error) {
	if l := r.ledger(); l != nil {
		return l.poolsOf(tenant)
	}
	list, err := all(r.q, scanEntitled, selectEntitled+`where s.tenant = $1 and s.entitled = 1 order by p.name`, tenant)
	states := make([]PoolState, len(list))
	for i, e := range list {
		states[i] = e.state
	}
	return states, err
}

// entitlement is a pool with one tenant's share of it.
type entitlement struct {
	tenant string
	state  PoolState
}

const selectEntitled = `select s.tenant, p.name, p.seats, p.burst, p.valid_from, p.valid_until, p.held, p.unused_guarantee, s.guarantee, s.held
	from pool_share s join licence_pool p on p.name = s.pool `

func scanEntitled(s scanner) (e entitlement, err error) {
	p := &e.state
	p.Pool.Model = provisioner.PoolConcurrent
	var from, until int64
	err = s.Scan(&e.tenant, &p.Pool.Name, &p.Pool.Seats, &p.Pool.Burst, &from, &until, &p.Held, &p.UnusedGuarantee, &p.Guarantee, &p.TenantHeld)
	p.Pool.From, p.Pool.Until = at(from), at(until)
	return e, err
}

// Held lists how many seats of each pool the tenants in scope hold, those that
// hold none included.
func (r *Reader) Held(scope provisioner.Scope) ([]capacity.Held, error) {
	a := new(args)
	return all(r.q, func(s scanner) (h capacity.Held, err error) {
		err = s.Scan(&h.Pool, &h.Tenant, &h.Seats)
		return h, err
	},
		`select pool, tenant, held from pool_share where `+a.scope(scope, "tenant")+` order by pool, tenant`, a.list...)
}

// PutPool makes or changes a pool. Shares of tenants that the declaration no
// longer names stay until their last seat is back, without guarantee. was is the
// pool as it is stored, zero if there is none; without it all shares are written
// anew.
func (w *Writer) PutPool(p provisioner.LicencePool, was ...provisioner.LicencePool) error {
	text, err := toJSON(p)
	if err != nil {
		return err
	}
	if err := run(w.q, `insert into licence_pool (name, seats, burst, valid_from, valid_until, declaration, held, unused_guarantee)
		values ($1, $2, $3, $4, $5, $6, 0, 0)
		on conflict (name) do update set seats = excluded.seats, burst = excluded.burst, valid_from = excluded.valid_from,
			valid_until = excluded.valid_until, declaration = excluded.declaration`,
		p.Name, p.Seats, p.Burst, ms(p.From), ms(p.Until), text); err != nil {
		return err
	}
	shares := p.Shares
	if len(was) == 0 {
		if err := w.dropShares(`pool = $1`, p.Name); err != nil {
			return err
		}
	} else {
		shares = without(p.Shares, was[0].Shares)
		for _, s := range without(was[0].Shares, p.Shares) {
			if err := w.dropShares(`pool = $1 and tenant = $2`, p.Name, s.Tenant); err != nil {
				return err
			}
		}
	}
	rows := make([][]any, len(shares))
	for i, s := range shares {
		rows[i] = []any{p.Name, s.Tenant, s.Guarantee, 1, 0}
	}
	if err := insertMany(w.q, `insert into pool_share (pool, tenant, guarantee, entitled, held)`, rows,
		` on conflict (pool, tenant) do update set guarantee = excluded.guarantee, entitled = excluded.entitled`); err != nil {
		return err
	}
	return run(w.q, `update licence_pool set unused_guarantee = coalesce((select sum(case when guarantee > held then guarantee - held else 0 end)
		from pool_share where pool = $1), 0) where name = $2`, p.Name, p.Name)
}

// dropShares takes shares away; those of which seats are held go with the last.
func (w *Writer) dropShares(which string, of ...any) error {
	if err := run(w.q, `delete from pool_share where held = 0 and `+which, of...); err != nil {
		return err
	}
	return run(w.q, `update pool_share set guarantee = 0, entitled = 0 where `+which, of...)
}

// TakeSeat counts one more seat held; whether it may was decided before.
func (w *Writer) TakeSeat(pool, tenant string) error { return w.ledger().moveSeat(pool, tenant, 1) }

// FreeSeat counts one seat less.
func (w *Writer) FreeSeat(pool, tenant string) error { return w.ledger().moveSeat(pool, tenant, -1) }

// offTheBooks says that something is held or wanted of which there is no row: a
// mistake of ours, which must not read like ErrNone, an answer.
func offTheBooks(what string) error { return fmt.Errorf("there is no row for the %s", what) }
