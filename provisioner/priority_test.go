package provisioner

import (
	"slices"
	"strings"
	"testing"
)

func TestClassOf(t *testing.T) {
	const crisis, control, other = "CN=Krisenstab,OU=Gruppen", "CN=Leitstelle,OU=Gruppen", "CN=Homeoffice,OU=Gruppen"
	both := Tenant{Priority: PriorityGroups{Crisis: crisis, Control: control}}
	for _, c := range []struct {
		name   string
		tenant Tenant
		groups []string
		want   PriorityClass
	}{
		{"in none of them", both, []string{other}, PriorityOrdinary},
		{"in no group", both, nil, PriorityOrdinary},
		{"crisis team", both, []string{other, crisis}, PriorityCrisis},
		{"control room", both, []string{control}, PriorityControl},
		{"in both: the first", both, []string{control, crisis}, PriorityCrisis},
		{"written otherwise", both, []string{strings.ToLower(crisis)}, PriorityCrisis},
		{"nobody has a class", Tenant{}, []string{crisis, control}, PriorityOrdinary},
		{"an empty group is nobody's", Tenant{}, []string{""}, PriorityOrdinary},
	} {
		if got := c.tenant.ClassOf(c.groups); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Whoever waits is ordered by this.
func TestRankOrdersClasses(t *testing.T) {
	if !slices.IsSortedFunc(PriorityClasses(), func(a, b PriorityClass) int { return a.Rank() - b.Rank() }) {
		t.Errorf("%v is not in order of rank", PriorityClasses())
	}
	if PriorityControl.Rank() >= PriorityOrdinary.Rank() || PriorityCrisis.Rank() >= PriorityControl.Rank() {
		t.Error("two classes have one rank")
	}
	if PriorityClass("").Rank() != PriorityOrdinary.Rank() {
		t.Error("no class goes before an ordinary one")
	}
}

// A group that nobody asks the directory about could never have a member.
func TestPriorityGroupsAreAskedFor(t *testing.T) {
	tenant := Tenant{Priority: PriorityGroups{Crisis: "cn=crisis", Control: "cn=control"}}
	for _, g := range []string{"cn=crisis", "cn=control"} {
		if !slices.Contains(tenant.GroupsAsked(), g) {
			t.Errorf("%s is not among %v", g, tenant.GroupsAsked())
		}
	}
}
