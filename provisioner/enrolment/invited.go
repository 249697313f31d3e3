package enrolment

import (
	"cmp"
	"context"
	"fmt"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const wayInvitation way = "invitation"

// InvitedRequest asks that a laptop be known, with an invitation.
type InvitedRequest struct {
	Laptop

	Invitation signin.Password // its token
}

// EnrolInvited registers a laptop's keys for the person whose invitation is
// shown, which is used up. Whatever else holds for Enrol holds here. Refusals are
// those of signin.Service.ProveInvitation, and then those of Enrol.
func (s *Service) EnrolInvited(ctx context.Context, actor provisioner.Actor, r InvitedRequest) (Enrolled, error) {
	serial := serialOf(r.SerialNumber)
	proof, invitation, err := s.SignIn.ProveInvitation(ctx, actor, r.Invitation, serial)
	if err != nil {
		return Enrolled{}, err
	}
	r.DeviceName = cmp.Or(invitation.DeviceName, r.DeviceName)
	by := proven{
		Proof: proof, way: wayInvitation,
		claim: func(tx *store.Writer) error {
			now, err := tx.Invitation(string(r.Invitation))
			if err != nil {
				return fmt.Errorf("reading an invitation: %w", err)
			}
			if refusal := now.Admits(serial, tx.Now); refusal != nil {
				return refusal
			}
			return nil
		},
		keep: func(tx *store.Writer, e Enrolled) error {
			if _, err := tx.EndInvitation(invitation.ID, provisioner.InvitationUsed, e.Device.ID); err != nil {
				return fmt.Errorf("using up an invitation: %w", err)
			}
			return nil
		},
	}
	if invitation.SerialNumber != "" {
		by.serialBy = provisioner.SerialByInvitation
	}
	return s.enrol(ctx, actor, by, r.Laptop)
}
