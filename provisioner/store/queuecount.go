package store

// Who waits is counted where openings look anyway: with each pool, and with each tenant's share of it, by class.

// moveQueue counts a place more or less with the pools that it may take seats of.
func (l *ledger) moveQueue(q Queued, by int64) error {
	names, err := l.poolsOf(q.Tenant)
	if err != nil {
		return err
	}
	for _, name := range names {
		p, s := l.rows.pools[name], l.rows.shares[shareKey{name, q.Tenant}]
		change(l, p)
		change(l, s)
		p.dirty, s.dirty = true, true
		p.queued += by
		s.queued += by
		if q.Waits() {
			p.waiting += by
			s.waiting[q.Class.Rank()] += by
		}
	}
	return nil
}

// QueuedPools lists the pools for which places are counted, or have to be: all of which
// somebody with a place may have seats, by name.
func (r *Reader) QueuedPools() ([]string, error) {
	return all(r.q, value[string], `select name from licence_pool where queued <> 0 or waiting <> 0
		or name in (select s.pool from pool_share s where s.queued <> 0 or s.waiting_crisis <> 0 or s.waiting_control <> 0 or s.waiting_ordinary <> 0 or s.tenant in (select q.tenant from seat_queue q)) order by name`)
}

// CountQueues counts anew who waits for seats of pools. A program of the version before,
// which may run beside this one while replicas are replaced, counts less than this one
// goes by.
func (w *Writer) CountQueues(pools []string) error {
	for _, pool := range pools {
		if err := w.countQueue(pool); err != nil {
			return err
		}
	}
	return nil
}

// countQueue counts anew who waits for seats of a pool.
func (w *Writer) countQueue(pool string) error {
	const places = `(select count(*) from seat_queue q join pool_share s on s.tenant = q.tenant where s.pool = licence_pool.name and ` + forSessions
	if err := run(w.q, `update licence_pool set queued = `+places+`), waiting = `+places+` and q.lost_at = 0 and q.offered_until = 0 and q.rank < $1) where name = $2`, rankRests, pool); err != nil {
		return err
	}
	if err := run(w.q, `update pool_share set queued = 0, waiting_crisis = 0, waiting_control = 0, waiting_ordinary = 0
		where pool = $1 and (queued <> 0 or waiting_crisis <> 0 or waiting_control <> 0 or waiting_ordinary <> 0)`, pool); err != nil {
		return err
	}
	const ofRank = `sum(case when q.lost_at = 0 and q.offered_until = 0 and q.rank = `
	return run(w.q, `update pool_share set queued = c.queued, waiting_crisis = c.crisis, waiting_control = c.control, waiting_ordinary = c.ordinary
		from (select q.tenant, count(*) as queued, `+ofRank+`0 then 1 else 0 end) as crisis, `+ofRank+`1 then 1 else 0 end) as control, `+ofRank+`2 then 1 else 0 end) as ordinary
			from seat_queue q group by q.tenant) c
		where c.tenant = pool_share.tenant and pool_share.pool = $1`, pool)
}
