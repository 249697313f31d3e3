package main

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func (f *fake) Explain(ctx context.Context, r *heimdrahtv1.ExplainRequest) (*heimdrahtv1.ExplainResponse, error) {
	in := func(german, english string) string {
		if first(ctx, "accept-language") == "de" {
			return german
		}
		return english
	}
	switch r.GetQuery() {
	case "müller":
		return &heimdrahtv1.ExplainResponse{Candidates: []*heimdrahtv1.Person{erika(), {PersonId: "p2", Tenant: "dorf", DisplayName: "Max Müller", Login: "m"}}}, nil
	case "nobody":
		return nil, refuse(ctx, codes.NotFound, "not-found", "Das gibt es nicht: nobody.", "Prüfen Sie die Angabe.", "There is no such person or laptop: nobody.", "Check what you typed.")
	case "outage":
		s, err := status.New(codes.Unavailable, "x").WithDetails(&heimdrahtv1.Refusal{
			Code: "database-unavailable", Sentence: "The server cannot reach its database just now.", NextStep: "Call the operator.", Who: "operator",
		})
		if err != nil {
			return nil, err
		}
		return nil, s.Err()
	case "new":
		return &heimdrahtv1.ExplainResponse{
			Person: &heimdrahtv1.Person{PersonId: "p3", Tenant: "stadt", DisplayName: "Neu \x1b[31mHier", Login: "neu"},
			Links:  []*heimdrahtv1.Link{{Link: "device", State: heimdrahtv1.LinkState_LINK_STATE_NOT_OK, Title: "laptop", Figure: "none enrolled", Code: "no-device"}},
			Cause:  &heimdrahtv1.Cause{Code: "no-device", Sentence: "No laptop has been enrolled yet.", NextStep: "Enrol at the laptop.", Who: "of tomorrow"},
		}, nil
	}
	other := laptop(heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE)
	other.DeviceId, other.Name, other.Session = "dother", "nb-09", nil
	return &heimdrahtv1.ExplainResponse{
		Person: erika(), Device: laptop(heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE),
		Links: []*heimdrahtv1.Link{
			{Link: "account", State: heimdrahtv1.LinkState_LINK_STATE_OK, Title: in("Konto", "account"), Figure: in("aktiv", "active")},
			{Link: "password", State: heimdrahtv1.LinkState_LINK_STATE_ATTENTION, Title: in("Passwort", "password"), Figure: in("abgelaufen", "expired"), Code: "password-expired"},
			{Link: "clock", State: heimdrahtv1.LinkState_LINK_STATE_NOT_KNOWN, Title: in("Uhr des Laptops", "laptop's clock")},
			{Link: "handshake", State: heimdrahtv1.LinkState_LINK_STATE_NOT_OK, Title: in("Lebenszeichen", "handshake"), Figure: in("noch keines", "none yet"), Code: "gateway-silent"},
		},
		Cause: &heimdrahtv1.Cause{
			Code: "gateway-silent", Sentence: in("Es kommt nichts durch.", "Nothing gets through."), NextStep: in("Ein anderes Netz versuchen.", "Try another network."), Who: "employee",
		},
		OtherDevices: []*heimdrahtv1.Device{other},
	}, nil
}
