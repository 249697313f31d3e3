package entitlement

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Actor is who acts when a directory's word does.
func Actor(directory string) provisioner.Actor { return provisioner.System("directory " + directory) }

// Word is what a directory says of somebody in a tenant.
type Word struct {
	Person provisioner.Person
	Groups []string
	// Missing are groups that could not be read: whoever was in them stays.
	Missing        []string
	Ended          provisioner.WhyNot
	EndsAt         time.Time
	Password       provisioner.PasswordState
	PasswordEndsAt time.Time
	// PasswordChangedAt is when it was last set. Zero: the directory does not tell.
	PasswordChangedAt time.Time
	ReadAt            time.Time // when the directory said so; zero: now
	// Own: it was asked or told of this person, not found by looking at all.
	Own bool
	// Held: losing the right is to be held back, whatever the brake says.
	Held bool
}

// WordOf is what a directory says of somebody who is there.
func WordOf(p directory.Person, own bool) Word {
	w := Word{
		Person: provisioner.Person{Directory: p.Directory, StableID: p.StableID, Login: p.Login, DisplayName: p.DisplayName, Mail: p.Mail},
		Groups: slices.Clone(p.Groups), Missing: p.MissingGroups, Own: own,
		Ended: provisioner.WhyNot(p.Status.Ended), EndsAt: p.Status.EndsAt.Truncate(time.Millisecond), // as it is kept
		PasswordEndsAt: p.Status.PasswordEndsAt.Truncate(time.Millisecond), PasswordChangedAt: p.Status.PasswordChangedAt.Truncate(time.Millisecond),
	}
	switch {
	case p.Status.MustChangePassword:
		w.Password = provisioner.PasswordMustChange
	case p.Status.PasswordExpired:
		w.Password = provisioner.PasswordHasExpired
	}
	slices.Sort(w.Groups)
	return w
}

// Gone is what a directory says of somebody who is not there.
func Gone(p provisioner.Person, own bool) Word {
	return Word{Person: p, Ended: provisioner.WhyDeleted, Own: own}
}

// standing is the word as a standing, with what is still known of groups that could not be read.
func (w Word) standing(tenant provisioner.Tenant, former provisioner.Standing, now time.Time) provisioner.Standing {
	s := provisioner.Standing{
		Person: former.Person, Tenant: tenant.Name, Groups: w.Groups, Ended: w.Ended, EndsAt: w.EndsAt,
		Password: w.Password, PasswordEndsAt: w.PasswordEndsAt, PasswordChangedAt: w.PasswordChangedAt, ReadAt: w.ReadAt, LostAt: former.LostAt,
		ExternalUntil: former.ExternalUntil,
	}.At(now)
	if s.ReadAt.IsZero() {
		s.ReadAt = now
	}
	for _, g := range former.Groups {
		if provisioner.InGroup(w.Missing, g) && !provisioner.InGroup(s.Groups, g) {
			s.Groups = append(slices.Clone(s.Groups), g)
		}
	}
	slices.Sort(s.Groups)
	s.Entitled = tenant.WhyNot(s, now) == ""
	return s
}

// Settled is what came of a word.
type Settled struct {
	Person provisioner.Person
	// Said is what the directory says, Standing what holds: they differ while the brake holds a loss back.
	Said, Standing provisioner.Standing
	// Lost and Regained tell what became of the right. Revision is that of the transaction.
	Lost, Regained bool
	Revision       int64
	// Sponsored is how many external people she answers for, if she has lost her right: somebody has to look at them.
	Sponsored int
	// Raised: nobody in the tenant waited for a decision before, and now somebody does.
	Raised bool
}

// Tell logs that somebody has to decide, if this is what raised it. It is for after the commit: what is taken back was not
// raised.
func (r Settled) Tell(log *slog.Logger) {
	if r.Sponsored > 0 {
		log.Warn("somebody who answers for external people has lost access; somebody else has to answer for them",
			"tenant", r.Standing.Tenant, "people", r.Sponsored, "next", "heimdraht person externals --tenant "+r.Standing.Tenant)
	}
	if !r.Raised {
		return
	}
	log.Warn("too many people would lose their access at once by what the directory says; theirs stays until somebody decides",
		"tenant", r.Standing.Tenant, "next", "heimdraht directory pending --tenant "+r.Standing.Tenant)
}

