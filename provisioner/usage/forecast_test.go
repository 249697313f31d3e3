package usage_test

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// past has the hours of whole days until today be known; n gives the most sessions of an
// hour, and whether they may be told.
func (w *world) past(t *testing.T, kind usage.Kind, name string, days int, n func(at time.Time) (int64, bool)) {
	t.Helper()
	const day = 24 * time.Hour
	today := time.Now().UTC().Truncate(day)
	w.update(t, func(tx *store.Writer) error {
		if err := tx.AddUsageSeries([]store.UsageSeries{{Kind: string(kind), Name: name}}); err != nil {
			return err
		}
		list, err := tx.UsageSeries()
		if err != nil {
			return err
		}
		var rows []store.UsageRow
		for d := range days {
			begins := today.Add(-time.Duration(days-d) * day)
			var keys []int64
			var hours []capacity.Interval
			for h := range int64(24) {
				most, told := n(begins.Add(time.Duration(h) * time.Hour))
				v := capacity.Interval{Minutes: 60, Complete: 60, Sessions: capacity.Gauge{Max: most, Mean: 100 * most, P95: most}}
				if told {
					v.Disclosed = capacity.DiscloseSessions
				}
				keys, hours = append(keys, h), append(hours, v)
			}
			for _, s := range list {
				if s.Kind == string(kind) && s.Name == name {
					rows = append(rows, store.UsageRow{Series: s.ID, At: begins, Packed: capacity.PackIntervals(keys, hours)})
				}
			}
		}
		return errors.Join(tx.PutUsageDays(usage.Hour, rows), tx.PutUsageState(store.UsageState{SeenAt: today, MinutesTo: today, HoursTo: today, DaysTo: today}))
	})
}

// office is full on working days and grows by two a day.
func office(at time.Time) (int64, bool) {
	grown := 2 * (84 + int64(at.Sub(time.Now().UTC().Truncate(24*time.Hour))/(24*time.Hour)))
	year, month, d := provisioner.DayOf(at)
	weekday := time.Date(year, month, d, 0, 0, 0, 0, time.UTC).Weekday()
	switch hour := at.Sub(provisioner.DayBegins(year, month, d)) / time.Hour; {
	case weekday == time.Saturday || weekday == time.Sunday || hour < 7 || hour > 17:
		return 6, true
	default:
		return 300 + grown, true
	}
}

// Days are those of Germany: of 23 hours and of 25 where the clock is changed, and one more in
// a leap year.
func TestDaysOfGermany(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(306 * 24 * time.Hour) // until November 2000
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		w.past(t, usage.Tenants, "stadt", 306, func(time.Time) (int64, bool) { return 100, true })
		u, err := w.Usage(t.Context(), planner("stadt"), usage.Query{By: usage.Tenants, Name: "stadt", Step: usage.Day, From: begin(), To: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]int64)
		for _, p := range u.Series[0].Points {
			year, month, d := provisioner.DayOf(p.At)
			got[time.Date(year, month, d, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)] = p.Minutes / 60
		}
		for day, hours := range map[string]int64{"2000-02-28": 24, "2000-02-29": 24, "2000-03-01": 24, "2000-03-25": 24, "2000-03-26": 23, "2000-03-27": 24, "2000-10-28": 24, "2000-10-29": 25, "2000-10-30": 24} {
			if got[day] != hours {
				t.Errorf("%s has %d hours, want %d", day, got[day], hours)
			}
		}
	})
}

