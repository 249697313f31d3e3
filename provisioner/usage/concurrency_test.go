package usage_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/licensing"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

func as(role provisioner.Role, tenant string) provisioner.Actor {
	return provisioner.Actor{ID: "x", Grants: []provisioner.Grant{{Role: role, Tenant: tenant}}}
}

// Whoever may list sessions is told how many there are now; everybody else what is told of
// the last quarter of a full hour, however often she asks.
func TestConcurrency(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		w.staff(t, "stadt", 120)
		w.staff(t, "markt", 60)
		w.staff(t, "dorf", 60)
		w.all(t, "stadt", 31, true)
		w.all(t, "markt", 9, true)
		ask := func(a provisioner.Actor, tenant string) usage.Concurrency {
			t.Helper()
			c, err := w.Concurrency(t.Context(), a, tenant)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		hidden, n := capacity.Count{Withheld: true}, func(n int64) capacity.Count { return capacity.Count{Value: n} }
		if c := ask(planner("stadt"), ""); c.Tenants[0] != (usage.TenantUse{Tenant: "stadt", Sessions: hidden}) {
			t.Errorf("before anything is told: %+v", c)
		}
		until(59 * time.Minute)
		defer w.start(t.Context())()
		until(122 * time.Minute)
		w.open(t, "stadt", 31)
		w.open(t, "stadt", 32)
		w.open(t, "dorf", 0)
		hour := begin().Add(2 * time.Hour)
		now := func(tenant string, sessions int64) usage.TenantUse {
			return usage.TenantUse{Tenant: tenant, Sessions: n(sessions)}
		}
		both := planner("stadt")
		both.Grants = append(both.Grants, provisioner.Grant{Role: provisioner.RoleTenantAdmin, Tenant: "dorf"})
		for _, c := range []struct {
			who     string
			actor   provisioner.Actor
			tenant  string
			tenants []usage.TenantUse
			held    capacity.Count
			until   time.Time
		}{
			{"the operator", operator(), "", []usage.TenantUse{now("dorf", 1), now("markt", 9), now("stadt", 33)}, n(43), time.Time{}},
			{"the operator, of one", operator(), "dorf", []usage.TenantUse{now("dorf", 1)}, n(1), time.Time{}},
			{"an administrator", as(provisioner.RoleTenantAdmin, "dorf"), "", []usage.TenantUse{now("dorf", 1)}, n(1), time.Time{}},
			{"a planner", planner("stadt"), "", []usage.TenantUse{{Tenant: "stadt", Sessions: n(31), Until: hour}}, hidden, time.Time{}},
			// In the hour nobody of the village was there; so that this cannot be computed, the town is withheld.
			{"a planner of all", planner(tenants...), "", []usage.TenantUse{{"dorf", hidden, hour}, {"markt", hidden, hour}, {"stadt", n(31), hour}}, n(40), hour},
			{"a planner of all, of one", planner(tenants...), "stadt", []usage.TenantUse{{"stadt", n(31), hour}}, hidden, time.Time{}},
			{"a planner and administrator", both, "", []usage.TenantUse{now("dorf", 1), {"stadt", n(31), hour}}, hidden, time.Time{}},
		} {
			got := ask(c.actor, c.tenant)
			if diff := cmp.Diff(c.tenants, got.Tenants); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.who, diff)
			}
			if p := got.Pools[0]; len(got.Pools) != 1 || p.Held != c.held || !p.Until.Equal(c.until) || p.Seats != 1000 {
				t.Errorf("%s: %+v", c.who, got.Pools)
			}
			if operates := c.actor.MainRole() == provisioner.RoleOperator; operates != (len(got.Gateways) == 1 && got.Gateways[0].Sessions == n(43)) {
				t.Errorf("%s: %+v", c.who, got.Gateways)
			}
		}
		// So it is with the seats of pools.
		for _, c := range []struct {
			actor          provisioner.Actor
			tenant         string
			inUse, highest capacity.Count
			until          time.Time
		}{
			{operator(), "", n(43), n(43), time.Time{}},
			{operator(), "dorf", n(1), n(43), time.Time{}},
			{planner(tenants...), "", n(40), n(40), hour},
			{planner(tenants...), "stadt", hidden, n(40), hour},
			{planner("stadt"), "", hidden, hidden, time.Time{}},
			{both, "dorf", n(1), hidden, time.Time{}},
		} {
			list, _, err := licensing.New(w.store).Seats(t.Context(), c.actor, c.tenant)
			if err != nil {
				t.Fatal(err)
			}
			if p := list[0]; p.InUse != licensing.Count(c.inUse) || p.Highest != licensing.Count(c.highest) || p.Warning.Withheld != c.highest.Withheld || !p.Until.Equal(c.until) ||
				p.Borrowed.Withheld != (c.inUse.Withheld || !c.until.IsZero()) || p.Waiting.Withheld != p.Borrowed.Withheld {
				t.Errorf("%v of %q: %+v", c.actor.Grants, c.tenant, p)
			}
		}
	})
}

func TestWhoMayAskHowMany(t *testing.T) {
	w := newWorld(t, dbFile(t.TempDir()))
	defer w.end(t)
	for _, c := range []struct {
		actor  provisioner.Actor
		tenant string
		want   provisioner.Code
	}{
		{provisioner.Actor{}, "", provisioner.CodeNotSignedIn},
		{as(provisioner.RoleDevice, "stadt"), "", provisioner.CodeNotAllowed},
		{as(provisioner.RoleGateway, ""), "", provisioner.CodeNotAllowed},
		{as(provisioner.RoleStaff, "stadt"), "", provisioner.CodeNotAllowed},
		{as(provisioner.RoleHelpdesk, "stadt"), "", provisioner.CodeNotAllowed},
		{as(provisioner.RolePlanner, "stadt"), "", ""},
		{as(provisioner.RolePlanner, "stadt"), "dorf", provisioner.CodeNotAllowed},
		{as(provisioner.RolePlanner, "stadt"), "nowhere", provisioner.CodeNotAllowed},
		{as(provisioner.RoleTenantAdmin, "stadt"), "stadt", ""},
		{operator(), "nowhere", provisioner.CodeNotFound},
	} {
		_, err := w.Concurrency(t.Context(), c.actor, c.tenant)
		got := provisioner.Code("")
		if r, is := provisioner.AsRefusal(err); is {
			got = r.Code
		}
		if got != c.want || c.want == "" && err != nil {
			t.Errorf("%s of %q: %v, want %s", c.actor.MainRole(), c.tenant, err, c.want)
		}
	}
}
