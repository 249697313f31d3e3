package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/entitlement"
)

type directoryHandler struct {
	heimdrahtv1.UnimplementedDirectoryServiceServer
	entitlement *entitlement.Service
}

func (h *directoryHandler) Status(ctx context.Context, _ *heimdrahtv1.StatusRequest) (*heimdrahtv1.StatusResponse, error) {
	list, err := h.entitlement.Status(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	answer := new(heimdrahtv1.StatusResponse)
	for _, v := range list {
		d := &heimdrahtv1.DirectoryStatus{
			Directory: v.Directory, Tenants: v.Tenants, State: directoryStateOf(v.How), Since: stamp(v.Since), Heard: stamp(v.HeardAt),
			Changed: stamp(v.ChangedAt), Reconciled: stamp(v.ReconciledAt), People: uint32(v.People), Groups: uint32(v.Groups),
			Pending: uint32(v.Pending), MissingGroups: v.MissingGroups,
		}
		if v.Technical {
			d.Technology = &heimdrahtv1.DirectoryTechnology{
				Server: v.Server, Flavour: v.Flavour, Way: v.Way, Limited: v.Limited, Problem: v.Problem, Advice: v.Advice,
			}
		}
		answer.Directories = append(answer.Directories, d)
	}
	return answer, nil
}

func directoryStateOf(s entitlement.State) heimdrahtv1.DirectoryState {
	switch s {
	case entitlement.StateWaiting:
		return heimdrahtv1.DirectoryState_DIRECTORY_STATE_WAITING
	case entitlement.StateReading:
		return heimdrahtv1.DirectoryState_DIRECTORY_STATE_READING
	case entitlement.StateFollowing:
		return heimdrahtv1.DirectoryState_DIRECTORY_STATE_FOLLOWING
	case entitlement.StateDown:
		return heimdrahtv1.DirectoryState_DIRECTORY_STATE_DOWN
	case entitlement.StateSilent:
		return heimdrahtv1.DirectoryState_DIRECTORY_STATE_SILENT
	default:
		return heimdrahtv1.DirectoryState_DIRECTORY_STATE_UNSPECIFIED
	}
}

// How many people one answer lists.
const (
	pendingUsually = 1000
	pendingAtMost  = 10_000 // 2 MB
)

func (h *directoryHandler) ListPending(ctx context.Context, r *heimdrahtv1.ListPendingRequest) (*heimdrahtv1.ListPendingResponse, error) {
	lists, err := h.entitlement.Pending(ctx, actorOf(ctx), r.GetTenant())
	if err != nil {
		return nil, err
	}
	room := pendingUsually
	if r.GetLimit() > 0 {
		room = int(min(r.GetLimit(), pendingAtMost))
	}
	answer := new(heimdrahtv1.ListPendingResponse)
	for _, p := range lists {
		list := &heimdrahtv1.PendingList{Tenant: p.Tenant, Hash: p.Hash, Since: stamp(p.Since), DismissedTotal: uint32(len(p.Dismissed))}
		for _, v := range p.Reasons() {
			list.Reasons = append(list.Reasons, &heimdrahtv1.PendingReason{Why: string(v.Why), Own: v.Own, People: uint32(v.People)})
		}
		list.People = fromHeld(p.People, &room)
		list.Dismissed = fromHeld(p.Dismissed, &room)
		answer.Lists = append(answer.Lists, list)
	}
	return answer, nil
}

func (h *directoryHandler) ConfirmPending(ctx context.Context, r *heimdrahtv1.ConfirmPendingRequest) (*heimdrahtv1.ConfirmPendingResponse, error) {
	n, err := h.entitlement.Confirm(ctx, actorOf(ctx), entitlement.Decision{Tenant: r.GetTenant(), Hash: r.GetHash(), Reason: r.GetReason()})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ConfirmPendingResponse{People: uint32(n)}, nil
}

func (h *directoryHandler) DismissPending(ctx context.Context, r *heimdrahtv1.DismissPendingRequest) (*heimdrahtv1.DismissPendingResponse, error) {
	n, err := h.entitlement.Dismiss(ctx, actorOf(ctx), entitlement.Decision{Tenant: r.GetTenant(), Hash: r.GetHash(), Reason: r.GetReason()})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.DismissPendingResponse{People: uint32(n)}, nil
}

// fromHeld lists people as long as there is room for them.
func fromHeld(people []entitlement.Held, room *int) []*heimdrahtv1.PendingPerson {
	people = people[:min(len(people), *room)]
	*room -= len(people)
	list := make([]*heimdrahtv1.PendingPerson, len(people))
	for i, h := range people {
		list[i] = &heimdrahtv1.PendingPerson{
			Person: &heimdrahtv1.Person{
				PersonId: h.Person.ID, Tenant: h.Tenant, DisplayName: h.Person.DisplayName, Login: h.Person.Login, Mail: h.Person.Mail,
				Devices: uint32(h.Devices), Connected: h.Connected,
			},
			Why: string(h.Why), Own: h.Own, Since: stamp(h.Since), DismissedUntil: stamp(h.DismissedUntil),
		}
	}
	return list
}
