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
	Complete                 bool      // all its people are kept: without it, it is none
	ConfirmedAt              time.Time // zero: not yet
}

// MovedPerson is one person of it.
type MovedPerson struct {
	Hash               string
	Person             provisioner.Person // as she is known now
	FormerID, StableID string
	// NewName and NewLogin are of whom the new directory has with StableID.
	NewName, NewLogin string
}

const selectMove = `select hash, former, declaration, unmapped_gone, people, reason, proposed_by, proposed_name, proposed_at, complete, confirmed_at
	from tenant_move `

func scanMove(s scanner) (m TenantMove, err error) {
	var declaration string
	var gone, proposed, complete, confirmed int64
	if err := s.Scan(&m.Hash, &m.Former, &declaration, &gone, &m.People, &m.Reason, &m.ProposedBy, &m.ProposedName, &proposed, &complete,
		&confirmed); err != nil {
		return m, err
	}
	m.UnmappedGone, m.ProposedAt, m.Complete, m.ConfirmedAt = gone > 0, at(proposed), complete > 0, at(confirmed)
	return m, fromJSON(declaration, &m.Declaration)
}

// TenantMove reads one; ErrNone if there is none.
func (r *Reader) TenantMove(hash string) (TenantMove, error) {
	return one(r.q, scanMove, selectMove+`where hash = $1`, hash)
}

// ConfirmedMoves lists those that are being done.
func (r *Reader) ConfirmedMoves() ([]TenantMove, error) {
	return all(r.q, scanMove, selectMove+`where confirmed_at > 0 order by hash`)
}

// MovedPeople lists at most limit of those who are still to be done of a proposal and are still known, by name.
func (r *Reader) MovedPeople(hash string, limit int) ([]MovedPerson, error) {
	return all(r.q, func(s scanner) (m MovedPerson, err error) {
		err = s.Scan(&m.Person.ID, &m.Person.Directory, &m.Person.StableID, &m.Person.Login, &m.Person.DisplayName, &m.Person.Mail,
			&m.Hash, &m.FormerID, &m.StableID, &m.NewName, &m.NewLogin)
		return m, err
	}, `select p.id, p.directory, p.stable_id, p.login, p.display_name, p.mail, i.hash, i.former_id, i.stable_id, i.new_name, i.new_login
		from tenant_move_person i join person p on p.id = i.person where i.hash = $1 order by p.display_name, p.id limit $2`, hash, limit)
}

// PutTenantMove keeps a proposal. Its people are added after it (AddMovedPerson); kept once more as complete it counts.
func (w *Writer) PutTenantMove(m TenantMove) error {
	declaration, err := toJSON(m.Declaration)
	if err != nil {
		return err
	}
	return run(w.q, `insert into tenant_move (hash, tenant, former, directory, declaration, unmapped_gone, people, reason, proposed_by, proposed_name,
			proposed_at, complete, confirmed_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		on conflict (hash) do update set complete = excluded.complete, confirmed_at = excluded.confirmed_at`,
		m.Hash, m.Declaration.Name, m.Former, m.Declaration.Directory, declaration, boolInt(m.UnmappedGone), m.People, m.Reason,
		m.ProposedBy, m.ProposedName, ms(m.ProposedAt), boolInt(m.Complete), ms(m.ConfirmedAt))
}

