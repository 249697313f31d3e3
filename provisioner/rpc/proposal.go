package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
)

func (h *helpdeskHandler) IssueFactorToken(ctx context.Context, r *heimdrahtv1.IssueFactorTokenRequest) (*heimdrahtv1.IssueFactorTokenResponse, error) {
	token, expires, err := h.helpdesk.IssueFactorToken(ctx, actorOf(ctx), r.GetTenant(), r.GetPersonId())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.IssueFactorTokenResponse{Token: token, ExpiresAt: stamp(expires)}, nil
}

func (h *helpdeskHandler) ResetFactor(ctx context.Context, r *heimdrahtv1.ResetFactorRequest) (*heimdrahtv1.ResetFactorResponse, error) {
	waits, err := h.helpdesk.ResetFactor(ctx, actorOf(ctx), helpdesk.ResetRequest{
		Tenant: r.GetTenant(), Person: r.GetPersonId(), Reason: r.GetReason(), Checked: r.GetIdentityChecked(),
	})
	if err != nil || waits == nil {
		return &heimdrahtv1.ResetFactorResponse{}, err
	}
	return &heimdrahtv1.ResetFactorResponse{Proposal: fromProposal(*waits)}, nil
}

func (h *helpdeskHandler) ListProposals(ctx context.Context, _ *heimdrahtv1.ListProposalsRequest) (*heimdrahtv1.ListProposalsResponse, error) {
	list, err := h.helpdesk.Proposals(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	answer := new(heimdrahtv1.ListProposalsResponse)
	for _, p := range list {
		answer.Proposals = append(answer.Proposals, fromProposal(p))
	}
	return answer, nil
}

func (h *helpdeskHandler) ConfirmProposal(ctx context.Context, r *heimdrahtv1.ConfirmProposalRequest) (*heimdrahtv1.ConfirmProposalResponse, error) {
	p, err := h.helpdesk.ConfirmProposal(ctx, actorOf(ctx), r.GetProposalId())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ConfirmProposalResponse{Proposal: fromProposal(p)}, nil
}

func (h *helpdeskHandler) WithdrawProposal(ctx context.Context, r *heimdrahtv1.WithdrawProposalRequest) (*heimdrahtv1.WithdrawProposalResponse, error) {
	p, err := h.helpdesk.WithdrawProposal(ctx, actorOf(ctx), r.GetProposalId())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.WithdrawProposalResponse{Proposal: fromProposal(p)}, nil
}

func fromProposal(p helpdesk.Proposal) *heimdrahtv1.Proposal {
	return &heimdrahtv1.Proposal{
		ProposalId: p.ID, Action: p.Kind, Tenant: p.Tenant, ObjectName: p.ObjectName, Reason: p.Reason, Details: p.Details,
		ProposedBy: p.ProposedName, ProposedAt: stamp(p.ProposedAt), ExpiresAt: stamp(p.ExpiresAt),
	}
}
