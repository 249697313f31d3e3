package provisioner

import "time"

// CrisisPlan is what a tenant has prepared for a crisis, and what holds while somebody has
// switched it on. The zero value changes nothing: nothing was prepared.
type CrisisPlan struct {
	Idle          time.Duration // a session without activity for so long ends; zero: as always
	LiftHours     bool          // people may be connected at any time
	CloseOrdinary bool          // whoever is of no class that goes first opens no further session
}

// Prepared reports whether switching it on would change anything.
func (p CrisisPlan) Prepared() bool { return p != CrisisPlan{} }

// InCrisis reports whether the plan is on.
func (t Tenant) InCrisis() bool { return !t.CrisisSince.IsZero() }

// Idle is when nobody works in a session of the tenant, as it holds now.
func (t Tenant) Idle() IdlePolicy {
	p := t.Policy.Idle
	if t.InCrisis() && t.Crisis.Idle > 0 && (p.After == 0 || t.Crisis.Idle < p.After) {
		p.After = t.Crisis.Idle
	}
	return p
}

// crisisRetry is when a laptop asks again that was not let in.
const crisisRetry = 10 * time.Minute

// OpensInCrisis refuses whoever is of no class that goes first to open a session while the
// tenant is in a crisis and has closed itself to them. It is not for who is connected.
func (t Tenant) OpensInCrisis(groups []string) *Refusal {
	if !t.ClosedTo(t.ClassOf(groups)) {
		return nil
	}
	return Refuse(CodeCrisisMode).After(crisisRetry)
}

// ClosedTo reports whether the tenant is in a crisis that is closed to a class. Whoever of
// it waits for a seat keeps her place, and gets none until the crisis is over.
func (t Tenant) ClosedTo(class PriorityClass) bool {
	return t.InCrisis() && t.Crisis.CloseOrdinary && class.Rank() == PriorityOrdinary.Rank()
}
