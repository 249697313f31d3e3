// Package access takes the access of devices and gives it back, within a transaction: what the helpdesk, the directory
// and the restore of a backup have in common.
//
// What always holds here: whoever takes access closes the session in the same transaction and leaves an audit record
// of who, what and why. Each source gives back only what it took: a suspension of many is a source of its own
// (store.Selection.Source), so that a device may rest with several.
//
// Not its business: deciding who may (use cases do), and telling gateways (the changes that the store records do).
package access

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Revoke ends a device for good. It reports whether anything changed.
func Revoke(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, reason string) (bool, error) {
	changed, err := tx.RevokeDevice(d, reason)
	if err != nil || !changed {
		return false, err
	}
	return true, closed(tx, actor, d, provisioner.ActionRevokeDevice, reason, provisioner.CodeDeviceRevoked)
}

// Suspend lets the access of a device rest. A revoked device is refused with device-revoked. It reports whether
// anything changed.
func Suspend(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, reason string) (bool, error) {
	return SuspendWith(tx, actor, d, provisioner.Suspension{Source: sourceOf(actor), Reason: reason})
}

// SuspendWith is Suspend by a source, for a time; s.Since is set.
func SuspendWith(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, s provisioner.Suspension) (bool, error) {
	if d.State() == provisioner.DeviceRevoked {
		return false, provisioner.Refuse(provisioner.CodeDeviceRevoked)
	}
	s.Since = tx.Now
	return suspend(tx, actor, d, s)
}

// SuspendExternal lets the access of an external person's device rest whose day is over. It reports whether anything
// changed.
func SuspendExternal(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, reason string) (bool, error) {
	return suspend(tx, actor, d, provisioner.Suspension{Source: provisioner.SuspendedByEndDate, Reason: reason, Since: tx.Now})
}

func suspend(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, s provisioner.Suspension) (bool, error) {
	changed, err := tx.SuspendDevice(d, s)
	if err != nil || !changed {
		return false, err
	}
	why := provisioner.CodeDeviceSuspended
	switch s.Source {
	case provisioner.SuspendedByEndDate:
		why = provisioner.CodeExternalEnded
	case provisioner.SuspendedWithTenant:
		why = provisioner.CodeTenantSuspended
	}
	return true, closed(tx, actor, d, provisioner.ActionSuspendDevice, s.Reason, why)
}

// Restore gives back what people took, or the directory, whichever the actor is. Of a person's word on one device it
// counts that it is the last: it gives back what was suspended with others too, but for what rests with the tenant,
// which is given back to all or nobody; if nothing else rests, it is refused with tenant-suspended. A revoked device is
// refused with device-revoked. It reports whether anything changed.
func Restore(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, reason string) (bool, error) {
	if d.State() == provisioner.DeviceRevoked {
		return false, provisioner.Refuse(provisioner.CodeDeviceRevoked)
	}
	var sources []provisioner.SuspensionSource
	for _, s := range d.SuspendedBy {
		if s.Source == sourceOf(actor) || s.Source.ByHelpdesk() && !actor.Has(provisioner.RoleSystem) && s.Source != provisioner.SuspendedWithTenant {
			sources = append(sources, s.Source)
		}
	}
	if len(sources) == 0 && !actor.Has(provisioner.RoleSystem) && d.RestsWith(provisioner.SuspendedWithTenant) {
		return false, provisioner.Refuse(provisioner.CodeTenantSuspended)
	}
	return restore(tx, actor, d, reason, sources...)
}

// RestoreWith gives back what SuspendWith took by a source. It reports whether anything changed.
func RestoreWith(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, source provisioner.SuspensionSource, reason string) (bool, error) {
	return restore(tx, actor, d, reason, source)
}

// RestoreExternal gives back what SuspendExternal took. It reports whether anything changed.
func RestoreExternal(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, reason string) (bool, error) {
	return restore(tx, actor, d, reason, provisioner.SuspendedByEndDate)
}

func restore(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, reason string, sources ...provisioner.SuspensionSource) (bool, error) {
	changed := false
	for _, source := range sources {
		one, err := tx.RestoreDevice(d, source)
		if err != nil {
			return false, err
		}
		changed = changed || one
	}
	if !changed {
		return false, nil
	}
	return true, record(tx, actor, d, provisioner.ActionRestoreDevice, reason)
}

// Await lets a new device rest until the helpdesk has approved it. The record of its enrolment says so; it has no
// session yet.
func Await(tx *store.Writer, d provisioner.Device) error {
	_, err := tx.SuspendDevice(d, provisioner.Suspension{
		Source: provisioner.SuspendedByApproval, Reason: "waits for approval", Since: tx.Now,
	})
	return err
}

// Approve gives back what Await took, and nothing else; whoever does has seen the laptop's serial number. It reports whether anything changed.
func Approve(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, reason string) (bool, error) {
	changed, err := tx.RestoreDevice(d, provisioner.SuspendedByApproval)
	if err != nil || !changed {
		return false, err
	}
	if err := tx.VouchForSerial(d.ID, provisioner.SerialByHelpdesk); err != nil {
		return false, fmt.Errorf("keeping who vouches for a serial number: %w", err)
	}
	return true, record(tx, actor, d, provisioner.ActionApproveDevice, reason)
}

// Deny ends for good a device that waits for approval. It reports whether anything changed.
func Deny(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, reason string) (bool, error) {
	changed, err := tx.RevokeDevice(d, reason)
	if err != nil || !changed {
		return false, err
	}
	return true, closed(tx, actor, d, provisioner.ActionDenyDevice, reason, provisioner.CodeDeviceRevoked)
}

// Object names a device in the audit log.
func Object(d provisioner.Device) audit.Object {
	return audit.Object{Kind: "device", ID: d.ID, Name: d.Name}
}

// sourceOf tells what people take from what the control plane takes because
// the directory says so.
func sourceOf(actor provisioner.Actor) provisioner.SuspensionSource {
	if actor.Has(provisioner.RoleSystem) {
		return provisioner.SuspendedByDirectory
	}
	return provisioner.SuspendedByHelpdesk
}

// closed ends the device's session and records what was done.
func closed(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, action provisioner.Action, reason string, why provisioner.Code) error {
	if _, err := tx.CloseSessionOf(d.ID, why); err != nil && !errors.Is(err, store.ErrNone) {
		return fmt.Errorf("closing the session: %w", err)
	}
	return record(tx, actor, d, action, reason)
}

func record(tx *store.Writer, actor provisioner.Actor, d provisioner.Device, action provisioner.Action, reason string) error {
	return tx.Audit(store.Event{
		Actor: actor, Tenant: d.Tenant, Action: string(action), Object: Object(d), Reason: reason,
		Details: map[string]string{"person": d.Person, "revision": strconv.FormatInt(tx.Revision(), 10)},
	})
}
