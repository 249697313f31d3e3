package endpoint

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
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

// Nobody is signed in when the laptop connects, and its screen is met. Then somebody signs in, whose is not: that is told, by
// another session in the place of the present one. As long as the answers are the same nothing is told.
func TestWhatChangesIsToldAgain(t *testing.T) {
	var reports []*heimdrahtv1.ConditionReport
	answer, session := posture.Yes, 0
	var refuse *heimdrahtv1.AttachResponse
	onPaper(t, func(p *paperPlane) {
		p.answer = func(m *heimdrahtv1.AttachRequest) *heimdrahtv1.AttachResponse {
			open := m.GetOpen()
			if open == nil {
				return nil
			}
			if open.GetConditions().GetQuestion() != "q-1" {
				return asked("q-1", posture.ScreenLock)
			}
			reports = append(reports, proto.CloneOf(open.GetConditions()))
			if refuse != nil {
				return refuse
			}
			session++
			return openedOnPaper(fmt.Sprintf("s-%d", session), false)
		}
	}, func(t *testing.T, e *Endpoint, _ *paperPlane, tunnel *paperTunnel) {
		e.options.Posture = func(_ context.Context, list []posture.Question) map[string]posture.Answer {
			if answer == posture.Unknown {
				return nil // a look that hangs
			}
			return map[string]posture.Answer{list[0].Name: answer}
		}
		posed := make(chan struct{}, 1)
		e.options.Posed = posed
		says := func(met bool, times int) {
			t.Helper()
			pass(time.Second)
			if len(reports) != times || reports[times-1].GetAnswers()[0].GetMet() != met {
				t.Fatalf("told: %v", reports)
			}
		}
		e.question.list = []posture.Question{{Name: posture.ScreenLock}} // as of a connection before
		e.Want()
		says(true, 1)
		posed <- struct{}{}
		says(true, 1)
		answer = posture.Unknown
		posed <- struct{}{}
		says(true, 1)
		answer = posture.No
		posed <- struct{}{}
		says(false, 2)
		if e.heldSession().id != "s-2" || tunnel.removals > 0 {
			t.Errorf("session %s, taken away %d times", e.heldSession().id, tunnel.removals)
		}
		// Without a grace the next word ends it, and a lock lets it in at once, not five minutes later.
		answer, refuse = posture.Yes, endpointtest.Refused("condition-unmet", 5*time.Minute)
		posed <- struct{}{}
		says(true, 3)
		if e.heldSession() != nil || tunnel.standing() {
			t.Fatal("refused, and it stands")
		}
		refuse = nil
		posed <- struct{}{}
		says(true, 4)
		if e.heldSession() == nil {
			t.Error("what it was refused for is right, and it waits")
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
