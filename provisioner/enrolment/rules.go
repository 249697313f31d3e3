package enrolment

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// HouseRules are those of a tenant, and how somebody stands to them.
type HouseRules struct {
	provisioner.HouseRules // without a version: there are none

	AcknowledgedAt time.Time // in this version; zero: not yet
}

// HouseRules tells the person of the calling device the present house rules.
func (s *Service) HouseRules(ctx context.Context, actor provisioner.Actor) (h HouseRules, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionReadHouseRules, provisioner.Object{Device: actor.ID}); refusal != nil {
		return h, refusal
	}
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		h, _, err = rulesFor(tx, actor)
		return err
	})
	return h, err
}

// Acknowledge keeps that the person of the calling device has acknowledged a
// version of the house rules. Any but the present one is refused with
// house-rules: nobody acknowledges what she has not seen.
func (s *Service) Acknowledge(ctx context.Context, actor provisioner.Actor, version string) (h HouseRules, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionAcknowledge, provisioner.Object{Device: actor.ID}); refusal != nil {
		return h, refusal
	}
	err = s.Store.Update(ctx, func(tx *store.Writer) error {
		var d provisioner.Device
		if h, d, err = rulesFor(&tx.Reader, actor); err != nil {
			return err
		}
		if h.Version != version {
			return h.UntilRead()
		}
		if h.Version == "" || !h.AcknowledgedAt.IsZero() {
			return nil
		}
		h.AcknowledgedAt = tx.Now
		return tx.Acknowledge(d.Person, d.Tenant, version, d.ID)
	})
	if err != nil {
		return h, fmt.Errorf("acknowledging house rules: %w", err)
	}
	return h, nil
}

func rulesFor(tx *store.Reader, actor provisioner.Actor) (h HouseRules, d provisioner.Device, err error) {
	if d, err = tx.OwnDevice(actor); err != nil {
		return h, d, err
	}
	tenant, err := tx.Tenant(d.Tenant)
	if err != nil || tenant.HouseRules.Version == "" {
		return h, d, err
	}
	if h.HouseRules, err = tx.HouseRules(tenant); err != nil {
		return h, d, fmt.Errorf("reading house rules: %w", err)
	}
	version, at, err := tx.Acknowledged(d.Person, d.Tenant)
	if version == h.Version {
		h.AcknowledgedAt = at
	}
	return h, d, err
}

// read decides whether a person has acknowledged the present house rules, or does in
// this call; then it gives the version to be kept as acknowledged.
func read(tx *store.Reader, proof signin.Proof, acknowledges string) (version string, err error) {
	// As they are now: the tenant was read before the directory was asked.
	tenant, err := tx.Tenant(proof.Tenant.Name)
	if err != nil {
		return "", fmt.Errorf("reading the tenant: %w", err)
	}
	present := tenant.HouseRules.Version
	if present == "" {
		return "", nil
	}
	if acknowledges == present {
		return present, nil
	}
	acknowledged, _, err := tx.Acknowledged(proof.Person.ID, tenant.Name)
	if err != nil || acknowledged == present {
		return "", err
	}
	h, err := tx.HouseRules(tenant)
	if err != nil {
		return "", fmt.Errorf("reading house rules: %w", err)
	}
	return "", h.UntilRead()
}

// rules is read within an enrolment. Who approves a code is not at the laptop that
// shows them: they are asked for with its first connection.
func (e *enrolling) rules(tx *store.Writer) (version string, err error) {
	if e.proven.way == wayCode {
		return "", nil
	}
	return read(&tx.Reader, e.proven.Proof, e.request.Acknowledges)
}
