package endpoint

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heimdraht/heimdraht/agent/posture"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func asked(id string, names ...string) *heimdrahtv1.AttachResponse {
	q := &heimdrahtv1.ConditionQuestion{Question: id}
	for _, n := range names {
		q.Conditions = append(q.Conditions, &heimdrahtv1.AskedCondition{Name: n, WithinMinutes: 10})
	}
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Asked{Asked: q}}
}

// A laptop looks when it is asked, at that alone, tells yes and no and nothing of what it could not find out, and keeps
// what it told. What it does not meet stands in its status.
func TestALaptopAnswersForItself(t *testing.T) {
	var looked [][]string
	var reports []*heimdrahtv1.ConditionReport
	onPaper(t, func(p *paperPlane) {
		p.answer = func(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
			open := m.GetOpen()
			if open == nil {
				return nil
			}
			reports = append(reports, proto.CloneOf(open.GetConditions()))
			if open.GetConditions().GetQuestion() != "q-1" {
				return asked("q-1", posture.DiskEncryption, posture.Firewall, posture.ScreenLock)
			}
			opened := openedOnPaper("s-1", false)
			opened.GetOpened().ConditionWarning = &heimdrahtv1.Refusal{Code: "condition-grace", Sentence: "Die Festplatte ist nicht verschlüsselt.", NextStep: "Rufen Sie an."}
			return opened
		}
	}, func(t *testing.T, e *Endpoint, _ *paperPlane, _ *paperTunnel) {
		e.options.Posture = func(_ context.Context, list []posture.Question) map[string]posture.Answer {
			answers := map[string]posture.Answer{}
			for _, q := range list {
				answers[q.Name] = map[string]posture.Answer{posture.DiskEncryption: posture.No, posture.Firewall: posture.Yes}[q.Name]
			}
			looked = append(looked, slices.Sorted(maps.Keys(answers)))
			return answers
		}
		check(t, e.Up(t.Context()))
		pass(time.Second)
		if len(reports) != 2 || len(reports[0].GetAnswers()) != 0 || len(reports[1].GetAnswers()) != 2 {
			t.Fatalf("told: %v", reports)
		}
		if len(looked) != 2 || len(looked[0]) != 0 || len(looked[1]) != 3 {
			t.Errorf("looked at %v", looked)
		}
		if told := e.Reported(); told == nil || !strings.Contains(string(told.Conditions), "disk_encryption") || strings.Contains(string(told.Conditions), "screen") {
			t.Errorf("kept: %+v", told)
		}
		notes := e.Status("de").Notes
		if len(notes) != 1 || notes[0].Code != "condition-grace" || notes[0].Next == "" {
			t.Errorf("%+v", notes)
		}
	})
}

// A control plane that goes on asking, or asks for more than there is to say, is left alone.
func TestQuestionsHaveLimits(t *testing.T) {
	openings := 0
	onPaper(t, func(p *paperPlane) {
		p.answer = func(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
			openings++
			return asked("q", posture.Firewall)
		}
	}, func(t *testing.T, e *Endpoint, _ *paperPlane, _ *paperTunnel) {
		e.options.Posture = func(context.Context, []posture.Question) map[string]posture.Answer { return nil }
		e.Want()
		pass(time.Second)
		if openings > maxAsked+1 || e.Status("de").Code != CodeServerErratic {
			t.Errorf("%d openings, %+v", openings, e.Status("de"))
		}
	})
	many := asked("q", slices.Repeat([]string{posture.Firewall}, maxConditions+1)...).GetAsked()
	day := asked("q", posture.SupportedSystem).GetAsked()
	day.Conditions[0].SupportedUntil = map[string]string{"debian 12": "soon"}
	for name, q := range map[string]*heimdrahtv1.ConditionQuestion{
		"many": many, "a name that is none": asked("q", "a\nb").GetAsked(), "no name": asked("q", "").GetAsked(), "a day": day,
	} {
		if list, err := takeQuestion(q); err == nil {
			t.Errorf("%s: took %v", name, list)
		}
	}
}
