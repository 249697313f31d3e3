package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
)

func (h *directoryHandler) ProposeIdentities(ctx context.Context, r *heimdrahtv1.ProposeIdentitiesRequest) (*heimdrahtv1.ProposeIdentitiesResponse, error) {
	p := entitlement.IdentityProposal{Directory: r.GetDirectory(), Reason: r.GetReason(), DryRun: r.GetDryRun()}
	for _, line := range r.GetLines() {
		p.Lines = append(p.Lines, entitlement.IdentityLine{Line: int(line.GetLine()), From: line.GetFrom(), To: line.GetTo()})
	}
	found, err := h.entitlement.ProposeIdentities(ctx, actorOf(ctx), p)
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ProposeIdentitiesResponse{Proposal: fromIdentities(found)}
	for _, v := range found.Problems {
		answer.Problems = append(answer.Problems, &heimdrahtv1.IdentityProblem{Line: uint32(v.Line), Code: string(v.Code), Also: uint32(v.Also)})
	}
	return answer, nil
}

func (h *directoryHandler) GetIdentities(ctx context.Context, r *heimdrahtv1.GetIdentitiesRequest) (*heimdrahtv1.GetIdentitiesResponse, error) {
	found, err := h.entitlement.ReadIdentities(ctx, actorOf(ctx), r.GetHash())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.GetIdentitiesResponse{Proposal: fromIdentities(found)}, nil
}

func (h *directoryHandler) ConfirmIdentities(ctx context.Context, r *heimdrahtv1.ConfirmIdentitiesRequest) (*heimdrahtv1.ConfirmIdentitiesResponse, error) {
	n, err := h.entitlement.ConfirmIdentities(ctx, actorOf(ctx), r.GetHash(), r.GetReason())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ConfirmIdentitiesResponse{People: uint32(n)}, nil
}

func fromIdentities(p entitlement.Identities) *heimdrahtv1.IdentityProposal {
	out := &heimdrahtv1.IdentityProposal{
		Hash: p.Hash, Directory: p.Directory, Reason: p.Reason, ProposedBy: p.ProposedName, ProposedAt: stamp(p.ProposedAt),
		ExpiresAt: stamp(p.ExpiresAt), Total: uint32(len(p.List)),
	}
	for _, i := range p.List[:min(len(p.List), pendingAtMost)] {
		out.People = append(out.People, &heimdrahtv1.IdentityChange{
			PersonId: i.Person.ID, DisplayName: i.Person.DisplayName, Login: i.Person.Login, From: i.FormerID, To: i.StableID,
			NewName: i.NewName, NewLogin: i.NewLogin,
		})
	}
	return out
}
