package store

import (
	"errors"

	"github.com/heimdraht/heimdraht/provisioner"
)

const selectPerson = `select id, directory, stable_id, login, display_name, mail from person `

func scanPerson(s scanner) (p provisioner.Person, err error) {
	err = s.Scan(&p.ID, &p.Directory, &p.StableID, &p.Login, &p.DisplayName, &p.Mail)
	return p, err
}

// Person reads by id; ErrNone if there is none.
func (r *Reader) Person(id string) (provisioner.Person, error) {
	return one(r.q, scanPerson, selectPerson+`where id = $1`, id)
}

// PersonTyped finds who is meant in a tenant by a login or mail address as it
// was typed; ErrNone if nobody known is.
func (r *Reader) PersonTyped(tenant, typed string) (provisioner.Person, error) {
	key := Fold(typed)
	if key == "" {
		return provisioner.Person{}, ErrNone
	}
	return one(r.q, scanPerson, selectPerson+`where (login_key = $1 or mail_key = $2)
		and exists (select 1 from standing s where s.person = person.id and s.tenant = $3) order by id limit 1`, key, key, tenant)
}

// PeopleOfTenantTyped lists at most limit people of a tenant, but for those who are gone,
// whose login or mail address reads like what was typed.
func (r *Reader) PeopleOfTenantTyped(tenant, typed string, limit int) ([]provisioner.Person, error) {
	key := Fold(typed)
	if key == "" {
		return nil, nil
	}
	return all(r.q, scanPerson, selectPerson+`where (login_key = $1 or mail_key = $2)
		and exists (select 1 from standing s where s.person = person.id and s.tenant = $3 and s.ended <> $4) order by id limit $5`,
		key, key, tenant, string(provisioner.WhyDeleted), limit)
}

// PeopleTyped lists at most two people in scope who are meant by a login or mail address
// as it was typed.
func (r *Reader) PeopleTyped(scope provisioner.Scope, typed string) ([]FoundPerson, error) {
	key := Fold(typed)
	if key == "" {
		return nil, nil
	}
	a := new(args)
	where := `where (p.login_key = ` + a.add(key) + ` or p.mail_key = ` + a.add(key) + `) and ` + a.scope(scope, "s.tenant")
	return all(r.q, scanFound, selectFound()+where+` order by p.id, s.tenant limit 2`, a.list...)
}

// KeepPerson makes the person known, or follows a changed name, login or mail
// address of the one with the same directory and stable id. It gives the
// person with the id that she has or gets. Nothing is written if nothing
// changed.
func (w *Writer) KeepPerson(p provisioner.Person) (provisioner.Person, error) {
	known, err := one(w.q, scanPerson, selectPerson+`where directory = $1 and stable_id = $2`, p.Directory, p.StableID)
	switch {
	case err == nil:
		p.ID = known.ID
		if p == known {
			return p, nil
		}
		return p, run(w.q, `update person set login = $1, display_name = $2, mail = $3, login_key = $4, mail_key = $5, search = $6 where id = $7`,
			p.Login, p.DisplayName, p.Mail, Fold(p.Login), Fold(p.Mail), searchText(p.DisplayName, p.Login, p.Mail), p.ID)
	case errors.Is(err, ErrNone):
		p.ID = provisioner.NewID()
		return p, run(w.q, `insert into person (id, directory, stable_id, login, display_name, mail, login_key, mail_key, search)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			p.ID, p.Directory, p.StableID, p.Login, p.DisplayName, p.Mail, Fold(p.Login), Fold(p.Mail), searchText(p.DisplayName, p.Login, p.Mail))
	default:
		return p, err
	}
}

// PersonIn reads a person with her tenants in scope.
func (r *Reader) PersonIn(scope provisioner.Scope, id string) ([]FoundPerson, error) {
	a := new(args)
	where := `where p.id = ` + a.add(id) + ` and ` + a.scope(scope, "s.tenant")
	return all(r.q, scanFound, selectFound()+where+` order by s.tenant`, a.list...)
}
