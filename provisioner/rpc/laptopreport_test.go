package rpc_test

import (
	"strings"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// TestReportOwnLost: what a laptop reports of itself takes effect as the helpdesk's report does, and reaches no other.
func TestReportOwnLost(t *testing.T) {
	t.Parallel()
	w := newPrivacyWorld(t)
	anna := provisionertest.As(t.Context(), w.Login(provisionertest.Tenant, provisionertest.Admin))
	stream := w.Attach(t.Context(), w.laptop)
	open(t, stream)
	other := w.Enrol(provisionertest.Login(0), "SN2")

	// A suspended one may, too: it is reported while the helpdesk still asks questions.
	_, err := w.desk.SuspendDevice(w.hilde, &heimdrahtv1.SuspendDeviceRequest{DeviceId: other.ID, Reason: "she called"})
	must(t, err)
	r, err := heimdrahtv1.NewReportServiceClient(w.Dial(&other.Certificate)).ReportOwnLost(t.Context(), &heimdrahtv1.ReportOwnLostRequest{})
	if err != nil || len(r.GetConfirmations()) != 0 {
		t.Fatalf("a suspended one: %v, %v", r, err)
	}
	reports := heimdrahtv1.NewReportServiceClient(w.Dial(&w.laptop.Certificate))
	r, err = reports.ReportOwnLost(t.Context(), &heimdrahtv1.ReportOwnLostRequest{Stolen: true})
	if err != nil || len(r.GetConfirmations()) != 1 || !r.GetConfirmations()[0].GetConfirmed() {
		t.Fatalf("reported: %v, %v", r, err)
	}
	for { // what it holds is closed, and why is said
		m, err := stream.Recv()
		if err != nil {
			expect(t, "the stream of the reported laptop", err, "device-revoked")
			break
		}
		if m.GetClosed() == nil {
			t.Fatalf("told: %v", m)
		}
	}
	_, err = reports.ReportOwnLost(t.Context(), &heimdrahtv1.ReportOwnLostRequest{})
	expect(t, "again", err, "device-revoked")

	listed, err := w.privacy.ListLost(anna, &heimdrahtv1.ListLostRequest{})
	if err != nil || len(listed.GetReports()) != 2 {
		t.Fatalf("listed: %v, %v", listed, err)
	}
	l := listed.GetReports()[0]
	if l.GetDeviceId() != w.laptop.ID || !l.GetStolen() || l.GetReportedBy() == "" || l.GetReportedBy() != l.GetPersonName() || l.GetConnected() != "yes" || l.GetAccessEndedAt() == nil {
		t.Errorf("the report is %v", l)
	}
	if n := len(w.records(t, "report own device lost")); n != 2 {
		t.Errorf("%d reports are recorded", n)
	}
}

// TestDiagnosis: the helpdesk of the tenant sees what was sent, word for word but for what could play tricks; how much it may
// be is bounded, and who looks is recorded.
func TestDiagnosis(t *testing.T) {
	t.Parallel()
	w := newPrivacyWorld(t)
	reports := heimdrahtv1.NewReportServiceClient(w.Dial(&w.laptop.Certificate))
	send := func(text, words string) (*heimdrahtv1.SendDiagnosisResponse, error) {
		return reports.SendDiagnosis(t.Context(), &heimdrahtv1.SendDiagnosisRequest{Text: text, Words: words})
	}
	for what, bad := range map[string][2]string{
		"no JSON": {"state: refused", ""}, "nothing": {"", ""}, "too long": {`"` + strings.Repeat("x", 64<<10) + `"`, ""}, "too many words": {"{}", strings.Repeat("x", 1001)},
	} {
		_, err := send(bad[0], bad[1])
		expect(t, what, err, "invalid")
	}
	_, err := w.desk.SuspendDevice(w.hilde, &heimdrahtv1.SuspendDeviceRequest{DeviceId: w.laptop.ID, Reason: "holidays"})
	must(t, err)
	const text = "{\n  \"state\": \"refused \u009b31m\"\n}\n"
	before := time.Now()
	sent := make(map[string]bool)
	for range 5 {
		r, err := send(text, "Seit heute früh\x1b[2J\nnichts.")
		must(t, err)
		if kept := r.GetKeptUntil().AsTime().Sub(before); kept < 14*24*time.Hour-time.Minute || kept > 14*24*time.Hour+time.Minute {
			t.Errorf("it is kept for %s", kept)
		}
		sent[r.GetDiagnosisId()] = true
	}
	_, err = send(text, "")
	expect(t, "the sixth of a day", err, "diagnoses-many")

	desk := heimdrahtv1.NewReportServiceClient(w.Dial(nil))
	list, err := desk.ListDiagnoses(w.hilde, &heimdrahtv1.ListDiagnosesRequest{DeviceId: w.laptop.ID[:8]})
	if err != nil || len(list.GetDiagnoses()) != 5 {
		t.Fatalf("the helpdesk sees %v, %v", list, err)
	}
	if d := list.GetDiagnoses()[0]; !sent[d.GetDiagnosisId()] || d.GetText() != "{\n  \"state\": \"refused 31m\"\n}\n" || d.GetWords() != "Seit heute früh[2J\nnichts." {
		t.Errorf("one of them is %v", d)
	}
	if n := len(w.records(t, "read diagnoses")); n != 1 {
		t.Errorf("%d looks are recorded", n)
	}
	_, err = desk.ListDiagnoses(provisionertest.As(t.Context(), w.Login(provisionertest.Tenant, provisionertest.Staff)), &heimdrahtv1.ListDiagnosesRequest{DeviceId: w.laptop.ID})
	expect(t, "by a colleague", err, "not-allowed")
	_, err = desk.ListDiagnoses(w.hilde, &heimdrahtv1.ListDiagnosesRequest{DeviceId: "nobody-has-this"})
	expect(t, "of no device", err, "not-found")
}
