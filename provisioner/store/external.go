package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

const (
	externalColumns = `x.person, x.tenant, x.sponsor, x.until, x.reason, x.ended_at `
	selectExternal  = `select ` + externalColumns + `from external_person x `
)

func scanExternal(s scanner) (provisioner.External, error) { return scanExternalAnd(s) }

func scanExternalAnd(s scanner, more ...any) (x provisioner.External, err error) {
	var until, ended int64
	err = s.Scan(append([]any{&x.Person, &x.Tenant, &x.Sponsor, &until, &x.Reason, &ended}, more...)...)
	x.Until, x.EndedAt = at(until), at(ended)
	return x, err
}

// External reads what is known of an external person in a tenant; ErrNone if she is
// none.
func (r *Reader) External(person, tenant string) (provisioner.External, error) {
	return one(r.q, scanExternal, selectExternal+`where x.person = $1 and x.tenant = $2`, person, tenant)
}

// ExternalsOver lists those whose day is over and whose access was not taken yet.
func (r *Reader) ExternalsOver(now time.Time, limit int) ([]provisioner.External, error) {
	return all(r.q, scanExternal, selectExternal+`where x.ended_at = 0 and x.until <= $1 order by x.until limit $2`, ms(now), limit)
}

// ExternalsOf lists those for whom somebody answers in a tenant.
func (r *Reader) ExternalsOf(sponsor, tenant string) ([]provisioner.External, error) {
	return all(r.q, scanExternal, selectExternal+`where x.sponsor = $1 and x.tenant = $2 order by x.person`, sponsor, tenant)
}

// ExternalPerson is an external person for a list.
type ExternalPerson struct {
	provisioner.External

	Name        string
	Login       string
	SponsorName string // empty: he is not known any more
	// SponsorGone says that he has no right in the tenant himself any more.
	SponsorGone bool
}

// Place is where somebody stands in the list.
func (e ExternalPerson) Place() string { return e.Person + " " + e.Tenant }

// Externals lists external people in scope behind after (ExternalPerson.Place), at most
// limit; of one sponsor, if he is named.
func (r *Reader) Externals(scope provisioner.Scope, sponsor, after string, limit int) ([]ExternalPerson, error) {
	a := new(args)
	where := `where x.person || ' ' || x.tenant > ` + a.add(after) + ` and ` + a.scope(scope, "x.tenant")
	if sponsor != "" {
		where += ` and x.sponsor = ` + a.add(sponsor)
	}
	return all(r.q, func(s scanner) (e ExternalPerson, err error) {
		var entitled int64
		e.External, err = scanExternalAnd(s, &e.Name, &e.Login, &e.SponsorName, &entitled)
		e.SponsorGone = entitled == 0
		return e, err
	}, `select `+externalColumns+`, p.display_name, p.login, coalesce(b.display_name, ''), coalesce(t.entitled, 0)
		from external_person x join person p on p.id = x.person left join person b on b.id = x.sponsor
		left join standing t on t.person = x.sponsor and t.tenant = x.tenant `+where+` order by x.person || ' ' || x.tenant limit `+a.add(limit), a.list...)
}

// PutExternal makes somebody an external person in a tenant, or changes what is known
// of her.
func (w *Writer) PutExternal(x provisioner.External) error {
	return run(w.q, `insert into external_person (person, tenant, sponsor, until, reason, ended_at) values ($1, $2, $3, $4, $5, $6)
		on conflict (person, tenant) do update set sponsor = excluded.sponsor, until = excluded.until, reason = excluded.reason, ended_at = excluded.ended_at`,
		x.Person, x.Tenant, x.Sponsor, ms(x.Until), x.Reason, ms(x.EndedAt))
}

// DropExternal makes somebody one of the tenant's own people.
func (w *Writer) DropExternal(person, tenant string) error {
	return run(w.q, `delete from external_person where person = $1 and tenant = $2`, person, tenant)
}
