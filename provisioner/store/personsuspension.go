package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// SuspendPerson lets a person's access rest in a tenant, whatever her devices; false if
// it rested for as long already. Her devices are the caller's to suspend; those that are
// added meanwhile rest by themselves.
func (w *Writer) SuspendPerson(person, tenant, reason string, ends time.Time) (bool, error) {
	n, err := changed(w.q, `insert into person_suspension (person, tenant, reason, since, ends_at) values ($1, $2, $3, $4, $5)
		on conflict (person, tenant) do update set reason = excluded.reason, ends_at = excluded.ends_at
			where person_suspension.ends_at > 0 and (excluded.ends_at = 0 or excluded.ends_at > person_suspension.ends_at)`,
		person, tenant, reason, ms(w.Now), ms(ends))
	return n > 0, err
}

// PersonSuspended reads why a person's access rests; ErrNone if it does not, or its
// time is over.
func (r *Reader) PersonSuspended(person, tenant string, now time.Time) (provisioner.Suspension, error) {
	return one(r.q, func(s scanner) (v provisioner.Suspension, err error) {
		var since, ends int64
		err = s.Scan(&v.Reason, &since, &ends)
		v.Source, v.Since, v.EndsAt = provisioner.SuspendedWithPerson, at(since), at(ends)
		return v, err
	}, `select reason, since, ends_at from person_suspension where person = $1 and tenant = $2 and (ends_at = 0 or ends_at > $3)`, person, tenant, ms(now))
}

// RestorePerson gives back what SuspendPerson took.
func (w *Writer) RestorePerson(tenant, person string) error {
	return run(w.q, `delete from person_suspension where tenant = $1 and person = $2`, tenant, person)
}

// RestedPerson is somebody in a tenant whose access rested.
type RestedPerson struct{ Person, Tenant string }

// PeopleSuspendedUntil lists whose suspension is over.
func (r *Reader) PeopleSuspendedUntil(now time.Time, limit int) ([]RestedPerson, error) {
	return all(r.q, func(s scanner) (v RestedPerson, err error) { err = s.Scan(&v.Person, &v.Tenant); return v, err },
		`select person, tenant from person_suspension where ends_at > 0 and ends_at <= $1 order by ends_at limit $2`, ms(now), limit)
}
