package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Lent is a pool of which tenants wait for seats that are guaranteed to them and lent
// to others.
type Lent struct {
	Pool     string
	Waiting  int64 // laptops of tenants below their guarantee, up to it
	Recalled int64 // sessions that are called back already
}

// Lent lists the pools of which somebody waits for lent seats, and those of which
// sessions are called back still, by name.
func (r *Reader) Lent() ([]Lent, error) {
	return all(r.q, func(s scanner) (v Lent, err error) { err = s.Scan(&v.Pool, &v.Waiting, &v.Recalled); return v, err },
		`select name, wanted, recalled from (select p.name,
				(select coalesce(sum(case when n < room then n else room end), 0) from (select count(*) as n, s.guarantee - s.held + s.reserved as room
					from seat_queue q join pool_share s on s.tenant = q.tenant
					where s.pool = p.name and `+forSessions+` and s.held - s.reserved < s.guarantee and q.lost_at = 0 and q.offered_until = 0 and q.rank < $1
					group by s.tenant, s.guarantee, s.held, s.reserved) below) as wanted,
				(select count(*) from session v where v.closed_at = 0 and v.closed_revision = 0 and v.recall > 0 and v.pool = p.name) as recalled
			from licence_pool p where p.waiting > 0 or exists (select 1 from session v where v.closed_at = 0 and v.closed_revision = 0 and v.recall > 0 and v.pool = p.name)) lent
			where wanted > 0 or recalled > 0 order by name`, rankRests)
}

// LongestIdle lists open sessions that borrow a seat of a pool, of tenants that hold
// more than is guaranteed to them, without activity since a time: the one that was
// active longest ago first. Those that are called back already, and static peers, are
// not among them.
func (r *Reader) LongestIdle(pool string, since time.Time, limit int64) ([]provisioner.Session, error) {
	const active = `case when s.active_at > s.opened_at then s.active_at else s.opened_at end`
	return all(r.q, scanSession, selectSession+`join pool_share h on h.pool = s.pool and h.tenant = s.tenant
		where s.closed_at = 0 and s.closed_revision = 0 and s.pool = $1 and s.recall = 0 and s.key_of = '' and h.held - h.reserved > h.guarantee and `+active+` < $2
		order by `+active+`, s.id limit $3`, pool, ms(since), limit)
}

// Borrowed tells how many seats of a pool each tenant holds beyond its guarantee, less
// those that are called back already.
func (r *Reader) Borrowed(pool string) (map[string]int64, error) {
	type row struct {
		tenant string
		n      int64
	}
	list, err := all(r.q, func(s scanner) (v row, err error) { err = s.Scan(&v.tenant, &v.n); return v, err },
		`select h.tenant, h.held - h.reserved - h.guarantee - (select count(*) from session v
			where v.closed_at = 0 and v.closed_revision = 0 and v.recall > 0 and v.pool = h.pool and v.tenant = h.tenant) from pool_share h where h.pool = $1`, pool)
	borrowed := make(map[string]int64, len(list))
	for _, v := range list {
		borrowed[v.tenant] = v.n
	}
	return borrowed, err
}

// Recalled lists the open sessions whose seat of a pool is called back.
func (r *Reader) Recalled(pool string) ([]provisioner.Session, error) {
	return all(r.q, scanSession, selectSession+`where s.closed_at = 0 and s.recall > 0 and s.pool = $1 order by s.id`, pool)
}

// SetRecall calls the seat of an open session back, if it is without activity for a
// time, or no longer: zero. It is looked at at once.
func (w *Writer) SetRecall(s provisioner.Session, after time.Duration) error {
	touch(w.ledger(), w.ledger().rows.sessions, s.Device)
	return w.beside().run(`update session set recall = $1, look_at = $2 where id = $3 and closed_revision = 0`, after.Milliseconds(), ms(w.Now), s.ID)
}
