package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// exposed are the metrics of a control plane with a gateway, a city, and a full hour
// behind it, with the labels of each.
func exposed(t *testing.T) (text string, labels map[string][]string) {
	t.Helper()
	dir := t.TempDir()
	c := DefaultConfig()
	c.Listen, c.MetricsListen, c.Names = "127.0.0.1:0", "127.0.0.1:0", []string{"127.0.0.1"}
	c.StateDir = filepath.Join(dir, "state")
	c.Database, c.MasterKeyFile = filepath.Join(c.StateDir, "heimdraht.db"), filepath.Join(dir, "master.key")
	if _, err := Init(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Now().UTC().Truncate(time.Hour)
	if err := a.store.Update(t.Context(), func(tx *store.Writer) error { return busyHour(tx, hour) }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.MetricsAddress()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	labels = make(map[string][]string)
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? `).FindAllStringSubmatch(string(body), -1) {
		labels[m[1]] = append(labels[m[1]], "")
		for _, l := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(m[2], -1) {
			labels[m[1]] = append(labels[m[1]], l[1])
		}
	}
	return string(body), labels
}

// busyHour writes an hour in which the city and the village were busy; only of the city
// that can be told exactly.
func busyHour(tx *store.Writer, hour time.Time) error {
	pool := func(name, tenant string) provisioner.LicencePool {
		return provisioner.LicencePool{Name: name, Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 100, Until: hour.AddDate(0, 0, 60)}}, Shares: []provisioner.PoolShare{{Tenant: tenant, Guarantee: 20}}}
	}
	err := errors.Join(tx.PutDirectory(provisioner.Directory{Name: "ad"}), tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "ad"}), tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "ad"}),
		tx.PutPool(pool("vpn", "stadt")), tx.PutPool(pool("klein", "dorf")), tx.PutPool(pool("gross", "stadt")),
		tx.PutGateway(provisioner.Gateway{Name: "gw1", Endpoint: "gw1.example:51820", Sessions: 100}))
	for i := range 6 { // of vpn four are held, which are too few to be told
		if i < 4 {
			err = errors.Join(err, tx.TakeSeat("vpn", "stadt", provisioner.PriorityOrdinary))
		}
		err = errors.Join(err, tx.TakeSeat("gross", "stadt", provisioner.PriorityOrdinary))
	}
	for i := range 60 {
		p, e := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: fmt.Sprint(i)})
		err = errors.Join(err, e, tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: "stadt", Entitled: true, ReadAt: tx.Now}))
	}
	busy := capacity.Interval{Minutes: 60, Complete: 60, Sessions: capacity.Gauge{Max: 37, Mean: 3000, P95: 36}, Disclosed: capacity.DiscloseSessions}
	few, withheld := busy, busy
	few.Disclosed |= capacity.Rounded
	withheld.Disclosed = 0
	warned := func(id, of, name string) store.Warning {
		return store.Warning{ID: id, Kind: "seats", Of: of, Name: name, Percent: 80, RaisedAt: hour, SeenAt: hour}
	}
	return errors.Join(err, tx.PutWarnings([]store.Warning{warned("1", "pool", "vpn"), warned("2", "pool", "klein"), warned("3", "tenant", "dorf"), warned("4", "tenant", "stadt")}),
		tx.PutWarningState(store.WarningState{HoursTo: hour, DaysTo: hour.Add(48 * time.Hour)}),
		tx.AddUsageSeries([]store.UsageSeries{{Kind: "tenant", Name: "stadt"}, {Kind: "tenant", Name: "dorf"}, {Kind: "tenant", Name: "markt"}, {Kind: "pool", Name: "vpn"}}),
		tx.PutUsageInterval(time.Hour, hour.Add(-time.Hour), "tenant", capacity.PackIntervals([]int64{1, 2, 3}, []capacity.Interval{busy, few, withheld})),
		tx.PutUsageInterval(time.Hour, hour.Add(-time.Hour), "pool", capacity.PackIntervals([]int64{4}, []capacity.Interval{busy})),
		tx.PutUsageState(store.UsageState{SeenAt: time.Now(), MinutesTo: time.Now().UTC().Truncate(time.Minute), HoursTo: hour, DaysTo: hour.Truncate(24 * time.Hour)}))
}

// Each metric and each label that the dashboard asks for is there.
func TestDashboardAsksForWhatThereIs(t *testing.T) {
	text, labels := exposed(t)
	for _, line := range []string{
		`heimdraht_tenant_sessions_highest{tenant="stadt"} 37`, `heimdraht_licence_pool_sessions_highest{pool="vpn"} 37`, `heimdraht_licence_pool_seats_held{pool="vpn"} 0`,
		`heimdraht_licence_pool_seats_guaranteed_unused{pool="vpn"} 20`, `heimdraht_licence_pool_seats_held{pool="gross"} 6`, `heimdraht_licence_pool_seats_guaranteed_unused{pool="gross"} 14`,
		`heimdraht_capacity_warnings{kind="seats",name="vpn",of="pool",percent="80"} 1`, `heimdraht_capacity_warnings{kind="seats",name="",of="pool",percent="80"} 1`,
		`heimdraht_capacity_warnings{kind="seats",name="",of="tenant",percent="80"} 2`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no metric %s", line)
		}
	}
	for _, few := range []string{`sessions_highest{tenant="dorf"}`, `sessions_highest{tenant="markt"}`, `seats_held{pool="klein"}`, `waiting{pool="klein"}`} {
		if strings.Contains(text, few) {
			t.Errorf("metrics tell of few people: %s", few)
		}
	}
	file, err := os.ReadFile("../../deploy/grafana-capacity.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(file, &board); err != nil {
		t.Fatal(err)
	}
	promtool := testneed.Program(t, "promtool")
	rules, asked := "groups: [{name: dashboard, rules: [", 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			asked++
			rules += fmt.Sprintf("{record: %q, expr: %q},", fmt.Sprintf("asked:%d", asked), target.Expr)
			var have []string
			for _, name := range regexp.MustCompile(`heimdraht_[a-z_0-9]+`).FindAllString(target.Expr, -1) {
				if labels[name] == nil {
					t.Errorf("%s asks for %s, which there is not", p.Title, name)
				}
				have = append(have, labels[name]...)
			}
			wanted := regexp.MustCompile(`\{\{([a-z_]+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1)
			wanted = append(wanted, regexp.MustCompile(`by \(([a-z_]+)\)`).FindAllStringSubmatch(target.Expr, -1)...)
			wanted = append(wanted, regexp.MustCompile(`[{,]\s*([a-z_]+)\s*=`).FindAllStringSubmatch(target.Expr, -1)...)
			for _, w := range wanted {
				if !slices.Contains(have, w[1]) {
					t.Errorf("%s asks for the label %s, which %s has not", p.Title, w[1], target.Expr)
				}
			}
		}
	}
	if asked < 10 {
		t.Fatalf("only %d queries were found", asked)
	}
	written := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(written, []byte(rules+"]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), promtool, "check", "rules", written).CombinedOutput(); err != nil {
		t.Errorf("the queries: %v: %s", err, said)
	}
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if said, err := check.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("%v: %s", err, said)
	}
}
