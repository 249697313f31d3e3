package session

import (
	"context"
	"errors"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Renewed is what a renewal tells of its session.
type Renewed = store.Renewed

// Renew moves the lease of a session that this stream holds, keeps what the
// laptop reports, and gives the lease's new end, and when the session ends for idleness. Where the tenant limits access to
// certain times, this is when a changed policy, or another group, reaches it.
func (s *Service) Renew(ctx context.Context, actor provisioner.Actor, stream, id string, usage provisioner.Usage) (renewed Renewed, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionAttach, provisioner.Object{Device: actor.ID}); refusal != nil {
		return renewed, refusal
	}
	var over *provisioner.Refusal
	err = s.Store.UpdatePatiently(ctx, func(tx *store.Writer) (err error) {
		over = nil
		renewed, err = tx.RenewSession(id, actor.ID, stream, tx.Now.Add(provisioner.Lease), usage)
		if errors.Is(err, store.ErrNone) {
			return whyNot(&tx.Reader, actor, stream, id)
		}
		if err != nil || !renewed.Timed && renewed.EndsAt.IsZero() {
			return err
		}
		over, err = moveEnd(tx, id)
		return err
	})
	if err == nil && over != nil {
		return renewed, over
	}
	return renewed, err
}

// moveEnd judges anew until when an open session may last, and closes it if it may not
// go on: the refusal says until when.
func moveEnd(tx *store.Writer, id string) (*provisioner.Refusal, error) {
	session, err := tx.Session(id)
	if err != nil {
		return nil, err
	}
	tenant, err := tx.Tenant(session.Tenant)
	if err != nil {
		return nil, err
	}
	standing, err := tx.Standing(session.Person, session.Tenant)
	if err != nil {
		return nil, err
	}
	ends, refusal := tenant.AdmitsAt(standing, tx.Now)
	if refusal != nil {
		_, err := tx.CloseSession(session, refusal.Code)
		return refusal, err
	}
	if ends.Equal(session.EndsAt) {
		return nil, nil //nolint:nilnil // it goes on as before
	}
	leaving, err := leavingOf(tx, session.Device)
	if err == nil && leaving.ID != "" {
		err = tx.MoveEnd(leaving, ends)
	}
	return nil, errors.Join(err, tx.MoveEnd(session, ends))
}

// Close ends a session at its owner's wish; with the present one goes the one that it is
// leaving, which can also end alone. Idempotent.
func (s *Service) Close(ctx context.Context, actor provisioner.Actor, id string) error {
	if refusal := provisioner.Allow(actor, provisioner.ActionAttach, provisioner.Object{Device: actor.ID}); refusal != nil {
		return refusal
	}
	return s.Store.Update(ctx, func(tx *store.Writer) error {
		session, err := tx.OpenSessionOf(actor.ID)
		if err == nil && session.ID != id {
			session, err = tx.LeavingSessionOf(actor.ID)
		}
		if errors.Is(err, store.ErrNone) || err == nil && session.ID != id {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.CloseSession(session, provisioner.CodeSessionClosed)
		return err
	})
}

// Check tells a stream whether its session, or with an empty id its device,
// may go on: nil, or the refusal that says why not.
func (s *Service) Check(ctx context.Context, actor provisioner.Actor, stream, id string) error {
	return s.Store.View(ctx, func(tx *store.Reader) error {
		if id == "" {
			_, err := tx.OwnDevice(actor)
			return err
		}
		return whyNot(tx, actor, stream, id)
	})
}

// whyNot finds why a stream does not hold a session; nil if it does.
func whyNot(tx *store.Reader, actor provisioner.Actor, stream, id string) error {
	if _, err := tx.OwnDevice(actor); err != nil {
		return err
	}
	session, err := tx.Session(id)
	switch {
	case errors.Is(err, store.ErrNone) || err == nil && session.Device != actor.ID:
		return provisioner.Refuse(provisioner.CodeSessionUnknown)
	case err != nil:
		return err
	case !session.ClosedAt.IsZero():
		return session.WhyClosed()
	case session.Stream != stream:
		return provisioner.Refuse(provisioner.CodeStreamReplaced)
	default:
		return nil
	}
}
