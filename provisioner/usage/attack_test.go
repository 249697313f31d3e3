package usage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/licensing"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/usage"
)

// answers are all that planners are told, by what they ask and when.
type answers map[string]string

// attack asks everything that planners can ask, of any tenants, in overlapping times.
func (w *world) attack(t *testing.T, into answers) {
	t.Helper()
	now := time.Since(begin()).Round(time.Minute)
	for _, who := range []provisioner.Actor{planner(tenants...), planner("dorf"), planner("stadt", "dorf"), planner("markt")} {
		for _, g := range append(who.Grants, provisioner.Grant{}) { // of all, and of each
			c, err := w.Concurrency(t.Context(), who, g.Tenant)
			seats, _, failed := licensing.New(w.store).Seats(t.Context(), who, g.Tenant)
			if err := errors.Join(err, failed); err != nil {
				t.Fatal(err)
			}
			into[fmt.Sprintf("at %v: %v of %q now", now, who.Grants, g.Tenant)] = fmt.Sprintf("%+v %+v %+v", c.Tenants, c.Pools, seats)
		}
		for _, by := range []usage.Kind{usage.Tenants, usage.Pools} {
			for _, step := range []time.Duration{usage.Quarter, usage.Hour, usage.Day} {
				for from := time.Duration(0); from < now; from += 17 * time.Minute {
					for _, to := range []time.Duration{from + step/2, from + 20*time.Minute, now} {
						if to > now || to <= from {
							continue
						}
						u, err := w.Usage(t.Context(), who, usage.Query{By: by, Step: step, From: begin().Add(from), To: begin().Add(to)})
						if err != nil {
							t.Fatal(err)
						}
						into[fmt.Sprintf("at %v: %v by %s in %v from %v to %v", now, who.Grants, by, step, from, to)] = fmt.Sprintf("%+v", u)
					}
				}
			}
		}
	}
	for _, by := range []usage.Kind{usage.Tenants, usage.Pools} { // of which there are metrics
		at, latest, err := w.Latest(t.Context(), by)
		if err != nil {
			t.Fatal(err)
		}
		into[fmt.Sprintf("at %v: metrics by %s", now, by)] = fmt.Sprintf("%v %+v", at, latest)
	}
}

// night is one in which thirty-one of the city and seven of the town work, and, if she
// does, one of the village for three quarters of an hour, who tries twice.
func night(t *testing.T, does bool) answers {
	t.Helper()
	told, dir := make(answers), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		w.staff(t, "stadt", 120)
		w.staff(t, "markt", 60)
		w.staff(t, "dorf", 60)
		w.all(t, "stadt", 31, true)
		w.all(t, "markt", 7, true)
		until(59 * time.Minute)
		defer w.start(t.Context())()
		for minute := 59; minute < 125; minute++ {
			until(time.Duration(minute) * time.Minute)
			switch {
			case does && minute == 67:
				for range 7 {
					w.Refused("dorf", "she", provisioner.CodeNoSeat)
				}
				w.open(t, "dorf", 0)
			case does && minute == 90:
				w.carry(t, "dorf", 0, 1e9, 1e9)
			case does && minute == 112:
				w.close(t, "dorf", 0)
			case minute == 70:
				w.open(t, "stadt", 50)
				w.carry(t, "stadt", 0, 5_000_000, 80_000)
			}
			if minute%30 == 15 {
				w.attack(t, told)
			}
		}
		w.attack(t, told)
	})
	return told
}

// Whoever knows everything about all others and asks everything at any time is told the
// same whether she works or not. In her pool there are 38 or 39, which both are told as 40:
// what is told where one more makes the step is in docs/capacity.md.
func TestNobodyIsRecovered(t *testing.T) {
	with, without := night(t, true), night(t, false)
	if len(with) < 100 || !strings.Contains(strings.Join(values(with), ""), "Max:32") || !strings.Contains(strings.Join(values(with), ""), "Max:40") {
		t.Errorf("%d answers, of which some should tell of 32 and 40", len(with))
	}
	for question, answer := range with {
		if diff := cmp.Diff(without[question], answer); diff != "" {
			t.Errorf("%s:\n%s", question, diff)
		}
	}
}

