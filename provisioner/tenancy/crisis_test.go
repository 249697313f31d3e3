package tenancy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

func TestSwitchCrisis(t *testing.T) { onEach(t, testSwitchCrisis) }

func testSwitchCrisis(t *testing.T, w *world) {
	t.Helper()
	d := region()
	w.applies(t, d)
	admin := provisioner.Actor{ID: "anna", Name: "Anna", Grants: []provisioner.Grant{{Role: provisioner.RoleTenantAdmin, Tenant: "stadt"}}}
	switched := func(actor provisioner.Actor, tenant string, on bool, reason string) (tenancy.Crisis, bool, error) {
		return w.SwitchCrisis(t.Context(), actor, tenant, on, reason)
	}
	for _, c := range []struct {
		name           string
		actor          provisioner.Actor
		tenant, reason string
		code           provisioner.Code
	}{
		{"nothing is prepared", operator(), "stadt", "flood", provisioner.CodeCrisisUnprepared},
		{"no reason", operator(), "stadt", " \n", provisioner.CodeReasonMissing},
		{"another's tenant", admin, "dorf", "flood", provisioner.CodeNotAllowed},
		{"no such tenant", operator(), "nirgends", "flood", provisioner.CodeNotFound},
		{"the helpdesk", provisioner.Actor{Grants: []provisioner.Grant{{Role: provisioner.RoleHelpdesk, Tenant: "stadt"}}}, "stadt", "flood", provisioner.CodeNotAllowed},
	} {
		if _, _, err := switched(c.actor, c.tenant, true, c.reason); codeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
	d.Tenants[0].Crisis = provisioner.CrisisPlan{Idle: 15 * time.Minute}
	w.applies(t, d)
	before := len(w.events(t))
	begun := time.Now().Truncate(time.Millisecond)
	now, changed, err := switched(admin, "stadt", true, "flood")
	if err != nil || !changed || now.Since.Before(begun) || now.Reason != "flood" || now.Plan != d.Tenants[0].Crisis {
		t.Fatalf("begun: %+v, %v, %v", now, changed, err)
	}
	again, changed, err := switched(operator(), "stadt", true, "again")
	if err != nil || changed || again != now {
		t.Errorf("begun again: %+v, %v, %v", again, changed, err)
	}
	tenant := read(t, w, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant("stadt") })
	if !tenant.CrisisSince.Equal(now.Since) || tenant.Idle().After != 15*time.Minute {
		t.Errorf("in the crisis: since %v, idle %v", tenant.CrisisSince, tenant.Idle())
	}
	// A declaration neither ends nor begins one.
	d.Tenants[0].Crisis.LiftHours = true
	w.applies(t, d)
	list, err := w.Crises(t.Context(), admin, "")
	if err != nil || len(list) != 1 || !list[0].Since.Equal(now.Since) || !list[0].Plan.LiftHours {
		t.Errorf("listed %+v, %v", list, err)
	}
	if list, err := w.Crises(t.Context(), operator(), "dorf"); err != nil || len(list) != 0 {
		t.Errorf("of a tenant without: %+v, %v", list, err)
	}
	if _, err := w.Crises(t.Context(), operator(), "nowhere"); codeOf(err) != provisioner.CodeNotFound {
		t.Errorf("a tenant that is not there: %v", err)
	}
	if _, err := w.Crises(t.Context(), admin, "dorf"); codeOf(err) != provisioner.CodeNotAllowed {
		t.Errorf("another's: %v", err)
	}
	now, changed, err = switched(admin, "stadt", false, "over")
	if err != nil || !changed || !now.Since.IsZero() || now.Reason != "" {
		t.Errorf("ended: %+v, %v, %v", now, changed, err)
	}
	if _, changed, err := switched(admin, "stadt", false, "over"); err != nil || changed {
		t.Errorf("ended again: %v, %v", changed, err)
	}
	var log []string
	for _, line := range w.events(t)[before:] {
		if strings.Contains(line, "switch crisis mode") {
			log = append(log, line)
		}
	}
	if len(log) != 2 || !strings.Contains(log[0], `"reason":"flood"`) || !strings.Contains(log[0], `"name":"Anna"`) || !strings.Contains(log[0], "idle: 15m") ||
		!strings.Contains(log[1], `"reason":"over"`) || !strings.Contains(log[1], `"off"`) {
		t.Errorf("recorded %q", log)
	}
}

func TestCrisisPlansThatCannotBe(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		change func(*provisioner.Tenant)
		says   string
	}{
		"too short":           {func(t *provisioner.Tenant) { t.Crisis.Idle = time.Minute }, "crisis.idle must be from 5m to 1d"},
		"negative":            {func(t *provisioner.Tenant) { t.Crisis.Idle = -1 }, "crisis.idle must be from 5m to 1d"},
		"not shorter":         {func(t *provisioner.Tenant) { t.Crisis.Idle = time.Hour }, "must be shorter than policy.idle.after (1h)"},
		"closed to everybody": {func(t *provisioner.Tenant) { t.Crisis.CloseOrdinary = true }, "needs priority.crisis or priority.control"},
		"idle for too little": {func(t *provisioner.Tenant) { t.Policy.Idle.After = time.Minute }, "policy.idle.after must be from 5m to 1d, or never"},
		"idle for seconds":    {func(t *provisioner.Tenant) { t.Policy.Idle.After = 601 * time.Second }, "policy.idle.after must be from 5m to 1d, or never"},
		"idle below nothing":  {func(t *provisioner.Tenant) { t.Policy.Idle.Below = -1 }, "policy.idle.below must be from 1 to 5000"},
		"idle below anything": {func(t *provisioner.Tenant) { t.Policy.Idle.Below = 1 << 40 }, "policy.idle.below must be from 1 to 5000"},
	} {
		d := region()
		c.change(&d.Tenants[0])
		_, err := w.Apply(t.Context(), operator(), d, "as agreed")
		refusal, ok := provisioner.AsRefusal(err)
		if !ok || refusal.Code != provisioner.CodeDeclarationInvalid {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if sentence, next := refusal.Text("en"); !strings.Contains(sentence+next, c.says) {
			t.Errorf("%s: %s %s", name, sentence, next)
		}
	}
}
