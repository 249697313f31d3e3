package config

import "github.com/heimdraht/heimdraht/provisioner"

// The words for what holds in a crisis.
const (
	hoursKept, hoursLifted       = "kept", "lifted"
	ordinaryOpen, ordinaryClosed = "open", "closed"
)

// crisis reads what is to hold once somebody has switched the crisis mode on. It comes after policy and
// priority, which it depends on.
func crisis(v value, t *provisioner.Tenant) {
	m := v.mapping("crisis").under("crisis.")
	if m == nil {
		return
	}
	before := len(*m.problems)
	m.shortSpan("idle", &t.Crisis.Idle, "")
	hours, ordinary := hoursKept, ordinaryOpen
	m.text("hours", &hours, oneOf(hoursLifted, hoursKept))
	m.text("ordinary", &ordinary, oneOf(ordinaryOpen, ordinaryClosed))
	t.Crisis.LiftHours, t.Crisis.CloseOrdinary = hours == hoursLifted, ordinary == ordinaryClosed
	switch idle, _ := m.ask("idle"); {
	case t.Crisis.Idle > 0 && t.Policy.Idle.After > 0 && t.Crisis.Idle >= t.Policy.Idle.After:
		idle.failf("must be shorter than policy.idle.after, which is %s", provisioner.SpanText(t.Policy.Idle.After))
	case t.Crisis.CloseOrdinary && t.Priority == (provisioner.PriorityGroups{}):
		closed, _ := m.ask("ordinary")
		closed.failf("%s needs %q or %q: else nobody would get in", ordinaryClosed, "priority.crisis", "priority.control")
	}
	m.done()
	if !t.Crisis.Prepared() && len(*m.problems) == before {
		v.failf("nothing is prepared: say what is to hold, such as {idle: 15m, hours: lifted}")
	}
}
