package tenancy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

func TestDrainAndMaintenance(t *testing.T) { onEach(t, testDrainAndMaintenance) }

func testDrainAndMaintenance(t *testing.T, w *world) {
	w.applies(t, region())
	records := func(action string) int {
		return strings.Count(strings.Join(w.events(t), "\n"), `"action":"`+action+`"`)
	}
	revision := w.revision(t)
	for range 2 { // the second time with another deadline
		if err := w.Drain(t.Context(), operator(), "gw1", time.Hour, "new\x1b disks"); err != nil {
			t.Fatal(err)
		}
	}
	g := w.gateway(t, "gw1")
	if left := time.Until(g.Drain.By); left < 59*time.Minute || left > time.Hour || strings.ContainsRune(g.Drain.Why, 0x1b) || g.Drain.Since.After(time.Now()) {
		t.Errorf("drained: %+v", g.Drain)
	}
	if w.revision(t) == revision || records("drain gateway") != 2 {
		t.Errorf("revision %d as before, %d records", revision, records("drain gateway"))
	}
	// What is declared anew leaves the drain alone.
	d := region()
	d.Gateways[0].Weight = 10
	w.applies(t, d)
	if w.gateway(t, "gw1").Drain.Since.IsZero() {
		t.Error("applying a declaration has ended the drain")
	}
	for range 2 { // the second time there is nothing to do, and nothing to record
		if err := w.Undrain(t.Context(), operator(), "gw1", "they are in"); err != nil {
			t.Fatal(err)
		}
	}
	if g = w.gateway(t, "gw1"); g.Drain != (provisioner.Drain{}) || records("undrain gateway") != 1 {
		t.Errorf("undrained: %+v, %d records", g.Drain, records("undrain gateway"))
	}
	from := time.Now().Add(time.Hour).Truncate(time.Second)
	if err := w.AnnounceMaintenance(t.Context(), operator(), "gw1", from, from.Add(time.Hour), "new kernel"); err != nil {
		t.Fatal(err)
	}
	if m := w.gateway(t, "gw1").Maintenance; !m.From.Equal(from) || !m.Until.Equal(from.Add(time.Hour)) || m.Why != "new kernel" {
		t.Errorf("announced: %+v", m)
	}
	for range 2 {
		if err := w.WithdrawMaintenance(t.Context(), operator(), "gw1", "not needed"); err != nil {
			t.Fatal(err)
		}
	}
	if m := w.gateway(t, "gw1").Maintenance; m != (provisioner.Maintenance{}) || records("withdraw maintenance") != 1 || records("announce maintenance") != 1 {
		t.Errorf("withdrawn: %+v", m)
	}
	list, _, err := w.Fleet(t.Context(), operator())
	if err != nil || len(list) != len(region().Gateways) || list[0].Addresses != 65536 || list[0].Weight != 10 {
		t.Errorf("the fleet: %+v, %v", list, err)
	}
}

func TestDrainsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	w.applies(t, region())
	now := time.Now()
	announce := func(from, until time.Duration) error {
		return w.AnnounceMaintenance(t.Context(), operator(), "gw1", now.Add(from), now.Add(until), "x")
	}
	helper := as(provisioner.RoleTenantAdmin, "stadt")
	for name, c := range map[string]struct {
		err  error
		want provisioner.Code
	}{
		"no such gateway":         {w.Drain(t.Context(), operator(), "gw9\n", time.Hour, "x"), provisioner.CodeNotFound},
		"no reason":               {w.Drain(t.Context(), operator(), "gw1", time.Hour, " \x1b "), provisioner.CodeReasonMissing},
		"no operator":             {w.Drain(t.Context(), helper, "gw1", time.Hour, "x"), provisioner.CodeNotAllowed},
		"no operator undrains":    {w.Undrain(t.Context(), helper, "gw1", "x"), provisioner.CodeNotAllowed},
		"no operator announces":   {w.AnnounceMaintenance(t.Context(), helper, "gw1", now, now.Add(time.Hour), "x"), provisioner.CodeNotAllowed},
		"no operator withdraws":   {w.WithdrawMaintenance(t.Context(), helper, "gw1", "x"), provisioner.CodeNotAllowed},
		"ends before it begins":   {announce(2*time.Hour, time.Hour), provisioner.CodeMaintenanceInvalid},
		"is over":                 {announce(-2*time.Hour, -time.Hour), provisioner.CodeMaintenanceInvalid},
		"lasts for ever":          {announce(time.Hour, 30*24*time.Hour), provisioner.CodeMaintenanceInvalid},
		"is years away":           {announce(800*24*time.Hour, 801*24*time.Hour), provisioner.CodeMaintenanceInvalid},
		"has no end":              {w.AnnounceMaintenance(t.Context(), operator(), "gw1", now, time.Time{}, "x"), provisioner.CodeMaintenanceInvalid},
		"has no beginning":        {w.AnnounceMaintenance(t.Context(), operator(), "gw1", time.Time{}, now, "x"), provisioner.CodeMaintenanceInvalid},
		"a drain of the far past": {w.Drain(t.Context(), operator(), "gw1", -time.Hour, "x"), ""},
	} {
		if codeOf(c.err) != c.want {
			t.Errorf("%s: got %v, want %q", name, c.err, c.want)
		}
	}
	if by := w.gateway(t, "gw1").Drain.By; by.Before(now.Truncate(time.Millisecond)) || by.After(time.Now()) {
		t.Errorf("the deadline is %s", by)
	}
}

// What a declaration says of a gateway's share is bounded, whoever sends it.
func TestGatewaysThatCannotBe(t *testing.T) {
	w := newWorld(t)
	for name, spoil := range map[string]func(*tenancy.Declaration){
		"warn":       func(d *tenancy.Declaration) { d.Gateways[0].WarnAt = []int64{90, 80} },
		"weight":     func(d *tenancy.Declaration) { d.Gateways[0].Weight = -1 },
		"too heavy":  func(d *tenancy.Declaration) { d.Gateways[0].Weight = provisioner.MostWeight + 1 },
		"site":       func(d *tenancy.Declaration) { d.Gateways[0].Site = "Mitte\n" },
		"throughput": func(d *tenancy.Declaration) { d.Gateways[0].Throughput = -1 },
		"too much":   func(d *tenancy.Declaration) { d.Gateways[0].Throughput = provisioner.MostThroughput + 1 },
		"home":       func(d *tenancy.Declaration) { d.Tenants[0].Site = "-" },
	} {
		d := region()
		spoil(&d)
		if _, err := w.Apply(t.Context(), operator(), d, "x"); codeOf(err) != provisioner.DeclarationInvalid("", "", "", "").Code {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
