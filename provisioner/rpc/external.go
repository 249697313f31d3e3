package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
)

type externalHandler struct {
	heimdrahtv1.UnimplementedExternalServiceServer
	enrolment *enrolment.Service
}

func (h *externalHandler) SetExternal(ctx context.Context, r *heimdrahtv1.SetExternalRequest) (*heimdrahtv1.SetExternalResponse, error) {
	e, err := h.enrolment.SetExternal(ctx, actorOf(ctx), enrolment.ExternalRequest{
		Person: r.GetPersonId(), Tenant: r.GetTenant(), Sponsor: r.GetSponsorId(), Until: timeOf(r.GetUntil()), Reason: r.GetReason(), NoLonger: r.GetNoLonger(),
	})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.SetExternalResponse{External: fromExternal(e)}, nil
}

func (h *externalHandler) ListExternals(ctx context.Context, r *heimdrahtv1.ListExternalsRequest) (*heimdrahtv1.ListExternalsResponse, error) {
	list, next, err := h.enrolment.Externals(ctx, actorOf(ctx), enrolment.ExternalsRequest{Tenant: r.GetTenant(), Limit: int(r.GetLimit()), After: r.GetPageToken()})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListExternalsResponse{NextPageToken: next}
	for _, e := range list {
		answer.Externals = append(answer.Externals, fromExternal(e))
	}
	return answer, nil
}

func fromExternal(e enrolment.ExternalPerson) *heimdrahtv1.ExternalPerson {
	return &heimdrahtv1.ExternalPerson{
		PersonId: e.Person, Tenant: e.Tenant, Name: e.Name, Login: e.Login, SponsorId: e.Sponsor, SponsorName: e.SponsorName, SponsorGone: e.SponsorGone,
		Until: stamp(e.Until), Ended: !e.EndedAt.IsZero(), Reason: e.Reason,
	}
}