func forecastOf(t *testing.T, w *world, a provisioner.Actor, q usage.ForecastQuery) usage.Forecast {
	t.Helper()
	f, err := w.Forecast(t.Context(), a, q)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestForecast(t *testing.T) {
	w := newWorld(t, filepath.Join(t.TempDir(), "db"))
	defer w.end(t)
	w.past(t, usage.Pools, "vpn", 84, office)
	q := usage.ForecastQuery{By: usage.Pools, Name: "vpn", Days: 60}
	f := forecastOf(t, w, planner(tenants...), q)
	if f.Of != 1000 || f.Known != 84*24 || f.Withheld != 0 || len(f.Hours) != 60*24 || len(f.Backtest) == 0 {
		t.Errorf("of %d seats, from %d hours and %d withheld: %d hours, %d horizons", f.Of, f.Known, f.Withheld, len(f.Hours), len(f.Backtest))
	}
	if len(f.Exhausted) > 0 {
		t.Errorf("a thousand do not suffice: %v", f.Exhausted)
	}
	w.update(t, func(tx *store.Writer) error {
		p := provisioner.LicencePool{Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 480}}}
		for _, name := range tenants {
			p.Shares = append(p.Shares, provisioner.PoolShare{Tenant: name})
		}
		return tx.PutPool(p)
	})
	f = forecastOf(t, w, planner(tenants...), q)
	if len(f.Exhausted) < 2 || f.Exhausted[0].Probability != .05 || f.Exhausted[1].Probability != .5 || f.Exhausted[1].At.Before(f.Exhausted[0].At) {
		t.Errorf("480 are exhausted: %v", f.Exhausted)
	}
	// The contract ends, and another one goes on.
	ends := time.Now().Add(21 * 24 * time.Hour)
	w.update(t, func(tx *store.Writer) error {
		p := provisioner.LicencePool{Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 1000, Until: ends}, {Seats: 100}}}
		for _, name := range tenants {
			p.Shares = append(p.Shares, provisioner.PoolShare{Tenant: name})
		}
		return tx.PutPool(p)
	})
	after := forecastOf(t, w, planner(tenants...), q)
	if after.Of != 1100 || len(after.Exhausted) != 3 {
		t.Fatalf("of %d: %v", after.Of, after.Exhausted)
	}
	for _, v := range after.Exhausted {
		if v.Of != 100 || v.At.Before(ends.Truncate(time.Hour)) || v.At.After(ends.Add(4*24*time.Hour)) {
			t.Errorf("exhausted %+v, want after %v", v, ends)
		}
	}
	if at := f.Exhausted[0].At; at.Before(time.Now()) {
		t.Errorf("480 were exhausted already at %v", at)
	}
}

// What is withheld changes no forecast: whoever asks for one learns nothing of it.
func TestForecastsAreMadeOfWhatIsTold(t *testing.T) {
	var told []usage.Forecast
	for _, few := range []int64{0, 4, 900} {
		w := newWorld(t, filepath.Join(t.TempDir(), "db"))
		w.past(t, usage.Tenants, "stadt", 40, func(at time.Time) (int64, bool) {
			if n, _ := office(at); n > 6 {
				return n, true
			}
			return few, false
		})
		told = append(told, forecastOf(t, w, planner("stadt"), usage.ForecastQuery{By: usage.Tenants, Name: "stadt", Days: 7}))
		w.end(t)
	}
	for _, f := range told {
		if f.Withheld == 0 || f.Known+f.Withheld != 40*24 {
			t.Errorf("%d hours known and %d withheld", f.Known, f.Withheld)
		}
		if !reflect.DeepEqual(f.Hours, told[0].Hours) {
			t.Error("what is withheld is told by the forecast")
		}
	}
}

func TestForecastRefuses(t *testing.T) {
	w := newWorld(t, filepath.Join(t.TempDir(), "db"))
	defer w.end(t)
	w.past(t, usage.Tenants, "stadt", 10, office)
	for _, c := range []struct {
		name  string
		actor provisioner.Actor
		q     usage.ForecastQuery
		code  provisioner.Code
	}{
		{"no days", planner("stadt"), usage.ForecastQuery{By: usage.Tenants, Name: "stadt"}, provisioner.CodeInvalid},
		{"too many days", planner("stadt"), usage.ForecastQuery{By: usage.Tenants, Name: "stadt", Days: 91}, provisioner.CodeInvalid},
		{"of nothing", planner("stadt"), usage.ForecastQuery{By: usage.Tenants, Days: 7}, provisioner.CodeInvalid},
		{"too short", planner("stadt"), usage.ForecastQuery{By: usage.Tenants, Name: "stadt", Days: 7}, provisioner.CodeHistoryTooShort},
		{"never measured", planner("markt"), usage.ForecastQuery{By: usage.Tenants, Name: "markt", Days: 7}, provisioner.CodeHistoryTooShort},
		{"another's", planner("markt"), usage.ForecastQuery{By: usage.Tenants, Name: "stadt", Days: 7}, provisioner.CodeNotAllowed},
		{"a pool that is not there", planner("stadt"), usage.ForecastQuery{By: usage.Pools, Name: "nirgends", Days: 7}, provisioner.CodeNotFound},
		{"a pool that others share", planner("stadt"), usage.ForecastQuery{By: usage.Pools, Name: "vpn", Days: 7}, provisioner.CodeNotFound},
		{"a gateway", planner(tenants...), usage.ForecastQuery{By: usage.Gateways, Name: "gw1", Days: 7}, provisioner.CodeNotAllowed},
		{"all", planner(tenants...), usage.ForecastQuery{By: usage.Provider, Days: 7}, provisioner.CodeNotAllowed},
		{"all, as an operator", operator(), usage.ForecastQuery{By: usage.Provider, Days: 7}, provisioner.CodeHistoryTooShort},
	} {
		_, err := w.Forecast(t.Context(), c.actor, c.q)
		if refusal, ok := provisioner.AsRefusal(err); !ok || refusal.Code != c.code {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
}
