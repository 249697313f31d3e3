package store

import (
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

// PoolState is a licence pool with what is held of it.
type PoolState struct {
	Pool            provisioner.LicencePool
	Held            int64
	UnusedGuarantee int64 // over all tenants
	UnusedReserve   int64 // over all classes
	Waiting         int64 // laptops that wait for its seats
}

func scanPool(s scanner) (p PoolState, err error) {
	var text string
	if err := s.Scan(&text, &p.Held, &p.UnusedGuarantee, &p.UnusedReserve, &p.Waiting); err != nil {
		return p, err
	}
	return p, fromJSON(text, &p.Pool)
}

// Pools lists every licence pool, by name.
func (r *Reader) Pools() ([]PoolState, error) {
	return all(r.q, scanPool, `select declaration, held, unused_guarantee, unused_reserve, waiting from licence_pool order by name`)
}

// Pool reads the declaration of a pool; ErrNone if there is none.
func (r *Reader) Pool(name string) (provisioner.LicencePool, error) {
	return declaredPool(r.q, name)
}

// SeatsHeld tells how many seats of a pool are held; ErrNone if there is no such pool.
func (r *Reader) SeatsHeld(name string) (int64, error) {
	return one(r.q, value[int64], `select held from licence_pool where name = $1`, name)
}

func declaredPool(q querier, name string) (provisioner.LicencePool, error) {
	return one(q, scanDeclaration[provisioner.LicencePool], `select declaration from licence_pool where name = $1`, name)
}

// Offers lists the pools that somebody is entitled to, by name, as she meets them
// at now. Those from which her tenant only still holds seats are not among them.
func (r *Reader) Offers(c seat.Claim, now time.Time) ([]seat.Offer, error) {
	return r.anyLedger().offers(c, now, Queued{})
}

// OffersBut is Offers as they would be if a place of her tenant were not there: her own,
// which is not before her.
func (r *Reader) OffersBut(q Queued, c seat.Claim, now time.Time) ([]seat.Offer, error) {
	return r.anyLedger().offers(c, now, q)
}

// PoolOffer is one pool as somebody who is entitled to it meets it at now, whether it gives
// sessions seats or is a product's. ErrNone: her tenant has no right to it, or there is
// no such pool.
func (r *Reader) PoolOffer(pool string, c seat.Claim, now time.Time) (seat.Offer, error) {
	l := r.anyLedger()
	if _, err := one(l.pen, value[int64], `select 1 from pool_share where pool = $1 and tenant = $2 and entitled = 1`, pool, c.Tenant); err != nil {
		return seat.Offer{}, err
	}
	o, err := l.offer(pool, c, now)
	if err != nil {
		return o, err
	}
	list := []seat.Offer{o}
	return list[0], l.named([]seat.Claim{c}, [][]seat.Offer{list})
}

// anyLedger is the ledger of this transaction; in a view one that only reads.
func (r *Reader) anyLedger() *ledger {
	if l := r.ledger(); l != nil {
		return l
	}
	return &ledger{pen: reading{querier: r.q}, rows: newLedgerRows()}
}

// reading is the pen of who only reads.
type reading struct {
	pen
	querier querier
}

func (r reading) query(query string, args ...any) (rows, error) {
	return r.querier.query(query, args...)
}
func (r reading) exec(query string, args ...any) (int64, error) {
	return r.querier.exec(query, args...)
}
func (r reading) run(query string, args ...any) error { return r.querier.run(query, args...) }

// entitlement is a pool with one tenant's share of it.
type entitlement struct {
	tenant string
	pool   string
	poolRow
	shareRow
}

const selectEntitled = `select s.tenant, p.name, p.model, p.seats, p.burst, p.running, p.valid_from, p.valid_until, p.held, p.unused_guarantee, p.unused_reserve,
	p.queued, p.waiting, s.guarantee, s.protected, s.held, s.reserved, s.queued, s.waiting_crisis, s.waiting_control, s.waiting_ordinary from pool_share s join licence_pool p on p.name = s.pool `

// forSessions is the condition that a share s may give sessions of its tenant seats.
const forSessions = `s.entitled = 1 and not exists (select 1 from product_pool x where x.tenant = s.tenant and x.pool = s.pool)`

func scanEntitled(s scanner) (e entitlement, err error) {
	var from, until int64
	q := &e.quantity
	err = s.Scan(&e.tenant, &e.pool, &e.model, &q.Seats, &q.Burst, &q.Running, &from, &until, &e.poolRow.held, &e.unused, &e.unusedReserve,
		&e.poolRow.queued, &e.poolRow.waiting, &e.guarantee, &e.protected, &e.shareRow.held, &e.reserved,
		&e.shareRow.queued, &e.shareRow.waiting[0], &e.shareRow.waiting[1], &e.shareRow.waiting[2])
	q.From, q.Until = at(from), at(until)
	return e, err
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
	q := p.At(w.Now)
	if err := run(w.q, `insert into licence_pool (name, model, seats, burst, running, valid_from, valid_until, declaration, held, unused_guarantee, unused_reserve)
		values ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, 0)
		on conflict (name) do update set model = excluded.model, seats = excluded.seats, burst = excluded.burst, running = excluded.running,
			valid_from = excluded.valid_from, valid_until = excluded.valid_until, declaration = excluded.declaration`,
		p.Name, string(p.Model), q.Seats, q.Burst, q.Running, ms(q.From), ms(q.Until), text); err != nil {
		return err
	}
	shares := p.Shares
	if len(was) == 0 {
		if err := w.dropShares(`pool = $1`, p.Name); err != nil {
			return err
		}
	} else {
		if p.LendGuaranteed == was[0].LendGuaranteed {
			shares = without(p.Shares, was[0].Shares)
		}
		for _, s := range without(was[0].Shares, p.Shares) {
			if err := w.dropShares(`pool = $1 and tenant = $2`, p.Name, s.Tenant); err != nil {
				return err
			}
		}
	}
	rows := make([][]any, len(shares))
	for i, s := range shares {
		rows[i] = []any{p.Name, s.Tenant, s.Guarantee, p.Protected(s.Guarantee), 1, 0}
	}
	if err := insertMany(w.q, `insert into pool_share (pool, tenant, guarantee, protected, entitled, held)`, rows,
		` on conflict (pool, tenant) do update set guarantee = excluded.guarantee, protected = excluded.protected, entitled = excluded.entitled`); err != nil {
		return err
	}
	if err := w.putReserves(p); err != nil {
		return err
	}
	if err := w.countQueue(p.Name); err != nil {
		return err
	}
	return run(w.q, `update licence_pool set
			unused_guarantee = coalesce((select sum(case when protected > held - reserved then protected - held + reserved else 0 end) from pool_share where pool = $1), 0),
			unused_reserve = coalesce((select sum(case when reserve > held then reserve - held else 0 end) from pool_class where pool = $2), 0)
		where name = $3`, p.Name, p.Name, p.Name)
}

// putReserves writes what a pool reserves for classes. What their people hold is
// counted on where nothing is reserved any more.
func (w *Writer) putReserves(p provisioner.LicencePool) error {
	if err := run(w.q, `update pool_class set reserve = 0 where pool = $1`, p.Name); err != nil {
		return err
	}
	rows := make([][]any, len(p.Reserved))
	for i, v := range p.Reserved {
		rows[i] = []any{p.Name, string(v.Class), v.Seats, 0}
	}
	return insertMany(w.q, `insert into pool_class (pool, class, reserve, held)`, rows, ` on conflict (pool, class) do update set reserve = excluded.reserve`)
}

// dropShares takes shares away; those of which seats are held go with the last.
func (w *Writer) dropShares(which string, of ...any) error {
	if err := run(w.q, `delete from pool_share where held = 0 and `+which, of...); err != nil {
		return err
	}
	return run(w.q, `update pool_share set guarantee = 0, protected = 0, entitled = 0 where `+which, of...)
}

const poolsOver = `from licence_pool where valid_from > $1 or valid_until > 0 and valid_until <= $2`

// PoolsOver reports whether contracts of a pool have begun or ended of which
// AdvancePools knows nothing yet.
func (r *Reader) PoolsOver(now time.Time) (bool, error) {
	n, err := one(r.q, value[int64], `select count(*) `+poolsOver, ms(now), ms(now))
	return n > 0, err
}

// AdvancePools writes down what the contracts of pools give from now on whose
// contracts have begun or ended since; until then every look at them reads their
// declarations. It tells of how many.
func (w *Writer) AdvancePools() (int, error) {
	list, err := all(w.q, value[string], `select name `+poolsOver, ms(w.Now), ms(w.Now))
	if err != nil {
		return 0, err
	}
	for _, name := range list {
		p, err := w.Pool(name)
		if err != nil {
			return 0, err
		}
		q := p.At(w.Now)
		if err := run(w.q, `update licence_pool set seats = $1, burst = $2, running = $3, valid_from = $4, valid_until = $5 where name = $6`,
			q.Seats, q.Burst, q.Running, ms(q.From), ms(q.Until), name); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// TakeSeat counts one more seat held, out of the reserve of a class unless that is ordinary; whether it may was
// decided before. Whoever does not know of what model the pool is calls HoldSeat.
func (w *Writer) TakeSeat(pool, tenant string, class provisioner.PriorityClass) error {
	return w.ledger().moveSeat(pool, tenant, class, 1)
}

// FreeSeat counts one seat less; a named one stays with its person.
func (w *Writer) FreeSeat(pool, tenant string, class provisioner.PriorityClass) error {
	model, err := w.ledger().model(pool)
	if err != nil || model == provisioner.PoolNamed {
		return err
	}
	return w.ledger().moveSeat(pool, tenant, class, -1)
}

// offTheBooks says that something is held or wanted of which there is no row: a
// mistake of ours, which must not read like ErrNone, an answer.
func offTheBooks(what string) error { return fmt.Errorf("there is no row for the %s", what) }

// PoolShare is a tenant's share of a pool, with what it holds.
type PoolShare struct {
	Pool, Tenant    string
	Guarantee, Held int64
	Reserved        int64 // of the held ones, those out of reserves
}

// PoolShares lists every tenant's share of every pool, by pool and tenant; those without a
// right any more that still hold seats are among them.
func (r *Reader) PoolShares() ([]PoolShare, error) {
	return all(r.q, func(s scanner) (p PoolShare, err error) {
		err = s.Scan(&p.Pool, &p.Tenant, &p.Guarantee, &p.Held, &p.Reserved)
		return p, err
	}, `select pool, tenant, guarantee, held, reserved from pool_share where entitled = 1 or held > 0 order by pool, tenant`)
}

// QueueLengths counts the laptops of tenants in scope that wait for seats of each pool. Who may
// use several pools waits for each of them.
func (r *Reader) QueueLengths(scope provisioner.Scope) ([]capacity.Held, error) {
	a := new(args)
	return all(r.q, scanHeldSeats, `select s.pool, s.tenant, count(*) from pool_share s join seat_queue q on q.tenant = s.tenant
		where `+waits+` and `+forSessions+` and `+a.scope(scope, "s.tenant")+` group by s.pool, s.tenant order by s.pool, s.tenant`, a.list...)
}

// PoolClass is what a pool reserves for a class, and what its people hold.
type PoolClass struct {
	Class         provisioner.PriorityClass
	Reserve, Held int64
}

// PoolClasses lists what pools reserve, by pool.
func (r *Reader) PoolClasses() (map[string][]PoolClass, error) {
	classes := make(map[string][]PoolClass)
	_, err := all(r.q, func(s scanner) (c PoolClass, err error) {
		var pool string
		err = s.Scan(&pool, &c.Class, &c.Reserve, &c.Held)
		classes[pool] = append(classes[pool], c)
		return c, err
	}, `select pool, class, reserve, held from pool_class order by pool, class desc`)
	return classes, err
}
