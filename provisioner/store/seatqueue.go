package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

// Queued is a laptop's place in the queue for a seat.
type Queued struct {
	seat.Entry
	Rests   bool      // her tenant is in a crisis that is closed to her: it is passed until that is over
	Stream  string    // the laptop's; of two the newer counts
	HeardAt time.Time // when a replica last had it
	LostAt  time.Time // since when there is none; zero: there is one
	// Pool is the one of which a seat is held for it, counted, until OfferedUntil. Empty: none is.
	Pool         string
	Paid         provisioner.PriorityClass // out of whose reserve it is
	OfferedUntil time.Time
	Taken        seat.Taken // how often it was
}

// Waits reports whether it is one that is to be given a seat.
func (q Queued) Waits() bool { return q.LostAt.IsZero() && q.Pool == "" && !q.Rests }

// rank is where it stands among others: of its class, or behind all that wait.
func (q Queued) rank() int {
	if q.Rests {
		return rankRests
	}
	return q.Class.Rank()
}

const (
	selectQueued = `select q.device, q.tenant, q.person, q.class, q.rank, q.since, q.stream, q.heard_at, q.lost_at, q.offered_pool, q.offered_class, q.offered_until, q.taken_since, q.taken from seat_queue q `
	// waits is what an index of seat_queue is for; of those, the ones that are given
	// seats have a rank below rankRests.
	waits = `lost_at = 0 and offered_until = 0`
	// rankRests is that of places that rest.
	rankRests = 3
)

func scanQueued(s scanner) (q Queued, err error) {
	var rank, since, heard, lost, until, taken int64
	err = s.Scan(&q.Device, &q.Tenant, &q.Person, &q.Class, &rank, &since, &q.Stream, &heard, &lost, &q.Pool, &q.Paid, &until, &taken, &q.Taken.Times)
	q.Rests = rank == rankRests
	q.Since, q.HeardAt, q.LostAt, q.OfferedUntil, q.Taken.Since = at(since), at(heard), at(lost), at(until), at(taken)
	return q, err
}

// aside is where to read what the ledger does not keep.
func (r *Reader) aside() querier {
	if l := r.ledger(); l != nil {
		return l.pen
	}
	return r.q
}

// InQueue reads the place of a device; ErrNone if it has none.
func (r *Reader) InQueue(device string) (Queued, error) {
	if l := r.ledger(); l != nil && l.rows.places[device] != nil {
		q := *l.rows.places[device]
		if q.Device == "" {
			return q, ErrNone
		}
		return q, nil
	}
	return one(r.aside(), scanQueued, selectQueued+`where q.device = $1`, device)
}

// QueueEmpty reports whether nobody has a place.
func (r *Reader) QueueEmpty() (bool, error) {
	n, err := one(r.aside(), value[int64], `select count(*) from (select device from seat_queue limit 1) q`)
	return n == 0, err
}

// QueueHeads lists who is first of each tenant and class among those that wait: one of
// them is next, whatever the pools give.
func (r *Reader) QueueHeads() ([]Queued, error) {
	// From tenant to tenant along the index, however many wait of each.
	return all(r.aside(), scanQueued, `with recursive line (tenant) as (
			select min(tenant) from seat_queue where `+waits+`
			union all
			select (select min(n.tenant) from seat_queue n where n.lost_at = 0 and n.offered_until = 0 and n.tenant > line.tenant) from line where line.tenant is not null
		), ranks (rank) as (select 0 union all select 1 union all select 2)
		`+selectQueued+`where q.device in (select (select w.device from seat_queue w
			where w.tenant = line.tenant and w.rank = ranks.rank and w.lost_at = 0 and w.offered_until = 0 order by w.since, w.device limit 1)
			from line cross join ranks where line.tenant is not null)`)
}

// QueueHead is the one of QueueHeads of a tenant and class; ErrNone if nobody of them waits.
func (r *Reader) QueueHead(tenant string, class provisioner.PriorityClass) (Queued, error) {
	return one(r.aside(), scanQueued, selectQueued+`where q.tenant = $1 and q.rank = $2 and q.lost_at = 0 and q.offered_until = 0
		order by q.since, q.device limit 1`, tenant, class.Rank())
}

