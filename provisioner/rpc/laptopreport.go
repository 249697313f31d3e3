package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
	"github.com/heimdraht/heimdraht/provisioner/privacy"
)

type reportHandler struct {
	heimdrahtv1.UnimplementedReportServiceServer
	privacy  *privacy.Service
	helpdesk *helpdesk.Service
}

func (h *reportHandler) ReportOwnLost(ctx context.Context, r *heimdrahtv1.ReportOwnLostRequest) (*heimdrahtv1.ReportOwnLostResponse, error) {
	done, err := h.privacy.ReportOwnLost(ctx, actorOf(ctx), r.GetStolen())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ReportOwnLostResponse{Confirmations: fromConfirmations(done.Confirmations)}, nil
}

func (h *reportHandler) SendDiagnosis(ctx context.Context, r *heimdrahtv1.SendDiagnosisRequest) (*heimdrahtv1.SendDiagnosisResponse, error) {
	kept, until, err := h.helpdesk.KeepDiagnosis(ctx, actorOf(ctx), r.GetText(), r.GetWords())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.SendDiagnosisResponse{DiagnosisId: kept.ID, KeptUntil: stamp(until)}, nil
}

func (h *reportHandler) ListDiagnoses(ctx context.Context, r *heimdrahtv1.ListDiagnosesRequest) (*heimdrahtv1.ListDiagnosesResponse, error) {
	list, err := h.helpdesk.Diagnoses(ctx, actorOf(ctx), r.GetDeviceId())
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListDiagnosesResponse{}
	for _, d := range list {
		answer.Diagnoses = append(answer.Diagnoses, &heimdrahtv1.Diagnosis{
			DiagnosisId: d.ID, DeviceId: d.Device, SentAt: stamp(d.SentAt), KeptUntil: stamp(d.SentAt.Add(helpdesk.KeepDiagnoses)), Words: d.Words, Text: d.Body,
		})
	}
	return answer, nil
}

func (h *reportHandler) ListAgentVersions(ctx context.Context, r *heimdrahtv1.ListAgentVersionsRequest) (*heimdrahtv1.ListAgentVersionsResponse, error) {
	list, err := h.helpdesk.AgentVersions(ctx, actorOf(ctx), r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListAgentVersionsResponse{}
	for _, v := range list {
		answer.Versions = append(answer.Versions, &heimdrahtv1.AgentVersion{Tenant: v.Tenant, Version: v.Version, Laptops: v.Laptops, Outdated: v.Outdated})
	}
	return answer, nil
}
