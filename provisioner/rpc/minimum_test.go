package rpc_test

import (
	"fmt"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// TestMinimumAgentVersion: an old agent is told until its day and goes on with what it holds, and gets no session afterwards.
func TestMinimumAgentVersion(t *testing.T) {
	t.Parallel()
	tomorrow, yesterday := time.Now().AddDate(0, 0, 2).Format(time.DateOnly), time.Now().AddDate(0, 0, -2).Format(time.DateOnly)
	town := func(from string) *heimdrahtv1.Declaration {
		d := provisionertest.Declaration()
		d.GetTenants()[0].GetPolicy().MinimumAgentVersion = &heimdrahtv1.MinimumAgentVersion{Version: "1.4.0", RefuseFrom: from}
		return d
	}
	s := provisionertest.StartWith(t, provisionertest.Options{Declaration: town(tomorrow)})
	s.JoinGateway("gw1").Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	ask := func(resume, version string) *heimdrahtv1.AttachResponse {
		t.Helper()
		stream := s.Attach(t.Context(), laptop)
		must(t, stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{Resume: resume, AgentVersion: version}}}))
		m, err := stream.Recv()
		must(t, err)
		return m
	}
	if m := ask("", "v1.4.0").GetOpened(); m == nil || m.GetOutdated() != nil {
		t.Fatalf("one that is new enough: %v", m)
	}
	m := ask("", "v1.3.0").GetOpened()
	if m == nil || m.GetOutdated().GetMinimumVersion() != "v1.4.0" || m.GetOutdated().GetRefusedFrom().AsTime().Before(time.Now()) {
		t.Fatalf("an old one before its day: %v", m)
	}
	s.Apply(town(yesterday))
	held := ask(m.GetSessionId(), "v1.3.0").GetOpened()
	if !held.GetResumed() || held.GetOutdated().GetMinimumVersion() != "v1.4.0" {
		t.Errorf("what it holds goes on: %v", held)
	}
	if r := ask("", "v1.3.0").GetRefused(); r.GetCode() != "agent-too-old" || r.GetWho() != "helpdesk" {
		t.Errorf("an old one after its day: %v", r)
	}
	count := func() (text string) {
		hilde := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Helpdesk))
		list, err := heimdrahtv1.NewReportServiceClient(s.Dial(nil)).ListAgentVersions(hilde, &heimdrahtv1.ListAgentVersionsRequest{})
		must(t, err)
		for _, v := range list.GetVersions() {
			text += fmt.Sprintln(v.GetTenant(), v.GetVersion(), v.GetLaptops(), v.GetOutdated())
		}
		return text
	}
	if got := count(); got != "stadt v1.3.0 1 true\n" {
		t.Errorf("counted: %s", got)
	}
	if m := ask("", "v1.5.0").GetOpened(); m == nil {
		t.Error("it was updated, and gets none")
	}
	if got := count(); got != "stadt v1.5.0 1 false\n" {
		t.Errorf("counted: %s", got)
	}
	for version, from := range map[string]string{"1.4": yesterday, "": yesterday, "1.4.0": "soon"} {
		d := town(from)
		d.GetTenants()[0].GetPolicy().GetMinimumAgentVersion().Version = version
		_, err := heimdrahtv1.NewAdminServiceClient(s.Dial(nil)).Apply(provisionertest.As(t.Context(), s.Operator), &heimdrahtv1.ApplyRequest{Declaration: d})
		expect(t, version+" from "+from, err, "declaration-invalid")
	}
}
