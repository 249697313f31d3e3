package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
	"github.com/heimdraht/heimdraht/provisioner/privacy"
)

type privacyHandler struct {
	heimdrahtv1.UnimplementedPrivacyServiceServer
	privacy *privacy.Service
}

func (h *privacyHandler) GetHistory(ctx context.Context, r *heimdrahtv1.GetHistoryRequest) (*heimdrahtv1.GetHistoryResponse, error) {
	list, err := h.privacy.History(ctx, actorOf(ctx), privacy.HistoryRequest{
		Person: r.GetPersonId(), Tenant: r.GetTenant(), Purpose: purposeOf(r.GetPurpose()), Reason: r.GetReason(),
	})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.GetHistoryResponse{}
	for _, s := range list {
		past := &heimdrahtv1.PastSession{
			DeviceId: s.Device, DeviceName: s.DeviceName, Gateway: s.Gateway, OpenedAt: stamp(s.OpenedAt), ClosedAt: stamp(s.ClosedAt), ClosedWhy: string(s.Why),
		}
		for _, a := range s.Addresses {
			past.Addresses = append(past.Addresses, a.Addr().String())
		}
		answer.Sessions = append(answer.Sessions, past)
	}
	return answer, nil
}

func purposeOf(p heimdrahtv1.Purpose) privacy.Purpose {
	switch p {
	case heimdrahtv1.Purpose_PURPOSE_FAULT:
		return privacy.PurposeFault
	case heimdrahtv1.Purpose_PURPOSE_SECURITY_INCIDENT:
		return privacy.PurposeIncident
	case heimdrahtv1.Purpose_PURPOSE_REQUEST_OF_THE_PERSON:
		return privacy.PurposeRequest
	default:
		return ""
	}
}

func (h *privacyHandler) ExportPerson(r *heimdrahtv1.ExportPersonRequest, stream grpc.ServerStreamingServer[heimdrahtv1.ExportPersonResponse]) error {
	ctx := stream.Context()
	request := privacy.ExportRequest{Person: r.GetPersonId(), Tenant: r.GetTenant(), Reason: r.GetReason()}
	begin := func(p privacy.Found) error {
		return stream.Send(&heimdrahtv1.ExportPersonResponse{Person: fromPerson(p)})
	}
	return h.privacy.Export(ctx, actorOf(ctx), request, begin, func(s privacy.Section) error {
		section := &heimdrahtv1.PersonalSection{
			Table: s.Table, What: s.What, Why: s.Why, KeptUntil: s.Until, SeenBy: s.Seen, WhenForgotten: s.End,
		}
		for _, cells := range s.Rows {
			row := &heimdrahtv1.PersonalRow{}
			for _, c := range cells {
				row.Cells = append(row.Cells, &heimdrahtv1.PersonalCell{Name: c.Column, Value: c.Value})
			}
			section.Rows = append(section.Rows, row)
		}
		return stream.Send(&heimdrahtv1.ExportPersonResponse{Section: section})
	})
}

func (h *privacyHandler) ForgetPerson(ctx context.Context, r *heimdrahtv1.ForgetPersonRequest) (*heimdrahtv1.ForgetPersonResponse, error) {
	done, err := h.privacy.Forget(ctx, actorOf(ctx), privacy.ForgetRequest{Person: r.GetPersonId(), Tenant: r.GetTenant(), Reason: r.GetReason()})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ForgetPersonResponse{
		Tenant: done.Tenant, Devices: int64(done.Devices), Elsewhere: done.Elsewhere, InDirectory: done.InDirectory,
	}, nil
}

func (h *privacyHandler) ReportLost(ctx context.Context, r *heimdrahtv1.ReportLostRequest) (*heimdrahtv1.ReportLostResponse, error) {
	done, err := h.privacy.ReportLost(ctx, actorOf(ctx), privacy.LostRequest{
		Device: r.GetDeviceId(), Reason: r.GetReason(), Stolen: r.GetStolen(), Since: timeOf(r.GetSince()), Wait: wait(r.GetWaitMs()),
	})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ReportLostResponse{
		Report: fromLost(done.Report), Device: fromDevice(helpdesk.Device{Device: done.Device}), Confirmations: fromConfirmations(done.Confirmations),
	}, nil
}

func fromLost(l privacy.LostDevice) *heimdrahtv1.LostReport {
	return &heimdrahtv1.LostReport{
		ReportId: l.ID, Tenant: l.Tenant, DeviceId: l.Device, DeviceName: l.DeviceName, PersonId: l.Person, PersonName: l.PersonName,
		Stolen: l.Stolen, Reason: l.Reason, ReportedAt: stamp(l.ReportedAt), ReportedBy: l.ReporterName, LostSince: stamp(l.LostSince),
		Connected: string(l.Connected), AccessEndedAt: stamp(l.EndedAt), AccessEndsAt: stamp(l.EndsAt), NotifyUntil: stamp(l.ReportedAt.Add(privacy.BreachDeadline)),
	}
}

func (h *privacyHandler) ListLost(ctx context.Context, r *heimdrahtv1.ListLostRequest) (*heimdrahtv1.ListLostResponse, error) {
	list, next, err := h.privacy.LostDevices(ctx, actorOf(ctx), privacy.ListRequest{Tenant: r.GetTenant(), Limit: int(r.GetLimit()), After: r.GetPageToken()})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListLostResponse{NextPageToken: next}
	for _, l := range list {
		answer.Reports = append(answer.Reports, fromLost(l))
	}
	return answer, nil
}

func (h *privacyHandler) ListUnused(ctx context.Context, r *heimdrahtv1.ListUnusedRequest) (*heimdrahtv1.ListUnusedResponse, error) {
	list, next, err := h.privacy.Unused(ctx, actorOf(ctx), int(r.GetDays()), privacy.ListRequest{
		Tenant: r.GetTenant(), Limit: int(r.GetLimit()), After: r.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListUnusedResponse{NextPageToken: next}
	for _, u := range list {
		answer.Devices = append(answer.Devices, &heimdrahtv1.UnusedDevice{
			DeviceId: u.Device.ID, DeviceName: u.Device.Name, Tenant: u.Device.Tenant, PersonId: u.Device.Person, PersonName: u.PersonName,
			SerialNumber: u.Device.SerialNumber, EnrolledOn: dayOf(u.Device.EnrolledAt), LastUsedOn: dayOf(u.LastUsed), PersonUnused: u.PersonToo,
		})
	}
	return answer, nil
}

// dayOf is a day; empty: none.
func dayOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}
