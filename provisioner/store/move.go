package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// TenantMove is a proposal to have a tenant go on with another directory.
type TenantMove struct {
	Hash        string             // names exactly this
	Former      string             // the directory from which it goes
	Declaration provisioner.Tenant // as it is to be
	// UnmappedGone: people of the tenant whom it does not name count as gone.
	UnmappedGone bool
	People       int64
	Reason       string
	// ProposedBy is the actor's id, ProposedName the name for people to read.
	ProposedBy, ProposedName string
	ProposedAt               time.Time
	Complete                 bool // all its people are kept: without it, it is none
}

// MovedPerson is one person of it.
type MovedPerson struct {
	Hash               string
	Person             provisioner.Person // as she is known now
	FormerID, StableID string
	// NewName and NewLogin are of whom the new directory has with StableID.
	NewName, NewLogin string
	// Rest is the id that whatever of her stays behind gets, where she belongs to other tenants too.
	Rest string
}

// TenantMove reads one; ErrNone if there is none.
func (r *Reader) TenantMove(hash string) (TenantMove, error) {
	return one(r.q, func(s scanner) (m TenantMove, err error) {
		var declaration string
		var gone, proposed, complete int64
		if err := s.Scan(&m.Hash, &m.Former, &declaration, &gone, &m.People, &m.Reason, &m.ProposedBy, &m.ProposedName, &proposed, &complete); err != nil {
			return m, err
		}
		m.UnmappedGone, m.ProposedAt, m.Complete = gone > 0, at(proposed), complete > 0
		return m, fromJSON(declaration, &m.Declaration)
	}, `select hash, former, declaration, unmapped_gone, people, reason, proposed_by, proposed_name, proposed_at, complete
		from tenant_move where hash = $1`, hash)
}

// MovedPeople lists the people of a proposal who are still known, by name.
func (r *Reader) MovedPeople(hash string) ([]MovedPerson, error) {
	return all(r.q, func(s scanner) (m MovedPerson, err error) {
		err = s.Scan(&m.Person.ID, &m.Person.Directory, &m.Person.StableID, &m.Person.Login, &m.Person.DisplayName, &m.Person.Mail,
			&m.Hash, &m.FormerID, &m.StableID, &m.NewName, &m.NewLogin, &m.Rest)
		return m, err
	}, `select p.id, p.directory, p.stable_id, p.login, p.display_name, p.mail, i.hash, i.former_id, i.stable_id, i.new_name, i.new_login, i.rest
		from tenant_move_person i join person p on p.id = i.person where i.hash = $1 order by p.display_name, p.id`, hash)
}

// PutTenantMove keeps a proposal. Its people are added after it (AddMovedPerson); kept once more as complete it counts.
func (w *Writer) PutTenantMove(m TenantMove) error {
	declaration, err := toJSON(m.Declaration)
	if err != nil {
		return err
	}
	return run(w.q, `insert into tenant_move (hash, tenant, former, directory, declaration, unmapped_gone, people, reason, proposed_by, proposed_name,
			proposed_at, complete) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		on conflict (hash) do update set complete = excluded.complete`,
		m.Hash, m.Declaration.Name, m.Former, m.Declaration.Directory, declaration, boolInt(m.UnmappedGone), m.People, m.Reason,
		m.ProposedBy, m.ProposedName, ms(m.ProposedAt), boolInt(m.Complete))
}

// AddMovedPerson adds a person to a proposal. Idempotent.
func (w *Writer) AddMovedPerson(m MovedPerson) error {
	return run(w.q, `insert into tenant_move_person (hash, person, former_id, stable_id, new_name, new_login, rest)
		values ($1, $2, $3, $4, $5, $6, $7) on conflict (hash, person) do nothing`,
		m.Hash, m.Person.ID, m.FormerID, m.StableID, m.NewName, m.NewLogin, m.Rest)
}

