package tenancy

import (
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
)

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
