package tenancy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// ConditionCount is how many laptops of a tenant meet a condition, as they said last.
type ConditionCount struct {
	Condition provisioner.Condition
	Demand    provisioner.Demand
	// Unasked are those that have said nothing of it yet.
	Met, Unmet, Unknown, Unasked capacity.Count
}

// CountConditions tells how many of a tenant's laptops meet what it asks of them. Numbers that
// speak of individuals are withheld: who that is the helpdesk sees, who looks at one and is recorded.
func (s *Service) CountConditions(ctx context.Context, actor provisioner.Actor, tenant string) (devices capacity.Count, counts []ConditionCount, err error) {
	if refusal := provisioner.Allow(actor, provisioner.ActionCountConditions, provisioner.Object{Tenant: tenant}); refusal != nil {
		return devices, nil, refusal
	}
	var answered []store.Answered
	var policy provisioner.ConditionPolicy
	err = s.Store.View(ctx, func(tx *store.Reader) error {
		t, err := tx.Tenant(tenant)
		if errors.Is(err, store.ErrNone) {
			return provisioner.Refuse(provisioner.CodeNotFound, "name", audit.CleanText(tenant, 64)).With("what", "Eine solche Verwaltung", "tenant")
		}
		if err != nil {
			return err
		}
		policy = t.Policy.Conditions
		answered, err = tx.ConditionsAnswered(tenant)
		return err
	})
	if err != nil {
		return devices, nil, fmt.Errorf("counting what laptops meet: %w", err)
	}
	total := int64(0)
	for _, a := range answered {
		total += a.Devices
	}
	for _, c := range policy.Asked() {
		counts = append(counts, countOf(c, policy.Demand(c), answered, total))
	}
	return capacity.Told(total), counts, nil
}

// countOf counts one condition. It is pure.
func countOf(c provisioner.Condition, demand provisioner.Demand, answered []store.Answered, total int64) ConditionCount {
	parts := map[string]int64{"yes": 0, "no": 0, "unknown": 0, "": 0}
	for _, a := range answered {
		said := ""
		if i := slices.IndexFunc(a.Conditions, func(s provisioner.ConditionState) bool { return s.Condition == c }); i >= 0 {
			said = string(a.Conditions[i].Answer)
		}
		parts[said] += a.Devices
	}
	some := make(map[string]int64) // of none it may be told that there is none, if that tells nothing of the others
	for said, n := range parts {
		if n > 0 {
			some[said] = n
		}
	}
	told := capacity.Tellable(total, some)
	count := func(said string) capacity.Count {
		if n, ok := told[said]; ok || len(told) == len(some) {
			return capacity.Count{Value: n}
		}
		return capacity.Count{Withheld: true}
	}
	return ConditionCount{Condition: c, Demand: demand, Met: count("yes"), Unmet: count("no"), Unknown: count("unknown"), Unasked: count("")}
}

// checkConditions judges what a tenant asks of laptops. All of it is told to every one of them.
func checkConditions(t provisioner.Tenant) *provisioner.Refusal {
	p := t.Policy.Conditions
	for c, demand := range p.Demands {
		if !slices.Contains(provisioner.Conditions(), c) || demand != provisioner.DemandRequired && demand != provisioner.DemandReported {
			return invalid(kindTenant, t.Name, "policy.conditions: jede Bedingung ist required, reported oder off", "policy.conditions: each condition is required, reported or off")
		}
	}
	switch {
	case p.GraceDays < 0 || p.GraceDays > provisioner.MostGraceDays:
		return invalid(kindTenant, t.Name, "policy.conditions.grace darf höchstens %d Tage sein", "policy.conditions.grace must be %d days at most", provisioner.MostGraceDays)
	case p.ScreenLockMinutes < 0 || p.ScreenLockMinutes > provisioner.MostScreenLock:
		return invalid(kindTenant, t.Name, "policy.conditions.screen_lock_minutes muss von 1 bis %d sein", "policy.conditions.screen_lock_minutes must be from 1 to %d", provisioner.MostScreenLock)
	case len(p.SystemEnds) > provisioner.MostSystemEnds:
		return invalid(kindTenant, t.Name, "policy.conditions.supported_until: höchstens %d Systeme", "policy.conditions.supported_until: at most %d systems", provisioner.MostSystemEnds)
	}
	for i, e := range p.SystemEnds {
		if !provisioner.IsSystemName(e.System) || e.Until.IsZero() || slices.ContainsFunc(p.SystemEnds[:i], func(f provisioner.SystemEnd) bool { return f.System == e.System }) {
			return invalid(kindTenant, t.Name, "policy.conditions.supported_until nennt jedes System einmal, wie debian 12, mit einem Tag", "policy.conditions.supported_until names each system once, such as debian 12, with a date")
		}
	}
	return nil
}
