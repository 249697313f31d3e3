package store

import (
	"errors"
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
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

// Tenant reads a tenant; ErrNone if there is none.
func (r *Reader) Tenant(name string) (provisioner.Tenant, error) {
	return one(r.q, scanDeclaration[provisioner.Tenant], `select declaration from tenant where name = $1`, name)
}

// Tenants lists those in scope, by name.
func (r *Reader) Tenants(scope provisioner.Scope) ([]provisioner.Tenant, error) {
	list, err := all(r.q, scanDeclaration[provisioner.Tenant], `select declaration from tenant order by name`)
	return slices.DeleteFunc(list, func(t provisioner.Tenant) bool { return !scope.Includes(t.Name) }), err
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
	if err := run(w.q, `insert into tenant (name, directory, declaration, timed) values ($1, $2, $3, $4)
		on conflict (name) do update set directory = excluded.directory, declaration = excluded.declaration, timed = excluded.timed`,
		t.Name, t.Directory, text, boolInt(len(t.Policy.Access) > 0)); err != nil {
		return err
	}
	if err := errors.Join(w.keepHouseRules(t), w.keepProductPools(t)); err != nil {
		return err
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
