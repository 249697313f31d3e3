package store

import (
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

const (
	standingColumns = `s.person, s.tenant, s.groups, s.ended, s.ends_at, s.password, s.password_ends_at, s.password_changed_at, s.read_at, s.entitled, s.lost_at,
		(select count(*) from held_loss h where h.person = s.person and h.tenant = s.tenant),
		coalesce((select x.until from external_person x where x.person = s.person and x.tenant = s.tenant), 0) `
	selectStanding = `select ` + standingColumns + `from standing s `
)

func scanStanding(s scanner) (v provisioner.Standing, err error) { return scanStandingAnd(s) }

func scanStandingAnd(s scanner, more ...any) (v provisioner.Standing, err error) {
	var groups string
	var ends, passwordEnds, changed, read, entitled, lost, held, external int64
	if err := s.Scan(append([]any{&v.Person, &v.Tenant, &groups, &v.Ended, &ends, &v.Password, &passwordEnds, &changed, &read, &entitled, &lost,
		&held, &external}, more...)...); err != nil {
		return v, err
	}
	v.EndsAt, v.PasswordEndsAt, v.PasswordChangedAt, v.ReadAt, v.LostAt = at(ends), at(passwordEnds), at(changed), at(read), at(lost)
	v.ExternalUntil = at(external)
	v.Entitled, v.Held = entitled > 0, held > 0
	return v, fromJSON(groups, &v.Groups)
}

// Standing reads what the directory last said; ErrNone if nothing yet.
func (r *Reader) Standing(person, tenant string) (provisioner.Standing, error) {
	return one(r.q, scanStanding, selectStanding+`where s.person = $1 and s.tenant = $2`, person, tenant)
}

// StandingsOf reads how the people of open sessions stand, by session: groups and password, and nothing else.
// Of whom nothing is known yet, there is none.
func (r *Reader) StandingsOf(sessions []provisioner.Session) (map[string]provisioner.Standing, error) {
	known := make(map[string]provisioner.Standing, len(sessions))
	if len(sessions) == 0 {
		return known, nil
	}
	a := new(args)
	ids := make([]string, len(sessions))
	for i, s := range sessions {
		ids[i] = s.ID
	}
	type row struct{ session, groups, password string }
	list, err := all(r.q, func(s scanner) (v row, err error) { err = s.Scan(&v.session, &v.groups, &v.password); return v, err },
		`select s.id, t.groups, t.password from session s join standing t on t.person = s.person and t.tenant = s.tenant where s.id`+a.in(ids), a.list...)
	if err != nil {
		return nil, err
	}
	read := make(map[string][]string) // most are in the same groups
	for _, v := range list {
		groups, again := read[v.groups]
		if !again {
			if err := fromJSON(v.groups, &groups); err != nil {
				return nil, err
			}
			read[v.groups] = groups
		}
		known[v.session] = provisioner.Standing{Groups: groups, Password: provisioner.PasswordState(v.password)}
	}
	return known, nil
}

// PutStanding keeps what the directory said. What the brake holds is not a part of it (PutHeldLoss).
func (w *Writer) PutStanding(v provisioner.Standing) error {
	row, err := standingRow(v)
	if err != nil {
		return err
	}
	return run(w.q, insertStanding+` values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		on conflict (person, tenant) do update set groups = excluded.groups, ended = excluded.ended, ends_at = excluded.ends_at,
			password = excluded.password, password_ends_at = excluded.password_ends_at, password_changed_at = excluded.password_changed_at, read_at = excluded.read_at,
			entitled = excluded.entitled, lost_at = excluded.lost_at, due_at = excluded.due_at`, row...)
}

const insertStanding = `insert into standing (person, tenant, groups, ended, ends_at, password, password_ends_at, password_changed_at, read_at, entitled,
	lost_at, due_at)`

func standingRow(v provisioner.Standing) ([]any, error) {
	if v.Groups == nil {
		v.Groups = []string{}
	}
	groups, err := toJSON(v.Groups)
	return []any{
		v.Person, v.Tenant, groups, string(v.Ended), ms(v.EndsAt), string(v.Password), ms(v.PasswordEndsAt), ms(v.PasswordChangedAt), ms(v.ReadAt),
		boolInt(v.Entitled), ms(v.LostAt), ms(dueAt(v)),
	}, err
}

// dueAt is the earliest date of somebody that has not been noted as over. Zero: none.
func dueAt(v provisioner.Standing) (due time.Time) {
	if v.Ended == "" {
		due = v.EndsAt
	}
	if v.Password == "" && !v.PasswordEndsAt.IsZero() && (due.IsZero() || v.PasswordEndsAt.Before(due)) {
		due = v.PasswordEndsAt
	}
	return due
}

// KnownPerson is somebody of a directory with how she stands in its tenants.
type KnownPerson struct {
	Person    provisioner.Person
	Standings []provisioner.Standing
}

// KnownPeople lists at most limit people of a directory by stable id, from the first one after.
func (r *Reader) KnownPeople(directory, after string, limit int) ([]KnownPerson, error) {
	people, err := all(r.q, scanPerson, selectPerson+`where directory = $1 and stable_id > $2 order by stable_id limit $3`, directory, after, limit)
	if err != nil || len(people) == 0 {
		return nil, err
	}
	list := make([]KnownPerson, len(people))
	place := make(map[string]int, len(people))
	for i, p := range people {
		list[i].Person = p
		place[p.ID] = i
	}
	standings, err := all(r.q, scanStanding, selectStanding+`join person p on p.id = s.person
		where p.directory = $1 and p.stable_id > $2 and p.stable_id <= $3 order by p.stable_id, s.tenant`,
		directory, after, people[len(people)-1].StableID)
	for _, v := range standings {
		if i, ok := place[v.Person]; ok {
			list[i].Standings = append(list[i].Standings, v)
		}
	}
	return list, err
}

// KnownElsewhere lists people of other directories who stand in tenants of this one: the tenants have changed directories.
func (r *Reader) KnownElsewhere(directory string) ([]KnownPerson, error) {
	people, err := all(r.q, scanPerson, selectPerson+`where directory <> $1 and id in (
		select s.person from standing s join tenant t on t.name = s.tenant where t.directory = $1) order by id`, directory)
	list := make([]KnownPerson, len(people))
	for i, p := range people {
		if err == nil {
			list[i], err = r.withStandings(p)
		}
	}
	return list, err
}

// KnownAs finds somebody by directory and stable id; ErrNone if nobody is known so.
func (r *Reader) KnownAs(directory, stableID string) (KnownPerson, error) {
	p, err := one(r.q, scanPerson, selectPerson+`where directory = $1 and stable_id = $2`, directory, stableID)
	if err != nil {
		return KnownPerson{}, err
	}
	return r.withStandings(p)
}

// StandingsDue lists at most limit people whose account, or password, has ended by its date without anybody having
// noted it, the earliest first. Those whom the brake holds are not among them.
func (r *Reader) StandingsDue(now time.Time, limit int) ([]provisioner.Standing, error) {
	return all(r.q, scanStanding, selectStanding+`where s.due_at > 0 and s.due_at <= $1
		and not exists (select 1 from held_loss x where x.person = s.person and x.tenant = s.tenant) order by s.due_at limit $2`, ms(now), limit)
}

// Losses are what the brake counts in a tenant.
type Losses struct {
	Entitled int // people who have the right now
	Lost     int // people who lost it by the directory's word alone since a time
}

// Losses counts in a tenant.
func (r *Reader) Losses(tenant string, since time.Time) (Losses, error) {
	return one(r.q, func(s scanner) (l Losses, err error) {
		err = s.Scan(&l.Entitled, &l.Lost)
		return l, err
	}, `select (select count(*) from standing where tenant = $1 and entitled = 1),
		(select count(*) from standing where tenant = $1 and lost_at > $2)`, tenant, ms(since))
}

// Unsettled lists at most limit people of a directory who have no right and a device that the directory has not
// suspended, or have the right and a device that it has: nothing should leave that behind, and a full read mends it.
func (r *Reader) Unsettled(directory string, limit int) ([]KnownPerson, error) {
	people, err := all(r.q, scanPerson, `select distinct p.id, p.directory, p.stable_id, p.login, p.display_name, p.mail
		from device d join standing s on s.person = d.person and s.tenant = d.tenant join person p on p.id = d.person
		left join suspension x on x.device = d.id and x.source = 'directory'
		where p.directory = $1 and d.revoked_at = 0 and ((s.entitled = 1) = (x.device is not null)) order by p.id limit $2`, directory, limit)
	list := make([]KnownPerson, len(people))
	for i, p := range people {
		if err == nil {
			list[i], err = r.withStandings(p)
		}
	}
	return list, err
}

func (r *Reader) withStandings(p provisioner.Person) (KnownPerson, error) {
	standings, err := all(r.q, scanStanding, selectStanding+`where s.person = $1 order by s.tenant`, p.ID)
	return KnownPerson{Person: p, Standings: standings}, err
}

// HeldLoss is somebody whose loss of the right the brake holds back.
type HeldLoss struct {
	Person provisioner.Person
	Tenant string
	Why    provisioner.WhyNot
	Own    bool // her own entry changed
	Since  time.Time
	// DismissedUntil is until when she is kept by a person's word. Zero: nobody has decided.
	DismissedUntil time.Time
	Confirmed      bool  // a person has confirmed the loss, and it is being done
	Devices        int64 // not revoked
	Connected      bool
}

// PutHeldLoss holds somebody's loss back.
func (w *Writer) PutHeldLoss(h HeldLoss) error {
	return run(w.q, `insert into held_loss (person, tenant, why, own, since, dismissed_until, confirmed)
		values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (person, tenant) do update set why = excluded.why, own = excluded.own, since = excluded.since,
			dismissed_until = excluded.dismissed_until, confirmed = excluded.confirmed`,
		h.Person.ID, h.Tenant, string(h.Why), boolInt(h.Own), ms(h.Since), ms(h.DismissedUntil), boolInt(h.Confirmed))
}

// DropHeldLoss holds it back no longer.
func (w *Writer) DropHeldLoss(person, tenant string) error {
	return run(w.q, `delete from held_loss where person = $1 and tenant = $2`, person, tenant)
}

const selectHeld = `select p.id, p.directory, p.stable_id, p.login, p.display_name, p.mail, h.tenant, h.why, h.own, h.since, h.dismissed_until, h.confirmed,
		(select count(*) from device d where d.person = h.person and d.tenant = h.tenant and d.revoked_at = 0),
		(select count(*) from device d join session x on x.device = d.id and x.closed_revision = 0 where d.person = h.person and d.tenant = h.tenant)
	from held_loss h join person p on p.id = h.person `

func scanHeld(s scanner) (h HeldLoss, err error) {
	var own, since, until, confirmed, connected int64
	err = s.Scan(&h.Person.ID, &h.Person.Directory, &h.Person.StableID, &h.Person.Login, &h.Person.DisplayName, &h.Person.Mail,
		&h.Tenant, &h.Why, &own, &since, &until, &confirmed, &h.Devices, &connected)
	h.Own, h.Since, h.DismissedUntil = own > 0, at(since), at(until)
	h.Confirmed, h.Connected = confirmed > 0, connected > 0
	return h, err
}

// HeldLoss reads one; ErrNone if it is not held.
func (r *Reader) HeldLoss(person, tenant string) (HeldLoss, error) {
	return one(r.q, scanHeld, selectHeld+`where h.person = $1 and h.tenant = $2`, person, tenant)
}

// ConfirmedLosses lists at most limit of those of whom a person has confirmed that they lose their right.
func (r *Reader) ConfirmedLosses(limit int) ([]HeldLoss, error) {
	return all(r.q, scanHeld, selectHeld+`where h.confirmed = 1 order by h.tenant, p.id limit $1`, limit)
}

// HeldLosses lists those of tenants in scope by tenant and name, dismissed ones included, confirmed ones not.
func (r *Reader) HeldLosses(scope provisioner.Scope) ([]HeldLoss, error) {
	a := new(args)
	return all(r.q, scanHeld, selectHeld+`where h.confirmed = 0 and `+a.scope(scope, "h.tenant")+` order by h.tenant, p.display_name, p.id`, a.list...)
}

// HeldCounts counts those on whom nobody has decided, by tenant.
func (r *Reader) HeldCounts() (map[string]int64, error) {
	type count struct {
		tenant string
		n      int64
	}
	list, err := all(r.q, func(s scanner) (c count, err error) { err = s.Scan(&c.tenant, &c.n); return c, err },
		`select tenant, count(*) from held_loss where dismissed_until = 0 and confirmed = 0 group by tenant`)
	counts := make(map[string]int64, len(list))
	for _, c := range list {
		counts[c.tenant] = c.n
	}
	return counts, err
}

// Waiting lists by id those of a tenant on whom somebody has to decide, and why each would lose the right; no more is read.
// Whoever was kept by a person's word until a time that has passed is among them.
func (r *Reader) Waiting(tenant string, now time.Time) ([]HeldLoss, error) {
	return all(r.q, func(s scanner) (HeldLoss, error) {
		h := HeldLoss{Tenant: tenant}
		return h, s.Scan(&h.Person.ID, &h.Why)
	}, `select person, why from held_loss where tenant = $1 and confirmed = 0 and dismissed_until <= $2`, tenant, ms(now))
}

// ConfirmWaiting notes of everybody whom Waiting lists that a person has confirmed the loss.
func (w *Writer) ConfirmWaiting(tenant string) error {
	return run(w.q, `update held_loss set confirmed = 1 where tenant = $1 and confirmed = 0 and dismissed_until <= $2`, tenant, ms(w.Now))
}

// DismissWaiting keeps everybody whom Waiting lists by a person's word until then.
func (w *Writer) DismissWaiting(tenant string, until time.Time) error {
	return run(w.q, `update held_loss set dismissed_until = $1 where tenant = $2 and confirmed = 0 and dismissed_until <= $3`, ms(until), tenant, ms(w.Now))
}

// Undecided reports whether somebody of a tenant is held back on whom nobody has decided.
func (r *Reader) Undecided(tenant string) (bool, error) {
	list, err := all(r.q, func(s scanner) (n int64, err error) { return n, s.Scan(&n) },
		`select 1 from held_loss where tenant = $1 and dismissed_until = 0 and confirmed = 0 limit 1`, tenant)
	return len(list) > 0, err
}

// KnownAmong gives the ids of those people of a directory who are known, by stable id.
func (r *Reader) KnownAmong(directory string, stableIDs []string) (map[string]string, error) {
	known := map[string]string{}
	const atOnce = 64 // always as many, so that it is one statement
	for part := range slices.Chunk(stableIDs, atOnce) {
		a := new(args)
		where := `where directory = ` + a.add(directory) + ` and stable_id in (`
		for i := range atOnce {
			if i > 0 {
				where += `, `
			}
			where += a.add(part[min(i, len(part)-1)])
		}
		people, err := all(r.q, scanPerson, selectPerson+where+`)`, a.list...)
		if err != nil {
			return nil, err
		}
		for _, p := range people {
			known[p.StableID] = p.ID
		}
	}
	return known, nil
}

// AddPeople makes people known of whom nobody is (KnownAmong), with how they stand, and gives them their ids.
func (w *Writer) AddPeople(people []KnownPerson) error {
	var persons, standings [][]any
	for i := range people {
		p := &people[i].Person
		p.ID = provisioner.NewID()
		persons = append(persons, []any{
			p.ID, p.Directory, p.StableID, p.Login, p.DisplayName, p.Mail, Fold(p.Login), Fold(p.Mail), searchText(p.DisplayName, p.Login, p.Mail),
		})
		for j := range people[i].Standings {
			v := &people[i].Standings[j]
			v.Person = p.ID
			row, err := standingRow(*v)
			if err != nil {
				return err
			}
			standings = append(standings, row)
		}
	}
	if err := insertMany(w.q, `insert into person (id, directory, stable_id, login, display_name, mail, login_key, mail_key, search)`, persons, ""); err != nil {
		return err
	}
	return insertMany(w.q, insertStanding, standings, "")
}
