package store

import (
	"time"
)

// Diagnosis is what somebody has sent to the helpdesk from her laptop.
type Diagnosis struct {
	ID, Device, Tenant string
	SentAt             time.Time
	Words              string // her own; may be empty
	Body               string // JSON
}

// AddDiagnosis keeps one, sent now.
func (w *Writer) AddDiagnosis(d Diagnosis) error {
	return run(w.q, `insert into diagnosis (id, device, tenant, sent_at, words, body) values ($1, $2, $3, $4, $5, $6)`,
		d.ID, d.Device, d.Tenant, ms(w.Now), d.Words, d.Body)
}

// DiagnosesSince tells how many were sent from a device since a time, and when the first of them was.
func (r *Reader) DiagnosesSince(device string, since time.Time) (n int64, first time.Time, err error) {
	type row struct{ n, first int64 }
	v, err := one(r.q, func(s scanner) (v row, err error) { err = s.Scan(&v.n, &v.first); return v, err },
		`select count(*), coalesce(min(sent_at), 0) from diagnosis where device = $1 and sent_at > $2`, device, ms(since))
	return v.n, at(v.first), err
}

// Diagnoses lists those of a device since a time, the latest first.
func (r *Reader) Diagnoses(device string, since time.Time, limit int) ([]Diagnosis, error) {
	return all(r.q, func(s scanner) (d Diagnosis, err error) {
		var sent int64
		err = s.Scan(&d.ID, &d.Device, &d.Tenant, &sent, &d.Words, &d.Body)
		d.SentAt = at(sent)
		return d, err
	}, `select id, device, tenant, sent_at, words, body from diagnosis where device = $1 and sent_at > $2 order by sent_at desc, id desc limit $3`,
		device, ms(since), limit)
}

// ForgetDiagnoses deletes those from before t, at most limit, and tells how many.
func (w *Writer) ForgetDiagnoses(t time.Time, limit int) (int64, error) {
	return changed(w.q, `delete from diagnosis where id in (select id from diagnosis where sent_at < $1 order by sent_at limit $2)`, ms(t), limit)
}
