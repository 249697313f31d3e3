package store

import (
	"errors"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Connected says whether something was connected.
type Connected string

// What is known of it.
const (
	ConnectedYes     Connected = "yes"
	ConnectedNo      Connected = "no"
	ConnectedUnknown Connected = "unknown" // sessions of then are not kept
)

// LostDevice is a report of a lost or stolen laptop.
type LostDevice struct {
	ID             string
	Tenant         string
	Device, Person string // empty: she is forgotten
	Stolen         bool
	Reason         string
	ReportedAt     time.Time
	ReportedBy     string    // id
	LostSince      time.Time // zero: nobody knows
	Connected      Connected // since then
	EndedAt        time.Time // the last gateway had confirmed; zero: not at the time
	EndsAt         time.Time // when one that had not ends it by itself

	DeviceName, PersonName, ReporterName string // of a list
}

// PutLost keeps a report. One more of the same device mends the former one, whose
// time counts. It gives the report with its id and time.
func (w *Writer) PutLost(l LostDevice) (LostDevice, error) {
	type former struct {
		id string
		at int64
	}
	had, err := one(w.q, func(s scanner) (f former, err error) { err = s.Scan(&f.id, &f.at); return f, err },
		`select id, reported_at from lost_device where device = $1`, l.Device)
	switch {
	case err == nil:
		l.ID, l.ReportedAt = had.id, at(had.at)
		return l, run(w.q, `update lost_device set stolen = $1, reason = $2, lost_since = $3, connected = $4 where id = $5`,
			boolInt(l.Stolen), l.Reason, ms(l.LostSince), string(l.Connected), l.ID)
	case errors.Is(err, ErrNone):
		return l, run(w.q, `insert into lost_device (id, tenant, device, person, stolen, reason, reported_at, reported_by, lost_since, connected, ended_at, ends_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0)`,
			l.ID, l.Tenant, l.Device, l.Person, boolInt(l.Stolen), l.Reason, ms(l.ReportedAt), l.ReportedBy, ms(l.LostSince), string(l.Connected))
	default:
		return l, err
	}
}

// EndLost notes when the access of a lost laptop had ended, or will have.
func (w *Writer) EndLost(id string, ended, ends time.Time) error {
	return run(w.q, `update lost_device set ended_at = $1, ends_at = $2 where id = $3 and ended_at = 0`, ms(ended), ms(ends), id)
}

// LostDevices lists reports in scope, the latest first, from behind a time and id, at most
// limit. The zero LostDevice begins.
func (r *Reader) LostDevices(scope provisioner.Scope, after LostDevice, limit int) ([]LostDevice, error) {
	a := new(args)
	where := `where ` + a.scope(scope, "l.tenant")
	if after.ID != "" {
		where += ` and (l.reported_at, l.id) < (` + a.add(ms(after.ReportedAt)) + `, ` + a.add(after.ID) + `)`
	}
	return all(r.q, func(s scanner) (l LostDevice, err error) {
		var stolen, reported, since, ended, ends int64
		err = s.Scan(&l.ID, &l.Tenant, &l.Device, &l.Person, &stolen, &l.Reason, &reported, &l.ReportedBy, &since, &l.Connected, &ended, &ends,
			&l.DeviceName, &l.PersonName, &l.ReporterName)
		l.Stolen, l.ReportedAt, l.LostSince, l.EndedAt, l.EndsAt = stolen > 0, at(reported), at(since), at(ended), at(ends)
		return l, err
	}, `select l.id, l.tenant, l.device, l.person, l.stolen, l.reason, l.reported_at, l.reported_by, l.lost_since, l.connected, l.ended_at, l.ends_at,
			coalesce(d.name, ''), coalesce(p.display_name, ''), coalesce(b.display_name, '')
		from lost_device l left join device d on d.id = l.device left join person p on p.id = l.person left join person b on b.id = l.reported_by `+
		where+` order by l.reported_at desc, l.id desc limit `+a.add(limit), a.list...)
}

// ConnectedAfter reports whether a device has an open session, or had one that
// ended after a time.
func (r *Reader) ConnectedAfter(device string, since time.Time) (bool, error) {
	n, err := one(r.q, value[int64], `select count(*) from session where device = $1 and (closed_revision = 0 or closed_at >= $2)`, device, ms(since))
	return n > 0, err
}

// ForgetLost deletes reports from before t, at most limit, and tells how many.
func (w *Writer) ForgetLost(t time.Time, limit int) (int64, error) {
	return changed(w.q, `delete from lost_device where id in (select id from lost_device where reported_at < $1 order by reported_at limit $2)`, ms(t), limit)
}
