package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
)

func (h *directoryHandler) ProposeIdentities(ctx context.Context, r *heimdrahtv1.ProposeIdentitiesRequest) (*heimdrahtv1.ProposeIdentitiesResponse, error) {
	if r.GetToDirectory() != "" || r.GetTenant() != "" {
		return h.proposeMove(ctx, r)
	}
	found, err := h.entitlement.ProposeIdentities(ctx, actorOf(ctx), entitlement.IdentityProposal{
		Directory: r.GetDirectory(), Lines: toIdentityLines(r.GetLines()), Reason: r.GetReason(), DryRun: r.GetDryRun(),
	})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ProposeIdentitiesResponse{Proposal: fromIdentities(found), Problems: fromIdentityProblems(found.Problems)}, nil
}

func (h *directoryHandler) proposeMove(ctx context.Context, r *heimdrahtv1.ProposeIdentitiesRequest) (*heimdrahtv1.ProposeIdentitiesResponse, error) {
	p := entitlement.MoveProposal{
		Tenant: r.GetTenant(), Directory: r.GetToDirectory(), Lines: toIdentityLines(r.GetLines()), UnmappedGone: r.GetUnmappedGone(),
		Reason: r.GetReason(), DryRun: r.GetDryRun(),
	}
	if r.GetDeclared() != nil {
		declared, err := toTenant(r.GetDeclared())
		if err != nil {
			return nil, err
		}
		p.Declared = &declared
	}
	found, err := h.entitlement.ProposeMove(ctx, actorOf(ctx), p)
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ProposeIdentitiesResponse{Proposal: fromMove(found), Problems: fromIdentityProblems(found.Problems)}, nil
}

func toIdentityLines(list []*heimdrahtv1.IdentityLine) (lines []entitlement.IdentityLine) {
	for _, line := range list {
		lines = append(lines, entitlement.IdentityLine{Line: int(line.GetLine()), From: line.GetFrom(), To: line.GetTo()})
	}
	return lines
}

func fromIdentityProblems(list []entitlement.IdentityProblem) (problems []*heimdrahtv1.IdentityProblem) {
	for _, v := range list {
		problems = append(problems, &heimdrahtv1.IdentityProblem{
			Line: uint32(v.Line), Code: string(v.Code), Also: uint32(v.Also),
			DisplayName: v.Person.DisplayName, Login: v.Person.Login, StableId: v.Person.StableID,
		})
	}
	return problems
}

func (h *directoryHandler) GetIdentities(ctx context.Context, r *heimdrahtv1.GetIdentitiesRequest) (*heimdrahtv1.GetIdentitiesResponse, error) {
	move, err := h.entitlement.IsMove(ctx, r.GetHash())
	if err != nil {
		return nil, err
	}
	if move {
		found, err := h.entitlement.ReadMove(ctx, actorOf(ctx), r.GetHash())
		if err != nil {
			return nil, err
		}
		return &heimdrahtv1.GetIdentitiesResponse{Proposal: fromMove(found)}, nil
	}
	found, err := h.entitlement.ReadIdentities(ctx, actorOf(ctx), r.GetHash())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.GetIdentitiesResponse{Proposal: fromIdentities(found)}, nil
}

func (h *directoryHandler) ConfirmIdentities(ctx context.Context, r *heimdrahtv1.ConfirmIdentitiesRequest) (*heimdrahtv1.ConfirmIdentitiesResponse, error) {
	move, err := h.entitlement.IsMove(ctx, r.GetHash())
	if err != nil {
		return nil, err
	}
	confirm := h.entitlement.ConfirmIdentities
	if move {
		confirm = h.entitlement.ConfirmMove
	}
	n, err := confirm(ctx, actorOf(ctx), r.GetHash(), r.GetReason())
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

func fromMove(p entitlement.Move) *heimdrahtv1.IdentityProposal {
	out := &heimdrahtv1.IdentityProposal{
		Hash: p.Hash, Directory: p.Former, Reason: p.Reason, ProposedBy: p.ProposedName, ProposedAt: stamp(p.ProposedAt),
		ExpiresAt: stamp(p.ExpiresAt), Total: uint32(len(p.List)), Tenant: p.Declaration.Name, ToDirectory: p.Declaration.Directory,
		Changes: fromDifferences(p.Changes), GoneTotal: uint32(len(p.Gone)),
	}
	for _, i := range p.List[:min(len(p.List), pendingAtMost)] {
		out.People = append(out.People, &heimdrahtv1.IdentityChange{
			PersonId: i.Person.ID, DisplayName: i.Person.DisplayName, Login: i.Person.Login, From: i.FormerID, To: i.StableID,
			NewName: i.NewName, NewLogin: i.NewLogin,
		})
	}
	for _, v := range p.Gone[:min(len(p.Gone), pendingAtMost)] {
		out.Gone = append(out.Gone, &heimdrahtv1.IdentityChange{PersonId: v.ID, DisplayName: v.DisplayName, Login: v.Login, From: v.StableID})
	}
	return out
}
