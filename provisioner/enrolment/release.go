package enrolment

import (
	"context"
	"fmt"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/access"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// maxAwaiting is how many devices one answer lists.
const maxAwaiting = 1000

// Awaiting lists the devices that wait for the helpdesk's word, the longest
// waiting first; of one tenant, or of all that the actor may see. At most 1,000.
func (s *Service) Awaiting(ctx context.Context, actor provisioner.Actor, tenant string) ([]store.AwaitingDevice, error) {
	const action = provisioner.ActionListAwaiting
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return nil, refusal
	}
	scope := provisioner.ScopeOf(actor, action).Narrow(strings.TrimSpace(tenant))
	list, err := store.Read(ctx, s.Store, func(tx *store.Reader) ([]store.AwaitingDevice, error) { return tx.AwaitingDevices(scope, maxAwaiting) })
	if err != nil {
		return nil, fmt.Errorf("listing the devices that wait: %w", err)
	}
	return list, nil
}

// ReleaseRequest decides on a device that waits for the helpdesk's word.
type ReleaseRequest struct {
	Device     string // id, or a unique beginning of at least six characters
	Generation int64  // as it was seen: other keys are another decision
	Reason     string // recorded
}

// ApproveDevice gives a device that waits its access. Refusals are reason-missing,
// not-found, ambiguous, and approval-over where it does not wait, or not any more
// with the keys that were seen.
func (s *Service) ApproveDevice(ctx context.Context, actor provisioner.Actor, r ReleaseRequest) (provisioner.Device, error) {
	return s.release(ctx, actor, provisioner.ActionApproveDevice, r, access.Approve)
}

// DenyDevice ends a device that waits for good. Refusals are those of
// ApproveDevice.
func (s *Service) DenyDevice(ctx context.Context, actor provisioner.Actor, r ReleaseRequest) (provisioner.Device, error) {
	return s.release(ctx, actor, provisioner.ActionDenyDevice, r, access.Deny)
}

func (s *Service) release(ctx context.Context, actor provisioner.Actor, action provisioner.Action, r ReleaseRequest, do taking) (provisioner.Device, error) {
	if refusal := provisioner.Allow(actor, action, provisioner.Object{}); refusal != nil {
		return provisioner.Device{}, refusal
	}
	reason := audit.CleanReason(r.Reason)
	if reason == "" {
		return provisioner.Device{}, provisioner.Refuse(provisioner.CodeReasonMissing)
	}
	var device provisioner.Device
	var revision int64
	err := s.Store.Update(ctx, func(tx *store.Writer) (err error) {
		if device, err = FindDevice(&tx.Reader, actor, action, r.Device); err != nil {
			return err
		}
		changed := false
		if device.Generation == r.Generation && device.State() != provisioner.DeviceRevoked && device.Awaits() {
			if changed, err = do(tx, actor, device, reason); err != nil {
				return err
			}
		}
		if !changed {
			return provisioner.Refuse(provisioner.CodeApprovalOver)
		}
		revision = tx.Revision()
		device, err = tx.Device(device.ID)
		return err
	})
	if err != nil {
		return provisioner.Device{}, fmt.Errorf("%s: %w", action, err)
	}
	s.kept(ctx, revision)
	return device, nil
}
