package endpoint

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/heimdraht/heimdraht/agent/posture"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// What a laptop lets itself be asked of its condition, and how often in a row.
const (
	maxConditions  = 20
	maxSystems     = 100
	maxConditionID = 64
	maxAsked       = 3
)

// question is what the administration asks of laptops, as it was asked last. The zero value: nothing yet.
type question struct {
	id   string
	list []posture.Question
	told map[string]posture.Answer // what was answered last
}

// checkQuestion takes a question. Of one beyond the limits nothing is looked at, and so nothing is known.
func (e *Endpoint) checkQuestion(m *heimdrahtv1.ConditionQuestion) question {
	q := question{id: m.GetQuestion()}
	var err error
	if q.list, err = takeQuestion(m); err != nil {
		e.log.Warn("tell nothing of this laptop's condition", "error", err)
		q.list = nil
	}
	return q
}

func takeQuestion(m *heimdrahtv1.ConditionQuestion) (list []posture.Question, err error) {
	if len(m.GetConditions()) > maxConditions {
		return nil, errors.New("the control plane asks for too many conditions")
	}
	for _, c := range m.GetConditions() {
		q := posture.Question{Name: c.GetName(), Within: time.Duration(max(c.GetWithinMinutes(), 0)) * time.Minute}
		if q.Name == "" || len(q.Name) > maxConditionID || !printable(q.Name) || len(c.GetSupportedUntil()) > maxSystems {
			return nil, errors.New("the control plane asks for a condition without a name, or for too many systems")
		}
		for system, day := range c.GetSupportedUntil() {
			until, err := time.Parse(time.DateOnly, day)
			if err != nil {
				return nil, errors.New("the control plane names a day that is none")
			}
			if q.SupportedUntil == nil {
				q.SupportedUntil = make(map[string]time.Time)
			}
			q.SupportedUntil[system] = until
		}
		list = append(list, q)
	}
	return list, nil
}

// report looks at what was asked, and at nothing else. Nil: this laptop cannot look at itself. What a session that
// goes on is not judged by is not looked at either.
func (a *attachment) report(resume string) *heimdrahtv1.ConditionReport {
	e := a.endpoint
	if e.options.Posture == nil {
		return nil
	}
	report := &heimdrahtv1.ConditionReport{}
	if resume != "" && a.asked == 0 {
		return report
	}
	report.Question = e.question.id
	answers := e.options.Posture(a.wish, e.question.list)
	e.question.told = answers
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		if answer := answers[name]; answer != posture.Unknown {
			report.Answers = append(report.Answers, &heimdrahtv1.ConditionAnswer{Name: name, Met: answer == posture.Yes})
		}
	}
	e.noteConditions(report)
	return report
}

// lookAgain tells what has changed since this laptop connected, as with start: boot when somebody signs in: another session is
// asked for, because that is when conditions are judged. Where nothing has changed there is nothing to tell.
func (a *attachment) lookAgain() {
	e := a.endpoint
	if e.options.Posture == nil || len(e.question.list) == 0 || a.moving {
		return
	}
	if e.heldSession() == nil {
		a.nudge() // it may be what it waited for
		return
	}
	if answers := e.options.Posture(a.wish, e.question.list); answers != nil && !maps.Equal(answers, e.question.told) {
		a.moveOn()
	}
}

// answerQuestion looks, and asks again for what was asked for before.
func (a *attachment) answerQuestion(m *heimdrahtv1.ConditionQuestion) (out outcome, over bool) {
	if a.asked++; a.asked > maxAsked || len(m.GetQuestion()) > maxConditionID {
		return a.leaveAlone("it goes on asking for this laptop's condition, or in a name that is too long"), true
	}
	a.endpoint.question = a.endpoint.checkQuestion(m)
	_ = a.openAs(a.resume) // a failure to send shows on receiving, with its cause
	return outcome{}, false
}

// noteConditions keeps what was told, as it was sent. Nothing was, where nothing was asked.
func (e *Endpoint) noteConditions(report *heimdrahtv1.ConditionReport) {
	var told json.RawMessage
	if report.GetQuestion() != "" {
		var err error
		if told, err = (protojson.MarshalOptions{UseProtoNames: true}).Marshal(report); err != nil { // not of a message of ours
			e.log.Error("could not keep what is reported", "error", err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conditions, e.conditionsAt = told, time.Now().UTC()
}