// Settle takes a word in: it keeps what is new of the person, decides about her right in the tenant, and takes or gives
// back the access of her devices. Where the tenant is moving to another directory, or has since the word was asked
// for, the refusal is tenant-moved, and nothing is written.
func Settle(tx *store.Writer, tenant provisioner.Tenant, w Word) (Settled, error) {
	var r Settled
	moved, err := hasMoved(tx, tenant)
	if err != nil {
		return r, err
	}
	if moved {
		return r, provisioner.Refuse(provisioner.CodeTenantMoved)
	}
	gone := w.Ended == provisioner.WhyDeleted
	if gone {
		r.Person = w.Person
	} else if r.Person, err = tx.KeepPerson(w.Person); err != nil {
		return r, fmt.Errorf("keeping the person: %w", err)
	}
	former, err := tx.Standing(r.Person.ID, tenant.Name)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return r, fmt.Errorf("reading how she stood: %w", err)
	}
	former.Person, former.Tenant = r.Person.ID, tenant.Name
	if gone {
		if still, err := isStill(tx, w.Person); err != nil || !still {
			r.Said, r.Standing = former, former
			return r, err
		}
	}
	r.Said = w.standing(tenant, former, tx.Now)
	if former.Entitled && !r.Said.Entitled {
		loss, err := brake(tx, tenant, w, former, r.Said)
		if err != nil {
			return r, err
		}
		if loss != nil {
			r.Standing = former
			r.Standing.Held = true
			r.Raised, err = hold(tx, *loss, former.Held)
			return r, err
		}
		r.Said.LostAt = tx.Now
	}
	r.Standing = r.Said
	return r, apply(tx, tenant, former, &r)
}

// hasMoved reports whether a tenant uses another directory now than when it was read, or is just moving: what the former one says
// means nothing in it any more, and whoever was made known by the other one would stand beside who is carried over to it.
func hasMoved(tx *store.Writer, tenant provisioner.Tenant) (bool, error) {
	now, moving, err := tx.DirectoryOf(tenant.Name)
	if err != nil {
		return false, fmt.Errorf("reading the directory of tenant %s: %w", tenant.Name, err)
	}
	return moving || now != tenant.Directory, nil
}

// apply writes what holds and has devices follow.
func apply(tx *store.Writer, tenant provisioner.Tenant, former provisioner.Standing, r *Settled) (err error) {
	if err := tx.PutStanding(r.Standing); err != nil {
		return fmt.Errorf("keeping how she stands: %w", err)
	}
	if former.Held {
		if err := tx.DropHeldLoss(r.Person.ID, tenant.Name); err != nil {
			return fmt.Errorf("holding back no longer: %w", err)
		}
	}
	r.Lost, r.Regained = former.Entitled && !r.Standing.Entitled, !former.Entitled && r.Standing.Entitled
	if err := follow(tx, tenant, r.Person, r.Standing); err != nil {
		return err
	}
	if changesReach(tenant, former, r.Standing) {
		if err := reconnect(tx, tenant, r.Person); err != nil {
			return err
		}
	}
	if !slices.Equal(former.Groups, r.Standing.Groups) || former.Password != r.Standing.Password {
		if err := retell(tx, tenant, r.Person); err != nil {
			return err
		}
	}
	if r.Lost {
		if r.Sponsored, err = review(tx, tenant, r.Person); err != nil {
			return err
		}
	}
	r.Revision = tx.Revision()
	return nil
}

