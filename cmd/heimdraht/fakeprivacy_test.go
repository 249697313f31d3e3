package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func (f *fake) GetHistory(_ context.Context, r *heimdrahtv1.GetHistoryRequest) (*heimdrahtv1.GetHistoryResponse, error) {
	if r.GetPersonId() == "quiet" {
		return &heimdrahtv1.GetHistoryResponse{}, nil
	}
	return &heimdrahtv1.GetHistoryResponse{Sessions: []*heimdrahtv1.PastSession{
		{DeviceId: "dlaptop", DeviceName: "nb-17", Gateway: "gw1", Addresses: []string{"10.80.0.5"}, OpenedAt: at("2026-11-22T08:00:00Z")},
		{DeviceId: "dlaptop", DeviceName: "nb-17", Gateway: "gw2", OpenedAt: at("2026-11-21T08:00:00Z"), ClosedAt: at("2026-11-21T09:30:00Z"), ClosedWhy: "session-closed"},
	}}, nil
}

func (f *fake) ExportPerson(r *heimdrahtv1.ExportPersonRequest, stream grpc.ServerStreamingServer[heimdrahtv1.ExportPersonResponse]) error {
	section := func(table, name string) *heimdrahtv1.ExportPersonResponse {
		return &heimdrahtv1.ExportPersonResponse{Section: &heimdrahtv1.PersonalSection{
			Table: table, What: "laptops", Why: "access", KeptUntil: "until forgotten", SeenBy: "helpdesk", WhenForgotten: "goes",
			Rows: []*heimdrahtv1.PersonalRow{{Cells: []*heimdrahtv1.PersonalCell{{Name: "name", Value: name}, {Name: "revoked_at"}}}},
		}}
	}
	for _, part := range []*heimdrahtv1.ExportPersonResponse{{Person: erika()}, section("device", "nb-17"), section("device", "nb-09"), section("standing", "\x1b[2J")} {
		if err := stream.Send(part); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) ForgetPerson(_ context.Context, r *heimdrahtv1.ForgetPersonRequest) (*heimdrahtv1.ForgetPersonResponse, error) {
	shared := r.GetPersonId() == "shared"
	return &heimdrahtv1.ForgetPersonResponse{Tenant: "stadt", Devices: 2, Elsewhere: shared, InDirectory: shared}, nil
}

func (f *fake) ListDiagnoses(_ context.Context, r *heimdrahtv1.ListDiagnosesRequest) (*heimdrahtv1.ListDiagnosesResponse, error) {
	if r.GetDeviceId() == "quiet" {
		return &heimdrahtv1.ListDiagnosesResponse{}, nil
	}
	return &heimdrahtv1.ListDiagnosesResponse{Diagnoses: []*heimdrahtv1.Diagnosis{
		{DiagnosisId: "g2", DeviceId: "dlaptop", SentAt: at("2026-11-22T09:30:00Z"), KeptUntil: at("2026-12-06T09:30:00Z"), Words: "Seit heute\nfrüh", Text: "{\n  \"code\": \"clock-wrong\x1b[2J\"\n}\n"},
		{DiagnosisId: "g1", DeviceId: "dlaptop", SentAt: at("2026-11-21T09:30:00Z"), KeptUntil: at("2026-12-05T09:30:00Z"), Text: "{}"},
	}}, nil
}

func (f *fake) ListAgentVersions(context.Context, *heimdrahtv1.ListAgentVersionsRequest) (*heimdrahtv1.ListAgentVersionsResponse, error) {
	return &heimdrahtv1.ListAgentVersionsResponse{Versions: []*heimdrahtv1.AgentVersion{
		{Tenant: "stadt", Version: "v1.3.0", Laptops: 17, Outdated: true}, {Tenant: "stadt", Version: "v1.4.0", Laptops: 1183},
	}}, nil
}

func report() *heimdrahtv1.LostReport {
	return &heimdrahtv1.LostReport{
		ReportId: "lost1", Tenant: "stadt", DeviceId: "dlaptop", DeviceName: "nb-17", PersonId: "perika", PersonName: "Erika Müller", Stolen: true,
		Reason: "stolen from the car", ReportedAt: at("2026-11-22T09:30:00Z"), NotifyUntil: at("2026-11-25T09:30:00Z"), LostSince: at("2026-11-22T07:00:00Z"),
		Connected: "no", AccessEndedAt: at("2026-11-22T09:30:01Z"),
	}
}

func (f *fake) ReportLost(_ context.Context, r *heimdrahtv1.ReportLostRequest) (*heimdrahtv1.ReportLostResponse, error) {
	l := report()
	if r.GetSince() == nil {
		l.Connected = "unknown"
	}
	return &heimdrahtv1.ReportLostResponse{Report: l, Device: laptop(heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED), Confirmations: confirmations(r.GetDeviceId())}, nil
}

func (f *fake) ListLost(_ context.Context, r *heimdrahtv1.ListLostRequest) (*heimdrahtv1.ListLostResponse, error) {
	if r.GetTenant() == "empty" {
		return &heimdrahtv1.ListLostResponse{}, nil
	}
	if r.GetPageToken() == "" {
		return &heimdrahtv1.ListLostResponse{Reports: []*heimdrahtv1.LostReport{report()}, NextPageToken: "next"}, nil
	}
	old := &heimdrahtv1.LostReport{ReportId: "lost0", Tenant: "stadt", ReportedAt: at("2026-01-22T09:30:00Z"), NotifyUntil: at("2026-01-25T09:30:00Z"), Connected: "unknown"}
	return &heimdrahtv1.ListLostResponse{Reports: []*heimdrahtv1.LostReport{old}}, nil
}

// ListUnused has 29,000 laptops in tenant "city".
func (f *fake) ListUnused(_ context.Context, r *heimdrahtv1.ListUnusedRequest) (*heimdrahtv1.ListUnusedResponse, error) {
	total := map[string]int{"city": 29000, "empty": 0}
	n, ok := total[r.GetTenant()]
	if !ok {
		n = 2
	}
	start := 0
	if r.GetPageToken() != "" {
		if _, err := fmt.Sscan(r.GetPageToken(), &start); err != nil {
			return nil, err
		}
	}
	answer := &heimdrahtv1.ListUnusedResponse{}
	for i := start; i < min(n, start+int(r.GetLimit())); i++ {
		d := &heimdrahtv1.UnusedDevice{
			DeviceId: fmt.Sprint("d", i), DeviceName: "nb-17", Tenant: "stadt", PersonId: "perika", PersonName: "Erika Müller", SerialNumber: "SN1",
			EnrolledOn: "2025-07-01", LastUsedOn: "2026-03-02", PersonUnused: i == 0,
		}
		if i == 1 {
			d.LastUsedOn = ""
		}
		answer.Devices = append(answer.Devices, d)
	}
	if end := start + len(answer.GetDevices()); end < n {
		answer.NextPageToken = fmt.Sprint(end)
	}
	return answer, nil
}
