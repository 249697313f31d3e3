package gateway

import (
	"context"
	"errors"
	"fmt"
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
	g, device := joinReal(t, server)
	connected := func() bool { return isConnected(g) }

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

// joinReal has a gateway with a device in memory join a control plane, and waits
// until it is connected.
func joinReal(t *testing.T, server *provisionertest.Server) (*Gateway, *memoryDevice) {
	t.Helper()
	token, err := heimdrahtv1.NewAdminServiceClient(server.Dial(nil)).CreateGatewayToken(
		provisionertest.As(t.Context(), server.Operator), &heimdrahtv1.CreateGatewayTokenRequest{Gateway: "gw1"})
	check(t, err)
	address, err := control.ParseAddress(server.Address() + "#" + server.Fingerprint())
	check(t, err)
	dir, err := state.Open(t.TempDir() + "/state")
	check(t, err)
	_, err = Join(t.Context(), JoinOptions{Address: address, Token: token.GetToken(), State: dir, Version: "test"})
	check(t, err)
	device := newMemoryDevice()
	g, err := New(Options{State: dir, Open: device.open, Version: "test", Logger: slog.New(slog.DiscardHandler)})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		closing(t, dir)
	})
	until(t, "the gateway is connected", func() bool { return isConnected(g) })
	return g, device
}

func isConnected(g *Gateway) bool {
	s := g.Status()
	return s.Connected && s.Interface != "" && s.Applied == s.Revision
}

// What a group of the directory means for a session that runs holds within a
// second, and so does what the tenant's file says anew; the tunnel goes on.
func TestRightsFollowTheDirectory(t *testing.T) {
	d := provisionertest.Declaration()
	special := &heimdrahtv1.NetworkGrant{Group: provisionertest.GroupDN("Planung"), Allow: []string{"10.2.0.10/32:443", "fd00:2::10/128:443"}}
	d.Tenants[0].Networks = append(d.Tenants[0].Networks, special)
	server := provisionertest.StartWith(t, provisionertest.Options{Declaration: d})
	_, device := joinReal(t, server)
	answer, err := provisionertest.Open(server.Attach(t.Context(), server.Enrol(provisionertest.Staff, "serial-1")), "")
	check(t, err)
	if answer.GetOpened() == nil {
		t.Fatalf("not opened: %v", answer)
	}
	changes := len(device.trace)
	reaches := func() (text string) {
		device.filter.with(func() {
			for _, g := range device.filter.guards {
				text = fmt.Sprint(g.List.Targets)
			}
		})
		return text
	}
	within := func(what, want string) {
		t.Helper()
		began := time.Now()
		until(t, what, func() bool { return reaches() == want })
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s took %v", what, took)
		} else {
			t.Logf("%s took %v", what, took)
		}
	}
	const ordinary, more = "[{10.1.0.0/16 0}]", "[{10.1.0.0/16 0} {10.2.0.10/32 443} {fd00:2::10/128 443}]"
	within("the first list", ordinary)
	check(t, server.Directory.Join(provisionertest.GroupDN("Planung"), provisionertest.DN(provisionertest.Staff)))
	within("joining a group", more)
	check(t, server.Directory.Leave(provisionertest.GroupDN("Planung"), provisionertest.DN(provisionertest.Staff)))
	within("leaving it", ordinary)
	special.Group = "all"
	server.Apply(d)
	within("another declaration", more)
	d.Tenants[0].Policy.DnsServers = []string{"10.9.0.53"}
	server.Apply(d)
	within("a name server", "[{10.1.0.0/16 0} {10.2.0.10/32 443} {fd00:2::10/128 443} {10.9.0.53/32 53}]")
	if len(device.trace) != changes {
		t.Error("the tunnel was touched")
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
