package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

// NamedSeat is a seat that is assigned to a person.
type NamedSeat struct {
	Pool, Person string
	Tenant       string // in whose share it is counted
	AssignedAt   time.Time
	AssignedBy   string    // an administrator's id; empty: by the first use
	UsedAt       time.Time // the day on which a session last took it; zero: none did
	// ReturnedAt is when an administrator took it back, as long as it is counted on.
	// Zero: it is hers.
	ReturnedAt time.Time
}

// Returned reports whether it is hers no longer, and only counted on.
func (n NamedSeat) Returned() bool { return !n.ReturnedAt.IsZero() }

const selectNamed = `select n.pool, n.person, n.tenant, n.assigned_at, n.assigned_by, n.used_at, n.returned_at from named_seat n `

func scanNamed(s scanner) (n NamedSeat, err error) {
	var assigned, used, returned int64
	err = s.Scan(&n.Pool, &n.Person, &n.Tenant, &assigned, &n.AssignedBy, &used, &returned)
	n.AssignedAt, n.UsedAt, n.ReturnedAt = at(assigned), at(used), at(returned)
	return n, err
}

// NamedSeats lists the seats that are assigned to somebody, by pool.
func (r *Reader) NamedSeats(person string) ([]NamedSeat, error) { return namedSeats(r.q, person) }

func namedSeats(q querier, people ...string) ([]NamedSeat, error) {
	var a args
	return all(q, scanNamed, selectNamed+`where n.person`+a.in(people)+` order by n.pool`, a.list...)
}

// NamedSeat reads somebody's seat of a pool; ErrNone if she has none.
func (r *Reader) NamedSeat(pool, person string) (NamedSeat, error) {
	return namedSeat(r.q, pool, person)
}

func namedSeat(q querier, pool, person string) (NamedSeat, error) {
	return one(q, scanNamed, selectNamed+`where n.pool = $1 and n.person = $2`, pool, person)
}

// model tells who holds a pool's seats.
func (l *ledger) model(pool string) (provisioner.PoolModel, error) {
	if p := l.rows.pools[pool]; p != nil {
		return p.model, nil
	}
	m, err := one(l.pen, value[provisioner.PoolModel], `select model from licence_pool where name = $1`, pool)
	if errors.Is(err, ErrNone) {
		return m, offTheBooks("pool " + pool)
	}
	return m, err
}

// HoldSeat gives a session, or a static peer, the seat of a pool; whether it may have
// one was decided before. A named seat is assigned to her unless she has it already, and
// is not counted again.
// It tells out of which class's reserve the seat is; ordinary: none.
func (w *Writer) HoldSeat(pool string, c seat.Claim) (paid provisioner.PriorityClass, err error) {
	model, err := w.ledger().model(pool)
	if err != nil {
		return paid, err
	}
	paid = provisioner.PriorityOrdinary
	if model == provisioner.PoolNamed {
		return paid, w.holdNamed(pool, c)
	}
	class, err := w.ledger().class(pool, c.Class)
	if err != nil {
		return paid, err
	}
	if class.held < class.reserve {
		paid = c.Class
	}
	return paid, w.TakeSeat(pool, c.Tenant, paid)
}

func (w *Writer) holdNamed(pool string, c seat.Claim) error {
	n, err := namedSeat(w.beside(), pool, c.Person)
	today := provisioner.DayBegins(provisioner.DayOf(w.Now))
	switch {
	case errors.Is(err, ErrNone) || err == nil && n.Returned():
		return w.AssignSeat(NamedSeat{Pool: pool, Person: c.Person, Tenant: c.Tenant, AssignedAt: w.Now, UsedAt: today})
	case err != nil || n.UsedAt.Equal(today):
		return err
	default:
		return w.beside().run(`update named_seat set used_at = $1 where pool = $2 and person = $3`, ms(today), pool, c.Person)
	}
}

