package endpoint

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// invitedLaptop is an endpoint that knows a real control plane.
func invitedLaptop(t *testing.T, s *provisionertest.Server, serial string) *Endpoint {
	t.Helper()
	server, err := control.ParseServer(s.Address())
	check(t, err)
	pin, err := control.ParseFingerprint(s.Fingerprint())
	check(t, err)
	e, err := New(Options{
		Store: &control.MemoryStore{}, Servers: []control.Server{server}, Pin: pin,
		Device:     wireguard.Options{Mode: wireguard.Netstack, SmallFootprint: true},
		DeviceName: "laptop", SerialNumber: serial, Platform: "linux", Version: "test", Logger: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	e.SetLanguage("en")
	(&harness{t: t}).run(e)
	return e
}

// rules declares the town's house rules.
func rules(s *provisionertest.Server, german, english string) {
	d := provisionertest.Declaration()
	d.Tenants[0].HouseRules = &heimdrahtv1.HouseRulesDeclaration{German: german, English: english, Link: "https://intranet.stadt.example/regeln"}
	s.Apply(d)
}

// From the helpdesk's invitation to a session, over a real control plane: the laptop that was invited is enrolled
// once, its person acknowledges the house rules, and again when they change.
func TestInvitedLaptop(t *testing.T) {
	s := provisionertest.Start(t, nil)
	s.JoinGateway("gw1").Run()
	long := strings.Repeat("Den Bildschirm sperrt, wer aufsteht.\n", 400) // nearly as long as may be
	rules(s, long, "")
	hilde := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	desk := heimdrahtv1.NewInvitationServiceClient(s.Dial(nil))
	invited, err := desk.Invite(hilde, &heimdrahtv1.InviteRequest{Lines: []*heimdrahtv1.InviteLine{{Login: provisionertest.Staff, SerialNumber: "sn1", DeviceName: "nb-17"}}})
	check(t, err)
	token := invited.GetResults()[0].GetToken()

	asked := func(e *Endpoint, r EnrolRequest, code string) *control.HouseRules {
		t.Helper()
		_, err := e.Enrol(t.Context(), r)
		p, ok := control.AsProblem(err)
		if !ok || p.Code != code {
			t.Fatalf("got %v, want %s", err, code)
		}
		if strings.Contains(err.Error(), token) {
			t.Errorf("the error contains the token: %v", err)
		}
		return p.HouseRules
	}
	refused := func(e *Endpoint, r EnrolRequest, code string) {
		t.Helper()
		if told := asked(e, r, code); (told != nil) != (code == "house-rules") {
			t.Errorf("%s comes with the rules %+v", code, told)
		}
	}
	e := invitedLaptop(t, s, "SN1")
	refused(e, EnrolRequest{Invitation: "a token\nand more"}, CodeInvitation)
	refused(e, EnrolRequest{Invitation: strings.Repeat("a", 52)}, "invitation-unknown")
	refused(invitedLaptop(t, s, "SN2"), EnrolRequest{Invitation: token}, "invitation-other-laptop")
	first := asked(e, EnrolRequest{Invitation: token}, "house-rules")
	if first == nil || first.Text != long || first.Link == "" {
		t.Fatalf("the rules are %+v", first)
	}
	refused(e, EnrolRequest{Invitation: token, HouseRules: "0123456789ab"}, "house-rules")
	got, err := e.Enrol(t.Context(), EnrolRequest{Invitation: token, HouseRules: first.Version})
	check(t, err)
	if got.Person != "eva Beispiel" || got.Tenant != provisionertest.Tenant {
		t.Errorf("enrolled %+v", got)
	}
	refused(invitedLaptop(t, s, "SN1"), EnrolRequest{Invitation: token, HouseRules: first.Version}, "invitation-over")
	list, err := desk.ListInvitations(hilde, &heimdrahtv1.ListInvitationsRequest{All: true})
	check(t, err)
	if v := list.GetInvitations(); len(v) != 1 || v[0].GetState() != "used" || v[0].GetDeviceId() != got.DeviceID {
		t.Errorf("the helpdesk sees %v", v)
	}

	open := func(s Status) bool { return s.Gateway == "gw1" }
	e.Want()
	eventually(t, e, "a session", open)
	// New rules: what is open stays, the next opening asks.
	rules(s, "Neu.", "New.")
	if s := e.Status("en"); s.Gateway != "gw1" {
		t.Errorf("new rules have closed the session: %+v", s)
	}
	check(t, e.Down(t.Context()))
	e.Want()
	status := eventually(t, e, "a refusal", inState(Refused))
	if status.Code != "house-rules" {
		t.Errorf("refused with %+v", status)
	}
	now, err := e.HouseRules(t.Context())
	check(t, err)
	if now.Text != "New." || !now.AcknowledgedAt.IsZero() {
		t.Errorf("the rules are %+v", now)
	}
	if err := e.Acknowledge(t.Context(), first.Version); err == nil {
		t.Error("a former version was acknowledged")
	}
	check(t, e.Acknowledge(t.Context(), now.Version))
	eventually(t, e, "a session", open)
	if now, err = e.HouseRules(t.Context()); err != nil || now.AcknowledgedAt.IsZero() {
		t.Errorf("%+v, %v", now, err)
	}
}
