package usage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
	"github.com/heimdraht/heimdraht/provisioner/licensing"
	"github.com/heimdraht/heimdraht/provisioner/metering"
	"github.com/heimdraht/heimdraht/provisioner/planning"
	_ "github.com/heimdraht/heimdraht/provisioner/rpc" // which calls there are, and who may call them
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/usage"
	"github.com/heimdraht/heimdraht/provisioner/warning"
	"github.com/heimdraht/heimdraht/provisioner/webhook"
)

// answers are all that planners are told, by what they ask and when.
type answers map[string]string

// attacker is who asks, with what the control plane does besides.
type attacker struct {
	*world
	metering *metering.Service
	warning  *warning.Service
	log      bytes.Buffer // what is warned of is told there, too
	told     answers
}

// asks are the calls that planners may make which tell of anything else than themselves, and
// how each is asked everything that can be asked. What the services answer is all that is in the answers of
// the calls.
func asks() map[string]func(a *attacker, t *testing.T, who provisioner.Actor, tenant string, note func(what string, answer any, err error)) {
	return map[string]func(*attacker, *testing.T, provisioner.Actor, string, func(string, any, error)){
		"CapacityService/GetConcurrency": func(a *attacker, t *testing.T, who provisioner.Actor, tenant string, note func(string, any, error)) {
			c, err := a.Concurrency(t.Context(), who, tenant)
			note("", c, err)
		},
		"CapacityService/GetUsage": func(a *attacker, t *testing.T, who provisioner.Actor, tenant string, note func(string, any, error)) {
			if tenant != "" {
				return // below, with the others
			}
			now := time.Since(begin()).Round(time.Minute)
			for _, by := range []usage.Kind{usage.Tenants, usage.Pools} {
				for _, step := range []time.Duration{usage.Quarter, usage.Hour, usage.Day} {
					for from := time.Duration(0); from < min(now, 3*time.Hour); from += 31 * time.Minute {
						for _, to := range []time.Duration{from + step/2, from + 20*time.Minute, now} {
							if to > now || to <= from {
								continue
							}
							u, err := a.Usage(t.Context(), who, usage.Query{By: by, Step: step, From: begin().Add(from), To: begin().Add(to)})
							note(fmt.Sprintf("by %s in %v from %v to %v", by, step, from, to), u, err)
						}
					}
				}
			}
		},
		"CapacityService/GetForecast": func(a *attacker, t *testing.T, who provisioner.Actor, tenant string, note func(string, any, error)) {
			for _, q := range []usage.ForecastQuery{{By: usage.Pools, Name: "vpn", Days: 28}, {By: usage.Tenants, Name: tenant, Days: 1}} {
				f, err := a.Forecast(t.Context(), who, q)
				note(fmt.Sprint(q), f, err)
			}
		},
		"CapacityService/ListProducts": func(a *attacker, t *testing.T, who provisioner.Actor, tenant string, note func(string, any, error)) {
			at, list, err := a.metering.Products(t.Context(), who, tenant)
			note("", []any{at, list}, err)
		},
		"CapacityService/Plan": func(a *attacker, t *testing.T, who provisioner.Actor, tenant string, note func(string, any, error)) {
			r := planning.Request{Plan: plan.Request{From: time.Now().AddDate(0, 2, 0), Years: 1, HomeShare: 600_000, HomeShareThen: 200_000, OnlineAtPeak: 800_000, Refused: 1000, Throughput: 150}}
			if tenant != "" {
				r.Tenants = []string{tenant}
			}
			p, err := planning.New(a.store).Plan(t.Context(), who, r)
			if err != nil {
				note("", nil, err)
				return
			}
			figures := ""
			for _, f := range p.Figures {
				figures += fmt.Sprintln(f.Name, f.Of, f.Year, f.Value, f.Unit)
			}
			for _, w := range p.Warnings {
				figures += fmt.Sprintln(w.Code, w.Of)
			}
			note("", []any{p.At, p.LeftOut, p.PeopleKnown, p.LaptopsWithheld, figures}, nil)
		},
		"CapacityService/ListWarnings": func(a *attacker, t *testing.T, who provisioner.Actor, _ string, note func(string, any, error)) {
			for _, all := range []bool{false, true} {
				l, err := a.warning.List(t.Context(), who, all)
				for i := range l.Warnings {
					l.Warnings[i].ID = "" // drawn
				}
				note(fmt.Sprint(all), l, err)
			}
		},
		"LicenceService/ListSeats": func(a *attacker, t *testing.T, who provisioner.Actor, tenant string, note func(string, any, error)) {
			list, at, err := licensing.New(a.store).Seats(t.Context(), who, tenant)
			note("", []any{at, list}, err)
		},
		"LicenceService/ListLicences": func(a *attacker, t *testing.T, who provisioner.Actor, tenant string, note func(string, any, error)) {
			l, err := licensing.New(a.store).Licences(t.Context(), who, tenant)
			note("", l, err)
		},
	}
}