// review records that somebody else has to answer for the external people of who has lost her right, and counts them. Their own
// access stays: they have done nothing.
func review(tx *store.Writer, tenant provisioner.Tenant, sponsor provisioner.Person) (int, error) {
	list, err := tx.ExternalsOf(sponsor.ID, tenant.Name)
	if err != nil {
		return 0, fmt.Errorf("reading for whom she answers: %w", err)
	}
	for _, x := range list {
		person, err := tx.Person(x.Person)
		if err != nil {
			return 0, fmt.Errorf("reading an external person: %w", err)
		}
		if err := tx.Audit(store.Event{
			Actor: Actor(tenant.Directory), Tenant: tenant.Name, Action: "sponsor left", Object: audit.Object{Kind: "person", ID: person.ID, Name: person.DisplayName},
			Details: map[string]string{"sponsor": sponsor.ID},
		}); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// follow has a person's devices follow how she stands.
func follow(tx *store.Writer, tenant provisioner.Tenant, person provisioner.Person, s provisioner.Standing) error {
	devices, err := tx.DevicesOf(person.ID, tenant.Name)
	if err != nil {
		return fmt.Errorf("reading the person's devices: %w", err)
	}
	actor := Actor(tenant.Directory)
	for _, d := range devices {
		switch {
		case d.State() == provisioner.DeviceRevoked:
		case s.Entitled:
			_, err = access.Restore(tx, actor, d, "the directory gives it back")
		default:
			_, err = access.Suspend(tx, actor, d, string(tenant.WhyNot(s, tx.Now)))
		}
		if err != nil {
			return fmt.Errorf("device %s: %w", d.ID, err)
		}
	}
	return nil
}

// reconnect has a person's laptops open new sessions.
func reconnect(tx *store.Writer, tenant provisioner.Tenant, person provisioner.Person) error {
	devices, err := tx.DevicesOf(person.ID, tenant.Name)
	if err != nil {
		return fmt.Errorf("reading the person's devices: %w", err)
	}
	for _, d := range devices {
		if d.Static() {
			continue // what it reaches stands in its file, and nobody would open the next session
		}
		if _, err := tx.CloseSessionOf(d.ID, provisioner.CodeAccessChanged); err != nil && !errors.Is(err, store.ErrNone) {
			return fmt.Errorf("closing the session: %w", err)
		}
	}
	return nil
}

// retell has the gateways of a person's open sessions told what they may reach now. Whether that is other than before
// is not asked: the tenant's networks may just have become other ones than who settles has read.
func retell(tx *store.Writer, tenant provisioner.Tenant, person provisioner.Person) error {
	devices, err := tx.DevicesOf(person.ID, tenant.Name)
	if err != nil {
		return fmt.Errorf("reading the person's devices: %w", err)
	}
	for _, d := range devices {
		session, err := tx.OpenSessionOf(d.ID)
		if errors.Is(err, store.ErrNone) {
			continue
		}
		if err == nil {
			err = tx.RetellSession(session)
		}
		if err != nil {
			return fmt.Errorf("telling what the session may reach: %w", err)
		}
	}
	return nil
}

// changesReach reports whether somebody who keeps her right reaches other destinations than before for the sake of her
// password, so that the connection has to be opened anew.
func changesReach(tenant provisioner.Tenant, former, now provisioner.Standing) bool {
	return former.Entitled && now.Entitled && tenant.PasswordOnly(former) != tenant.PasswordOnly(now)
}

// brake decides whether a loss is held back, and gives it as it is to be held. Nil: it is not.
func brake(tx *store.Writer, tenant provisioner.Tenant, w Word, former, said provisioner.Standing) (*store.HeldLoss, error) {
	loss := store.HeldLoss{
		Person: provisioner.Person{ID: former.Person}, Tenant: tenant.Name, Why: tenant.WhyNot(said, tx.Now), Since: tx.Now,
	}
	loss.Own = w.Own && loss.Why != provisioner.WhyGroup
	if former.Held || w.Held {
		return &loss, nil
	}
	counts, err := tx.Losses(tenant.Name, tx.Now.Add(-provisioner.BrakeWindow))
	if err != nil {
		return nil, fmt.Errorf("counting losses: %w", err)
	}
	if counts.Lost < provisioner.Brake(counts.Entitled+counts.Lost, loss.Own) {
		return nil, nil //nolint:nilnil // it is not held
	}
	return &loss, nil
}

// hold notes a loss that is held back, of somebody who may have been held before. It reports whether she is the first in
// the tenant on whom somebody has to decide.
func hold(tx *store.Writer, loss store.HeldLoss, before bool) (raised bool, err error) {
	if before {
		had, err := tx.HeldLoss(loss.Person.ID, loss.Tenant)
		if err != nil {
			return false, fmt.Errorf("reading what is held back: %w", err)
		}
		if had.Confirmed || had.Why == loss.Why && (had.DismissedUntil.IsZero() || tx.Now.Before(had.DismissedUntil)) {
			return false, nil
		}
		// The directory says something new: somebody has to look again.
	}
	waiting, err := tx.Undecided(loss.Tenant)
	if err != nil {
		return false, fmt.Errorf("reading whether somebody has to decide: %w", err)
	}
	return !waiting, tx.PutHeldLoss(loss)
}

// isStill reports whether somebody is still known by the stable id that a word is about: people are carried over to
// others while words wait.
func isStill(tx *store.Writer, p provisioner.Person) (bool, error) {
	now, err := tx.Person(p.ID)
	if errors.Is(err, store.ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the person: %w", err)
	}
	return now.Directory == p.Directory && now.StableID == p.StableID, nil
}
