package rpc_test

import (
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// twoGateways is a town with a second gateway, both served.
func twoGateways(t *testing.T) (*provisionertest.Server, *provisionertest.Gateway, *provisionertest.Gateway) {
	t.Helper()
	d := provisionertest.Declaration()
	d.Gateways = append(d.Gateways, &heimdrahtv1.GatewayDeclaration{
		Name: "gw2", Endpoint: "vpn2.stadt.example:51820", Sessions: 100, AggregateV4: "10.81.0.0/16", Tenants: []string{provisionertest.Tenant},
	})
	s := provisionertest.StartWith(t, provisionertest.Options{Declaration: d})
	one, two := s.JoinGateway("gw1"), s.JoinGateway("gw2")
	one.Run()
	two.Run()
	return s, one, two
}

// beside asks for a session beside the present one.
func beside(t *testing.T, stream heimdrahtv1.SessionService_AttachClient) *heimdrahtv1.SessionOpened {
	t.Helper()
	if err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{AgentVersion: "test", Waits: true, Beside: true}}}); err != nil {
		t.Fatal(err)
	}
	return hear(t, stream, (*heimdrahtv1.AttachResponse).GetOpened)
}

// hear waits for an order of one kind.
func hear[T any](t *testing.T, stream heimdrahtv1.SessionService_AttachClient, of func(*heimdrahtv1.AttachResponse) *T) *T {
	t.Helper()
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got := of(m); got != nil {
			return got
		}
	}
}

// A drain tells a laptop that it need not wait; it opens the next session beside the
// present one, and learns of the end of either. A revocation in that time takes both,
// and both gateways confirm it.
func TestTwoSessionsOfALaptop(t *testing.T) {
	t.Parallel()
	s, one, two := twoGateways(t)
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	stream := s.Attach(t.Context(), laptop)
	first := beside(t, stream)
	here, there, name := one, two, "gw1"
	if first.GetConfiguration().GetGatewayName() == "gw2" {
		here, there, name = two, one, "gw2"
	}
	operator := provisionertest.As(t.Context(), s.Operator)
	admin := heimdrahtv1.NewAdminServiceClient(s.Dial(nil))
	if _, err := admin.DrainGateway(operator, &heimdrahtv1.DrainGatewayRequest{Gateway: name, WithinMs: time.Hour.Milliseconds(), Reason: "new disks"}); err != nil {
		t.Fatal(err)
	}
	ending := hear(t, stream, (*heimdrahtv1.AttachResponse).GetEnding)
	if ending.GetWhy().GetCode() != "gateway-draining" || !ending.GetBeside() || ending.GetSpreadMs() != 3000 {
		t.Errorf("told: %v", ending)
	}
	second := beside(t, stream)
	left := second.GetLeaving()
	if left.GetSessionId() != first.GetSessionId() || left.GetWithinMs() < 59*time.Minute.Milliseconds() || left.GetWithinMs() > time.Hour.Milliseconds() {
		t.Fatalf("beside it: %v", left)
	}
	if here.Peer(first.GetSessionId()) == nil || there.Peer(second.GetSessionId()) == nil {
		t.Error("a gateway does not hold its peer")
	}
	desk := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	client := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	list, err := client.ListSessions(desk, &heimdrahtv1.ListSessionsRequest{})
	if err != nil || len(list.GetSessions()) != 2 {
		t.Fatalf("listed: %v, %v", list, err)
	}
	for _, v := range list.GetSessions() {
		if v.GetLeaving() != (v.GetSessionId() == first.GetSessionId()) || v.GetLeaving() != (v.GetLicencePool() == "") {
			t.Errorf("listed: %v", v)
		}
	}
	// A laptop closes the former one when nothing goes through it any more; here another
	// one is left after it, and the first ends for that.
	if err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: first.GetSessionId()}}}); err != nil {
		t.Fatal(err)
	}
	if closed := hear(t, stream, (*heimdrahtv1.AttachResponse).GetClosed); closed.GetSessionId() != first.GetSessionId() {
		t.Errorf("closed: %v", closed)
	}
	other := name
	if name = "gw2"; other == "gw2" {
		name = "gw1"
	}
	if _, err := admin.UndrainGateway(operator, &heimdrahtv1.UndrainGatewayRequest{Gateway: other, Reason: "done"}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DrainGateway(operator, &heimdrahtv1.DrainGatewayRequest{Gateway: name, WithinMs: time.Hour.Milliseconds(), Reason: "new disks"}); err != nil {
		t.Fatal(err)
	}
	third := beside(t, stream)
	if third.GetLeaving().GetSessionId() != second.GetSessionId() {
		t.Fatalf("beside the third: %v", third.GetLeaving())
	}
	revoked, err := client.RevokeDevice(desk, &heimdrahtv1.RevokeDeviceRequest{DeviceId: laptop.ID, Reason: "stolen"})
	if err != nil {
		t.Fatal(err)
	}
	confirmed := make(map[string]bool)
	for _, c := range revoked.GetConfirmations() {
		confirmed[c.GetGateway()] = c.GetConfirmed()
	}
	if !confirmed["gw1"] || !confirmed["gw2"] {
		t.Errorf("confirmations %v", revoked.GetConfirmations())
	}
	if left := append(one.Sessions(), two.Sessions()...); len(left) != 0 {
		t.Errorf("after the confirmations gateways hold %v", left)
	}
}
