package signin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Deleted is why a right has ended when the directory no longer has the
// person. The other reasons are those of directory.EndReason.
const Deleted = "deleted"

// Lookup says what the directory knows of a person now. If it cannot be asked,
// what it last said stands in while it is younger than
// provisioner.StandingGoodFor; after that the refusal is directory-unavailable.
// A person whom the directory no longer has is no refusal but a standing that
// has ended.
func (s *Service) Lookup(ctx context.Context, tenant provisioner.Tenant, person provisioner.Person) (provisioner.Standing, error) {
	standing, err := s.ask(ctx, tenant, person)
	if err == nil || directory.CauseOf(err) == "" {
		return standing, err
	}
	var silence *directory.Error
	if !errors.As(err, &silence) {
		return standing, err // a fault of ours
	}
	s.Logger.Warn("a directory did not say how a person stands", "tenant", tenant.Name, "error", silence)
	known, err := store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.Standing, error) { return tx.Standing(person.ID, tenant.Name) })
	switch {
	case err == nil && time.Since(known.ReadAt) < provisioner.StandingGoodFor:
		return known, nil
	case err == nil || errors.Is(err, store.ErrNone):
		return provisioner.Standing{}, provisioner.Refuse(provisioner.CodeDirectoryUnavailable).After(retryDirectory).Because(silence)
	default:
		return provisioner.Standing{}, fmt.Errorf("reading what the directory last said: %w", err)
	}
}

// retryDirectory is when trying again may help.
const retryDirectory = time.Minute

// ask asks the directory and keeps the answer. A *directory.Error means that
// nothing is known and nothing was changed.
func (s *Service) ask(ctx context.Context, tenant provisioner.Tenant, person provisioner.Person) (standing provisioner.Standing, err error) {
	declaration, err := store.Read(ctx, s.Store, func(tx *store.Reader) (provisioner.Directory, error) { return tx.Directory(tenant.Directory) })
	if err != nil {
		return standing, fmt.Errorf("reading directory %s: %w", tenant.Directory, err)
	}
	var found directory.Person
	err = s.Directories.Use(declaration, func(d directory.Directory) error {
		found, err = d.Lookup(ctx, tenant.Base, person.StableID, tenant.GroupsAsked())
		return err
	})
	switch {
	case directory.CauseOf(err) == directory.Gone:
		return s.keepGone(ctx, tenant, person)
	case err != nil:
		return standing, asSilence(err, tenant.Directory)
	case found.Missing(tenant.StaffGroup):
		return standing, &directory.Error{
			Cause: directory.Misconfigured, Directory: tenant.Directory,
			Detail: "the staff group " + tenant.StaffGroup + " is not in the directory, or hidden from the service account",
			Advice: "correct staff_group, or let the service account read the group",
		}
	}
	found.StableID = person.StableID
	err = s.Store.Update(ctx, func(tx *store.Writer) (err error) {
		_, standing, err = keep(tx, tenant, found)
		return err
	})
	if err != nil {
		return standing, fmt.Errorf("keeping what the directory said: %w", err)
	}
	return standing, nil
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

// keep writes what a directory said of a person in a tenant. Groups that the
// directory could not be asked for stay as they were: nothing is known of them.
func keep(tx *store.Writer, tenant provisioner.Tenant, found directory.Person) (provisioner.Person, provisioner.Standing, error) {
	person, err := tx.KeepPerson(provisioner.Person{
		Directory: tenant.Directory, StableID: found.StableID, Login: found.Login, DisplayName: found.DisplayName, Mail: found.Mail,
	})
	if err != nil {
		return person, provisioner.Standing{}, fmt.Errorf("keeping the person: %w", err)
	}
	former, err := tx.Standing(person.ID, tenant.Name)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return person, provisioner.Standing{}, fmt.Errorf("reading how she stood: %w", err)
	}
	standing := provisioner.Standing{
		Person: person.ID, Tenant: tenant.Name, Groups: slices.Clone(found.Groups), Ended: string(found.Status.Ended), ReadAt: tx.Now,
	}
	for _, g := range former.Groups {
		if found.Missing(g) && !provisioner.InGroup(standing.Groups, g) {
			standing.Groups = append(standing.Groups, g)
		}
	}
	slices.Sort(standing.Groups)
	if err := tx.PutStanding(standing); err != nil {
		return person, standing, fmt.Errorf("keeping how she stands: %w", err)
	}
	return person, standing, nil
}

func (s *Service) keepGone(ctx context.Context, tenant provisioner.Tenant, person provisioner.Person) (standing provisioner.Standing, err error) {
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		standing = provisioner.Standing{Person: person.ID, Tenant: tenant.Name, Ended: Deleted, ReadAt: tx.Now}
		return tx.PutStanding(standing)
	})
	if err != nil {
		return standing, fmt.Errorf("keeping that the person has gone: %w", err)
	}
	return standing, nil
}
