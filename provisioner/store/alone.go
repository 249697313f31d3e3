package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// TakenAlone counts whose access an actor has taken, or given back, without a second
// person after since, but for one person's, and tells when the first of them was.
func (r *Reader) TakenAlone(actor, besides string, since time.Time) (people int64, first time.Time, err error) {
	first, err = one(r.q, func(s scanner) (time.Time, error) {
		var earliest int64
		err := s.Scan(&people, &earliest)
		return at(earliest), err
	}, `select count(distinct person), coalesce(min(at), 0) from taken_alone where actor = $1 and at > $2 and person <> $3`, actor, ms(since), besides)
	return people, first, err
}

// NoteTakenAlone keeps that an actor takes, or gives back, somebody's access.
func (w *Writer) NoteTakenAlone(actor, tenant, person string) error {
	return w.beside().run(`insert into taken_alone (actor, tenant, person, at) values ($1, $2, $3, $4)
		on conflict (actor, tenant, person) do update set at = excluded.at`, actor, tenant, person, ms(w.Now))
}

// SelectedAlone counts whose access an actor will have taken, or given back, without a
// second person after since, with what is selected.
func (r *Reader) SelectedAlone(v Selection, action provisioner.Action, actor string, since time.Time) (int64, error) {
	var a args
	query := `select count(*) from (select person from taken_alone where actor = ` + a.add(actor) + ` and at > ` + a.add(ms(since)) +
		` union select d.person from device d where ` + v.where(&a, action) + `) people`
	return one(r.q, value[int64], query, a.list...)
}

// NoteSelectedAlone keeps that an actor takes, or gives back, what is selected, of a few
// people.
func (w *Writer) NoteSelectedAlone(v Selection, action provisioner.Action, actor string) error {
	type whose struct{ tenant, person string }
	var a args
	list, err := all(w.q, func(s scanner) (p whose, err error) { err = s.Scan(&p.tenant, &p.person); return p, err },
		`select distinct d.tenant, d.person from device d where `+v.where(&a, action), a.list...)
	for _, p := range list {
		if err == nil {
			err = w.NoteTakenAlone(actor, p.tenant, p.person)
		}
	}
	return err
}

// ForgetTakenAlone deletes what was taken before t.
func (w *Writer) ForgetTakenAlone(t time.Time) error {
	return run(w.q, `delete from taken_alone where at <= $1`, ms(t))
}
