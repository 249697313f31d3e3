package rpc

import (
	"context"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
)

type invitationHandler struct {
	heimdrahtv1.UnimplementedInvitationServiceServer
	*helpdeskHandler
}

func (h *invitationHandler) Invite(ctx context.Context, r *heimdrahtv1.InviteRequest) (*heimdrahtv1.InviteResponse, error) {
	request := enrolment.InviteRequest{Tenant: r.GetTenant(), Life: life(r.GetLifeS()), AnyLaptop: r.GetAnyLaptop()}
	for _, line := range r.GetLines() {
		request.Lines = append(request.Lines, enrolment.InviteLine{
			Login: line.GetLogin(), SerialNumber: line.GetSerialNumber(), DeviceName: line.GetDeviceName(),
		})
	}
	actor := actorOf(ctx)
	list, err := h.enrolment.Invite(ctx, actor, request)
	if err != nil {
		return nil, err
	}
	answer := new(heimdrahtv1.InviteResponse)
	for _, v := range list {
		answer.Results = append(answer.Results, fromInvited(v, actor.Language))
	}
	return answer, nil
}

func fromInvited(v enrolment.Invited, language string) *heimdrahtv1.InviteResult {
	if v.Refusal != nil {
		return &heimdrahtv1.InviteResult{Refusal: fromRefusal(v.Refusal, language)}
	}
	return &heimdrahtv1.InviteResult{Token: v.Token, Invitation: fromInvitation(v)}
}

// life is how long an invitation is to be good for; what is beyond all bounds
// stays beyond them.
func life(seconds int64) time.Duration {
	const most = int64(provisioner.InvitationLongest / time.Second)
	return time.Duration(max(-1, min(seconds, most+1))) * time.Second
}

func fromInvitation(v enrolment.Invited) *heimdrahtv1.Invitation {
	state := "open"
	if over := v.Over(time.Now()); over != "" {
		state = string(over)
	}
	return &heimdrahtv1.Invitation{
		InvitationId: v.ID, Tenant: v.Tenant, PersonId: v.Person, PersonName: v.Name, Login: v.Login, SerialNumber: v.SerialNumber,
		DeviceName: v.DeviceName, State: state, InvitedBy: v.InvitedBy, CreatedAt: stamp(v.CreatedAt), ExpiresAt: stamp(v.ExpiresAt),
		EndedAt: stamp(v.EndedAt), DeviceId: v.Device,
	}
}

func (h *invitationHandler) ListInvitations(ctx context.Context, r *heimdrahtv1.ListInvitationsRequest) (*heimdrahtv1.ListInvitationsResponse, error) {
	list, next, err := h.enrolment.Invitations(ctx, actorOf(ctx), enrolment.InvitationsRequest{
		Tenant: r.GetTenant(), All: r.GetAll(), Limit: int(r.GetLimit()), After: r.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListInvitationsResponse{NextPageToken: next}
	for _, v := range list {
		answer.Invitations = append(answer.Invitations, fromInvitation(v))
	}
	return answer, nil
}

func (h *invitationHandler) WithdrawInvitation(ctx context.Context, r *heimdrahtv1.WithdrawInvitationRequest) (*heimdrahtv1.WithdrawInvitationResponse, error) {
	v, err := h.enrolment.WithdrawInvitation(ctx, actorOf(ctx), r.GetInvitationId())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.WithdrawInvitationResponse{Invitation: fromInvitation(v)}, nil
}

func (h *invitationHandler) HandOverDevice(ctx context.Context, r *heimdrahtv1.HandOverDeviceRequest) (*heimdrahtv1.HandOverDeviceResponse, error) {
	taken, invited, err := h.enrolment.HandOver(ctx, actorOf(ctx), enrolment.HandOverRequest{
		TakeRequest: enrolment.TakeRequest{Device: r.GetDeviceId(), Reason: r.GetReason(), Wait: wait(r.GetWaitMs())},
		To:          r.GetLogin(), Life: life(r.GetLifeS()),
	})
	if err != nil {
		return nil, err
	}
	result := fromInvited(invited, "")
	d, err := h.device(ctx, taken.Device)
	return &heimdrahtv1.HandOverDeviceResponse{
		Device: d, Confirmations: fromConfirmations(taken.Confirmations), Invitation: result.GetInvitation(), Token: result.GetToken(),
	}, err
}
