package store

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
)

// Directory reads a declared directory; ErrNone if there is none.
func (r *Reader) Directory(name string) (provisioner.Directory, error) {
	return one(r.q, scanDeclaration[provisioner.Directory], `select declaration from directory where name = $1`, name)
}

// Directories lists all, by name.
func (r *Reader) Directories() ([]provisioner.Directory, error) {
	return all(r.q, scanDeclaration[provisioner.Directory], `select declaration from directory order by name`)
}

// PutDirectory makes or changes a directory.
func (w *Writer) PutDirectory(d provisioner.Directory) error {
	text, err := toJSON(d)
	if err != nil {
		return err
	}
	return run(w.q, `insert into directory (name, declaration) values ($1, $2)
		on conflict (name) do update set declaration = excluded.declaration`, d.Name, text)
}

const selectTenant = `select declaration, crisis_since from tenant `

func scanTenant(s scanner) (t provisioner.Tenant, err error) {
	var text string
	var crisis int64
	if err := s.Scan(&text, &crisis); err != nil {
		return t, err
	}
	t.CrisisSince = at(crisis)
	return t, fromJSON(text, &t)
}

// Tenant reads a tenant; ErrNone if there is none.
func (r *Reader) Tenant(name string) (provisioner.Tenant, error) {
	return one(r.q, scanTenant, selectTenant+`where name = $1`, name)
}

// Tenants lists those in scope, by name.
func (r *Reader) Tenants(scope provisioner.Scope) ([]provisioner.Tenant, error) {
	list, err := all(r.q, scanTenant, selectTenant+`order by name`)
	return slices.DeleteFunc(list, func(t provisioner.Tenant) bool { return !scope.Includes(t.Name) }), err
}

// TenantNames lists all, by name, without reading their declarations.
func (r *Reader) TenantNames() ([]string, error) {
	return all(r.q, value[string], `select name from tenant order by name`)
}

// IdleTime is after how long without activity a tenant's sessions end now; zero: never.
type IdleTime struct {
	Tenant   string
	After    time.Duration
	InCrisis bool
}

// IdleTimes lists those of all tenants, without reading their declarations.
func (r *Reader) IdleTimes() ([]IdleTime, error) {
	return all(r.q, func(s scanner) (IdleTime, error) {
		var t provisioner.Tenant
		var after, crisis, since int64
		err := s.Scan(&t.Name, &after, &crisis, &since)
		t.Policy.Idle.After, t.Crisis.Idle = time.Duration(after)*time.Millisecond, time.Duration(crisis)*time.Millisecond
		t.CrisisSince = at(since)
		return IdleTime{Tenant: t.Name, After: t.Idle().After, InCrisis: t.InCrisis()}, err
	}, `select name, idle_after, idle_in_crisis, crisis_since from tenant`)
}

// Crisis is a tenant's crisis mode.
type Crisis struct {
	Tenant string
	Plan   provisioner.CrisisPlan
	Since  time.Time // zero: it is off
	Reason string
}

// Crises lists the crisis modes of tenants in scope that have prepared one, or are in one.
func (r *Reader) Crises(scope provisioner.Scope) ([]Crisis, error) {
	var a args
	list, err := all(r.q, func(s scanner) (c Crisis, err error) {
		var text string
		var since int64
		if err := s.Scan(&text, &since, &c.Reason); err != nil {
			return c, err
		}
		var t provisioner.Tenant
		err = fromJSON(text, &t)
		c.Tenant, c.Plan, c.Since = t.Name, t.Crisis, at(since)
		return c, err
	}, `select declaration, crisis_since, crisis_reason from tenant where `+a.scope(scope, "name")+` order by name`, a.list...)
	return slices.DeleteFunc(list, func(c Crisis) bool { return !c.Plan.Prepared() && c.Since.IsZero() }), err
}

// BeginCrisis switches a tenant's crisis mode on, and keeps why; false: it was on.
func (w *Writer) BeginCrisis(tenant, reason string) (bool, error) {
	n, err := changed(w.q, `update tenant set crisis_since = $1, crisis_reason = $2 where name = $3 and crisis_since = 0`, ms(w.Now), reason, tenant)
	if err != nil || n == 0 {
		return false, err
	}
	return true, w.restQueue(tenant)
}

// EndCrisis switches a tenant's crisis mode off; false: it was off.
func (w *Writer) EndCrisis(tenant string) (bool, error) {
	n, err := changed(w.q, `update tenant set crisis_since = 0, crisis_reason = '' where name = $1 and crisis_since > 0`, tenant)
	if err != nil || n == 0 {
		return false, err
	}
	return true, w.restQueue(tenant)
}

