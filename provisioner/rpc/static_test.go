package rpc_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// A gateway is told until when, and a gateway that joins anew is given the static
// peers of the former one. Once it serves the tenant no longer, they are gone.
func TestStaticPeersOutliveTheirGatewaysMachine(t *testing.T) {
	s := provisionertest.Start(t, nil)
	first := s.JoinGateway("gw1")
	first.Run()
	statics := heimdrahtv1.NewStaticServiceClient(s.Dial(nil))
	s.Enrol(provisionertest.Staff, "SN1")
	hilde := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	until := time.Now().Add(100 * 24 * time.Hour).Truncate(time.Millisecond)
	request := &heimdrahtv1.MakeStaticDeviceRequest{
		PersonId: staffOf(t, s, provisionertest.Staff), DeviceName: "phone", WireguardPublicKey: provisionertest.NewWireGuardKey(), Until: timestamppb.New(until), Reason: "phone",
	}
	made, err := statics.MakeStaticDevice(hilde, request)
	if err != nil || len(made.GetConfirmations()) != 1 || !made.GetConfirmations()[0].GetConfirmed() {
		t.Fatal(made, err)
	}
	peer := func(g *provisionertest.Gateway) *heimdrahtv1.Peer {
		t.Helper()
		if list := g.Sessions(); len(list) == 1 {
			return g.Peer(list[0])
		}
		t.Fatalf("the gateway holds %v", g.Sessions())
		return nil
	}
	before := peer(first)
	if !before.GetNotAfter().AsTime().Equal(until) || string(before.GetPresharedKey()) != string(made.GetConfiguration().GetPresharedKey()) {
		t.Errorf("the gateway is told %v", before)
	}
	needs := func() bool {
		t.Helper()
		list, err := statics.ListStaticDevices(hilde, &heimdrahtv1.ListStaticDevicesRequest{})
		if err != nil || len(list.GetDevices()) != 1 || !list.GetDevices()[0].GetUntil().AsTime().Equal(until) {
			t.Fatal(list, err)
		}
		return list.GetDevices()[0].GetNeedsFile()
	}
	if needs() {
		t.Error("a new file is needed at once")
	}
	first.Stop()
	second := s.JoinGateway("gw1")
	second.Run()
	if after := peer(second); string(after.GetPresharedKey()) != string(before.GetPresharedKey()) || after.GetSessionId() != before.GetSessionId() {
		t.Errorf("before %v, after %v", before, after)
	}
	if !needs() {
		t.Error("the gateway has another key, and the file is said to be good")
	}

	d := provisionertest.Declaration()
	d.GetGateways()[0].Tenants = []string{provisionertest.Other}
	s.Apply(d)
	if !needs() {
		t.Error("the gateway serves the tenant no longer, and the file is said to be good")
	}
	d.GetGateways()[0].Tenants = []string{provisionertest.Tenant}
	d.GetGateways()[0].AggregateV4 = "10.90.0.0/16" // nobody holds a place or an address any more
	s.Apply(d)
	request.PersonId, request.DeviceId, request.WireguardPublicKey = "", made.GetDevice().GetDevice().GetDeviceId(), provisionertest.NewWireGuardKey()
	if again, err := statics.MakeStaticDevice(hilde, request); err != nil || needs() || again.GetConfiguration().GetAddresses()[0] != "10.90.0.2/32" {
		t.Error(again, err)
	}
}
