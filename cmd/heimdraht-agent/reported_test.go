package main

import (
	"encoding/json"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/cmd/internal/speech"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// twoProducts are the agent itself, which runs, and one that does not.
func twoProducts() *heimdrahtv1.Metering {
	return &heimdrahtv1.Metering{AgreementReference: "DV 2026-03", AgreementDate: "2026-03-01", Products: []*heimdrahtv1.MeteredProduct{
		{Name: "agent", Processes: []string{"heimdraht-agent"}}, {Name: "citrix", Processes: []string{"no-such-program"}},
	}}
}

// reported holds what is shown against what went over the wire.
func reported(ts *testscript.TestScript, _ bool, _ []string) {
	plane := ts.Value(planeKey{}).(*endpointtest.Plane)
	patiently(ts, "a report that is shown as it was sent", func() bool {
		ts.Check(ts.Exec("heimdraht-agent", "status", "--reported", "-o", "json", "--socket", ts.Getenv("SOCKET")))
		var shown struct{ Reported *endpoint.Reported }
		ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &shown))
		sent := plane.Seen().Reports
		if len(sent) == 0 || shown.Reported == nil {
			return false
		}
		var message heimdrahtv1.RenewSession
		ts.Check(protojson.Unmarshal(shown.Reported.Message, &message))
		return proto.Equal(&message, sent[len(sent)-1])
	})
}

// Every field of a report has words, and whatever is set is shown.
func TestEveryFieldOfAReportIsShown(t *testing.T) {
	for _, m := range []protoreflect.ProtoMessage{&heimdrahtv1.RenewSession{}, &heimdrahtv1.Usage{}, &heimdrahtv1.ProductInUse{}} {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if w := reportWords()[fields.Get(i).FullName()]; w.de == "" || w.en == "" {
				t.Errorf("there are no words for %s", fields.Get(i).FullName())
			}
		}
	}
	report := &heimdrahtv1.RenewSession{SessionId: "s-1", Usage: &heimdrahtv1.Usage{
		ReceivedBytes: 7, SentBytes: 8, LastHandshakeAgeMs: proto.Int64(0),
		Products: []*heimdrahtv1.ProductInUse{{Name: "citrix", InUse: true, Version: "24.1"}, {Name: "phone"}},
	}}
	want := [][2]string{
		{"Kennung der Verbindung", "s-1"}, {"empfangene Bytes", "7"}, {"gesendete Bytes", "8"}, {"Alter des letzten Lebenszeichens in ms", "0"},
		{"Produkt citrix", "in Benutzung, Version 24.1"}, {"Produkt phone", "nicht in Benutzung"},
	}
	got := reportRows(report.ProtoReflect(), speech.German)
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q instead of %q", got[i], want[i])
		}
	}
}
