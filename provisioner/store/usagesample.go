package store

import (
	"time"
)

// Presence is how many sessions of a tenant hold seats of a pool on a gateway at a time.
// Static peers are none of a person's sessions.
type Presence struct {
	Tenant, Pool, Gateway string
	Sessions              int64
}

// openAt are sessions that were open at a time: those that still are, and those that
// were closed since. The index of each half serves it. One that is leaving counts no more:
// there is the next one.
const openAt = `select tenant, pool, gateway, person from session where closed_at = 0 and opened_at < $1 and (left_at = 0 or left_at >= $1) and key_of = ''
	union all select tenant, pool, gateway, person from session where closed_at > 0 and closed_at >= $1 and opened_at < $1
		and (left_at = 0 or left_at >= $1) and key_of = ''`

// PresentAt counts the sessions that were open at a time of which history is kept.
func (r *Reader) PresentAt(t time.Time) ([]Presence, error) {
	return all(r.q, func(s scanner) (p Presence, err error) {
		err = s.Scan(&p.Tenant, &p.Pool, &p.Gateway, &p.Sessions)
		return p, err
	}, `select tenant, pool, gateway, count(*) from (`+openAt+`) s group by tenant, pool, gateway order by tenant, pool, gateway`, ms(t))
}

// PeopleCount is how many people it was of a tenant, in a pool or in none.
type PeopleCount struct {
	Tenant, Pool string
	People       int64
}

func scanPeopleCount(s scanner) (c PeopleCount, err error) {
	err = s.Scan(&c.Tenant, &c.Pool, &c.People)
	return c, err
}

// PeopleAt counts those whose sessions were open at a time, each once in her tenant.
func (r *Reader) PeopleAt(t time.Time) ([]PeopleCount, error) {
	return all(r.q, scanPeopleCount, `select tenant, pool, count(*) from (
		select tenant, person, min(pool) as pool from (`+openAt+`) s group by tenant, person) p group by tenant, pool order by tenant, pool`, ms(t))
}

// SessionTimes is when a session of somebody was opened, and closed or left for the next;
// zero: neither.
type SessionTimes struct {
	Tenant, Pool, Gateway string
	OpenedAt, ClosedAt    time.Time
}

// MovedWithin lists when sessions were opened or closed from a time on and before another.
func (r *Reader) MovedWithin(from, to time.Time) ([]SessionTimes, error) {
	return all(r.q, func(s scanner) (v SessionTimes, err error) {
		var opened, closed int64
		err = s.Scan(&v.Tenant, &v.Pool, &v.Gateway, &opened, &closed)
		v.OpenedAt, v.ClosedAt = at(opened), at(closed)
		return v, err
	}, `select tenant, pool, gateway, opened_at, left_at from session where closed_at = 0 and opened_at < $2 and (opened_at >= $1 or left_at >= $1) and key_of = ''
		union all select tenant, pool, gateway, opened_at, case when left_at > 0 then left_at else closed_at end from session
		where closed_at > 0 and closed_at >= $1 and opened_at < $2 and (left_at = 0 or left_at >= $1) and key_of = ''`, ms(from), ms(to))
}

// Carried is what was transferred in sessions of a tenant, by pool and gateway.
type Carried struct {
	Tenant, Pool, Gateway  string
	Received, Sent         int64 // of sessions that are open, or were closed since
	OpenReceived, OpenSent int64 // of those that are open
}

// CarriedSince adds up what gateways have counted in sessions that are open, and in those
// that were closed after a revision, which was the last at about a time. Static peers are
// in it: they use the gateway too.
func (r *Reader) CarriedSince(revision int64, about time.Time) ([]Carried, error) {
	return all(r.q, func(s scanner) (c Carried, err error) {
		err = s.Scan(&c.Tenant, &c.Pool, &c.Gateway, &c.Received, &c.Sent, &c.OpenReceived, &c.OpenSent)
		return c, err
	}, `select tenant, pool, gateway, cast(sum(received_bytes) as bigint), cast(sum(sent_bytes) as bigint),
			cast(sum(received_bytes * is_open) as bigint), cast(sum(sent_bytes * is_open) as bigint) from (
			select tenant, pool, gateway, received_bytes, sent_bytes, 1 as is_open from session where closed_at = 0
			union all select tenant, pool, gateway, received_bytes, sent_bytes, 0 from session where closed_at > 0 and closed_at >= $1 and closed_revision > $2) s
		group by tenant, pool, gateway`, ms(about.Add(-time.Minute)), revision)
}