func values(a answers) (list []string) {
	for _, v := range a {
		list = append(list, v)
	}
	return list
}

// The hours that are told add up to no number of few: what is told of quarters is told
// of their hour, and what of an hour is withheld is so of each of its quarters.
func TestQuartersAndHoursAgree(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		w.staff(t, "stadt", 120)
		w.all(t, "stadt", 30, true)
		until(59 * time.Minute)
		defer w.start(t.Context())()
		until(130 * time.Minute)
		w.all(t, "stadt", 27, false) // three are left for ten minutes
		until(140 * time.Minute)
		w.all(t, "stadt", 27, true)
		until(242 * time.Minute)
		ask := func(step time.Duration) []usage.Point {
			return w.ask(t, planner("stadt"), usage.Query{By: usage.Tenants, Name: "stadt", Step: step, From: begin().Add(time.Hour), To: begin().Add(4 * time.Hour)})
		}
		hours, quarters := ask(usage.Hour), ask(usage.Quarter)
		text := ""
		for i, h := range hours {
			text += fmt.Sprint(!h.Sessions.Withheld, " ")
			for _, q := range quarters[4*i : 4*i+4] {
				if q.Sessions.Withheld != h.Sessions.Withheld || !q.Opened.Withheld || !q.Queue.Withheld {
					t.Errorf("hour %d: %+v, a quarter: %+v", i, h, q)
				}
			}
		}
		if text != "true false true " {
			t.Errorf("told %s", text)
		}
		if day := ask(usage.Day)[0]; day.Sessions.Gauge != (capacity.Gauge{Max: 30, Mean: 3000, P95: 30}) || !day.Partly {
			t.Errorf("the day tells of what is withheld: %+v", day)
		}
	})
}

// What is refused to few is not told, however often they try, and to enough people it is.
func TestRefusalsAreOfPeople(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		w.staff(t, "stadt", 120)
		defer w.start(t.Context())()
		until(2 * time.Minute)
		for i := range 60 {
			w.Refused("stadt", fmt.Sprint("p", i%4), provisioner.CodeNoSeat)
			w.Refused("stadt", fmt.Sprint("p", i%6), provisioner.CodeNoGateway)
		}
		until(61 * time.Minute)
		p := w.ask(t, planner("stadt"), usage.Query{By: usage.Tenants, Name: "stadt", Step: usage.Hour, From: begin(), To: begin().Add(time.Hour)})[0]
		if seat, gateway := p.Refused[capacity.NoSeat], p.Refused[capacity.NoGateway]; !seat.Withheld || gateway != (capacity.Count{Value: 60}) {
			t.Errorf("told %+v", p.Refused)
		}
	})
}

// A pool that others share tells only those who may see all of them.
func TestSharedPools(t *testing.T) {
	w := newWorld(t, dbFile(t.TempDir()))
	defer w.end(t)
	w.update(t, func(tx *store.Writer) error {
		return errors.Join(tx.AddUsageSeries([]store.UsageSeries{{Kind: "pool", Name: "vpn"}, {Kind: "tenant", Name: "stadt"}, {Kind: "tenant", Name: "dorf"}}))
	})
	now := time.Now()
	q := usage.Query{By: usage.Pools, Step: usage.Hour, From: now.Add(-time.Hour), To: now}
	if u, err := w.Usage(t.Context(), planner("stadt"), q); err != nil || len(u.Series) > 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if u, err := w.Usage(t.Context(), planner(tenants...), q); err != nil || len(u.Series) != 1 || u.Series[0].Of != 1000 {
		t.Errorf("%+v, %v", u, err)
	}
	q.By = usage.Tenants
	if u, err := w.Usage(t.Context(), planner("stadt"), q); err != nil || len(u.Series) != 1 || u.Series[0].Name != "stadt" {
		t.Errorf("%+v, %v", u, err)
	}
}
