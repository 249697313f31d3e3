package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// perTenant is a number of each of some tenants.
func (r *Reader) perTenant(scope provisioner.Scope, query string) (map[string]int64, error) {
	type count struct {
		tenant string
		n      int64
	}
	a := new(args)
	list, err := all(r.q, func(s scanner) (c count, err error) { err = s.Scan(&c.tenant, &c.n); return c, err },
		query+` and `+a.scope(scope, "x.tenant")+` group by x.tenant`, a.list...)
	counts := make(map[string]int64, len(list))
	for _, c := range list {
		counts[c.tenant] = c.n
	}
	return counts, err
}

// EntitledPeople counts those who are known and have access, by tenant in scope. Known is who
// has enrolled, or was about to.
func (r *Reader) EntitledPeople(scope provisioner.Scope) (map[string]int64, error) {
	return r.perTenant(scope, `select x.tenant, count(*) from standing x where x.entitled = 1`)
}

// EnrolledLaptops counts machines whose access was not taken, by tenant in scope. One that several
// people share counts once; static peers are none.
func (r *Reader) EnrolledLaptops(scope provisioner.Scope) (map[string]int64, error) {
	return r.perTenant(scope, `select x.tenant, count(distinct case when x.serial_number = '' then 'device ' || x.id else 'serial ' || x.serial_number end)
		from device x where x.revoked_at = 0 and not exists (select 1 from static_peer p where p.device = x.id)`)
}

// HighestPeaks gives the most seats that were held of each pool since a time, by pool: up to the end
// of yesterday, so that asking again and again tells nobody when somebody connects.
func (r *Reader) HighestPeaks(since, now time.Time) (map[string]int64, error) {
	list, err := all(r.q, func(s scanner) (p Peak, err error) { err = s.Scan(&p.Pool, &p.Seats); return p, err },
		`select pool, max(peak) from pool_day where day >= $1 and day < $2 group by pool`, dayText(since), dayText(now))
	peaks := make(map[string]int64, len(list))
	for _, p := range list {
		peaks[p.Pool] = p.Seats
	}
	return peaks, err
}
