package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// UnusedDevice is a laptop that has access and has not been used for long.
type UnusedDevice struct {
	Device     provisioner.Device
	PersonName string
	LastUsed   time.Time // the day; zero: never, as far as is known
	// PersonToo: she has no other laptop in use either.
	PersonToo bool
}

// inUse is the condition that a device was in use on a day or later: it has a session, had
// one, or was enrolled then.
func inUse(a *args, device string, since time.Time) string {
	from := ms(since.Truncate(day))
	return `(` + device + `.enrolled_at >= ` + a.add(from) +
		` or exists (select 1 from former_address f where f.device = ` + device + `.id and f.used_at >= ` + a.add(from) + `)
		or exists (select 1 from session o where o.device = ` + device + `.id and o.closed_revision = 0))`
}

// unused is the condition that a device has access and was not in use since a day. What
// rests is not unused: who is on leave comes back.
func unused(a *args, device string, since time.Time) string {
	return device + `.revoked_at = 0 and not exists (select 1 from suspension u where u.device = ` + device + `.id) and not ` + inUse(a, device, since)
}

// UnusedDevices lists devices in scope that have access and were not in use since a
// day, with ids above after, by id, at most limit.
func (r *Reader) UnusedDevices(scope provisioner.Scope, since time.Time, after string, limit int) ([]UnusedDevice, error) {
	a := new(args)
	query := `select ` + deviceColumns + `, p.display_name, coalesce((select max(f.used_at) from former_address f where f.device = d.id), 0),
		case when exists (select 1 from device e where e.person = d.person and e.tenant = d.tenant and e.revoked_at = 0 and ` + inUse(a, "e", since) + `) then 0 else 1 end
		from device d join person p on p.id = d.person where d.id > ` + a.add(after) + ` and ` + a.scope(scope, "d.tenant") + ` and ` + unused(a, "d", since) +
		` order by d.id limit ` + a.add(limit)
	return all(r.q, func(s scanner) (u UnusedDevice, err error) {
		var used, alone int64
		u.Device, err = scanDeviceAnd(s, &u.PersonName, &used, &alone)
		u.LastUsed, u.PersonToo = at(used).Truncate(day), alone > 0
		return u, err
	}, query, a.list...)
}
