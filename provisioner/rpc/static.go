package rpc

import (
	"context"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
	"github.com/heimdraht/heimdraht/provisioner/session"
)

type staticHandler struct {
	heimdrahtv1.UnimplementedStaticServiceServer
	sessions *session.Service
}

func (h *staticHandler) MakeStaticDevice(ctx context.Context, r *heimdrahtv1.MakeStaticDeviceRequest) (*heimdrahtv1.MakeStaticDeviceResponse, error) {
	made, err := h.sessions.MakeStatic(ctx, actorOf(ctx), session.StaticRequest{
		Person: r.GetPersonId(), Tenant: r.GetTenant(), Device: r.GetDeviceId(), Name: r.GetDeviceName(), PublicKey: r.GetWireguardPublicKey(),
		Until: timeOf(r.GetUntil()), Gateway: r.GetGateway(), Reason: r.GetReason(),
	})
	if err != nil {
		return nil, err
	}
	return &heimdrahtv1.MakeStaticDeviceResponse{
		Device:        fromStatic(session.Static{Device: made.Device, PersonName: made.PersonName, Gateway: made.Tunnel.Gateway}),
		Configuration: fromTunnel(made.Tunnel),
		Confirmations: fromConfirmations(made.Confirmations),
	}, nil
}

func (h *staticHandler) ListStaticDevices(ctx context.Context, r *heimdrahtv1.ListStaticDevicesRequest) (*heimdrahtv1.ListStaticDevicesResponse, error) {
	list, next, err := h.sessions.Statics(ctx, actorOf(ctx), session.StaticsRequest{Tenant: r.GetTenant(), Limit: int(r.GetLimit()), After: r.GetPageToken()})
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.ListStaticDevicesResponse{NextPageToken: next}
	for _, s := range list {
		answer.Devices = append(answer.Devices, fromStatic(s))
	}
	return answer, nil
}

func fromStatic(s session.Static) *heimdrahtv1.StaticDevice {
	return &heimdrahtv1.StaticDevice{
		Device: fromDevice(helpdesk.Device{Device: s.Device, PersonName: s.PersonName}), Until: stamp(s.Device.StaticUntil),
		Gateway: s.Gateway, LastHandshake: stamp(s.Handshake), NeedsFile: s.NeedsFile,
	}
}
