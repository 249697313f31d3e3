package main

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func externalPerson(id, name string, until time.Time) *heimdrahtv1.ExternalPerson {
	return &heimdrahtv1.ExternalPerson{
		PersonId: id, Tenant: "stadt", Name: name, Login: id, SponsorId: "perika", SponsorName: "Erika Müller", Until: timestamppb.New(until), Reason: "audit",
	}
}

func (f *fake) SetExternal(_ context.Context, r *heimdrahtv1.SetExternalRequest) (*heimdrahtv1.SetExternalResponse, error) {
	e := externalPerson("gast", "Gast Beispiel", r.GetUntil().AsTime())
	if r.GetNoLonger() {
		e.Until = nil
	}
	return &heimdrahtv1.SetExternalResponse{External: e}, nil
}

func (f *fake) ListExternals(_ context.Context, r *heimdrahtv1.ListExternalsRequest) (*heimdrahtv1.ListExternalsResponse, error) {
	over := externalPerson("gast", "Gast Beispiel", time.Date(2026, 2, 24, 23, 0, 0, 0, time.UTC))
	over.Ended = true
	alone := externalPerson("azubi", "Azubi Beispiel", time.Date(2099, 1, 31, 23, 0, 0, 0, time.UTC))
	alone.SponsorGone = true
	switch {
	case r.GetTenant() == "empty":
		return &heimdrahtv1.ListExternalsResponse{}, nil
	case r.GetPageToken() == "":
		return &heimdrahtv1.ListExternalsResponse{Externals: []*heimdrahtv1.ExternalPerson{alone}, NextPageToken: "azubi stadt"}, nil
	default:
		return &heimdrahtv1.ListExternalsResponse{Externals: []*heimdrahtv1.ExternalPerson{
			over, externalPerson("praktikantin", "Praktikantin Beispiel", time.Date(2098, 1, 31, 23, 0, 0, 0, time.UTC)),
		}}, nil
	}
}