// DirectoryOf is the directory that a tenant uses now, and whether it is just moving there; ErrNone if there is no such
// tenant.
func (r *Reader) DirectoryOf(tenant string) (name string, moving bool, err error) {
	type row struct {
		name  string
		moves int64
	}
	now, err := one(r.q, func(s scanner) (v row, err error) { err = s.Scan(&v.name, &v.moves); return v, err },
		`select t.directory, (select count(*) from tenant_move m where m.tenant = t.name and m.confirmed_at > 0) from tenant t where t.name = $1`, tenant)
	return now.name, now.moves > 0, err
}

// TenantOfMailDomain finds whose domain it is; ErrNone if nobody's.
func (r *Reader) TenantOfMailDomain(domain string) (string, error) {
	return one(r.q, value[string], `select tenant from mail_domain where domain = $1`, domain)
}

// TenantNamed refuses (not-found) a tenant that somebody named and that is not there. An
// empty name is none.
func (r *Reader) TenantNamed(name string) error {
	if name == "" {
		return nil
	}
	_, err := one(r.q, value[int64], `select 1 from tenant where name = $1`, name)
	if errors.Is(err, ErrNone) {
		return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(name, 64)).With("what", "Eine solche Verwaltung", "tenant")
	}
	return err
}

// TenantHasPeople reports whether the directory has ever told of anybody in a
// tenant.
func (r *Reader) TenantHasPeople(tenant string) (bool, error) {
	n, err := one(r.q, value[int64], `select count(*) from (select 1 from standing where tenant = $1 limit 1) t`, tenant)
	return n > 0, err
}

// keepProductPools notes which pools are for the tenant's products and not for its
// sessions.
func (w *Writer) keepProductPools(t provisioner.Tenant) error {
	list, err := all(w.q, value[string], `select pool from product_pool where tenant = $1`, t.Name)
	if err != nil {
		return err
	}
	if err := run(w.q, `delete from product_pool where tenant = $1`, t.Name); err != nil {
		return err
	}
	var rows [][]any
	for _, p := range t.Products {
		if row := []any{t.Name, p.LicencePool}; p.LicencePool != "" && !slices.ContainsFunc(rows, func(r []any) bool { return r[1] == row[1] }) {
			rows = append(rows, row)
			list = append(list, p.LicencePool)
		}
	}
	if err := insertMany(w.q, `insert into product_pool (tenant, pool)`, rows, ""); err != nil {
		return err
	}
	for _, pool := range list {
		if err := w.countQueue(pool); err != nil {
			return err
		}
	}
	return nil
}

// PutTenant makes or changes a tenant and its mail domains. A domain that leads
// to another tenant fails, at the latest with the commit: who declares has to
// decide it before. was is the tenant as it is stored, zero if there is none;
// without it all its domains are written anew.
func (w *Writer) PutTenant(t provisioner.Tenant, was ...provisioner.Tenant) error {
	text, err := toJSON(t)
	if err != nil {
		return err
	}
	if err := run(w.q, `insert into tenant (name, directory, declaration, timed, idle_below, idle_after, idle_in_crisis) values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (name) do update set directory = excluded.directory, declaration = excluded.declaration, timed = excluded.timed,
			idle_below = excluded.idle_below, idle_after = excluded.idle_after, idle_in_crisis = excluded.idle_in_crisis`,
		t.Name, t.Directory, text, boolInt(len(t.Policy.Access) > 0),
		cmp.Or(t.Policy.Idle.Below, provisioner.DefaultIdleBelow), t.Policy.Idle.After.Milliseconds(), t.Crisis.Idle.Milliseconds()); err != nil {
		return err
	}
	if err := errors.Join(w.keepHouseRules(t), w.keepProductPools(t)); err != nil {
		return err
	}
	switch now, err := w.Tenant(t.Name); {
	case err != nil:
		return err
	case now.InCrisis(): // its plan may be another one
		if err := w.restQueue(t.Name); err != nil {
			return err
		}
	}
	domains := t.MailDomains
	if len(was) == 0 {
		if err := run(w.q, `delete from mail_domain where tenant = $1`, t.Name); err != nil {
			return err
		}
	} else {
		domains = without(t.MailDomains, was[0].MailDomains)
		if err := w.ReleaseMailDomains(t.Name, without(was[0].MailDomains, t.MailDomains)); err != nil {
			return err
		}
	}
	rows := make([][]any, len(domains))
	for i, domain := range domains {
		rows[i] = []any{domain, t.Name}
	}
	return insertMany(w.q, `insert into mail_domain (domain, tenant)`, rows, "")
}

// ReleaseMailDomains has domains lead to a tenant no more, so that another one
// can take them over in the same transaction.
func (w *Writer) ReleaseMailDomains(tenant string, domains []string) error {
	for _, domain := range domains {
		if err := run(w.q, `delete from mail_domain where domain = $1 and tenant = $2`, domain, tenant); err != nil {
			return err
		}
	}
	return nil
}

func scanDeclaration[T any](s scanner) (v T, err error) {
	var text string
	if err := s.Scan(&text); err != nil {
		return v, err
	}
	return v, fromJSON(text, &v)
}