// Whatever a planner may call is among what the attacker does, or tells of the caller alone: a
// new call has to be added.
func TestTheAttackerAsksEveryCallOfPlanners(t *testing.T) {
	callers, err := protoregistry.GlobalTypes.FindExtensionByName("heimdraht.v1.callers")
	if err != nil {
		t.Fatal(err)
	}
	planner := callers.TypeDescriptor().Enum().Values().ByName("CALLER_PLANNER").Number()
	asked, found := asks(), 0
	protoregistry.GlobalFiles.RangeFilesByPackage("heimdraht.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			for j := range file.Services().Get(i).Methods().Len() {
				m := file.Services().Get(i).Methods().Get(j)
				name := string(m.Parent().Name()) + "/" + string(m.Name())
				list := m.Options().ProtoReflect().Get(callers.TypeDescriptor()).List()
				may := false
				for k := range list.Len() {
					may = may || list.Get(k).Enum() == planner
				}
				if !may || name == "AuthService/WhoAmI" || name == "AuthService/Logout" {
					continue
				}
				found++
				if asked[name] == nil {
					t.Errorf("planners may call %s, and the attacker does not", name)
				}
			}
		}
		return true
	})
	if found != len(asked) {
		t.Errorf("planners may call %d of the %d calls", found, len(asked))
	}
}

// attack asks everything that planners can ask, of any tenants, in overlapping times, and
// reads what metrics, the log and the webhook are told.
func (a *attacker) attack(t *testing.T) {
	t.Helper()
	now := time.Since(begin()).Round(time.Minute)
	note := func(question string, answer any, err error) {
		if _, refused := provisioner.AsRefusal(err); err != nil && !refused {
			t.Fatalf("%s: %v", question, err)
		}
		a.told[fmt.Sprintf("at %v: %s", now, question)] = fmt.Sprintf("%+v %v", answer, err)
	}
	for _, who := range []provisioner.Actor{planner(tenants...), planner("dorf"), planner("stadt", "dorf"), planner("markt")} {
		for _, g := range append(who.Grants, provisioner.Grant{}) { // of all, and of each
			for call, ask := range asks() {
				ask(a, t, who, g.Tenant, func(what string, answer any, err error) {
					note(fmt.Sprintf("%v: %s of %q %s", who.Grants, call, g.Tenant, what), answer, err)
				})
			}
		}
	}
	for _, by := range []usage.Kind{usage.Tenants, usage.Pools} { // of which there are metrics
		at, latest, err := a.Latest(t.Context(), by)
		note(fmt.Sprintf("metrics by %s", by), []any{at, latest}, err)
	}
	standing, err := a.warning.Standing(t.Context())
	note("metrics of warnings", standing, err)
	products, err := a.metering.InUse(t.Context())
	note("metrics of products", products, err)
	note("the log", drawnIDs().ReplaceAllString(a.log.String(), "ID"), nil)
	message, err := store.Read(t.Context(), a.store, func(tx *store.Reader) (store.WarningMessage, error) { return tx.DueWarningMessage(time.Now()) })
	if err == nil || errors.Is(err, store.ErrNone) {
		note("the webhook", drawnIDs().ReplaceAllString(message.Body, "ID"), nil)
	}
}

// drawnIDs are those that are drawn: of a message, a warning and an installation.
func drawnIDs() *regexp.Regexp { return regexp.MustCompile(`"[0-9a-zA-Z_-]{16,}"|id=\w+`) }