// HeadsLike is QueueHeads of the tenants and classes of some alone.
func (r *Reader) HeadsLike(list []seat.Entry) ([]Queued, error) {
	if len(list) == 0 {
		return nil, nil
	}
	var a args
	pairs := make([]string, len(list))
	for i, e := range list {
		pairs[i] = fmt.Sprintf(`(cast(%s as text), %d)`, a.add(e.Tenant), e.Class.Rank())
	}
	return all(r.aside(), scanQueued, `with line (tenant, rank) as (values `+strings.Join(pairs, ", ")+`)
		`+selectQueued+`where q.device in (select (select w.device from seat_queue w
			where w.tenant = line.tenant and w.rank = line.rank and w.lost_at = 0 and w.offered_until = 0 order by w.since, w.device limit 1) from line)`, a.list...)
}

// mayGive is the condition that a pool p for which somebody waits may have a seat to give: one
// that nobody holds, or of a kind, or at a time, of which more has to be known.
func mayGive(a *args, now time.Time) string {
	concurrent, at := a.add(string(provisioner.PoolConcurrent)), a.add(ms(now))
	return `p.waiting > 0 and (p.held < p.seats + p.burst or p.model <> ` + concurrent + ` or p.running = 0
		or p.valid_from > ` + at + ` or p.valid_until > 0 and p.valid_until <= ` + at + `)`
}

// LinesAhead lists the tenants and classes of which somebody may stand no further behind than a
// turn, and for which a pool may have a seat; nil: wherever they stand. It reads who waits from
// tenants' shares, and of the queue only since when the first ones do.
func (r *Reader) LinesAhead(last *seat.Turn, now time.Time) ([]seat.Entry, error) {
	var a args
	gives, ahead := mayGive(&a, now), ``
	if last != nil {
		within := 0
		if last.Within {
			within = 1
		}
		w, rank, since, device := a.add(within), a.add(last.Class.Rank()), a.add(ms(last.Since)), a.add(last.Device)
		ahead = ` where within > ` + w + ` or within = ` + w + ` and (rank < ` + rank + ` or rank = ` + rank + ` and exists (select 1 from seat_queue q
			where q.tenant = line.tenant and q.rank = line.rank and q.lost_at = 0 and q.offered_until = 0 and (q.since, q.device) <= (` + since + `, ` + device + `)))`
	}
	return all(r.q, func(s scanner) (e seat.Entry, err error) {
		var rank int
		err = s.Scan(&e.Tenant, &rank)
		e.Class = provisioner.PriorityClasses()[rank]
		return e, err
	}, `with line (tenant, rank, within) as (
			select s.tenant, c.rank, max(case when s.held - s.reserved < s.guarantee then 1 else 0 end)
			from licence_pool p join pool_share s on s.pool = p.name cross join (select 0 as rank union all select 1 union all select 2) c
			where `+gives+` and case c.rank when 0 then s.waiting_crisis when 1 then s.waiting_control else s.waiting_ordinary end > 0
			group by s.tenant, c.rank
		)
		select tenant, rank from line`+ahead, a.list...)
}

// SeatsWaitedFor reports whether a pool for which somebody waits may have a seat to give. Who
// waits for what is no pool's any more is not seen by it.
func (r *Reader) SeatsWaitedFor(now time.Time) (bool, error) {
	var a args
	n, err := one(r.aside(), value[int64], `select count(*) from licence_pool p where `+mayGive(&a, now), a.list...)
	return n > 0, err
}

// QueuePositions numbers those who wait, by pool and device, from 1. Who is entitled to
// several pools stands before each of them.
func (r *Reader) QueuePositions() (map[string]map[string]int64, error) {
	waiting, err := all(r.aside(), func(s scanner) (e seat.Entry, err error) {
		var since int64
		err = s.Scan(&e.Device, &e.Tenant, &e.Class, &since)
		e.Since = at(since)
		return e, err
	}, `select device, tenant, class, since from seat_queue where `+waits+` and rank < $1`, rankRests)
	if err != nil || len(waiting) == 0 {
		return nil, err
	}
	pools, err := r.poolsWaited()
	return seat.Positions(waiting, pools), err
}

