package store

import (
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// How many laptops wait for a seat is known at any instant of the last minutes: from how many
// do now, and from the moves since. A move is written in the transaction that makes it, so
// there is none that was taken back.

// noteWaits writes that a place changed; was is as it was, and a zero one is none.
func (w *Writer) noteWaits(was, is Queued) error {
	before, after := was.Device != "" && was.Waits(), is.Device != "" && is.Waits()
	if before && after && was.Tenant == is.Tenant {
		return nil
	}
	if before {
		if err := w.noteMore(was.Tenant, -1); err != nil {
			return err
		}
	}
	if after {
		return w.noteMore(is.Tenant, 1)
	}
	return nil
}

func (w *Writer) noteMore(tenant string, more int64) error {
	return w.beside().run(`insert into queue_move (at, tenant, more) values ($1, $2, $3)
		on conflict (at, tenant) do update set more = queue_move.more + excluded.more`, ms(w.Now), tenant, more)
}

// noteRest writes that those of a tenant who wait come to rest, or wait again, before they do.
func (w *Writer) noteRest(tenant string, rest bool) error {
	rank, by := rankRests, int64(1)
	if rest {
		rank, by = provisioner.PriorityOrdinary.Rank(), -1
	}
	n, err := one(w.beside(), value[int64], `select count(*) from seat_queue where tenant = $1 and rank = $2 and `+waits, tenant, rank)
	if err != nil || n == 0 {
		return err
	}
	return w.noteMore(tenant, by*n)
}

// QueueMove is by how many more laptops of a tenant wait since an instant.
type QueueMove struct {
	Tenant string
	At     time.Time
	More   int64
}

// WaitedAt gives how many laptops of each tenant waited for a seat at a time, and how that
// moved from then on. Places that rest, because of a crisis, wait for its end and for no seat.
func (r *Reader) WaitedAt(t time.Time) (waited map[string]int64, moves []QueueMove, err error) {
	now, err := all(r.q, scanPeopleCount, `select tenant, '', count(*) from seat_queue where `+waits+` and rank < $1 group by tenant`, rankRests)
	if err != nil {
		return nil, nil, fmt.Errorf("counting who waits: %w", err)
	}
	moves, err = all(r.q, func(s scanner) (m QueueMove, err error) {
		var when int64
		err = s.Scan(&when, &m.Tenant, &m.More)
		m.At = at(when)
		return m, err
	}, `select at, tenant, more from queue_move where at >= $1 order by at, tenant`, ms(t))
	if err != nil {
		return nil, nil, fmt.Errorf("reading who came to wait and who left: %w", err)
	}
	waited = make(map[string]int64)
	for _, c := range now {
		waited[c.Tenant] = c.People
	}
	for _, m := range moves {
		waited[m.Tenant] -= m.More
	}
	return waited, moves, nil
}

// WaitedFor lists for which pools' seats a tenant's laptops wait: those that it may have seats
// of for sessions.
func (r *Reader) WaitedFor() (map[string][]string, error) {
	list, err := all(r.q, func(s scanner) (v PoolShare, err error) { err = s.Scan(&v.Pool, &v.Tenant); return v, err },
		`select s.pool, s.tenant from pool_share s where `+forSessions+` order by s.tenant, s.pool`)
	pools := make(map[string][]string)
	for _, v := range list {
		pools[v.Tenant] = append(pools[v.Tenant], v.Pool)
	}
	return pools, err
}

// ForgetQueueMoves deletes moves before a time, at most limit instants, and tells how many
// rows those were.
func (w *Writer) ForgetQueueMoves(before time.Time, limit int) (int64, error) {
	return changed(w.q, `delete from queue_move where at <= (select max(at) from (select at from queue_move where at < $1 order by at limit $2) t)`, ms(before), limit)
}