// AddMovedPerson adds a person to a proposal. Idempotent.
func (w *Writer) AddMovedPerson(m MovedPerson) error {
	return run(w.q, `insert into tenant_move_person (hash, person, former_id, stable_id, new_name, new_login)
		values ($1, $2, $3, $4, $5, $6) on conflict (hash, person) do nothing`,
		m.Hash, m.Person.ID, m.FormerID, m.StableID, m.NewName, m.NewLogin)
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

// ForgetTenantMoves deletes proposals that nobody has confirmed and that were made before t.
func (w *Writer) ForgetTenantMoves(t time.Time) error {
	if err := run(w.q, `delete from tenant_move_person where hash in
		(select hash from tenant_move where confirmed_at = 0 and proposed_at < $1)`, ms(t)); err != nil {
		return err
	}
	return run(w.q, `delete from tenant_move where confirmed_at = 0 and proposed_at < $1`, ms(t))
}

// EndTenantMove ends a proposal that is done, with people who are not known any more.
func (w *Writer) EndTenantMove(hash string) error {
	if err := run(w.q, `delete from tenant_move_person where hash = $1`, hash); err != nil {
		return err
	}
	return run(w.q, `delete from tenant_move where hash = $1`, hash)
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

// MovePerson has a person of a confirmed move be known in the new directory, with all that is hers in the tenant, and takes her out of
// it: she is done. What is hers in other tenants stays with another person, who is known as she was. false: what was proposed
// of her does not hold any more, or was done already, and nothing else is written.
func (w *Writer) MovePerson(m TenantMove, i MovedPerson) (bool, error) {
	if err := w.mayMove(m, i); err != nil {
		if errors.Is(err, errMoveVoid) {
			return false, w.dropMovedPerson(i)
		}
		return false, err
	}
	tenant := m.Declaration.Name
	rest, err := w.leaveRest(tenant, i.Person)
	if err != nil {
		return false, fmt.Errorf("leaving behind what is other tenants': %w", err)
	}
	if err := w.takeOver(m, i); err != nil {
		return false, fmt.Errorf("taking over what is known in the new directory: %w", err)
	}
	if err := run(w.q, `update person set directory = $1, stable_id = $2 where id = $3`, m.Declaration.Directory, i.StableID, i.Person.ID); err != nil {
		return false, err
	}
	if rest != "" {
		if err := w.SetStableID(rest, i.FormerID); err != nil {
			return false, err
		}
	}
	// What the new directory has said was no loss, and the brake must not count it. What becomes of a right, or of a password, follows
	// when the directory is followed for the tenant, as everywhere.
	if err := run(w.q, `update standing set groups = i.groups, ended = i.ended, ends_at = i.ends_at, read_at = i.read_at, due_at = i.due_at, lost_at = 0
		from tenant_move_person i where i.hash = $1 and i.person = $2 and standing.person = i.person and standing.tenant = $3`,
		m.Hash, i.Person.ID, tenant); err != nil {
		return false, err
	}
	if err := w.DropHeldLoss(i.Person.ID, tenant); err != nil {
		return false, err
	}
	return true, w.dropMovedPerson(i)
}

func (w *Writer) dropMovedPerson(i MovedPerson) error {
	return run(w.q, `delete from tenant_move_person where hash = $1 and person = $2`, i.Hash, i.Person.ID)
}

var errMoveVoid = errors.New("what was proposed of somebody does not hold any more")

// mayMove sees that she is known as when it was proposed, and that nobody with a laptop has the new id.
func (w *Writer) mayMove(m TenantMove, i MovedPerson) error {
	now, err := w.Person(i.Person.ID)
	if errors.Is(err, ErrNone) || err == nil && (now.Directory != m.Former || now.StableID != i.FormerID) {
		return errMoveVoid
	}
	if err != nil {
		return err
	}
	taken, err := one(w.q, value[int64], `select count(*) from device d join person n on n.id = d.person where n.directory = $1 and n.stable_id = $2`,
		m.Declaration.Directory, i.StableID)
	if err == nil && taken > 0 {
		return errMoveVoid
	}
	return err
}

// leaveRest makes another person of what is somebody's in other tenants, and gives her id; empty: there is nothing.
func (w *Writer) leaveRest(tenant string, p provisioner.Person) (string, error) {
	elsewhere, err := one(w.q, value[int64], `select (select count(*) from standing where person = $1 and tenant <> $2)
		+ (select count(*) from device where person = $3 and tenant <> $4)`, p.ID, tenant, p.ID, tenant)
	if err != nil || elsewhere == 0 {
		return "", err
	}
	p.StableID = provisioner.NewID() // her own is not free yet
	rest, err := w.KeepPerson(p)
	if err != nil {
		return "", err
	}
	for _, table := range []string{"standing", "held_loss", "external_person", "person_suspension", "invitation", "acknowledgement", "lost_device", "named_seat", "seat_queue", "device"} {
		if err := run(w.q, `update `+table+` set person = $1 where person = $2 and tenant <> $3`, rest.ID, p.ID, tenant); err != nil {
			return "", err
		}
	}
	if err := run(w.q, `update external_person set sponsor = $1 where sponsor = $2 and tenant <> $3`, rest.ID, p.ID, tenant); err != nil {
		return "", err
	}
	return rest.ID, run(w.q, `update session set person = $1 where device in (select id from device where person = $2)`, rest.ID, rest.ID)
}

// takeOver gives somebody what the new directory's other tenants know of her already, under another id of ours, and forgets that one:
// it never had a device.
func (w *Writer) takeOver(m TenantMove, i MovedPerson) error {
	there, err := one(w.q, scanPerson, selectPerson+`where directory = $1 and stable_id = $2`, m.Declaration.Directory, i.StableID)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, table := range []string{"held_loss", "external_person", "person_suspension", "invitation", "acknowledgement", "standing"} {
		if err := run(w.q, `delete from `+table+` where person = $1 and tenant = $2`, there.ID, m.Declaration.Name); err != nil {
			return err
		}
	}
	for _, table := range []string{"standing", "held_loss", "external_person", "person_suspension", "invitation", "acknowledgement", "staff_token"} {
		if err := run(w.q, `update `+table+` set person = $1 where person = $2`, i.Person.ID, there.ID); err != nil {
			return err
		}
	}
	if err := run(w.q, `update external_person set sponsor = $1 where sponsor = $2`, i.Person.ID, there.ID); err != nil {
		return err
	}
	if err := w.MoveSeats(there.ID, i.Person.ID); err != nil {
		return err
	}
	for _, table := range []string{"recovery_code", "factor"} { // her own second factor counts, if she has one
		if err := run(w.q, `update `+table+` set person = $1 where person = $2 and not exists (select 1 from factor f where f.person = $3)`,
			i.Person.ID, there.ID, i.Person.ID); err != nil {
			return err
		}
	}
	return w.ForgetPerson(there.ID)
}

// LeftBehind lists at most limit people who stand in a tenant, are of another directory than the tenant, and have nothing to lose there:
// they have no device that is not revoked, and do not count as deleted yet.
func (r *Reader) LeftBehind(tenant string, limit int) ([]string, error) {
	return all(r.q, value[string], `select s.person from standing s join person p on p.id = s.person join tenant t on t.name = s.tenant
		where s.tenant = $1 and p.directory <> t.directory
			and not exists (select 1 from device d where d.person = s.person and d.tenant = s.tenant and d.revoked_at = 0)
			and (s.ended <> $2 or s.entitled = 1 or not exists (select 1 from device d where d.person = s.person and d.tenant = s.tenant))
		order by s.person limit $3`, tenant, string(provisioner.WhyDeleted), limit)
}

// LeaveBehind forgets that somebody belongs to a tenant, if she never had a device in it; whose devices there are all revoked counts
// as deleted.
func (w *Writer) LeaveBehind(tenant, person string) error {
	if err := w.DropHeldLoss(person, tenant); err != nil {
		return err
	}
	if err := run(w.q, `delete from standing where person = $1 and tenant = $2
		and not exists (select 1 from device d where d.person = standing.person and d.tenant = standing.tenant)`, person, tenant); err != nil {
		return err
	}
	return run(w.q, `update standing set ended = $1, entitled = 0, lost_at = 0, due_at = 0 where person = $2 and tenant = $3`,
		string(provisioner.WhyDeleted), person, tenant)
}