// QueueResting lists the devices whose place rests: a crisis is closed to their people.
func (r *Reader) QueueResting() ([]string, error) {
	return all(r.aside(), value[string], `select device from seat_queue where `+waits+` and rank = $1`, rankRests)
}

// poolsWaited lists, of each tenant, the pools to which it is entitled and for whose
// seats somebody waits.
func (r *Reader) poolsWaited() (map[string][]seat.Entitled, error) {
	type row struct {
		tenant string
		seat.Entitled
	}
	list, err := all(r.aside(), func(s scanner) (v row, err error) {
		var held, guarantee int64
		err = s.Scan(&v.Pool, &v.tenant, &held, &guarantee)
		v.Within = held < guarantee
		return v, err
	},
		`select s.pool, s.tenant, s.held - s.reserved, s.guarantee from pool_share s join licence_pool p on p.name = s.pool
			where p.waiting > 0 and `+forSessions)
	pools := make(map[string][]seat.Entitled)
	for _, v := range list {
		pools[v.tenant] = append(pools[v.tenant], v.Entitled)
	}
	return pools, err
}

// SeatsFreed tells how many seats of each pool came free until now. A session that
// ends because its laptop opens another frees none, and one of a tenant below what is
// protected of its guarantee frees none for others.
func (r *Reader) SeatsFreed(now time.Time) (map[string]seat.Freed, error) {
	type row struct {
		pool string
		seat.Freed
	}
	list, err := all(r.aside(), func(s scanner) (v row, err error) { err = s.Scan(&v.pool, &v.Lately, &v.Known); return v, err },
		`select v.pool, coalesce(sum(case when v.closed_at > $1 then 1 else 0 end), 0), count(*) from session v
			join pool_share s on s.pool = v.pool and s.tenant = v.tenant and s.held - s.reserved >= s.protected
			where v.closed_at > 0 and v.closed_at > $2 and v.key_of = '' and v.closed_why not in ($3, $4, $5, $6, $7, $8) group by v.pool`,
		ms(now.Add(-seat.RateOver)), ms(now.Add(-seat.RateKnown)),
		string(provisioner.CodeSessionElsewhere), string(provisioner.CodeGatewayMoved), string(provisioner.CodeGatewayNotReady),
		string(provisioner.CodeGatewayDraining), string(provisioner.CodeGatewayMaintenance), string(provisioner.CodeGatewayLost))
	freed := make(map[string]seat.Freed, len(list))
	for _, v := range list {
		freed[v.pool] = v.Freed
	}
	return freed, err
}

// OffersLapsed lists places whose offer was not taken in time.
func (r *Reader) OffersLapsed(now time.Time, limit int) ([]Queued, error) {
	return all(r.aside(), scanQueued, selectQueued+`where q.offered_until > 0 and q.offered_until <= $1 order by q.offered_until limit $2`, ms(now), limit)
}

// QueueUnheard lists places of which no replica has had the stream since a time.
func (r *Reader) QueueUnheard(since time.Time, limit int) ([]Queued, error) {
	return all(r.aside(), scanQueued, selectQueued+`where q.lost_at = 0 and q.heard_at < $1 order by q.heard_at limit $2`, ms(since), limit)
}

// QueueLost lists places that have had no stream since a time.
func (r *Reader) QueueLost(since time.Time, limit int) ([]Queued, error) {
	return all(r.aside(), scanQueued, selectQueued+`where q.lost_at > 0 and q.lost_at < $1 order by q.lost_at limit $2`, ms(since), limit)
}

// Enqueue has a laptop wait for a seat, and counts that it takes a place. Who has one keeps it; a
// seat that was offered goes back. While the tenant is closed to her in a crisis, her place rests.
func (w *Writer) Enqueue(device string, c seat.Claim, stream string) error {
	was, err := w.queuedOrNone(device)
	if err != nil {
		return err
	}
	q := Queued{Entry: seat.Entry{Device: device, Claim: c, Since: w.Now}, Stream: stream, HeardAt: w.Now, Taken: was.Taken.Again(w.Now)}
	if was.Device != "" {
		q.Since = was.Since
	}
	if q.Rests, err = w.closedTo(c); err != nil {
		return err
	}
	if err := w.takeOfferBack(was); err != nil {
		return err
	}
	return w.putQueued(was, q)
}