// AssignSeat makes a seat of a pool somebody's and counts it; whether there is one was
// decided before. One that was taken back and is still counted is hers again, for which
// none is counted besides; assigned in another tenant, it is counted there from now on.
// She must have none.
func (w *Writer) AssignSeat(n NamedSeat) error {
	was, err := namedSeat(w.beside(), n.Pool, n.Person)
	if errors.Is(err, ErrNone) {
		if err := w.beside().run(`insert into named_seat (pool, person, tenant, assigned_at, assigned_by, used_at, returned_at) values ($1, $2, $3, $4, $5, $6, 0)`,
			n.Pool, n.Person, n.Tenant, ms(n.AssignedAt), n.AssignedBy, ms(n.UsedAt)); err != nil {
			return err
		}
		return w.countSeat(n, 1)
	}
	switch {
	case err != nil:
		return err
	case !was.Returned():
		return errAssigned
	case n.UsedAt.Before(was.UsedAt):
		n.UsedAt = was.UsedAt
	}
	if err := w.beside().run(`update named_seat set tenant = $1, assigned_by = $2, used_at = $3, returned_at = 0 where pool = $4 and person = $5`,
		n.Tenant, n.AssignedBy, ms(n.UsedAt), n.Pool, n.Person); err != nil || n.Tenant == was.Tenant {
		return err
	}
	return errors.Join(w.countSeat(was, -1), w.countSeat(n, 1))
}

// errAssigned is a mistake of ours: whether she has one is decided before.
var errAssigned = errors.New("a seat of this pool is assigned to this person already")

// countSeat counts a named seat more or less in the share of its tenant.
func (w *Writer) countSeat(n NamedSeat, by int64) error {
	return w.ledger().moveSeat(n.Pool, n.Tenant, provisioner.PriorityOrdinary, by)
}

// ReturnSeat takes a seat back from somebody. It is free at once unless the contract
// binds it longer, or a session of hers goes on on it: then it is counted until
// DropSeats finds that over, and free is false.
func (w *Writer) ReturnSeat(p provisioner.LicencePool, n NamedSeat) (free bool, err error) {
	if err := w.beside().run(`update named_seat set returned_at = $1 where pool = $2 and person = $3`, ms(w.Now), n.Pool, n.Person); err != nil {
		return false, err
	}
	dropped, err := w.DropSeats(p, []string{n.Person})
	return dropped > 0, err
}

// overdue is the condition that a seat of a pool goes back: the contract binds it no
// longer, nothing is on it, and it was taken back, or its person has no access any more,
// or has not used it for too long, or her tenant may not use the pool any more.
func overdue(a *args, p provisioner.LicencePool, now time.Time) string {
	where := `n.pool = ` + a.add(p.Name) + ` and n.assigned_at <= ` + a.add(ms(now.Add(-p.HoldAtLeast))) + ` and (n.returned_at > 0
		or not exists (select 1 from standing t where t.person = n.person and t.tenant = n.tenant
			and (t.entitled = 1 or exists (select 1 from held_loss h where h.person = t.person and h.tenant = t.tenant)))
		or not exists (select 1 from pool_share s where s.pool = n.pool and s.tenant = n.tenant and s.entitled = 1)`
	if p.TakeBackUnused > 0 {
		where += ` or ` + unusedSince(a, now.Add(-p.TakeBackUnused)) + ` and ` + useIsKnown
	}
	return where + `) and not exists (select 1 from device d join session x on x.device = d.id and x.closed_revision = 0
			where d.person = n.person and x.pool = n.pool)
		and not exists (select 1 from device d join static_peer x on x.device = d.id where d.person = n.person and x.pool = n.pool)`
}

// useIsKnown is the condition that sessions take the seat: whether somebody uses a product
// is counted without her.
const useIsKnown = `not exists (select 1 from product_pool x where x.tenant = n.tenant and x.pool = n.pool)`

// unusedSince is the condition that no session has taken a seat since a time, and that it
// was assigned before it. Of the day of its last use all of it counts.
func unusedSince(a *args, since time.Time) string {
	day := provisioner.DayBegins(provisioner.DayOf(since))
	return `(n.used_at < ` + a.add(ms(day)) + ` and n.assigned_at <= ` + a.add(ms(since)) + `)`
}

// SeatsOverdue lists people whose seats of a pool of model named go back, at most limit.
func (r *Reader) SeatsOverdue(p provisioner.LicencePool, now time.Time, limit int) ([]string, error) {
	a := new(args)
	where := overdue(a, p, now)
	return all(r.q, value[string], `select n.person from named_seat n where `+where+` order by n.person limit `+a.add(limit), a.list...)
}

