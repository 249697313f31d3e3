package main

import (
	"bytes"
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// staticConfiguration is what stands in the fake's files.
func staticConfiguration() *heimdrahtv1.TunnelConfiguration {
	return &heimdrahtv1.TunnelConfiguration{
		Addresses: []string{"10.80.0.5/32", "fd80:1::5/128"}, GatewayName: "gw1", GatewayEndpoint: "vpn1.stadt.example:51820",
		GatewayPublicKey: bytes.Repeat([]byte{1}, 32), PresharedKey: bytes.Repeat([]byte{2}, 32),
		AllowedIps: []string{"10.1.0.0/16", "fd80:1::1/128"}, DnsServers: []string{"10.1.0.53"}, DnsDomains: []string{"stadt.example"},
		Mtu: 1420, PersistentKeepaliveS: 25,
	}
}

func staticDevice(id, name string, until time.Time) *heimdrahtv1.StaticDevice {
	return &heimdrahtv1.StaticDevice{
		Device: &heimdrahtv1.Device{
			DeviceId: id, Tenant: "stadt", PersonId: "perika", PersonName: "Erika Müller", Name: name,
			State: heimdrahtv1.DeviceState_DEVICE_STATE_ACTIVE, WireguardPublicKey: "a2V5",
		},
		Until: timestamppb.New(until), Gateway: "gw1",
	}
}

// MakeStaticDevice keeps no key: the test looks that only the public one came. For
// "evil" it sends a configuration that would run a command.
func (f *fake) MakeStaticDevice(ctx context.Context, r *heimdrahtv1.MakeStaticDeviceRequest) (*heimdrahtv1.MakeStaticDeviceResponse, error) {
	f.mu.Lock()
	f.requests[len(f.requests)-1] = "MakeStaticDevice"
	f.mu.Unlock()
	if r.GetPersonId() == "nobody" {
		return nil, refuse(ctx, codes.NotFound, "not-found", "Diese Person gibt es nicht.", "Suchen Sie.", "There is no such person.", "Search.")
	}
	c := staticConfiguration()
	if r.GetPersonId() == "evil" {
		c.DnsDomains = []string{"x\nPostUp = reboot"}
	}
	if r.GetPersonId() == "many" {
		for range 300 {
			c.AllowedIps = append(c.AllowedIps, "10.2.0.0/16")
		}
	}
	until := r.GetUntil().AsTime()
	if r.GetDeviceId() != "" {
		until = time.Date(2027, 1, 31, 23, 0, 0, 0, time.UTC)
	}
	return &heimdrahtv1.MakeStaticDeviceResponse{
		Device: staticDevice("dphone", "phone", until), Configuration: c,
		Confirmations: []*heimdrahtv1.GatewayConfirmation{{Gateway: "gw1", Confirmed: r.GetPersonId() != "mute"}},
	}, nil
}

func (f *fake) ListStaticDevices(_ context.Context, r *heimdrahtv1.ListStaticDevicesRequest) (*heimdrahtv1.ListStaticDevicesResponse, error) {
	switch {
	case r.GetTenant() == "empty":
		return &heimdrahtv1.ListStaticDevicesResponse{}, nil
	case r.GetPageToken() == "":
		return &heimdrahtv1.ListStaticDevicesResponse{
			Devices: []*heimdrahtv1.StaticDevice{staticDevice("dphone", "phone", time.Date(2027, 6, 30, 22, 0, 0, 0, time.UTC))}, NextPageToken: "dphone",
		}, nil
	default:
		router := staticDevice("drouter", "router Nordend", time.Date(2027, 1, 31, 23, 0, 0, 0, time.UTC))
		router.NeedsFile = true
		return &heimdrahtv1.ListStaticDevicesResponse{Devices: []*heimdrahtv1.StaticDevice{router}}, nil
	}
}
