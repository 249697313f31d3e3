package enrolment

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// How long gateways are waited for.
const (
	defaultWait = 5 * time.Second
	longestWait = time.Minute
)

// TakeRequest takes the access of a device.
type TakeRequest struct {
	Device string // id, or a unique beginning of at least six characters
	Reason string // recorded
	// Wait is how long to wait for the gateways. Zero: 5 s; at most a minute.
	Wait time.Duration
	// Emergency says that there is no time for a second person (access.Alone).
	Emergency bool
}

// Taken says what became of a device, and which gateways have confirmed that
// its peer is gone. Gateways that held none are not named.
type Taken struct {
	Device        provisioner.Device
	Confirmations []provisioner.Confirmation
}

// Revoke ends a device for good.
func (s *Service) Revoke(ctx context.Context, actor provisioner.Actor, r TakeRequest) (Taken, error) {
	return s.takeOne(ctx, actor, provisioner.ActionRevokeDevice, r, access.Revoke)
}

// Suspend lets the access of a device rest. A revoked device is refused with
// device-revoked.
func (s *Service) Suspend(ctx context.Context, actor provisioner.Actor, r TakeRequest) (Taken, error) {
	return s.takeOne(ctx, actor, provisioner.ActionSuspendDevice, r, access.Suspend)
}

// taking is how access of a device is taken: it reports whether anything
// changed.
type taking func(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, reason string) (bool, error)

// owed is what gateways have not confirmed yet.
type owed struct {
	epoch    string
	revision int64 // of the taking
	debts    []store.Debt
}

func (o *owed) add(tx *store.Writer, device string) error {
	list, err := tx.DebtsOf(device)
	if err != nil {
		return fmt.Errorf("finding the gateways that may still hold the peer: %w", err)
	}
	o.epoch, o.revision, o.debts = tx.Epoch(), tx.Revision(), append(o.debts, list...)
	return nil
}

func (s *Service) takeOne(ctx context.Context, actor provisioner.Actor, action provisioner.Action, r TakeRequest, take taking) (Taken, error) {
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return Taken{}, refusal
	}
	reason := audit.CleanReason(r.Reason)
	if reason == "" {
		return Taken{}, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	var device provisioner.Device
	var open owed
	err := s.Store.UpdateUrgent(ctx, func(tx *store.Writer) (err error) {
		open = owed{}
		if device, err = FindDevice(&tx.Reader, actor, action, r.Device); err != nil {
			return err
		}
		changed, err := take(tx, actor, device, reason)
		if err == nil && changed {
			err = access.Alone(tx, actor, access.Single{Tenant: device.Tenant, Person: device.Person, Reason: reason, Emergency: r.Emergency})
		}
		if err != nil {
			return err
		}
		if err := open.add(tx, device.ID); err != nil {
			return err
		}
		device, err = tx.Device(device.ID)
		return err
	})
	if err != nil {
		return Taken{}, fmt.Errorf("%s: %w", action, err)
	}
	return Taken{Device: device, Confirmations: s.wait(ctx, r.Wait, open)}, nil
}

// wait gives the gateways their time, and the journal its moment. What is owed
// is durable by now.
func (s *Service) wait(ctx context.Context, patience time.Duration, open owed) []provisioner.Confirmation {
	defer s.kept(ctx, open.revision)
	if len(open.debts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, Patience(patience))
	defer cancel()
	return s.Confirmations.Wait(ctx, open.epoch, open.debts)
}

// Patience is how long gateways are waited for who was asked for some time.
func Patience(asked time.Duration) time.Duration {
	if asked <= 0 {
		return defaultWait
	}
	return min(asked, longestWait)
}

// RestoreRequest gives back the access of a device.
type RestoreRequest struct {
	Device    string
	Reason    string // recorded
	Emergency bool   // as in TakeRequest
}

// Restore gives back what Suspend took, singly or with others, and nothing else:
// what the directory took stays taken, what rests with the whole tenant is refused
// with tenant-suspended, and a revoked device with device-revoked. To restore a device that does not rest changes nothing.
func (s *Service) Restore(ctx context.Context, actor provisioner.Actor, r RestoreRequest) (provisioner.Device, error) {
	const action = provisioner.ActionRestoreDevice
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return provisioner.Device{}, refusal
	}
	reason := audit.CleanReason(r.Reason)
	if reason == "" {
		return provisioner.Device{}, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	var device provisioner.Device
	err := s.Store.Update(ctx, func(tx *store.Writer) (err error) {
		if device, err = FindDevice(&tx.Reader, actor, action, r.Device); err != nil {
			return err
		}
		changed, err := access.Restore(tx, actor, device, reason)
		if err == nil && changed {
			err = access.Alone(tx, actor, access.Single{Tenant: device.Tenant, Person: device.Person, Reason: reason, Emergency: r.Emergency})
		}
		if err != nil {
			return err
		}
		device, err = tx.Device(device.ID)
		return err
	})
	if err != nil {
		return provisioner.Device{}, fmt.Errorf("%s: %w", action, err)
	}
	return device, nil
}

// RevokePersonRequest revokes every device of a person in a tenant.
type RevokePersonRequest struct {
	Person string // id
	Tenant string // may be empty where only one is possible
	Reason string
	Wait   time.Duration // as in TakeRequest

	Emergency bool // as in TakeRequest
}

// TakenFromPerson says what became of a person's devices, revoked ones
// included, the newest first.
type TakenFromPerson struct {
	Devices       []provisioner.Device
	Confirmations []provisioner.Confirmation
}

// RevokePerson revokes every device of a person in a tenant. She may enrol
// again while the directory says that she may: to end that is the directory's.
func (s *Service) RevokePerson(ctx context.Context, actor provisioner.Actor, r RevokePersonRequest) (TakenFromPerson, error) {
	const action = provisioner.ActionRevokePerson
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return TakenFromPerson{}, refusal
	}
	reason := audit.CleanReason(r.Reason)
	if reason == "" {
		return TakenFromPerson{}, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	var taken TakenFromPerson
	var open owed
	err := s.Store.UpdateUrgent(ctx, func(tx *store.Writer) error {
		taken, open = TakenFromPerson{}, owed{}
		found, err := FindPerson(&tx.Reader, actor, action, r.Person, r.Tenant)
		if err != nil {
			return err
		}
		list, err := tx.DevicesOf(found.Person.ID, found.Tenant)
		if err != nil {
			return fmt.Errorf("reading the person's devices: %w", err)
		}
		changed := false
		for _, d := range list {
			one, err := access.Revoke(tx, actor, d, reason)
			if err != nil {
				return err
			}
			changed = changed || one
			if err := open.add(tx, d.ID); err != nil {
				return err
			}
		}
		if taken.Devices, err = tx.DevicesOf(found.Person.ID, found.Tenant); err != nil || !changed {
			return err
		}
		if err := access.Alone(tx, actor, access.Single{Tenant: found.Tenant, Person: found.Person.ID, Reason: reason, Emergency: r.Emergency}); err != nil {
			return err
		}
		return tx.Audit(store.Event{
			Actor: actor, Tenant: found.Tenant, Action: string(action), Reason: reason,
			Object: audit.Object{Kind: "person", ID: found.Person.ID, Name: found.Person.DisplayName},
		})
	})
	if err != nil {
		return TakenFromPerson{}, fmt.Errorf("%s: %w", action, err)
	}
	taken.Confirmations = s.wait(ctx, r.Wait, open)
	return taken, nil
}
