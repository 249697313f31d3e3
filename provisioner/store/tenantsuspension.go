package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// SuspendTenant lets the access of a whole tenant rest; false if it rested for as long
// already. The devices that there are are the caller's to suspend; those that are added
// meanwhile rest by themselves.
func (w *Writer) SuspendTenant(tenant, reason string, ends time.Time) (bool, error) {
	n, err := changed(w.q, `insert into tenant_suspension (tenant, reason, since, ends_at) values ($1, $2, $3, $4)
		on conflict (tenant) do update set reason = excluded.reason, ends_at = excluded.ends_at
			where tenant_suspension.ends_at > 0 and (excluded.ends_at = 0 or excluded.ends_at > tenant_suspension.ends_at)`,
		tenant, reason, ms(w.Now), ms(ends))
	return n > 0, err
}

// TenantSuspended reads why the access of a tenant rests; ErrNone if it does not, or its
// time is over.
func (r *Reader) TenantSuspended(tenant string, now time.Time) (provisioner.Suspension, error) {
	return one(r.q, func(s scanner) (v provisioner.Suspension, err error) {
		var since, ends int64
		err = s.Scan(&v.Reason, &since, &ends)
		v.Source, v.Since, v.EndsAt = provisioner.SuspendedWithTenant, at(since), at(ends)
		return v, err
	}, `select reason, since, ends_at from tenant_suspension where tenant = $1 and (ends_at = 0 or ends_at > $2)`, tenant, ms(now))
}

// RestoreTenant gives back what SuspendTenant took.
func (w *Writer) RestoreTenant(tenant string) error {
	return run(w.q, `delete from tenant_suspension where tenant = $1`, tenant)
}

// TenantsSuspendedUntil lists tenants whose suspension is over.
func (r *Reader) TenantsSuspendedUntil(now time.Time, limit int) ([]string, error) {
	return all(r.q, value[string], `select tenant from tenant_suspension where ends_at > 0 and ends_at <= $1 order by ends_at limit $2`, ms(now), limit)
}

// restAsOthers has a device with new keys rest if its person or tenant does.
func (w *Writer) restAsOthers(d provisioner.Device) error {
	now := ms(w.Now)
	return run(w.q, `insert into suspension (device, source, reason, since, ends_at)
		select d.id, $1, p.reason, p.since, p.ends_at from device d join person_suspension p on p.person = d.person and p.tenant = d.tenant
			where d.id = $2 and (p.ends_at = 0 or p.ends_at > $3)
		union all select d.id, $4, t.reason, t.since, t.ends_at from device d join tenant_suspension t on t.tenant = d.tenant
			where d.id = $5 and (t.ends_at = 0 or t.ends_at > $6)
		on conflict (device, source) do nothing`,
		string(provisioner.SuspendedWithPerson), d.ID, now, string(provisioner.SuspendedWithTenant), d.ID, now)
}