// DropSeats frees those seats of people that go back now (SeatsOverdue), and tells how
// many those were.
func (w *Writer) DropSeats(p provisioner.LicencePool, people []string) (int, error) {
	if len(people) == 0 {
		return 0, nil
	}
	a := new(args)
	where := overdue(a, p, w.Now)
	list, err := all(w.q, scanNamed, selectNamed+`where `+where+` and n.person`+a.in(people), a.list...)
	if err != nil {
		return 0, err
	}
	for _, n := range list {
		if err := w.dropSeat(n); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

func (w *Writer) dropSeat(n NamedSeat) error {
	if err := w.beside().run(`delete from named_seat where pool = $1 and person = $2`, n.Pool, n.Person); err != nil {
		return err
	}
	return w.countSeat(n, -1)
}

// disownSeat has a seat be nobody's: it is free, or, as long as the contract binds it,
// counted under an id that nobody has.
func (w *Writer) disownSeat(n NamedSeat) error {
	p, err := w.Pool(n.Pool)
	if err != nil {
		return fmt.Errorf("reading pool %s: %w", n.Pool, err)
	}
	if !w.Now.Before(n.AssignedAt.Add(p.HoldAtLeast)) {
		return w.dropSeat(n)
	}
	return run(w.q, `update named_seat set person = $1, assigned_by = '', returned_at = $2 where person = $3 and pool = $4`, provisioner.NewID(), ms(w.Now), n.Person, n.Pool)
}

// forgetSeats frees the seats of somebody in a tenant. One that the contract binds
// longer stays counted and is nobody's.
func (w *Writer) forgetSeats(person, tenant string) error {
	seats, err := w.NamedSeats(person)
	if err != nil {
		return err
	}
	for _, n := range seats {
		if n.Tenant != tenant {
			continue
		}
		if err := w.disownSeat(n); err != nil {
			return err
		}
	}
	return nil
}

// MoveSeats makes seats of one person, who has no device, those of another, who turned
// out to be the same. Of a pool of which both have one she keeps the one that is bound
// longer; the other is free, or counted as long as the contract binds it.
func (w *Writer) MoveSeats(from, to string) error {
	seats, err := w.NamedSeats(from)
	if err != nil {
		return err
	}
	for _, n := range seats {
		there, err := w.NamedSeat(n.Pool, to)
		switch {
		case errors.Is(err, ErrNone):
		case err != nil:
			return err
		default:
			if n, err = w.oneSeat(n, there); err != nil {
				return err
			}
		}
		if err := run(w.q, `update named_seat set person = $1, used_at = $2, returned_at = $3 where person = $4 and pool = $5`,
			to, ms(n.UsedAt), ms(n.ReturnedAt), n.Person, n.Pool); err != nil {
			return err
		}
	}
	return nil
}

// oneSeat leaves of two seats of a pool, which are one person's, the one that is bound
// longer, used when either was, and hers if either is.
func (w *Writer) oneSeat(a, b NamedSeat) (NamedSeat, error) {
	keep, other := a, b
	if b.AssignedAt.After(a.AssignedAt) {
		keep, other = b, a
	}
	if other.UsedAt.After(keep.UsedAt) {
		keep.UsedAt = other.UsedAt
	}
	if !other.Returned() {
		keep.ReturnedAt = time.Time{}
	}
	return keep, w.disownSeat(other)
}

// UnusedSeats counts named seats of tenants in scope that no session has taken since a
// time, those that were assigned later not among them, nor those of products.
func (r *Reader) UnusedSeats(scope provisioner.Scope, since time.Time) ([]capacity.Held, error) {
	a := new(args)
	where := unusedSince(a, since) + ` and ` + useIsKnown + ` and ` + a.scope(scope, "n.tenant")
	return all(r.q, scanHeldSeats, `select n.pool, n.tenant, count(*) from named_seat n where `+where+` group by n.pool, n.tenant order by n.pool, n.tenant`, a.list...)
}

// OnNamedSeats counts the open sessions of tenants in scope that are on named seats: those
// hold none themselves.
func (r *Reader) OnNamedSeats(scope provisioner.Scope) ([]capacity.Held, error) {
	named, err := all(r.q, value[string], `select name from licence_pool where model = $1`, string(provisioner.PoolNamed))
	if err != nil || len(named) == 0 {
		return nil, err
	}
	a := new(args)
	where := `s.closed_at = 0 and s.closed_revision = 0 and s.pool` + a.in(named) + ` and ` + a.scope(scope, "s.tenant")
	return all(r.q, scanHeldSeats, `select s.pool, s.tenant, count(*) from session s where `+where+` group by s.pool, s.tenant order by s.pool, s.tenant`, a.list...)
}

func scanHeldSeats(s scanner) (h capacity.Held, err error) {
	err = s.Scan(&h.Pool, &h.Tenant, &h.Seats)
	return h, err
}
