package session

import (
	"context"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// ConditionReport is what a laptop says of what its tenant asks of laptops.
type ConditionReport struct {
	Question string // that it answers; empty: it was asked none yet
	Answers  map[provisioner.Condition]provisioner.Answer
}

// asksAgain reports whether a laptop that can answer has answered another question than its
// tenant's. One that cannot is not asked: nothing is known of it.
func (r *ConditionReport) asksAgain(p provisioner.ConditionPolicy) bool {
	return r != nil && r.Question != p.Question()
}

// met is what comes of a laptop's answers.
type met struct {
	refusal *provisioner.Refusal // nil: none
	warning *provisioner.Refusal // nil: nothing is unmet
}

// judge decides by a laptop's answers, and keeps them for the helpdesk. They change seldom, and
// nothing is written then: what is kept says nothing of when somebody connects.
func (s *Service) judge(ctx context.Context, a store.Applicant, r *ConditionReport) (met, error) {
	policy, now := a.Tenant.Policy.Conditions, time.Now()
	var answers map[provisioner.Condition]provisioner.Answer
	if r != nil {
		answers = r.Answers
	}
	kept := policy.Hear(a.Device.Conditions, answers, now)
	if provisioner.ConditionsText(kept) != provisioner.ConditionsText(a.Device.Conditions) {
		if err := s.Store.UpdateAbout(ctx, a.Device.ID, func(tx *store.Writer) error { return tx.NoteConditions(a.Device.ID, kept) }); err != nil {
			return met{}, fmt.Errorf("keeping what a laptop says of itself: %w", err)
		}
	}
	unmet := policy.Unmet(kept, now)
	return met{policy.Refuses(unmet, a.Device.Platform, now), policy.Warns(unmet, a.Device.Platform, now)}, nil
}
