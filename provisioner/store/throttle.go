package store

import (
	"errors"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Failures tells how many wrong passwords were counted under a key since
// `since`, and when the first of them was.
func (r *Reader) Failures(key string, since time.Time) (n int64, first time.Time, err error) {
	type row struct{ n, first int64 }
	v, err := one(r.q, func(s scanner) (v row, err error) { err = s.Scan(&v.n, &v.first); return v, err },
		`select failures, since from throttle where key = $1 and since > $2`, key, ms(since))
	if errors.Is(err, ErrNone) {
		return 0, time.Time{}, nil
	}
	return v.n, at(v.first), err
}

// CountFailure counts one more under a key; a count that began before `since`
// begins anew. It gives the number with this one.
func (w *Writer) CountFailure(key string, since time.Time) (int64, error) {
	return one(w.q, value[int64], `insert into throttle (key, failures, since) values ($1, 1, $2)
		on conflict (key) do update set
			failures = case when throttle.since > $3 then throttle.failures + 1 else 1 end,
			since = case when throttle.since > $4 then throttle.since else excluded.since end
		returning failures`, key, ms(w.Now), ms(since), ms(since))
}

// UncountFailure takes one back, for a try that turned out right or was never
// answered.
func (w *Writer) UncountFailure(key string) error {
	return run(w.q, `update throttle set failures = failures - 1 where key = $1 and failures > 0`, key)
}

// ClearFailures forgets a key.
func (w *Writer) ClearFailures(key string) error {
	return run(w.q, `delete from throttle where key = $1`, key)
}

// ForgetFailures deletes counts that began before t.
func (w *Writer) ForgetFailures(t time.Time) error {
	return run(w.q, `delete from throttle where since < $1`, ms(t))
}

// RecentRefusal is a refusal as the helpdesk may see it.
type RecentRefusal struct {
	At     time.Time
	Tenant string // empty: could not be told
	Login  string // as typed, folded
	Person string
	Device string
	Code   provisioner.Code
	Cause  string // never a password, never told to the caller
	Source string
}

// refusalsKept is how many refusals of one person are kept. Nothing slows down
// somebody whose password is right and who is refused for another reason.
const refusalsKept = 50

// AddRefusal keeps a refusal for the helpdesk; of one person the last fifty.
func (w *Writer) AddRefusal(v RecentRefusal) error {
	if err := run(w.q, `insert into recent_refusal (id, at, tenant, login, person, device, code, cause, source)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		provisioner.NewID(), ms(w.Now), v.Tenant, v.Login, v.Person, v.Device, string(v.Code), v.Cause, v.Source); err != nil || v.Person == "" {
		return err
	}
	return run(w.q, `delete from recent_refusal where id in
		(select id from recent_refusal where person = $1 order by at desc, id limit 1000 offset $2)`, v.Person, refusalsKept)
}

// NoteDeviceRefusal keeps a refusal of a device in place of the former one with
// the same code, so that a laptop that tries and tries fills nothing.
func (w *Writer) NoteDeviceRefusal(v RecentRefusal) error {
	if err := run(w.q, `delete from recent_refusal where device = $1 and code = $2`, v.Device, string(v.Code)); err != nil {
		return err
	}
	return w.AddRefusal(v)
}

// RefusalsOf lists the last refusals of a person in a tenant, or under her
// login or mail address, the latest first.
func (r *Reader) RefusalsOf(p provisioner.Person, tenant string, limit int) ([]RecentRefusal, error) {
	return all(r.q, func(s scanner) (v RecentRefusal, err error) {
		var when int64
		err = s.Scan(&when, &v.Tenant, &v.Login, &v.Person, &v.Device, &v.Code, &v.Cause, &v.Source)
		v.At = at(when)
		return v, err
	}, `select at, tenant, login, person, device, code, cause, source from recent_refusal
		where (person = $1 and tenant = $2) or (tenant = $3 and login in ($4, $5) and login <> '')
		order by at desc limit $6`, p.ID, tenant, tenant, Fold(p.Login), Fold(p.Mail), limit)
}

// ForgetRefusals deletes refusals older than t.
func (w *Writer) ForgetRefusals(t time.Time) error {
	return run(w.q, `delete from recent_refusal where at < $1`, ms(t))
}
