package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// answeredWithin is how old the directory's own word on somebody is at the most
// just after it was asked.
const answeredWithin = time.Minute

// signedIn refuses somebody who has to sign in again. While the directory does not
// answer nobody can: then she is let in as long as its last word counts, which
// Standings has decided.
func (s *Service) signedIn(ctx context.Context, a store.Applicant, standing provisioner.Standing) error {
	now := time.Now()
	if a.Device.SignedInAt.IsZero() || !a.Tenant.Policy.SignInDue(a.Device.SignedInAt, now) {
		return nil
	}
	if now.Sub(standing.ReadAt) >= answeredWithin {
		silent, err := store.Read(ctx, s.Store, func(tx *store.Reader) (bool, error) { return isSilent(tx, a.Tenant.Directory, now) })
		if err != nil || silent {
			return err
		}
	}
	return provisioner.Refuse(provisioner.CodeSignInNeeded)
}

// isSilent reports whether a directory cannot be heard that somebody follows.
func isSilent(tx *store.Reader, directory string, now time.Time) (bool, error) {
	following, err := tx.Following(directory)
	if errors.Is(err, store.ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading how directory %s is followed: %w", directory, err)
	}
	return !following.IsLive(now), nil
}

// ending says when policy ends a session that a device opened. A device of the
// version before has no sign-in written down: it counts from now.
func ending(tx *store.Writer, policy provisioner.Policy, device provisioner.Device, opened time.Time) (provisioner.Ending, error) {
	if device.SignedInAt.IsZero() {
		if err := tx.NoteSignIn(device.ID, tx.Now); err != nil {
			return provisioner.Ending{}, fmt.Errorf("noting from when a sign-in counts: %w", err)
		}
		device.SignedInAt = tx.Now
	}
	return policy.Ending(opened, device.SignedInAt, tx.Now), nil
}

// withEnding gives an end to a session that has none, and has somebody look at it whom
// nobody looks at: the version before, or a policy that knew no end, opened it.
func withEnding(tx *store.Writer, tenant provisioner.Tenant, device provisioner.Device, s provisioner.Session) (_ provisioner.Session, err error) {
	if s.Ending.DueAt.IsZero() {
		if s.Ending, err = ending(tx, tenant.Policy, device, s.OpenedAt); err != nil {
			return s, err
		}
		if !s.Ending.DueAt.IsZero() {
			if err := tx.SetEnding(s, s.Ending); err != nil {
				return s, err
			}
		}
	}
	if s.LookAt.IsZero() { // with an end of policy's or without
		s.LookAt = firstLook(tenant, s, tx.Now)
		err = tx.SetLook(s, s.IdleAt, s.LookAt)
	}
	return s, err
}

// Ending tells when policy ends an open session of the calling device; the zero
// Ending if it does not, or there is no such session.
func (s *Service) Ending(ctx context.Context, actor provisioner.Actor, id string) (e provisioner.Ending, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionAttach, provisioner.Object{Device: actor.ID}); refusal != nil {
		return e, refusal
	}
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		session, err := tx.Session(id)
		if errors.Is(err, store.ErrNone) || err == nil && session.Device != actor.ID {
			return nil
		}
		e = session.Ending
		return err
	})
	return e, err
}
