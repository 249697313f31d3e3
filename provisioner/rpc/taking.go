package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
	"github.com/heimdraht/heimdraht/provisioner/privacy"
)

func (h *helpdeskHandler) Take(ctx context.Context, r *heimdrahtv1.TakeRequest) (*heimdrahtv1.TakeResponse, error) {
	request := helpdesk.TakeRequest{
		Action:    takeAction(r.GetAction()),
		Selection: helpdesk.Selection{Tenant: r.GetTenant(), Person: r.GetPersonId(), Gateway: r.GetGateway(), AgentVersion: r.GetAgentVersion()},
		Reason:    r.GetReason(), Emergency: r.GetEmergency(), DryRun: r.GetDryRun(),
	}
	if r.GetEndsAt() != nil {
		request.EndsAt = r.GetEndsAt().AsTime()
	}
	if days := r.GetUnusedDays(); days > 0 {
		since, err := privacy.UnusedSince(int(days), time.Now())
		if err != nil {
			return nil, err
		}
		request.Selection.UnusedSince = since
	}
	t, err := h.helpdesk.Take(ctx, actorOf(ctx), request)
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.TakeResponse{Devices: t.Total, People: t.People, TakingId: t.ID}
	if t.Proposal != nil {
		answer.Proposal = fromProposal(*t.Proposal)
	}
	return answer, nil
}

func takeAction(a heimdrahtv1.TakeAction) provisioner.Action {
	switch a {
	case heimdrahtv1.TakeAction_TAKE_ACTION_REVOKE:
		return provisioner.ActionRevokeDevice
	case heimdrahtv1.TakeAction_TAKE_ACTION_SUSPEND:
		return provisioner.ActionSuspendDevice
	case heimdrahtv1.TakeAction_TAKE_ACTION_RESTORE:
		return provisioner.ActionRestoreDevice
	default:
		return ""
	}
}

func (h *helpdeskHandler) FollowTaking(r *heimdrahtv1.FollowTakingRequest, stream grpc.ServerStreamingServer[heimdrahtv1.FollowTakingResponse]) error {
	ctx := stream.Context()
	return h.helpdesk.Follow(ctx, actorOf(ctx), r.GetTakingId(), wait(r.GetWaitMs()), func(p helpdesk.Progress) error {
		return stream.Send(&heimdrahtv1.FollowTakingResponse{
			Done: p.Done, Devices: p.Total, Finished: p.Finished, Confirmations: fromConfirmations(p.Confirmations),
		})
	})
}
