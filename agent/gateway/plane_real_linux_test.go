package gateway

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// Our control plane and our gateway understand each other: a session is open
// only when its peer is installed, and a revocation is confirmed only when it
// is gone; also after the control plane was away.
func TestWithTheControlPlane(t *testing.T) {
	server := provisionertest.Start(t, nil)
	token, err := heimdrahtv1.NewAdminServiceClient(server.Dial(nil)).CreateGatewayToken(
		provisionertest.As(t.Context(), server.Operator), &heimdrahtv1.CreateGatewayTokenRequest{Gateway: "gw1"})
	check(t, err)
	address, err := control.ParseAddress(server.Address() + "#" + server.Fingerprint())
	check(t, err)
	dir, err := state.Open(t.TempDir() + "/state")
	check(t, err)
	defer closing(t, dir)
	_, err = Join(t.Context(), JoinOptions{Address: address, Token: token.GetToken(), State: dir, Version: "test"})
	check(t, err)
	device := newMemoryDevice()
	g, err := New(Options{State: dir, Open: device.open, Version: "test", Logger: slog.New(slog.DiscardHandler)})
	check(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	connected := func() bool { s := g.Status(); return s.Connected && s.Interface != "" && s.Applied == s.Revision }
	until(t, "the gateway is connected", connected)

	open := func(login, serial string) (device, session string) {
		l := server.Enrol(login, serial)
		stream := server.Attach(t.Context(), l)
		answer, err := provisionertest.Open(stream, "")
		check(t, err)
		if answer.GetOpened() == nil {
			t.Fatalf("not opened: %v", answer)
		}
		return l.ID, answer.GetOpened().GetSessionId()
	}
	first, _ := open(provisionertest.Staff, "serial-1")
	if n := len(device.holds()); n != 1 {
		t.Fatalf("%d peers when the session was opened", n)
	}
	revoke := func(id string) *heimdrahtv1.RevokeDeviceResponse {
		answer, err := heimdrahtv1.NewHelpdeskServiceClient(server.Dial(nil)).RevokeDevice(
			provisionertest.As(t.Context(), server.Login(provisionertest.Tenant, provisionertest.Helpdesk)),
			&heimdrahtv1.RevokeDeviceRequest{DeviceId: id, Reason: "test"})
		check(t, err)
		return answer
	}
	if c := revoke(first).GetConfirmations(); len(c) != 1 || !c[0].GetConfirmed() || c[0].GetGateway() != "gw1" {
		t.Errorf("confirmations %v", c)
	}
	if n := len(device.holds()); n != 0 {
		t.Fatalf("%d peers when the revocation was confirmed", n)
	}

	server.Stop()
	until(t, "the gateway notices", func() bool { return !g.Status().Connected })
	server.Run()
	until(t, "the gateway is back", connected)
	open(provisionertest.Staff, "serial-2")
	if n := len(device.holds()); n != 1 {
		t.Fatalf("%d peers after the control plane came back", n)
	}
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(20 * time.Second); !ok(); <-poll.C {
		if time.Now().After(end) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}