// OpenedWithin counts the people whose sessions were opened from a time on and before
// another, each once in her tenant.
func (r *Reader) OpenedWithin(from, to time.Time) ([]PeopleCount, error) {
	return all(r.q, scanPeopleCount, `select tenant, pool, count(*) from (
		select tenant, person, min(pool) as pool from (
			select tenant, pool, person from session where closed_at = 0 and opened_at >= $1 and opened_at < $2 and key_of = ''
			union all select tenant, pool, person from session where closed_at > 0 and closed_at >= $1 and opened_at >= $1 and opened_at < $2 and key_of = '') s
		group by tenant, person) p group by tenant, pool order by tenant, pool`, ms(from), ms(to))
}

// Headcounts counts the people of each tenant who have the right to access.
func (r *Reader) Headcounts() ([]PeopleCount, error) {
	return all(r.q, scanPeopleCount, `select tenant, '', count(*) from standing where entitled = 1 group by tenant order by tenant`)
}

// RefusedOpenings are openings that a replica refused in a minute.
type RefusedOpenings struct {
	Minute   time.Time
	Tenant   string
	Reason   int64
	Attempts int64
	People   int64 // different ones since the hour began
}

// AddRefused writes what this replica has refused.
func (w *Writer) AddRefused(list []RefusedOpenings) error {
	rows := make([][]any, len(list))
	for i, v := range list {
		rows[i] = []any{w.store.replica, ms(v.Minute), v.Tenant, v.Reason, v.Attempts, v.People, 0}
	}
	return insertMany(w.q, `insert into usage_refused (replica, minute, tenant, reason, attempts, people, counted)`, rows,
		` on conflict (replica, minute, tenant, reason) do update set attempts = usage_refused.attempts + excluded.attempts, people = excluded.people`)
}

func scanRefused(s scanner) (v RefusedOpenings, err error) {
	err = s.Scan(&v.Tenant, &v.Reason, &v.Attempts, &v.People)
	return v, err
}

// RefusedUncounted adds up what was refused until a time and is in no minute yet.
func (r *Reader) RefusedUncounted(until time.Time) ([]RefusedOpenings, error) {
	return all(r.q, scanRefused, `select tenant, reason, cast(sum(attempts) as bigint), max(people) from usage_refused where minute < $1 and counted = 0
		group by tenant, reason order by tenant, reason`, ms(until))
}

// CountRefused notes that those are in a minute now.
func (w *Writer) CountRefused(until time.Time) error {
	return run(w.q, `update usage_refused set counted = 1 where minute < $1 and counted = 0`, ms(until))
}

// RefusedWithin tells how many people were refused from a time on and before another, at
// the least: several replicas may have refused the same ones.
func (r *Reader) RefusedWithin(from, to time.Time) ([]RefusedOpenings, error) {
	return all(r.q, scanRefused, `select tenant, reason, cast(sum(attempts) as bigint), max(people) from usage_refused where minute >= $1 and minute < $2
		group by tenant, reason order by tenant, reason`, ms(from), ms(to))
}

// ForgetRefused deletes what was refused before a time.
func (w *Writer) ForgetRefused(before time.Time) error {
	return run(w.q, `delete from usage_refused where minute < $1 and counted = 1`, ms(before))
}

// UsageName names something of which usage is measured.
type UsageName struct {
	Kind, Name string
	Reachable  bool // a gateway
}

// UsageNames lists what usage is measured of now. Gateways that have not joined carry
// nothing, and are not among it.
func (r *Reader) UsageNames(now time.Time) ([]UsageName, error) {
	return all(r.q, func(s scanner) (v UsageName, err error) {
		var connected, contact int64
		err = s.Scan(&v.Kind, &v.Name, &connected, &contact)
		v.Reachable = connected > 0 && now.Sub(at(contact)) < ContactFresh
		return v, err
	}, `select 'tenant', name, 0, 0 from tenant union all select 'pool', name, 0, 0 from licence_pool union all
		select 'gateway', g.name, coalesce(c.connected, 0), coalesce(c.contact_at, 0) from gateway g
			left join gateway_contact c on c.gateway = g.name where g.joined_at > 0`)
}

// ServedBy lists the tenants that some gateways serve.
func (r *Reader) ServedBy(gateways []string) ([]string, error) {
	if len(gateways) == 0 {
		return nil, nil
	}
	a := new(args)
	return all(r.q, value[string], `select distinct tenant from gateway_tenant where gateway`+a.in(gateways)+` order by tenant`, a.list...)
}