// night is one in which thirty-one of the city and some of the town work, and, if she
// does, one of the village for three quarters of an hour, who tries seven times and uses what her
// tenant counts. The day after is asked for, too.
func night(t *testing.T, ofTown int, does bool) answers {
	t.Helper()
	a, dir := &attacker{told: make(answers)}, t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dbFile(dir))
		defer w.end(t)
		a.world = w
		a.metering = metering.New(metering.Options{Store: w.store, Logger: slog.New(slog.DiscardHandler)})
		a.warning = warning.New(warning.Options{Store: w.store, Usage: w.Service, Webhook: &webhook.Receiver{}, Logger: slog.New(slog.NewTextHandler(&a.log, nil))})
		w.update(t, func(tx *store.Writer) error {
			tenant, err := tx.Tenant("dorf")
			tenant.WorksAgreement = provisioner.WorksAgreement{Reference: "DV 7", Date: begin().Add(-time.Hour)}
			tenant.Products = []provisioner.Product{{Name: "office", Processes: []string{"office"}}}
			pool := provisioner.LicencePool{Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 50}}}
			for _, name := range tenants {
				pool.Shares = append(pool.Shares, provisioner.PoolShare{Tenant: name})
			}
			return errors.Join(err, tx.PutTenant(tenant), tx.PutPool(pool))
		})
		w.staff(t, "stadt", 120)
		w.staff(t, "markt", 60)
		w.staff(t, "dorf", 60)
		w.all(t, "stadt", 31, true)
		w.all(t, "markt", ofTown, true)
		until(59 * time.Minute)
		stop := w.start(t.Context())
		stream := a.metering.Open("dorf")
		for minute := 59; minute < 125; minute++ {
			until(time.Duration(minute) * time.Minute)
			switch {
			case does && minute == 67:
				for range 7 {
					w.Refused("dorf", "she", provisioner.CodeNoSeat)
				}
				w.open(t, "dorf", 0)
				stream.Say([]metering.Use{{Product: "office"}})
			case does && minute == 90:
				w.carry(t, "dorf", 0, 1e9, 1e9)
			case does && minute == 112:
				w.close(t, "dorf", 0)
				stream.Say(nil)
			case minute == 70:
				w.open(t, "stadt", 50)
				w.carry(t, "stadt", 0, 5_000_000, 80_000)
			}
			if minute%30 == 15 {
				w.update(t, (*store.Writer).NotePeaks)
				a.attack(t)
			}
		}
		a.judge(t)
		a.attack(t)
		stop() // nothing happens until the day after, but that it is the day after
		until(26 * time.Hour)
		defer w.start(t.Context())()
		until(26*time.Hour + 5*time.Minute)
		a.judge(t)
		a.attack(t)
	})
	return a.told
}

// judge has what is over be judged by what is to be warned of.
func (a *attacker) judge(t *testing.T) {
	t.Helper()
	until(time.Since(begin()).Truncate(time.Minute) + 5*time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := a.warning.RunJudging(ctx); err != nil {
		t.Fatal(err)
	}
}

// Whoever knows everything about all others, and does and reads everything that planners can, at
// any time, is never told a number of her tenant, and of her pool numbers that are the same whether
// she works or not, except where one more makes a step: of five neighbouring numbers of others the highest one
// does that at one, the mean at another, and the day's peak in plans, which is rounded up, at a third. There he learns that
// she is one of them. That no number for
// planning hides more is in docs/capacity.md.
func TestNobodyIsRecovered(t *testing.T) {
	t.Parallel()
	// To plans 40 are 40, and 41 are 45; 42 is told as 40, and 43 as 45; and so are a mean of 42.1 and of 42.6.
	steps := map[int64]bool{40: true, 42: true, 43: true}
	for ofTown := int64(8); ofTown < 12; ofTown++ {
		others := 31 + 1 + ofTown // one of the city comes later
		t.Run(fmt.Sprint(others), func(t *testing.T) {
			t.Parallel()
			with, without := night(t, int(ofTown), true), night(t, int(ofTown), false)
			all := strings.Join(slices.Collect(maps.Values(with)), "")
			if len(with) < 400 || !strings.Contains(all, "Max:32") || !strings.Contains(all, fmt.Sprintf("Max:%d", rounded(others+1))) || !strings.Contains(all, "Kind:seats") ||
				!strings.Contains(all, "seats-by-observed-peak") {
				t.Errorf("%d answers, of which some should tell of 32 and %d, of a warning and of a peak", len(with), rounded(others+1))
			}
			differ := 0
			for question, answer := range with {
				if answer == without[question] {
					continue
				}
				differ++
				if !steps[others] || strings.Contains(question, "by tenant") || strings.Contains(question, "products") {
					t.Errorf("%s:\n%s", question, cmp.Diff(without[question], answer))
				}
			}
			if steps[others] != (differ > 0) {
				t.Errorf("%d of %d answers differ", differ, len(with))
			}
		})
	}
}

func rounded(n int64) int64 { return (n + 2) / 5 * 5 }

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
