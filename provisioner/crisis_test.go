package provisioner

import (
	"testing"
	"time"
)

func TestOpensInCrisis(t *testing.T) {
	const team = "CN=Krisenstab"
	noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	prepared := Tenant{Priority: PriorityGroups{Crisis: team}, Crisis: CrisisPlan{CloseOrdinary: true}}
	on := prepared
	on.CrisisSince = noon
	open := on
	open.Crisis = CrisisPlan{LiftHours: true}
	for _, c := range []struct {
		name   string
		tenant Tenant
		groups []string
		let    bool
	}{
		{"prepared, not on", prepared, nil, true},
		{"somebody ordinary", on, []string{"CN=Homeoffice"}, false},
		{"the crisis team", on, []string{team}, true},
		{"a crisis that is open to all", open, nil, true},
	} {
		refusal := c.tenant.OpensInCrisis(c.groups)
		if (refusal == nil) != c.let {
			t.Errorf("%s: %v", c.name, refusal)
		}
		if refusal != nil && (refusal.Code != CodeCrisisMode || refusal.RetryAfter == 0) {
			t.Errorf("%s: %v, after %v", c.name, refusal, refusal.RetryAfter)
		}
	}
}

// What is open at other times only is open in a crisis that lifts the hours, and not before.
func TestHoursAreLifted(t *testing.T) {
	noon := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	tenant := Tenant{Crisis: CrisisPlan{LiftHours: true}, Policy: Policy{Access: []AccessTime{{Group: GroupAll, Begin: 60, End: 120}}}}
	if _, refusal := tenant.AdmitsAt(Standing{}, noon); refusal == nil {
		t.Error("let in before the crisis")
	}
	tenant.CrisisSince = noon
	if until, refusal := tenant.AdmitsAt(Standing{}, noon); refusal != nil || !until.IsZero() {
		t.Errorf("in the crisis until %v, %v", until, refusal)
	}
	tenant.Crisis = CrisisPlan{Idle: time.Hour}
	if _, refusal := tenant.AdmitsAt(Standing{}, noon); refusal == nil {
		t.Error("let in in a crisis that keeps the hours")
	}
}