// closedTo reports whether the tenant of who claims a seat is closed to her in a crisis.
func (w *Writer) closedTo(c seat.Claim) (bool, error) {
	t, err := one(w.beside(), scanTenant, selectTenant+`where name = $1 and crisis_since > 0`, c.Tenant)
	if errors.Is(err, ErrNone) {
		return false, nil
	}
	return t.ClosedTo(c.Class), err
}

// restQueue has people of a tenant who wait rest while it is closed to them in a crisis,
// and wait on when it is not. A seat that was offered to one who rests goes back; one
// that is kept for who was moved is hers.
func (w *Writer) restQueue(tenant string) error {
	closed, err := w.closedTo(seat.Claim{Tenant: tenant, Class: provisioner.PriorityOrdinary})
	if err != nil {
		return err
	}
	from, to := rankRests, provisioner.PriorityOrdinary.Rank()
	if closed {
		from, to = to, from
		offered, err := all(w.beside(), scanQueued, selectQueued+`where q.tenant = $1 and q.rank = $2 and q.offered_until > 0 and q.stream <> ''`, tenant, from)
		if err != nil {
			return err
		}
		for _, q := range offered {
			if err := w.withdraw(q); err != nil {
				return err
			}
		}
	}
	if err := w.noteRest(tenant, closed); err != nil {
		return err
	}
	n, err := changed(w.q, `update seat_queue set rank = $1 where tenant = $2 and rank = $3 and offered_until = 0`, to, tenant, from)
	if err != nil || n == 0 {
		return err
	}
	pools, err := w.ledger().poolsOf(tenant)
	if err != nil {
		return err
	}
	for _, pool := range slices.Clone(pools) {
		if err := w.countQueue(pool); err != nil {
			return err
		}
	}
	return nil
}

// withdraw gives an offered seat back: she waits on.
func (w *Writer) withdraw(q Queued) error {
	if err := w.takeOfferBack(q); err != nil {
		return err
	}
	was := q
	q.Pool, q.Paid, q.OfferedUntil = "", "", time.Time{}
	return w.putQueued(was, q)
}

// queuedOrNone reads the place of a device; zero if it has none.
func (w *Writer) queuedOrNone(device string) (Queued, error) {
	q, err := w.InQueue(device)
	if errors.Is(err, ErrNone) {
		return Queued{}, nil
	}
	return q, err
}

// OfferSeat holds a seat of a pool for who waits and wakes her laptop's stream.
func (w *Writer) OfferSeat(q Queued, pool string, until time.Time) error {
	paid, err := w.HoldSeat(pool, q.Claim)
	if err != nil {
		return fmt.Errorf("holding a seat of %s: %w", pool, err)
	}
	was := q
	q.Pool, q.Paid, q.OfferedUntil = pool, paid, until
	return errors.Join(w.putQueued(was, q), w.Wake(q))
}

// Lose notes that a laptop has no stream any more: it keeps its place for a while,
// and a seat that was offered goes back.
func (w *Writer) Lose(q Queued) error {
	if err := w.takeOfferBack(q); err != nil {
		return err
	}
	was := q
	q.Pool, q.Paid, q.OfferedUntil = "", "", time.Time{}
	if q.LostAt.IsZero() {
		q.LostAt = w.Now
	}
	return w.putQueued(was, q)
}

// Wake rings whoever listens for the device of a place, on all replicas.
func (w *Writer) Wake(q Queued) error {
	_, err := w.Record(provisioner.Change{Kind: provisioner.ChangeQueue, Tenant: q.Tenant, Device: q.Device})
	return err
}

