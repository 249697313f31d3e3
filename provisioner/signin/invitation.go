package signin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// ProveInvitation finds out by the token of an invitation who somebody is, and
// has the directory say that she may use the tenant's access still. serial is of
// the laptop at which she is. Nothing is used up yet. Refusals are
// invitation-unknown, which leaves at a full half second, and of an invitation
// that there is invitation-over, invitation-other-laptop, directory-unavailable
// and those of Tenant.Admits; the helpdesk sees these. Wrong tries count by
// network address, together with wrong passwords.
func (s *Service) ProveInvitation(ctx context.Context, actor provisioner.Actor, token Password, serial string) (Proof, provisioner.Invitation, error) {
	began := time.Now()
	if refusal := provisioner.Allow(actor, provisioner.ActionEnrol, provisioner.Object{}); refusal != nil {
		return Proof{}, provisioner.Invitation{}, refusal
	}
	shown, err := s.invitation(ctx, actor, token, serial)
	switch {
	case err == nil && shown.refusal == nil:
	case err == nil && shown.person.ID == "":
		s.Logger.Info("an invitation was refused", "cause", shown.cause, "source", actor.Source)
		if gone := waitEvenly(ctx, began); gone != nil {
			return Proof{}, shown.Invitation, gone
		}
		return Proof{}, shown.Invitation, shown.refusal
	case err == nil:
		s.rememberInvitation(ctx, actor, shown)
		return Proof{}, shown.Invitation, shown.refusal
	default:
		return Proof{}, shown.Invitation, err
	}
	proof, err := s.entitled(ctx, shown)
	if refusal, ok := provisioner.AsRefusal(err); ok {
		shown.refusal, shown.cause = refusal, ""
		s.rememberInvitation(ctx, actor, shown)
	}
	return proof, shown.Invitation, err
}

// shownInvitation is what is known of a token that somebody shows.
type shownInvitation struct {
	provisioner.Invitation

	tenant  provisioner.Tenant
	person  provisioner.Person   // without an id: there is no such invitation
	refusal *provisioner.Refusal // nil: it is good
	cause   cause
}

// invitation judges a token by itself, and counts one that is refused.
func (s *Service) invitation(ctx context.Context, actor provisioner.Actor, token Password, serial string) (shown shownInvitation, err error) {
	source := sourceCount(actor.Source)
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		shown = shownInvitation{}
		n, _, err := tx.Failures(source.key, tx.Now.Add(-source.window))
		if err != nil {
			return fmt.Errorf("counting wrong tries: %w", err)
		}
		if n >= source.limit {
			shown.refusal, shown.cause = provisioner.Refuse(provisioner.CodeInvitationUnknown), source.full
			return nil
		}
		shown.Invitation, err = tx.Invitation(string(token))
		switch {
		case errors.Is(err, store.ErrNone):
			shown.refusal, shown.cause = provisioner.Refuse(provisioner.CodeInvitationUnknown), causeNoInvitation
		case err != nil:
			return fmt.Errorf("reading an invitation: %w", err)
		default:
			if shown.person, err = tx.Person(shown.Person); err != nil {
				return fmt.Errorf("reading whose invitation it is: %w", err)
			}
			if shown.tenant, err = tx.Tenant(shown.Tenant); err != nil {
				return fmt.Errorf("reading the tenant of an invitation: %w", err)
			}
			shown.judge(serial, tx.Now)
		}
		if shown.refusal == nil {
			return nil
		}
		_, err = tx.CountFailure(source.key, tx.Now.Add(-source.window))
		return err
	})
	return shown, err
}

// judge decides whether the invitation is good for a laptop, and says to the
// helpdesk why not.
func (v *shownInvitation) judge(serial string, now time.Time) {
	if v.refusal = v.Admits(serial, now); v.refusal == nil {
		return
	}
	switch v.cause = cause(causeInvitation + string(v.Over(now))); {
	case v.refusal.Code != provisioner.CodeInvitationLaptop:
	case serial == "":
		v.cause = causeNoSerial + cause(": "+v.SerialNumber)
	default:
		v.cause = causeOtherSerial + cause(": "+audit.CleanText(v.SerialNumber+" ≠ "+serial, maxCause/2))
	}
}

// entitled has the directory say how the person of an invitation stands now.
func (s *Service) entitled(ctx context.Context, v shownInvitation) (Proof, error) {
	settled, err := s.ask(ctx, v.tenant, v.person)
	var silence *directory.Error
	switch {
	case errors.As(err, &silence):
		return Proof{}, s.silentNow(v.tenant, silence)
	case err != nil:
		return Proof{}, err
	}
	return admittedNow(v.tenant, settled)
}

// rememberInvitation keeps for the helpdesk why an invitation was refused, and
// for the audit log that it was.
func (s *Service) rememberInvitation(ctx context.Context, actor provisioner.Actor, v shownInvitation) {
	err := s.Store.Update(context.WithoutCancel(ctx), func(tx *store.Writer) error {
		return tx.AddRefusal(store.RecentRefusal{
			Tenant: v.Tenant, Login: store.Fold(v.person.Login), Person: v.person.ID, Code: v.refusal.Code, Cause: string(v.cause), Source: actor.Source,
		})
	})
	if err != nil {
		s.Logger.Error("keeping a refusal for the helpdesk", "error", err)
	}
	if v.refusal.Kind() == provisioner.KindUnavailable {
		return
	}
	s.refusals.Note(ctx, store.Event{
		Actor: actor, Tenant: v.Tenant, Action: string(provisioner.ActionEnrol), Result: string(v.refusal.Code),
		Object: audit.Object{Kind: "person", ID: v.person.ID, Name: v.person.DisplayName},
	})
}