// PutMovedStanding notes what the new directory says of a person of a proposal: groups, end and dates. Nothing happens if she is
// not among them.
func (w *Writer) PutMovedStanding(hash string, v provisioner.Standing) error {
	groups, err := toJSON(v.Groups)
	if err != nil {
		return err
	}
	return run(w.q, `update tenant_move_person set groups = $1, ended = $2, ends_at = $3, read_at = $4, due_at = $5 where hash = $6 and person = $7`,
		groups, string(v.Ended), ms(v.EndsAt), ms(v.ReadAt), ms(dueAt(v)), hash, v.Person)
}

// ForgetTenantMoves deletes proposals that were made before t.
func (w *Writer) ForgetTenantMoves(t time.Time) error {
	if err := run(w.q, `delete from tenant_move_person where hash in (select hash from tenant_move where proposed_at < $1)`, ms(t)); err != nil {
		return err
	}
	return run(w.q, `delete from tenant_move where proposed_at < $1`, ms(t))
}

// PeopleWithDevicesIn are the ids of people with a device in a tenant that is not revoked.
func (r *Reader) PeopleWithDevicesIn(tenant string) (map[string]bool, error) {
	ids, err := all(r.q, value[string], `select distinct person from device where tenant = $1 and revoked_at = 0`, tenant)
	people := make(map[string]bool, len(ids))
	for _, id := range ids {
		people[id] = true
	}
	return people, err
}

// ErrMoveVoid says that a proposal does not hold any more.
var ErrMoveVoid = errors.New("what was proposed of a tenant does not hold any more")

// MoveTenant has a tenant go on with another directory, and its people be known there, with all that is theirs in the
// tenant; it ends the proposal. was is the tenant as it is stored. ErrMoveVoid if anything has come between, and
// nothing is written.
//
// It is one transaction, so that nobody is half in one directory and half in the other, and a handful of statements,
// whatever the number of people: a city keeps the writer for a fraction of a second, once.
func (w *Writer) MoveTenant(m TenantMove, was provisioner.Tenant) error {
	if err := w.mayMove(m); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(TenantMove) error
	}{
		{"leaving behind what is other tenants'", w.leaveRest},
		{"taking over what is known in the new directory", w.takeOver},
		{"knowing people by their new ids", w.identify},
		{"keeping how they stand", w.standAnew},
		{"forgetting whom nobody has named", w.forgetUnmapped},
		{"ending the proposal", w.endMove},
	} {
		if err := step.do(m); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return w.PutTenant(m.Declaration, was)
}

// arrivals are people of the new directory who are known by the ids of a proposal, whose arguments are directory and hash.
const arrivals = `(select n.id from tenant_move_person i join person n on n.directory = $1 and n.stable_id = i.stable_id where i.hash = $2)`

// mayMove sees that everybody is known as when it was proposed, that nobody with a laptop has one of the new ids, and
// that nobody with a laptop is left behind unless that was said.
func (w *Writer) mayMove(m TenantMove) error {
	still, err := one(w.q, value[int64], `select count(*) from tenant_move_person i join person p on p.id = i.person and p.stable_id = i.former_id
		where i.hash = $1 and p.directory = $2`, m.Hash, m.Former)
	if err != nil {
		return err
	}
	taken, err := one(w.q, value[int64], `select count(*) from device where person in `+arrivals, m.Declaration.Directory, m.Hash)
	if err != nil {
		return err
	}
	unmapped := int64(0)
	if !m.UnmappedGone {
		unmapped, err = one(w.q, value[int64], `select count(*) from device where tenant = $1 and revoked_at = 0
			and person not in (select person from tenant_move_person where hash = $2)`, m.Declaration.Name, m.Hash)
	}
	if err == nil && (still != m.People || taken > 0 || unmapped > 0) {
		return ErrMoveVoid
	}
	return err
}

