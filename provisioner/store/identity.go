package store

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// IdentityChange is a proposal to know people of a directory by other stable ids.
type IdentityChange struct {
	Hash      string // names exactly these people and ids
	Directory string
	People    int64 // when it was proposed
	Reason    string
	// ProposedBy is the actor's id, ProposedName the name for people to read.
	ProposedBy, ProposedName string
	ProposedAt               time.Time
	ConfirmedAt              time.Time // zero: not yet
}

// NewIdentity is one person of it, and the stable id by which she is to be known.
type NewIdentity struct {
	Hash     string
	Person   provisioner.Person // as she is known now
	FormerID string             // her stable id when it was proposed
	StableID string
	// NewName and NewLogin are of whoever is known by StableID now: if they are another person's, the map is wrong.
	// Empty: nobody is.
	NewName, NewLogin string
}

// IdentityChange reads one; ErrNone if there is none.
func (r *Reader) IdentityChange(hash string) (IdentityChange, error) {
	return one(r.q, func(s scanner) (c IdentityChange, err error) {
		var proposed, confirmed int64
		err = s.Scan(&c.Hash, &c.Directory, &c.People, &c.Reason, &c.ProposedBy, &c.ProposedName, &proposed, &confirmed)
		c.ProposedAt, c.ConfirmedAt = at(proposed), at(confirmed)
		return c, err
	}, `select hash, directory, people, reason, proposed_by, proposed_name, proposed_at, confirmed_at from identity_change where hash = $1`, hash)
}

const selectNewIdentity = `select p.id, p.directory, p.stable_id, p.login, p.display_name, p.mail, i.hash, i.former_id, i.stable_id,
		coalesce(n.display_name, ''), coalesce(n.login, '')
	from identity_change_person i join person p on p.id = i.person
	left join person n on n.directory = p.directory and n.stable_id = i.stable_id `

func scanNewIdentity(s scanner) (i NewIdentity, err error) {
	err = s.Scan(&i.Person.ID, &i.Person.Directory, &i.Person.StableID, &i.Person.Login, &i.Person.DisplayName, &i.Person.Mail,
		&i.Hash, &i.FormerID, &i.StableID, &i.NewName, &i.NewLogin)
	return i, err
}

// NewIdentities lists what is still to be done of a proposal, by name.
func (r *Reader) NewIdentities(hash string) ([]NewIdentity, error) {
	return all(r.q, scanNewIdentity, selectNewIdentity+`where i.hash = $1 order by p.display_name, p.id`, hash)
}

// ConfirmedIdentities lists at most limit of what is to be done of proposals that were confirmed.
func (r *Reader) ConfirmedIdentities(limit int) ([]NewIdentity, error) {
	return all(r.q, scanNewIdentity, selectNewIdentity+`join identity_change c on c.hash = i.hash where c.confirmed_at > 0 order by i.hash, p.id limit $1`, limit)
}

// PutIdentityChange keeps a proposal. Its people are added before (AddNewIdentity): without it they mean nothing.
func (w *Writer) PutIdentityChange(c IdentityChange) error {
	return run(w.q, `insert into identity_change (hash, directory, people, reason, proposed_by, proposed_name, proposed_at, confirmed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (hash) do update set confirmed_at = excluded.confirmed_at`,
		c.Hash, c.Directory, c.People, c.Reason, c.ProposedBy, c.ProposedName, ms(c.ProposedAt), ms(c.ConfirmedAt))
}

// AddNewIdentity adds a person to a proposal. Idempotent.
func (w *Writer) AddNewIdentity(i NewIdentity) error {
	return run(w.q, `insert into identity_change_person (hash, person, former_id, stable_id) values ($1, $2, $3, $4) on conflict (hash, person) do nothing`,
		i.Hash, i.Person.ID, i.FormerID, i.StableID)
}

// DropNewIdentity takes a person out of a proposal: she is done. The last one ends it.
func (w *Writer) DropNewIdentity(hash, person string) error {
	if err := run(w.q, `delete from identity_change_person where hash = $1 and person = $2`, hash, person); err != nil {
		return err
	}
	return run(w.q, `delete from identity_change where hash = $1
		and not exists (select 1 from identity_change_person i where i.hash = identity_change.hash)`, hash)
}

// ForgetIdentityChanges deletes proposals that nobody has confirmed and that were made before t.
func (w *Writer) ForgetIdentityChanges(t time.Time) error {
	if err := run(w.q, `delete from identity_change_person where hash in
		(select hash from identity_change where confirmed_at = 0 and proposed_at < $1)`, ms(t)); err != nil {
		return err
	}
	return run(w.q, `delete from identity_change where confirmed_at = 0 and proposed_at < $1`, ms(t))
}

// SetStableID has a person known by another stable id. Nobody else may have it.
func (w *Writer) SetStableID(person, stableID string) error {
	return run(w.q, `update person set stable_id = $1 where id = $2`, stableID, person)
}

// PeopleWithDevices are the ids of people who have, or had, a device.
func (r *Reader) PeopleWithDevices() (map[string]bool, error) {
	ids, err := all(r.q, func(s scanner) (id string, err error) { err = s.Scan(&id); return id, err }, `select distinct person from device`)
	people := make(map[string]bool, len(ids))
	for _, id := range ids {
		people[id] = true
	}
	return people, err
}

// HasDevices reports whether somebody has, or had, a device.
func (r *Reader) HasDevices(person string) (bool, error) {
	n, err := one(r.q, func(s scanner) (n int64, err error) { err = s.Scan(&n); return n, err },
		`select count(*) from device where person = $1`, person)
	return n > 0, err
}

// ForgetPerson forgets somebody who never had a device: what the directory said of her, her sign-ins and invitations.
func (w *Writer) ForgetPerson(id string) error {
	for _, statement := range []string{
		`delete from held_loss where person = $1`, `delete from person_suspension where person = $1`, `delete from standing where person = $1`,
		`delete from identity_change_person where person = $1`, `delete from staff_token where person = $1`,
		`delete from external_person where person = $1`,
		`delete from recovery_code where person = $1`, `delete from factor where person = $1`,
		`delete from invitation where person = $1`, `delete from acknowledgement where person = $1`,
		`delete from person where id = $1`,
	} {
		if err := run(w.q, statement, id); err != nil {
			return err
		}
	}
	return nil
}
