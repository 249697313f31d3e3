package diagnosis_test

import (
	"slices"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/diagnosis"
)

// What a laptop does not meet stops whoever is not connected, once the grace is over; before that, and while she
// is connected, it is worth a word; and what is asked no longer is told to nobody.
func TestConditionsInTheChain(t *testing.T) {
	t.Parallel()
	required := provisioner.ConditionPolicy{Demands: map[provisioner.Condition]provisioner.Demand{provisioner.Firewall: provisioner.DemandRequired}, GraceDays: 14}
	answered := func(a provisioner.Answer, days int) []provisioner.ConditionState {
		return []provisioner.ConditionState{{Condition: provisioner.Firewall, Answer: a, Since: noon().AddDate(0, 0, -days)}}
	}
	for name, c := range map[string]struct {
		facts  diagnosis.Facts
		policy provisioner.ConditionPolicy
		kept   []provisioner.ConditionState
		state  diagnosis.State
		code   provisioner.Code
	}{
		"nothing asked":               {off(), provisioner.ConditionPolicy{}, answered(provisioner.AnswerNo, 30), diagnosis.OK, ""},
		"not answered yet":            {off(), required, nil, diagnosis.Unknown, ""},
		"met":                         {off(), required, answered(provisioner.AnswerYes, 0), diagnosis.OK, ""},
		"within the grace":            {off(), required, answered(provisioner.AnswerNo, 3), diagnosis.Noted, provisioner.CodeConditionGrace},
		"after it":                    {off(), required, answered(provisioner.AnswerNo, 30), diagnosis.Wrong, provisioner.CodeConditionUnmet},
		"after it, and connected":     {well(), required, answered(provisioner.AnswerNo, 30), diagnosis.Noted, provisioner.CodeConditionUnmet},
		"not known, which is allowed": {off(), required, answered(provisioner.AnswerUnknown, 0), diagnosis.OK, ""},
	} {
		c.facts.Tenant.Policy.Conditions, c.facts.Device.Conditions = c.policy, c.kept
		// The laptop's last refusal is told by this link, and not once more by the session's.
		if c.code == provisioner.CodeConditionUnmet && c.facts.Session == nil {
			c.facts.Refusals = []diagnosis.Refusal{{At: noon().Add(-time.Minute), Code: c.code, Device: c.facts.Device.ID}}
		}
		found := diagnosis.Judge(c.facts)
		i := slices.IndexFunc(found.Links, func(l diagnosis.Link) bool { return l.Name == "conditions" })
		if l := found.Links[i]; l.State != c.state || l.Cause.Code != c.code {
			t.Errorf("%s: %s, %q; want %s, %q", name, l.State, l.Cause.Code, c.state, c.code)
		}
		if c.state == diagnosis.Wrong && found.Cause.Code != c.code {
			t.Errorf("%s: the cause is %s", name, found.Cause.Code)
		}
	}
}
