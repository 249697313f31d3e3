package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
)

type approvalHandler struct {
	heimdrahtv1.UnimplementedApprovalServiceServer
	enrolment *enrolment.Service
}

func (h *approvalHandler) GetWaitingLaptop(ctx context.Context, r *heimdrahtv1.GetWaitingLaptopRequest) (*heimdrahtv1.GetWaitingLaptopResponse, error) {
	w, err := h.enrolment.Waiting(ctx, actorOf(ctx), r.GetUserCode())
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.GetWaitingLaptopResponse{Laptop: &heimdrahtv1.WaitingLaptop{
		UserCode: w.UserCode, Name: w.Name, SerialNumber: w.SerialNumber, Platform: w.Platform, AgentVersion: w.AgentVersion,
		Fingerprint: w.Fingerprint, Source: w.Source, BegunAt: stamp(w.BegunAt), ExpiresAt: stamp(w.ExpiresAt),
	}}, nil
}

func (h *approvalHandler) ApproveLaptop(ctx context.Context, r *heimdrahtv1.ApproveLaptopRequest) (*heimdrahtv1.ApproveLaptopResponse, error) {
	e, err := h.enrolment.Approve(ctx, actorOf(ctx), enrolment.DecideRequest{UserCode: r.GetUserCode(), Fingerprint: r.GetFingerprint()})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ApproveLaptopResponse{
		DeviceId: e.Device.ID, Tenant: e.Device.Tenant, PersonName: e.PersonName, Replaced: e.Replaced, AwaitsApproval: e.AwaitsApproval,
	}, nil
}

func (h *approvalHandler) DenyLaptop(ctx context.Context, r *heimdrahtv1.DenyLaptopRequest) (*heimdrahtv1.DenyLaptopResponse, error) {
	err := h.enrolment.Deny(ctx, actorOf(ctx), enrolment.DecideRequest{UserCode: r.GetUserCode(), Fingerprint: r.GetFingerprint()})
	return &heimdrahtv1.DenyLaptopResponse{}, err
}

func (h *approvalHandler) ListAwaitingDevices(ctx context.Context, r *heimdrahtv1.ListAwaitingDevicesRequest) (*heimdrahtv1.ListAwaitingDevicesResponse, error) {
	list, err := h.enrolment.Awaiting(ctx, actorOf(ctx), r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := new(heimdrahtv1.ListAwaitingDevicesResponse)
	for _, v := range list {
		answer.Devices = append(answer.Devices, &heimdrahtv1.AwaitingDevice{
			Device:     fromDevice(helpdesk.Device{Device: v.Device, PersonName: v.PersonName}),
			Generation: v.Device.Generation, Fingerprint: v.Device.PublicKey.Fingerprint(), Since: stamp(v.Since),
		})
	}
	return answer, nil
}

func (h *approvalHandler) ApproveDevice(ctx context.Context, r *heimdrahtv1.ApproveDeviceRequest) (*heimdrahtv1.ApproveDeviceResponse, error) {
	d, err := h.enrolment.ApproveDevice(ctx, actorOf(ctx), enrolment.ReleaseRequest{
		Device: r.GetDeviceId(), Generation: r.GetGeneration(), Reason: r.GetReason(),
	})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.ApproveDeviceResponse{Device: released(d)}, nil
}

func (h *approvalHandler) DenyDevice(ctx context.Context, r *heimdrahtv1.DenyDeviceRequest) (*heimdrahtv1.DenyDeviceResponse, error) {
	d, err := h.enrolment.DenyDevice(ctx, actorOf(ctx), enrolment.ReleaseRequest{
		Device: r.GetDeviceId(), Generation: r.GetGeneration(), Reason: r.GetReason(),
	})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.DenyDeviceResponse{Device: released(d)}, nil
}

// released shows a device that was decided on. To have decided is no look at a
// person, and has its own record.
func released(d provisioner.Device) *heimdrahtv1.Device {
	return fromDevice(helpdesk.Device{Device: d})
}
