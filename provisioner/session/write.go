package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// The transaction that opens a session, or has a laptop wait for one.

// write decides and opens in one transaction.
func (s *Service) write(ctx context.Context, actor provisioner.Actor, r OpenRequest, a store.Applicant,
	standing provisioner.Standing, met met, tried []string,
) (opened Opened, err error) {
	tenant := a.Tenant
	r.Wait = r.Wait && len(tried) == 0 // it has had a seat: that of the session whose gateway said nothing
	err = s.Store.UpdateAbout(ctx, actor.ID, func(tx *store.Writer) error {
		opened = Opened{epoch: tx.Epoch()}
		ends, refusal := tenant.AdmitsAt(standing, tx.Now)
		if refusal != nil {
			return refusal
		}
		device, err := tx.OwnDevice(actor)
		if err != nil {
			return err
		}
		claim := claimOf(a, standing)
		if met.refusal != nil {
			// Who is connected is not cut off: a session that moves is no new connection.
			if connected, err := wasConnected(tx, device); err != nil || !connected {
				return errors.Join(err, met.refusal.After(met.refusal.RetryAfter+spread(met.refusal)))
			}
		}
		if refusal := tenant.OpensInCrisis(standing.Groups); refusal != nil {
			if connected, err := wasConnected(tx, device); err != nil {
				return err
			} else if !connected {
				return opened.orWaits(tx, device, r, claim, refusal.After(refusal.RetryAfter+spread(refusal)))
			}
		}
		// Its own, and those of others on the same laptop: one is open at a time.
		// taken: something was, which a refusal undoes.
		own, taken, err := makeWay(tx, device, a, r, tried)
		if err != nil {
			return err
		}
		pool, back, err := takeTurn(tx, claim, device.ID, own)
		if err != nil && !taken && !back {
			return opened.orWaits(tx, device, r, claim, err)
		}
		if err != nil {
			return err
		}
		gateway, index, err := placeNext(tx, device, wanted{site: tenant.Site, tried: tried, lost: r.lost})
		if err != nil {
			return err
		}
		class, err := tx.HoldSeat(pool, claim)
		if err != nil {
			return fmt.Errorf("taking a seat of %s: %w", pool, err)
		}
		opened.Session = provisioner.Session{
			ID: provisioner.NewID(), Device: device.ID, Tenant: device.Tenant, Person: device.Person,
			Gateway: gateway.Name, Pool: pool, Class: class, AddressIndex: index, KeyVersion: s.Keys.Current(),
			PublicKey: device.PublicKey, Stream: r.Stream, Reported: provisioner.Usage{Clock: r.Clock},
			OpenedAt: tx.Now, RenewedAt: tx.Now, LeaseUntil: tx.Now.Add(provisioner.Lease), EndsAt: ends,
		}
		if !ends.IsZero() && ends.Before(opened.Session.LeaseUntil) {
			opened.Session.LeaseUntil = ends // so that the end is looked at when it comes
		}
		if opened.Session.Ending, err = ending(tx, tenant.Policy, device, tx.Now); err != nil {
			return err
		}
		opened.Session.LookAt = firstLook(tenant, opened.Session, tx.Now)
		if err := tx.OpenSession(&opened.Session); err != nil {
			return fmt.Errorf("writing the session: %w", err)
		}
		if err := tx.NoteAgent(device.ID, r.AgentVersion); err != nil {
			return fmt.Errorf("noting the agent's version: %w", err)
		}
		opened.Site = tenant.Site
		if opened.Leaving, err = leavingOf(tx, device.ID); err != nil {
			return err
		}
		opened.Tunnel, err = s.tunnel(opened.Session, gateway.Gateway, tenant, standing)
		return err
	})
	return opened, err
}

// orWaits has a device wait that is refused before anything was written for its opening,
// where it wants to and may.
func (o *Opened) orWaits(tx *store.Writer, device provisioner.Device, r OpenRequest, claim seat.Claim, refusal error) error {
	if !r.Wait || !waitsOn(refusal) {
		return refusal
	}
	waits, err := takePlace(tx, device, r, claim, refusal)
	o.Waits, o.Place, o.asked = waits.Waits, waits.Place, true
	return err
}

// dequeueOther takes another device on the same laptop out of the queue; false: it is in none.
func dequeueOther(tx *store.Writer, device string) (bool, error) {
	q, err := tx.InQueue(device)
	if errors.Is(err, store.ErrNone) {
		return false, nil
	}
	if err == nil {
		err = tx.Dequeue(q)
	}
	if err != nil {
		return false, fmt.Errorf("taking another one on the laptop out of the queue: %w", err)
	}
	return true, nil
}

// wasConnected reports whether a device has a session, or lost it a moment ago to an end
// after which its laptop opens the next one: that is no new connection.
func wasConnected(tx *store.Writer, device provisioner.Device) (bool, error) {
	if _, err := tx.OpenSessionOf(device.ID); !errors.Is(err, store.ErrNone) {
		return err == nil, err
	}
	last, err := tx.LastClosed(device.ID, 1)
	if err != nil || len(last) == 0 {
		return false, err
	}
	goesOn := last[0].WhyClosed().RetryAfter > 0 && last[0].ClosedWhy != provisioner.CodeOutsideHours
	return goesOn && tx.Now.Sub(last[0].ClosedAt) <= provisioner.Lease, nil
}
