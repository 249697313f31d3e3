package main

import (
	"context"

	"google.golang.org/grpc/codes"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func (f *fake) GetWaitingLaptop(ctx context.Context, r *heimdrahtv1.GetWaitingLaptopRequest) (*heimdrahtv1.GetWaitingLaptopResponse, error) {
	laptop := &heimdrahtv1.WaitingLaptop{
		UserCode: "WDJB-MJHT", Name: "nb-17", SerialNumber: "SN1", Platform: "linux", AgentVersion: "1.0", Fingerprint: "0a1b 2c3d 4e5f 6071 8293",
		Source: "192.0.2.1", BegunAt: at("2026-11-26T09:30:00Z"), ExpiresAt: at("2026-11-26T09:45:00Z"),
	}
	switch r.GetUserCode() {
	case "wdjbmjht":
		return &heimdrahtv1.GetWaitingLaptopResponse{Laptop: laptop}, nil
	case "evil":
		laptop.Name = "\x1b[2Jnb\u202e"
		return &heimdrahtv1.GetWaitingLaptopResponse{Laptop: laptop}, nil
	}
	return nil, refuse(ctx, codes.NotFound, "enrolment-code-unknown", "Diesen Code gibt es nicht.", "Vergleichen Sie ihn.", "There is no such code.", "Compare it.")
}

func (f *fake) ApproveLaptop(context.Context, *heimdrahtv1.ApproveLaptopRequest) (*heimdrahtv1.ApproveLaptopResponse, error) {
	return &heimdrahtv1.ApproveLaptopResponse{DeviceId: "dlaptop", Tenant: "stadt", PersonName: "Erika Müller", Replaced: true, AwaitsApproval: true}, nil
}

func (f *fake) DenyLaptop(context.Context, *heimdrahtv1.DenyLaptopRequest) (*heimdrahtv1.DenyLaptopResponse, error) {
	return &heimdrahtv1.DenyLaptopResponse{}, nil
}

func (f *fake) ListAwaitingDevices(_ context.Context, r *heimdrahtv1.ListAwaitingDevicesRequest) (*heimdrahtv1.ListAwaitingDevicesResponse, error) {
	if r.GetTenant() == "dorf" {
		return &heimdrahtv1.ListAwaitingDevicesResponse{}, nil
	}
	d := laptop(heimdrahtv1.DeviceState_DEVICE_STATE_SUSPENDED)
	d.Session, d.AwaitsApproval = nil, true
	return &heimdrahtv1.ListAwaitingDevicesResponse{Devices: []*heimdrahtv1.AwaitingDevice{
		{Device: d, Generation: 2, Fingerprint: "0a1b 2c3d 4e5f 6071 8293", Since: at("2026-11-26T09:30:00Z")},
	}}, nil
}

func (f *fake) ApproveDevice(ctx context.Context, r *heimdrahtv1.ApproveDeviceRequest) (*heimdrahtv1.ApproveDeviceResponse, error) {
	if r.GetGeneration() != 2 {
		return nil, refuse(ctx, codes.FailedPrecondition, "approval-over", "Nichts zu entscheiden.", "Sehen Sie nach.", "Nothing to decide.", "Have a look.")
	}
	d := laptop(heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE)
	d.PersonName = ""
	return &heimdrahtv1.ApproveDeviceResponse{Device: d}, nil
}

func (f *fake) DenyDevice(context.Context, *heimdrahtv1.DenyDeviceRequest) (*heimdrahtv1.DenyDeviceResponse, error) {
	d := laptop(heimdrahtv1.DeviceState_DEVICE_STATE_REVOKED)
	d.PersonName = ""
	return &heimdrahtv1.DenyDeviceResponse{Device: d}, nil
}
