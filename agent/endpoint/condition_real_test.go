package endpoint

import (
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/posture"
	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// A tenant asks that systems be supported, and says itself until when: this laptop's, which is what runs here, is out of
// support first, then within its grace, then supported. It answers with its own looks.
func TestConditionsWithTheControlPlane(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("/etc/os-release")
	check(t, err)
	system := regexp.MustCompile(`(?s)^(?:.*\n)?ID="?([a-z]+)"?\n`).FindStringSubmatch(string(text))
	version := regexp.MustCompile(`(?s)^(?:.*\n)?VERSION_ID="?([0-9.]+)"?\n`).FindStringSubmatch(string(text))
	if system == nil || version == nil {
		testneed.Missing(t, "a system with a version")
	}
	declaration := provisionertest.Declaration()
	ask := func(until time.Time, grace int32) *heimdrahtv1.Declaration {
		ends := map[string]string{system[1] + " " + version[1]: until.Format(time.DateOnly)}
		declaration.GetTenants()[0].GetPolicy().Conditions = &heimdrahtv1.ConditionPolicy{
			Demands: map[string]string{"supported_system": "required", "firewall": "reported"}, SupportedUntil: ends, GraceDays: grace,
		}
		return declaration
	}
	before, after := time.Now().AddDate(0, -1, 0), time.Now().AddDate(1, 0, 0)
	server := provisionertest.StartWith(t, provisionertest.Options{Declaration: ask(before, 0)})
	server.JoinGateway("gw1").Run()
	address, err := control.ParseAddress(server.Address() + "#" + server.Fingerprint())
	check(t, err)
	options := bare()
	options.Servers, options.Pin = []control.Server{address.Server}, address.Pin
	options.Tenant = provisionertest.Tenant
	options.Posture = (&posture.Looker{Logger: slog.New(slog.DiscardHandler)}).Look
	e, err := New(options)
	check(t, err)
	(&harness{t: t}).run(e)
	enrolled, err := e.Enrol(t.Context(), EnrolRequest{Login: provisionertest.Staff, Password: provisionertest.Password})
	check(t, err)

	if err := e.Up(t.Context()); !isProblem(err, "condition-unmet") {
		t.Fatalf("out of support: %v", err)
	}
	if s := e.Status("de"); s.State != Refused || !strings.Contains(s.Sentence, "Sicherheitsupdates") || !strings.Contains(s.Next, "Helpdesk") {
		t.Errorf("%+v", s)
	}
	hilde := provisionertest.As(t.Context(), server.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	desk := heimdrahtv1.NewHelpdeskServiceClient(server.Dial(nil))
	seen, err := desk.GetDevice(hilde, &heimdrahtv1.GetDeviceRequest{DeviceId: enrolled.DeviceID})
	check(t, err)
	today := time.Now().In(time.FixedZone("", 3600)).Format("2006-01")
	for _, c := range seen.GetDevice().GetConditions() {
		switch c.GetName() {
		case "supported_system":
			if c.GetAnswer() != "no" || !strings.HasPrefix(c.GetUnmetSince(), today) || c.GetRefusedFrom() != c.GetUnmetSince() {
				t.Errorf("the helpdesk sees %v", c)
			}
		case "firewall": // whatever this machine has
			if c.GetUnmetSince() != "" {
				t.Errorf("of what is only reported a day is kept: %v", c)
			}
		default:
			t.Errorf("%v was not asked", c)
		}
	}
	if len(seen.GetDevice().GetConditions()) != 2 {
		t.Errorf("the helpdesk sees %v", seen.GetDevice().GetConditions())
	}
	why, err := desk.Explain(hilde, &heimdrahtv1.ExplainRequest{DeviceId: enrolled.DeviceID})
	check(t, err)
	if why.GetCause().GetCode() != "condition-unmet" {
		t.Errorf("the helpdesk is told %v", why.GetCause())
	}

	server.Apply(ask(before, 14))
	e.Want()
	eventually(t, e, "a session within the grace", func(s Status) bool { return e.Attached() && len(s.Notes) > 0 && s.Notes[0].Code == "condition-grace" })
	check(t, e.Down(t.Context()))
	server.Apply(ask(after, 14))
	e.Want()
	eventually(t, e, "a session without a word", func(s Status) bool { return e.Attached() && len(s.Notes) == 0 })
	if told := e.Reported(); told == nil || !strings.Contains(string(told.Conditions), `"supported_system"`) {
		t.Errorf("kept as reported: %+v", told)
	}
}
