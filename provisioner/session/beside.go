package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/placement"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// A laptop that can hold two sessions opens the next one beside the present one when it
// goes to another gateway. The former is left then: connections end in it, and none begins.

// makeWay ends the sessions in whose place a device opens its next one: its own, and those of others
// on the same laptop. It names the pool of which its own had a seat. Its own is
// left instead, to go on beside the next one, where that can be. made: a refusal has something to undo.
func makeWay(tx *store.Writer, device provisioner.Device, a store.Applicant, r OpenRequest, tried []string) (pool string, made bool, err error) {
	former, err := tx.OpenSessionOf(device.ID)
	switch made = err == nil; {
	case errors.Is(err, store.ErrNone):
		err = nil
	case err != nil:
	case len(tried) > 0:
		_, err = tx.CloseFailed(former, provisioner.CodeGatewayNotReady)
	default:
		err = leave(tx, former, a.Tenant, r)
	}
	if err != nil {
		return "", made, fmt.Errorf("leaving the former session: %w", err)
	}
	for _, id := range a.Beside {
		_, err := tx.CloseSessionOf(id, provisioner.CodeSessionElsewhere)
		if err != nil && !errors.Is(err, store.ErrNone) {
			return "", made, fmt.Errorf("closing the session of another one on the laptop: %w", err)
		}
		left, queued := dequeueOther(tx, id)
		if queued != nil {
			return "", made, queued
		}
		made = made || err == nil || left
	}
	return former.Pool, made, nil
}

// leave has the device leave its present session, or closes it.
func leave(tx *store.Writer, former provisioner.Session, tenant provisioner.Tenant, r OpenRequest) error {
	if r.lost != "" {
		_, err := tx.CloseSession(former, provisioner.CodeGatewayLost)
		return err
	}
	if r.Beside {
		here, err := tx.Gateway(former.Gateway)
		if err != nil {
			return fmt.Errorf("reading the gateway: %w", err)
		}
		by, ok := former.LeavesBy(here.Gateway, tx.Now)
		if ok {
			ok, err = goesElsewhere(tx, former, tenant)
		}
		if err != nil {
			return err
		}
		if ok {
			return tx.LeaveSession(former, by)
		}
	}
	_, err := tx.CloseSession(former, provisioner.CodeSessionElsewhere)
	return err
}

// goesElsewhere reports whether the next session of a device goes to another gateway than
// the present one, whose place there would be free.
func goesElsewhere(tx *store.Writer, present provisioner.Session, tenant provisioner.Tenant) (bool, error) {
	gateways, err := tx.GatewaysOf(present.Tenant)
	if err != nil {
		return false, fmt.Errorf("reading the gateways: %w", err)
	}
	list := candidates(gateways, tx.Now)
	if i := slices.IndexFunc(list, func(c placement.Candidate) bool { return c.Name == present.Gateway }); i >= 0 {
		list[i].Open--
	}
	order := placement.Choose(list, placement.Asker{Site: tenant.Site, Former: present.Gateway}).Order
	return len(order) > 0 && order[0] != present.Gateway, nil
}

// placeNext finds a gateway for the next session of a device: another one than that of
// the session which it is leaving, for a peer is never on a gateway twice. If no other one
// takes it that session ends, and its gateway is one like all others. So it is only while
// nothing has failed: else there is the one to return to.
func placeNext(tx *store.Writer, device provisioner.Device, w wanted) (store.GatewayState, int64, error) {
	leaving, err := tx.LeavingSessionOf(device.ID)
	if errors.Is(err, store.ErrNone) {
		return place(tx, device, w)
	}
	if err != nil {
		return store.GatewayState{}, 0, fmt.Errorf("reading the session that is being left: %w", err)
	}
	elsewhere := w
	elsewhere.besides = leaving.Gateway
	gateway, index, err := place(tx, device, elsewhere)
	if _, refused := provisioner.AsRefusal(err); !refused || len(w.tried) > 0 {
		return gateway, index, err
	}
	if _, err := tx.CloseSession(leaving, provisioner.CodeSessionElsewhere); err != nil {
		return gateway, 0, fmt.Errorf("closing the session that is being left: %w", err)
	}
	return place(tx, device, w)
}

// leavingOf is the session that a device is leaving; the zero Session: none.
func leavingOf(tx *store.Writer, device string) (provisioner.Session, error) {
	leaving, err := tx.LeavingSessionOf(device)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return leaving, fmt.Errorf("reading the session that is being left: %w", err)
	}
	return leaving, nil
}

// resumeLeft gives a device back the session that it is leaving, if that is the one which
// its laptop holds: it has never heard of the next one.
func resumeLeft(tx *store.Writer, device, id string) (bool, error) {
	leaving, err := leavingOf(tx, device)
	if err != nil || leaving.ID != id {
		return false, err
	}
	present, err := tx.OpenSessionOf(device)
	if errors.Is(err, store.ErrNone) {
		return false, nil // it is left alone, and about to end
	}
	if err != nil {
		return false, fmt.Errorf("reading the session that nobody holds: %w", err)
	}
	return true, tx.ReturnTo(leaving, present, provisioner.CodeSessionElsewhere)
}

// keepLeft gives the session that a device is leaving if its laptop still holds it too; else
// it ends.
func keepLeft(tx *store.Writer, device, held string) (provisioner.Session, error) {
	leaving, err := leavingOf(tx, device)
	if err != nil || leaving.ID == "" || leaving.ID == held {
		return leaving, err
	}
	_, err = tx.CloseSession(leaving, provisioner.CodeSessionElsewhere)
	return provisioner.Session{}, err
}

// CheckLeaving tells why the session that the calling device is leaving has ended; nil if
// it has not.
func (s *Service) CheckLeaving(ctx context.Context, actor provisioner.Actor, id string) error {
	return s.Store.View(ctx, func(tx *store.Reader) error {
		session, err := tx.Session(id)
		switch {
		case errors.Is(err, store.ErrNone) || err == nil && session.Device != actor.ID:
			return provisioner.Refuse(provisioner.CodeSessionUnknown)
		case err == nil && !session.ClosedAt.IsZero():
			return session.WhyClosed()
		default:
			return err
		}
	})
}
