package signin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Lookup says what the directory knows of a person now. While it is followed, what it has said is that; else it is
// asked. If it cannot be asked, what it last said stands in while it is younger than
// provisioner.StandingGoodFor; after that the refusal is directory-unavailable.
// A person whom the directory no longer has is no refusal but a standing that
// has ended.
func (s *Service) Lookup(ctx context.Context, tenant provisioner.Tenant, person provisioner.Person) (provisioner.Standing, error) {
	known, err := s.known(ctx, tenant, person.ID)
	if err != nil {
		return provisioner.Standing{}, err
	}
	// Whoever would be refused is asked for once more: a refusal must not come from what is a moment old.
	if known.live && tenant.Admits(known.standing, time.Now()) == nil {
		return known.standing, nil
	}
	settled, err := s.ask(ctx, tenant, person)
	if err == nil {
		return settled.Standing, nil
	}
	var silence *directory.Error
	if !errors.As(err, &silence) {
		return provisioner.Standing{}, err // a fault of ours
	}
	s.Logger.Warn("a directory did not say how a person stands", "tenant", tenant.Name, "error", silence)
	if time.Since(known.at) < provisioner.StandingGoodFor {
		return known.standing, nil
	}
	return provisioner.Standing{}, provisioner.Refuse(provisioner.CodeDirectoryUnavailable).After(retryDirectory).Because(silence)
}

// known is what a directory last said of somebody in a tenant.
type known struct {
	standing provisioner.Standing
	at       time.Time // of the last word that told or confirmed it; zero: there was none
	live     bool      // the directory is followed, and this is what it says now
}

// known reads what the directory last said. Where it was followed, all that it had said held as long as it was heard.
func (s *Service) known(ctx context.Context, tenant provisioner.Tenant, person string) (k known, err error) {
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		standing, err := tx.Standing(person, tenant.Name)
		if errors.Is(err, store.ErrNone) {
			return nil
		}
		if err != nil {
			return err
		}
		f, err := tx.Following(tenant.Directory)
		if err != nil && !errors.Is(err, store.ErrNone) {
			return err
		}
		k = known{standing: standing, at: standing.ReadAt, live: f.IsLive(time.Now())}
		if f.HeardAt.After(k.at) {
			k.at = f.HeardAt
		}
		return nil
	})
	if err != nil {
		return k, fmt.Errorf("reading what the directory last said: %w", err)
	}
	return k, nil
}

// retryDirectory is when trying again may help.
const retryDirectory = time.Minute

// ask asks the directory and keeps the answer. A *directory.Error means that
// nothing is known and nothing was changed.
func (s *Service) ask(ctx context.Context, tenant provisioner.Tenant, person provisioner.Person) (settled entitlement.Settled, err error) {
	declaration, err := store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.Directory, error) { return tx.Directory(tenant.Directory) })
	if err != nil {
		return settled, fmt.Errorf("reading directory %s: %w", tenant.Directory, err)
	}
	var found directory.Person
	err = s.Directories.Use(declaration, func(d directory.Directory) error {
		found, err = d.Lookup(ctx, tenant.Base, person.StableID, tenant.GroupsAsked())
		return err
	})
	switch {
	case directory.CauseOf(err) == directory.Gone:
		return s.keep(ctx, tenant, entitlement.Gone(person, true))
	case err != nil:
		return settled, asSilence(err, tenant.Directory)
	case found.Missing(tenant.StaffGroup):
		return settled, staffGroupMissing(tenant)
	}
	found.Directory, found.StableID = tenant.Directory, person.StableID
	return s.keep(ctx, tenant, entitlement.WordOf(found, true))
}

func staffGroupMissing(tenant provisioner.Tenant) *directory.Error {
	return &directory.Error{
		Cause: directory.Misconfigured, Directory: tenant.Directory,
		Detail: "the staff group " + tenant.StaffGroup + " is not in the directory, or hidden from the service account",
		Advice: "correct staff_group, or let the service account read the group",
	}
}

// asSilence makes any error of a directory a *directory.Error: whatever it is,
// it is no answer.
func asSilence(err error, name string) error {
	var e *directory.Error
	if errors.As(err, &e) {
		return err
	}
	return &directory.Error{Cause: directory.Unavailable, Directory: name, Err: err}
}

// keep takes in what the directory said.
func (s *Service) keep(ctx context.Context, tenant provisioner.Tenant, word entitlement.Word) (settled entitlement.Settled, err error) {
	err = s.Store.Update(ctx, func(tx *store.Writer) (err error) {
		settled, err = entitlement.Settle(tx, tenant, word)
		return err
	})
	if err != nil {
		return settled, fmt.Errorf("keeping what the directory said: %w", err)
	}
	settled.Tell(s.Logger)
	return settled, nil
}
