package main

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func invitationFor(login, serial string) *heimdrahtv1.Invitation {
	return &heimdrahtv1.Invitation{
		InvitationId: "inv-" + login, Tenant: "stadt", PersonId: "p-" + login, PersonName: "=" + strings.ToUpper(login), Login: login, SerialNumber: serial,
		State: "open", InvitedBy: "Hilde Helferin", CreatedAt: at("2026-11-22T09:30:00Z"), ExpiresAt: at("2026-12-06T09:30:00Z"),
	}
}

// Invite knows nobody whose login begins with "niemand", and takes a mail address for
// the login before it. After "kaputt" there is no answer.
func (f *fake) Invite(ctx context.Context, r *heimdrahtv1.InviteRequest) (*heimdrahtv1.InviteResponse, error) {
	if len(r.GetLines()) > 200 {
		return nil, refuse(ctx, codes.ResourceExhausted, "message-too-large", "Zu groß.", "Teilen.", "Too large.", "Split it.")
	}
	answer := new(heimdrahtv1.InviteResponse)
	for _, line := range r.GetLines() {
		login, _, _ := strings.Cut(line.GetLogin(), "@")
		switch {
		case login == "kaputt":
			return nil, refuse(ctx, codes.Unavailable, "directory-unavailable", "Das Verzeichnis antwortet nicht.", "Später.", "The directory does not answer.", "Later.")
		case strings.HasPrefix(login, "niemand"):
			sentence := "Nobody has this login."
			if first(ctx, "accept-language") == "de" {
				sentence = "Niemand hat diesen Benutzernamen."
			}
			answer.Results = append(answer.Results, &heimdrahtv1.InviteResult{Refusal: &heimdrahtv1.Refusal{Code: "login-unknown", Sentence: sentence, NextStep: "x"}})
		default:
			v := invitationFor(login, line.GetSerialNumber())
			v.DeviceName = line.GetDeviceName()
			v.ExpiresAt = timestamppb.New(v.GetCreatedAt().AsTime().Add(secondsOf(r.GetLifeS())))
			answer.Results = append(answer.Results, &heimdrahtv1.InviteResult{Invitation: v, Token: "token-of-" + login + "-" + line.GetSerialNumber()})
		}
	}
	return answer, nil
}

func (f *fake) ListInvitations(_ context.Context, r *heimdrahtv1.ListInvitationsRequest) (*heimdrahtv1.ListInvitationsResponse, error) {
	switch {
	case r.GetTenant() == "empty":
		return &heimdrahtv1.ListInvitationsResponse{}, nil
	case r.GetPageToken() == "":
		return &heimdrahtv1.ListInvitationsResponse{Invitations: []*heimdrahtv1.Invitation{invitationFor("eva", "S1")}, NextPageToken: "more"}, nil
	}
	used := invitationFor("emil", "")
	used.State, used.EndedAt, used.DeviceId = "used", at("2026-11-23T09:30:00Z"), "dlaptop"
	return &heimdrahtv1.ListInvitationsResponse{Invitations: []*heimdrahtv1.Invitation{used}}, nil
}

func (f *fake) WithdrawInvitation(ctx context.Context, r *heimdrahtv1.WithdrawInvitationRequest) (*heimdrahtv1.WithdrawInvitationResponse, error) {
	if r.GetInvitationId() != "inv-eva" {
		return nil, refuse(ctx, codes.NotFound, "not-found", "Gibt es nicht.", "Prüfen Sie die Angabe.", "There is no such invitation.", "Check what you typed.")
	}
	v := invitationFor("eva", "S1")
	v.State = "withdrawn"
	return &heimdrahtv1.WithdrawInvitationResponse{Invitation: v}, nil
}

func (f *fake) HandOverDevice(_ context.Context, r *heimdrahtv1.HandOverDeviceRequest) (*heimdrahtv1.HandOverDeviceResponse, error) {
	return &heimdrahtv1.HandOverDeviceResponse{
		Device: laptop(heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED), Confirmations: confirmations(r.GetDeviceId()),
		Invitation: invitationFor(r.GetLogin(), "SN1"), Token: "handed-over-token",
	}, nil
}
