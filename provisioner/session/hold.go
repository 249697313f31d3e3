package session

import (
	"context"
	"errors"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Renew moves the lease of a session that this stream holds, keeps what the
// laptop reports, and gives the lease's new end.
func (s *Service) Renew(ctx context.Context, actor provisioner.Actor, stream, id string, usage provisioner.Usage) (time.Time, error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionAttach, provisioner.Object{Device: actor.ID}); refusal != nil {
		return time.Time{}, refusal
	}
	var until time.Time
	err := s.Store.UpdatePatiently(ctx, func(tx *store.Writer) error {
		until = tx.Now.Add(provisioner.Lease)
		ok, err := tx.RenewSession(id, actor.ID, stream, until, usage)
		if err != nil || ok {
			return err
		}
		return whyNot(&tx.Reader, actor, stream, id)
	})
	return until, err
}

// Close ends a session at its owner's wish. Idempotent.
func (s *Service) Close(ctx context.Context, actor provisioner.Actor, id string) error {
	if refusal := provisioner.Allow(actor, provisioner.ActionAttach, provisioner.Object{Device: actor.ID}); refusal != nil {
		return refusal
	}
	return s.Store.Update(ctx, func(tx *store.Writer) error {
		session, err := tx.OpenSessionOf(actor.ID)
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
