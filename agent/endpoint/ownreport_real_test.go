package endpoint

import (
	"testing"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// TestOwnReportsWithTheControlPlane: a fault reaches the helpdesk, and a laptop that is reported as stolen is out within the call.
func TestOwnReportsWithTheControlPlane(t *testing.T) {
	t.Parallel()
	server := provisionertest.Start(t, nil)
	server.JoinGateway("gw1").Run()
	address, err := control.ParseAddress(server.Address() + "#" + server.Fingerprint())
	check(t, err)
	options := bare()
	options.Servers, options.Pin = []control.Server{address.Server}, address.Pin
	e, err := New(options)
	check(t, err)
	(&harness{t: t}).run(e)

	if _, err := e.ReportLost(t.Context(), true); !isProblem(err, control.CodeNotEnrolled) {
		t.Errorf("a laptop that is nobody's: %v", err)
	}
	enrolled, err := e.Enrol(t.Context(), EnrolRequest{Tenant: provisionertest.Tenant, Login: provisionertest.Staff, Password: provisionertest.Password})
	check(t, err)
	e.Want()
	eventually(t, e, "a session", func(Status) bool { return e.Attached() })
	sent, err := e.SendDiagnosis(t.Context(), `{"state": "no-answer"}`, "Nichts geht.")
	check(t, err)
	if _, err := e.SendDiagnosis(t.Context(), "no JSON", ""); !isProblem(err, "invalid") {
		t.Errorf("no diagnosis: %v", err)
	}
	hilde := provisionertest.As(t.Context(), server.Login(provisionertest.Tenant, provisionertest.Helpdesk))
	list, err := heimdrahtv1.NewReportServiceClient(server.Dial(nil)).ListDiagnoses(hilde, &heimdrahtv1.ListDiagnosesRequest{DeviceId: enrolled.DeviceID})
	check(t, err)
	if all := list.GetDiagnoses(); len(all) != 1 || all[0].GetDiagnosisId() != sent.ID || all[0].GetWords() != "Nichts geht." || !all[0].GetKeptUntil().AsTime().Equal(sent.KeptUntil) {
		t.Errorf("the helpdesk has got %v, sent was %+v", all, sent)
	}
	lost, err := e.ReportLost(t.Context(), true)
	if err != nil || lost.Gateways != 1 || lost.Confirmed != 1 || !lost.Until.IsZero() {
		t.Fatalf("reported: %+v, %v", lost, err)
	}
	eventually(t, e, "that it is out", func(s Status) bool { return s.State == Refused && s.Code == "device-revoked" })
	if _, err := e.SendDiagnosis(t.Context(), "{}", ""); !isProblem(err, "device-revoked") {
		t.Errorf("a diagnosis afterwards: %v", err)
	}
}
