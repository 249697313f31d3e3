package endpoint

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// An old program says so beside the connection that it has, until when, and nothing that could play tricks.
func TestOutdated(t *testing.T) {
	now := time.Now()
	at := time.Date(2027, 3, 1, 12, 0, 0, 0, time.Local)
	s := situation{enrolled: true, wanted: true, attached: true, tunnel: reading{handshake: now}, session: &session{
		settings: &settings{}, outdated: outdatedOf(&heimdrahtv1.AgentOutdated{MinimumVersion: "v1.4.0\x1b[2J", RefusedFrom: timestamppb.New(at)}),
	}}
	status := describe(s, "de", now)
	if len(status.Notes) != 1 || status.Notes[0].Code != codeAgentOutdated || !strings.Contains(status.Notes[0].Sentence, "ab dem 01.03.2027") || strings.Contains(status.Notes[0].Sentence, "\x1b") {
		t.Errorf("notes: %+v", status.Notes)
	}
	if outdatedOf(nil) != nil {
		t.Error("one that is new enough is told that it is old")
	}
	if p := outdatedOf(&heimdrahtv1.AgentOutdated{}); !strings.Contains(p.English.Sentence, "before long") {
		t.Errorf("without a day: %s", p.English.Sentence)
	}
}