// leaveRest makes another person, known as she was, of those who belong to other tenants too: these stay with the former
// directory.
func (w *Writer) leaveRest(m TenantMove) error {
	// The stable id is still hers for the moment: identify gives it to the other one.
	if err := run(w.q, `insert into person (id, directory, stable_id, login, display_name, mail, login_key, mail_key, search)
		select i.rest, p.directory, i.rest, p.login, p.display_name, p.mail, p.login_key, p.mail_key, p.search
		from tenant_move_person i join person p on p.id = i.person where i.hash = $1
			and (exists (select 1 from standing s where s.person = p.id and s.tenant <> $2)
				or exists (select 1 from device d where d.person = p.id and d.tenant <> $3))`,
		m.Hash, m.Declaration.Name, m.Declaration.Name); err != nil {
		return err
	}
	for _, table := range []string{"standing", "held_loss", "device"} {
		if err := run(w.q, `update `+table+` set person = i.rest from tenant_move_person i
			where i.hash = $1 and `+table+`.person = i.person and `+table+`.tenant <> $2`, m.Hash, m.Declaration.Name); err != nil {
			return err
		}
	}
	return run(w.q, `update session set person = d.person from device d join tenant_move_person i on i.rest = d.person
		where i.hash = $1 and session.device = d.id`, m.Hash)
}

// takeOver gives her what the new directory's other tenants know of her already, under another id of ours, and forgets that one:
// it never had a device.
func (w *Writer) takeOver(m TenantMove) error {
	for _, table := range []string{"standing", "held_loss"} {
		if err := run(w.q, `delete from `+table+` where person in `+arrivals+` and tenant = $3`, m.Declaration.Directory, m.Hash, m.Declaration.Name); err != nil {
			return err
		}
	}
	for _, table := range []string{"standing", "held_loss", "staff_token"} {
		if err := run(w.q, `update `+table+` set person = i.person from tenant_move_person i join person n on n.directory = $1 and n.stable_id = i.stable_id
			where i.hash = $2 and `+table+`.person = n.id`, m.Declaration.Directory, m.Hash); err != nil {
			return err
		}
	}
	if err := run(w.q, `delete from identity_change_person where person in `+arrivals, m.Declaration.Directory, m.Hash); err != nil {
		return err
	}
	return run(w.q, `delete from person where id in `+arrivals, m.Declaration.Directory, m.Hash)
}

func (w *Writer) identify(m TenantMove) error {
	if err := run(w.q, `update person set directory = $1, stable_id = i.stable_id from tenant_move_person i
		where i.hash = $2 and person.id = i.person`, m.Declaration.Directory, m.Hash); err != nil {
		return err
	}
	return run(w.q, `update person set stable_id = i.former_id from tenant_move_person i where i.hash = $1 and person.id = i.rest`, m.Hash)
}

// standAnew keeps what the new directory has said. It was no loss, and the brake must not count it. What becomes of a right, or of
// a password, follows when the directory is followed for the tenant, as everywhere.
func (w *Writer) standAnew(m TenantMove) error {
	if err := run(w.q, `update standing set groups = i.groups, ended = i.ended, ends_at = i.ends_at, read_at = i.read_at, due_at = i.due_at, lost_at = 0
		from tenant_move_person i where i.hash = $1 and standing.person = i.person and standing.tenant = $2`, m.Hash, m.Declaration.Name); err != nil {
		return err
	}
	return run(w.q, `delete from held_loss where tenant = $1 and person in (select person from tenant_move_person where hash = $2)`, m.Declaration.Name, m.Hash)
}

// forgetUnmapped forgets that people belong to the tenant who are not of the proposal and have nothing to lose: those who never
// had a device; whose devices are all revoked counts as deleted. Who has a living one stays, and the new directory does
// not have her.
func (w *Writer) forgetUnmapped(m TenantMove) error {
	const (
		unmapped = ` where tenant = $1 and person not in (select person from tenant_move_person where hash = $2)
			and not exists (select 1 from device d where d.tenant = $3 and d.person = `
		living = ` and d.revoked_at = 0)`
	)
	for _, statement := range []string{
		`delete from held_loss` + unmapped + `held_loss.person` + living,
		`delete from standing` + unmapped + `standing.person)`,
		`update standing set ended = '` + string(provisioner.WhyDeleted) + `', entitled = 0, lost_at = 0, due_at = 0` + unmapped + `standing.person` + living,
	} {
		if err := run(w.q, statement, m.Declaration.Name, m.Hash, m.Declaration.Name); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) endMove(m TenantMove) error {
	if err := run(w.q, `delete from tenant_move_person where hash = $1`, m.Hash); err != nil {
		return err
	}
	return run(w.q, `delete from tenant_move where hash = $1`, m.Hash)
}