// keepSeat holds the seat of a session that is just being closed for its laptop, which
// opens the next one at once: nobody wanted it to be disconnected, so nobody who waits
// comes before it. If it does not come within a lease, the seat is free.
func (w *Writer) keepSeat(s provisioner.Session) error {
	if model, err := w.ledger().model(s.Pool); err != nil || model == provisioner.PoolNamed {
		return err
	}
	if was, err := w.queuedOrNone(s.Device); err != nil || was.Device != "" {
		return err
	}
	if err := w.TakeSeat(s.Pool, s.Tenant, s.Class); err != nil {
		return fmt.Errorf("keeping a seat of %s: %w", s.Pool, err)
	}
	until := w.Now.Add(provisioner.Lease)
	return w.putQueued(Queued{}, Queued{
		Entry:   seat.Entry{Device: s.Device, Claim: seat.Claim{Tenant: s.Tenant, Person: s.Person, Class: s.Class}, Since: s.OpenedAt},
		HeardAt: until, Pool: s.Pool, Paid: s.Class, OfferedUntil: until,
	})
}

// Dequeue takes a place away; a seat that was offered goes back, for the same
// transaction to take.
func (w *Writer) Dequeue(q Queued) error {
	if err := w.takeOfferBack(q); err != nil {
		return err
	}
	touch(w.ledger(), w.ledger().rows.places, q.Device)
	if err := w.beside().run(`delete from seat_queue where device = $1`, q.Device); err != nil {
		return err
	}
	if err := w.noteWaits(q, Queued{}); err != nil {
		return err
	}
	return w.ledger().moveQueue(q, -1)
}

func (w *Writer) takeOfferBack(q Queued) error {
	if q.Pool == "" {
		return nil
	}
	if err := w.FreeSeat(q.Pool, q.Tenant, q.Paid); err != nil {
		return fmt.Errorf("giving an offered seat of %s back: %w", q.Pool, err)
	}
	return nil
}

// putQueued writes a place and counts it; was is as it was, zero if there was none.
func (w *Writer) putQueued(was, is Queued) error {
	touch(w.ledger(), w.ledger().rows.places, is.Device)
	if err := w.beside().run(`insert into seat_queue (device, tenant, person, class, rank, since, stream, heard_at, lost_at, offered_pool, offered_class, offered_until, taken_since, taken)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		on conflict (device) do update set tenant = excluded.tenant, person = excluded.person, class = excluded.class, rank = excluded.rank,
			since = excluded.since, stream = excluded.stream, heard_at = excluded.heard_at, lost_at = excluded.lost_at,
			offered_pool = excluded.offered_pool, offered_class = excluded.offered_class, offered_until = excluded.offered_until,
			taken_since = excluded.taken_since, taken = excluded.taken`,
		is.Device, is.Tenant, is.Person, string(is.Class), is.rank(), ms(is.Since), is.Stream, ms(is.HeardAt), ms(is.LostAt), is.Pool, string(is.Paid), ms(is.OfferedUntil),
		ms(is.Taken.Since), is.Taken.Times); err != nil {
		return err
	}
	if err := w.noteWaits(was, is); err != nil {
		return err
	}
	if was.Device != "" {
		if err := w.ledger().moveQueue(was, -1); err != nil {
			return err
		}
	}
	return w.ledger().moveQueue(is, 1)
}

// HearQueued notes that this replica has the streams of laptops that wait.
func (w *Writer) HearQueued(devices []string) error {
	var a args
	query := `update seat_queue set heard_at = ` + a.add(ms(w.Now)) + ` where device` + a.in(devices) + ` and lost_at = 0`
	return w.beside().run(query, a.list...)
}

// dequeueAll takes all places of somebody in a tenant away.
func (w *Writer) dequeueAll(person, tenant string) error {
	list, err := all(w.aside(), scanQueued, selectQueued+`where q.person = $1 and q.tenant = $2`, person, tenant)
	if err != nil {
		return err
	}
	for _, q := range list {
		if err := w.Dequeue(q); err != nil {
			return err
		}
	}
	return nil
}

// OffersOf is Offers of many at once, to those that wait: none says who waits before her.
func (r *Reader) OffersOf(claims []seat.Claim, now time.Time) ([][]seat.Offer, error) {
	l := r.anyLedger()
	if err := l.poolsAhead(claims); err != nil {
		return nil, err
	}
	list := make([][]seat.Offer, len(claims))
	for i, c := range claims {
		var err error
		if list[i], err = l.unnamed(c, now); err != nil {
			return nil, err
		}
	}
	return list, l.named(claims, list)
}
