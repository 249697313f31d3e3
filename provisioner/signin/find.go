package signin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Find finds whose login or mail address it is in a tenant, for somebody else
// than herself, and that she may use the tenant's access. While the directory
// is followed, the one person known by it is she; whoever is not known, or would
// be refused, is asked for. Refusals are login-unknown, login-ambiguous,
// directory-unavailable and those of Tenant.Admits.
func (s *Service) Find(ctx context.Context, tenant provisioner.Tenant, login string) (Proof, error) {
	typed, refused := directory.TypedLogin(login)
	if refused != nil {
		return Proof{}, provisioner.Refuse(provisioner.CodeLoginUnknown)
	}
	known, declared, err := s.knownLogin(ctx, tenant, typed)
	if err != nil || known.Person.ID != "" {
		return known, err
	}
	var found directory.Person
	err = s.Directories.Use(declared, func(d directory.Directory) error {
		found, err = d.Find(ctx, tenant.Base, typed, tenant.GroupsAsked())
		return err
	})
	switch directory.CauseOf(err) {
	case "":
	case directory.UnknownLogin:
		return Proof{}, provisioner.Refuse(provisioner.CodeLoginUnknown).Because(err)
	case directory.AmbiguousLogin:
		return Proof{}, provisioner.Refuse(provisioner.CodeLoginAmbiguous).Because(err)
	default:
		return Proof{}, s.silentNow(tenant, asSilence(err, tenant.Directory))
	}
	if found.Missing(tenant.StaffGroup) {
		return Proof{}, s.silentNow(tenant, staffGroupMissing(tenant))
	}
	found.Directory = tenant.Directory
	settled, err := s.keep(ctx, tenant, entitlement.WordOf(found, true))
	if err != nil {
		return Proof{}, err
	}
	return admittedNow(tenant, settled)
}

// admittedNow judges somebody by what the directory says now, whatever is held
// back for those who are connected.
func admittedNow(tenant provisioner.Tenant, settled entitlement.Settled) (Proof, error) {
	proof := Proof{Tenant: tenant, Person: settled.Person, Standing: settled.Said}
	if refusal := tenant.Admits(settled.Said, time.Now()); refusal != nil {
		return proof, refusal
	}
	return proof, nil
}

// silentNow is the refusal for now, and a line in the log.
func (s *Service) silentNow(tenant provisioner.Tenant, silence error) error {
	s.Logger.Warn("a directory did not say who somebody is", "tenant", tenant.Name, "error", silence)
	return provisioner.Refuse(provisioner.CodeDirectoryUnavailable).After(retryDirectory).Because(silence)
}

// knownLogin is the one admitted person whose login or mail address is spelt so,
// as far as that is known by following the directory; without an id if it is not.
func (s *Service) knownLogin(ctx context.Context, tenant provisioner.Tenant, login string) (proof Proof, declared provisioner.Directory, err error) {
	now := time.Now()
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		proof = Proof{}
		if declared, err = tx.Directory(tenant.Directory); err != nil {
			return fmt.Errorf("reading directory %s: %w", tenant.Directory, err)
		}
		following, err := tx.Following(tenant.Directory)
		if errors.Is(err, store.ErrNone) || err == nil && !following.IsLive(now) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading how directory %s is followed: %w", tenant.Directory, err)
		}
		list, err := tx.PeopleOfTenantTyped(tenant.Name, login, 2)
		if err != nil {
			return fmt.Errorf("looking whose login it is: %w", err)
		}
		if len(list) != 1 || list[0].Directory != tenant.Directory || !spelt(list[0], login) {
			return nil
		}
		standing, err := tx.Standing(list[0].ID, tenant.Name)
		if err == nil && !standing.Held && tenant.Admits(standing, now) == nil {
			proof = Proof{Tenant: tenant, Person: list[0], Standing: standing}
		}
		return err
	})
	return proof, declared, err
}

// spelt reports whether a login is written so, and not only like it: what is
// folded for searching is one here that is two to a directory.
func spelt(p provisioner.Person, login string) bool {
	typed := norm.NFC.String(login)
	return strings.EqualFold(norm.NFC.String(p.Login), typed) || strings.EqualFold(norm.NFC.String(p.Mail), typed)
}
