package helpdesk

import (
	"context"
	"errors"
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/diagnosis"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// ExplainOwn finds out for the person of the calling device why its connection does
// not work. What she is not told see diagnosis.Facts. That she looks is not
// recorded: it would say when she sits at the laptop.
//
// A suspended device may ask: that its access rests is what its person wants to
// know. A revoked or replaced one is told that, and nothing else.
func (s *Service) ExplainOwn(ctx context.Context, actor provisioner.Actor) (finding diagnosis.Finding, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionExplainOwn, provisioner.Object{Device: actor.ID}); refusal != nil {
		return finding, refusal
	}
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		d, err := ownDevice(tx, actor)
		if err != nil {
			return err
		}
		person, err := tx.Person(d.Person)
		if err != nil {
			return fmt.Errorf("reading whose device it is: %w", err)
		}
		shown, err := show(tx, d, person.DisplayName)
		if err != nil {
			return err
		}
		refusals, err := tx.RefusalsOf(person, d.Tenant, shownRefusals)
		if err != nil {
			return fmt.Errorf("reading the last refusals: %w", err)
		}
		facts, err := s.facts(tx, Found{Person: person, Tenant: d.Tenant}, &shown, refusals)
		if err != nil {
			return err
		}
		facts.Own, facts.OfDevice = true, true
		finding = diagnosis.Judge(facts)
		return nil
	})
	return finding, err
}

// ownDevice is the calling device, which may be suspended.
func ownDevice(tx *store.Reader, actor provisioner.Actor) (provisioner.Device, error) {
	d, err := tx.Device(actor.ID)
	switch {
	case errors.Is(err, store.ErrNone):
		return d, provisioner.Refuse(provisioner.CodeDeviceUnknown)
	case err != nil:
		return d, fmt.Errorf("reading the device: %w", err)
	}
	refusal := d.MayUse(actor.Generation)
	if refusal != nil && (refusal.Code == provisioner.CodeDeviceRevoked || refusal.Code == provisioner.CodeDeviceReplaced) {
		return d, refusal
	}
	return d, nil
}
