package rpc

import (
	"context"
	"maps"
	"slices"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
)

// toConditionPolicy reads what a tenant asks of laptops.
func toConditionPolicy(m *heimdrahtv1.ConditionPolicy) (p provisioner.ConditionPolicy, err error) {
	if len(m.GetDemands()) == 0 {
		return p, nil
	}
	p = provisioner.ConditionPolicy{
		Demands:           make(map[provisioner.Condition]provisioner.Demand),
		ScreenLockMinutes: int(m.GetScreenLockMinutes()), GraceDays: int(m.GetGraceDays()), DenyUnknown: m.GetDenyUnknown(),
	}
	for name, demand := range m.GetDemands() {
		p.Demands[provisioner.Condition(name)] = provisioner.Demand(demand)
	}
	for _, system := range slices.Sorted(maps.Keys(m.GetSupportedUntil())) {
		until, err := toDay(m.GetSupportedUntil()[system], 0)
		if err != nil {
			return p, err
		}
		p.SystemEnds = append(p.SystemEnds, provisioner.SystemEnd{System: system, Until: until})
	}
	return p, nil
}

// mostAsked is how often in a row a laptop is asked the same. One that goes on answering something
// else does not understand, or plays.
const mostAsked = 3

// ask has a laptop look at itself before it opens.
func (a *attachment) ask(p provisioner.ConditionPolicy) error {
	if a.asked++; a.asked > mostAsked {
		return provisioner.Refuse(provisioner.CodeProtocol).With("why", "Antworten auf eine andere Frage", "answers to another question")
	}
	return a.send(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Asked{Asked: fromQuestion(p)}})
}

// warning is nil where there is nothing to say.
func (a *attachment) warning(r *provisioner.Refusal) *heimdrahtv1.Refusal {
	if r == nil {
		return nil
	}
	return fromRefusal(r, a.actor.Language)
}

// toConditionReport is nil for an agent that does not know of conditions.
func toConditionReport(m *heimdrahtv1.ConditionReport) *session.ConditionReport {
	if m == nil {
		return nil
	}
	return &session.ConditionReport{Question: m.GetQuestion(), Answers: toAnswers(m)}
}

// toAnswers reads what a laptop says of conditions. What is none of ours is passed over.
func toAnswers(m *heimdrahtv1.ConditionReport) map[provisioner.Condition]provisioner.Answer {
	answers := make(map[provisioner.Condition]provisioner.Answer)
	for _, a := range m.GetAnswers() {
		if c := provisioner.Condition(a.GetName()); slices.Contains(provisioner.Conditions(), c) {
			answers[c] = provisioner.AnswerNo
			if a.GetMet() {
				answers[c] = provisioner.AnswerYes
			}
		}
	}
	return answers
}

// fromQuestion tells a laptop what is asked of it.
func fromQuestion(p provisioner.ConditionPolicy) *heimdrahtv1.ConditionQuestion {
	q := &heimdrahtv1.ConditionQuestion{Question: p.Question()}
	for _, c := range p.Asked() {
		asked := &heimdrahtv1.AskedCondition{Name: string(c)}
		switch c {
		case provisioner.ScreenLock:
			asked.WithinMinutes = int32(p.ScreenLockMinutes)
		case provisioner.SupportedSystem:
			asked.SupportedUntil = make(map[string]string)
			for _, e := range p.SystemEnds {
				asked.SupportedUntil[e.System] = provisioner.ISODay(e.Until)
			}
		}
		q.Conditions = append(q.Conditions, asked)
	}
	return q
}

func (h *adminHandler) CountConditions(ctx context.Context, r *heimdrahtv1.CountConditionsRequest) (*heimdrahtv1.CountConditionsResponse, error) {
	devices, counts, err := h.tenancy.CountConditions(ctx, actorOf(ctx), r.GetTenant())
	if err != nil {
		return nil, err
	}
	answer := &heimdrahtv1.CountConditionsResponse{Devices: fromCount(devices)}
	for _, c := range counts {
		answer.Conditions = append(answer.Conditions, &heimdrahtv1.ConditionCount{
			Name: string(c.Condition), Demand: string(c.Demand),
			Met: fromCount(c.Met), Unmet: fromCount(c.Unmet), Unknown: fromCount(c.Unknown), Unasked: fromCount(c.Unasked),
		})
	}
	return answer, nil
}
