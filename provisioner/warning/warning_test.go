package warning_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/capacity/replay"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
	"github.com/heimdraht/heimdraht/provisioner/webhook"
)

func days(n int, h hour) (list []hour) {
	for range n * 24 {
		list = append(list, h)
	}
	return list
}

// From the first quarter above a threshold to two quiet weeks, over restarts.
func TestAWarningFromBeginToEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 40, nil)
	w.measure(t, hour{seats: 79, sessions: 100})
	if w.judge(t); w.open(t) != "" {
		t.Fatalf("too early: %s", w.open(t))
	}
	w.measure(t, hour{seats: 81, sessions: 165, queue: 5, refused: 12})
	const loud = "queue vpn, refused, refused stadt, seats vpn 80, sessions gw1 80"
	for range 3 { // the same hour, by others who go on
		w.judge(t)
		w.replica(nil)
	}
	if got := w.open(t); got != loud {
		t.Fatalf("%s, want %s", got, loud)
	}
	first := view(t, w.store, (*store.Reader).OpenWarnings)
	for _, v := range first {
		if v.Kind == "seats" && (v.Value != 81 || v.Capacity != 100 || !v.SeenAt.Equal(w.hours.Add(-45*time.Minute))) {
			t.Errorf("%+v", v)
		}
	}
	// Nights and weekends are quiet, and it comes back: nobody is told again.
	for range 8 {
		w.measure(t, days(1, hour{})...)
		w.measure(t, hour{seats: 85, sessions: 170, queue: 7, refused: 9})
	}
	w.measure(t, hour{seats: 97})
	w.judge(t)
	if got := w.open(t); got != "queue vpn, refused, refused stadt, seats vpn 80, seats vpn 95, sessions gw1 80" {
		t.Errorf("after a while: %s", got)
	}
	if n := w.log.count("capacity runs short"); n != 5 { // nothing of a tenant
		t.Errorf("the log was told %d times", n)
	}
	w.measure(t, days(16, hour{})...)
	w.judge(t)
	if w.open(t) != "" || w.ended(t) != "queue vpn quiet, refused quiet, refused stadt quiet, seats vpn 80 quiet, seats vpn 95 quiet, sessions gw1 80 quiet" {
		t.Errorf("in the end: %s; %s", w.open(t), w.ended(t))
	}
	if n := w.log.count("a warning of capacity has ended"); n != 5 {
		t.Errorf("the log was told of %d ends", n)
	}
}

func TestGapsAndWhatIsWithheld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 50, nil)
	w.measure(t, hour{seats: 99, queue: 9, refused: 9, withheld: true, few: true}, hour{gap: true})
	if w.judge(t); w.open(t) != "" { // who tries nine times is one, and metrics and webhooks go far
		t.Errorf("of few: %s", w.open(t))
	}
	w.measure(t, hour{seats: 99, queue: 9, refused: 9, withheld: true}, hour{gap: true})
	if w.judge(t); w.open(t) != "refused" { // of all together only operators are told
		t.Errorf("of what is withheld: %s", w.open(t))
	}
	w.measure(t, hour{seats: 85})
	w.measure(t, days(30, hour{gap: true})...)
	if w.judge(t); w.open(t) != "refused, seats vpn 80" {
		t.Errorf("after a month of nothing: %s", w.open(t))
	}
}

// What is not there any more ends its warnings, and says so.
func TestWhatIsGoneEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	w.measure(t, hour{seats: 99})
	w.judge(t)
	if got := w.open(t); got != "seats vpn 80, seats vpn 95" {
		t.Fatal(got)
	}
	w.update(t, func(tx *store.Writer) error { return tx.PutPool(pool(80, 99)) })
	w.measure(t, hour{seats: 50})
	if w.judge(t); w.open(t) != "seats vpn 80" || w.ended(t) != "seats vpn 95 threshold" {
		t.Errorf("another threshold: %s; %s", w.open(t), w.ended(t))
	}
	w.update(t, func(tx *store.Writer) error {
		g, err := tx.Gateway("gw1")
		g.WarnAt, g.Tenants = []int64{25, 60}, []string{"stadt", "dorf"}
		return errors.Join(err, tx.PutGateway(g.Gateway))
	})
	w.measure(t, hour{sessions: 119})
	if w.judge(t); w.open(t) != "seats vpn 80, sessions gw1 25" {
		t.Errorf("a gateway's own thresholds: %s", w.open(t))
	}
	// From now on it is a product's, and gives sessions no seats.
	w.update(t, func(tx *store.Writer) error {
		return tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "ad", Policy: provisioner.DefaultPolicy(), Products: []provisioner.Product{{Name: "citrix", LicencePool: "vpn"}}})
	})
	w.measure(t, hour{})
	if w.judge(t); w.open(t) != "sessions gw1 25" || w.ended(t) != "seats vpn 80 gone, seats vpn 95 threshold" {
		t.Errorf("no pool: %s; %s", w.open(t), w.ended(t))
	}
}

// What a simulation promises is what comes.
func TestItComesAsSimulated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 25, nil)
	begins := w.hours
	list := days(24, hour{seats: 40})
	list[33].seats, list[20*24].seats, list[22*24+3].seats, list[23*24].seats = 83, 81, 96, 160 // the first has ended by then
	values := make([]float64, len(list))
	for i, h := range list {
		values[i] = float64(h.seats)
	}
	r, err := replay.Replay(capacity.Hours(begins, values...), replay.Seats{Owned: 100, Burst: 50}, replay.Thresholds{Held: provisioner.DefaultWarnings(), Probable: provisioner.DefaultForecastWarnings()}, "")
	if err != nil || r.Exhausted.IsZero() {
		t.Fatalf("%+v, %v", r, err)
	}
	w.measure(t, list...)
	w.judge(t)
	got := make(map[int64]time.Time)
	for _, v := range view(t, w.store, (*store.Reader).OpenWarnings) {
		if v.Kind == "seats" {
			got[v.Percent] = v.SeenAt.Truncate(time.Hour).Add(time.Hour)
		}
	}
	for _, v := range r.Warnings {
		if v.Percent > 0 && !v.At.Equal(got[v.Percent]) {
			t.Errorf("%d %%: simulated at %v, came at %v", v.Percent, v.At, got[v.Percent])
		}
	}
	if w.ended(t) != "seats vpn 80 quiet" {
		t.Errorf("ended: %s", w.ended(t))
	}
}

// A forecast warns once, weeks before, and goes on standing while it moves.
func TestAForecastWarns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 35, nil)
	for d := range 35 {
		list := days(1, hour{seats: 6})
		for h := 7; h < 17; h++ {
			list[h].seats = int64(30 + 3*d/2) // 100 within two weeks
		}
		w.measure(t, list...)
		if d > 29 {
			w.judge(t)
		}
	}
	if got := w.open(t); !strings.HasPrefix(got, "forecast vpn 5") || strings.Count(got, "forecast") > 2 || strings.Contains(got, "95") {
		t.Errorf("%s", got)
	}
	for _, v := range view(t, w.store, (*store.Reader).OpenWarnings) {
		if v.Kind == "seats" {
			continue
		}
		if v.Expected.IsZero() || v.Expected.Before(v.RaisedAt.Add(-35*24*time.Hour)) || v.Capacity != 100 {
			t.Errorf("%+v", v)
		}
	}
	if w.ended(t) != "" {
		t.Errorf("ended: %s", w.ended(t))
	}
	w.update(t, func(tx *store.Writer) error {
		p := pool(80, 95)
		p.WarnForecast = []int64{20, 90}
		return tx.PutPool(p)
	})
	w.measure(t, days(1, hour{seats: 82})...)
	if w.judge(t); !strings.HasPrefix(w.open(t), "forecast vpn 20") || !strings.Contains(w.ended(t), "forecast vpn 5 threshold") {
		t.Errorf("with other probabilities: %s; ended: %s", w.open(t), w.ended(t))
	}
}

// A contract that ends is warned of before, if what there is then does not suffice.
func TestAForecastWarnsOfAContractThatEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 30, nil)
	ends := time.Now().Add(20 * 24 * time.Hour)
	w.update(t, func(tx *store.Writer) error {
		p := pool(80, 95)
		p.Contracts = []provisioner.Contract{{Seats: 60, Until: ends}, {Seats: 40}}
		return tx.PutPool(p)
	})
	for range 30 {
		list := days(1, hour{seats: 6})
		for h := 7; h < 17; h++ {
			list[h].seats = 60
		}
		w.measure(t, list...)
	}
	w.judge(t)
	got := view(t, w.store, (*store.Reader).OpenWarnings)
	if len(got) != 2 {
		t.Fatalf("%s", w.open(t))
	}
	for _, v := range got {
		if v.Kind != "forecast" || v.Capacity != 40 || v.Expected.Before(ends.Truncate(time.Hour)) || v.Expected.After(ends.Add(4*24*time.Hour)) {
			t.Errorf("%+v, want 40 after %v", v, ends)
		}
	}
}

// Wherever a replica stops in the middle, the next one raises and tells nothing twice.
func TestAReplicaThatStopsInBetween(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped")
	var many []int64 // more than are written at once
	for percent := range int64(60) {
		many = append(many, 36+percent)
	}
	for stop := range 5 { // of two slices, and two notes up to when was judged
		w := newWorld(t, 2, new(webhook.Receiver))
		w.update(t, func(tx *store.Writer) error { return tx.PutPool(pool(many...)) })
		var list []hour
		for range 3 {
			list = append(list, hour{seats: 97, sessions: 195, queue: 5, refused: 5})
		}
		w.measure(t, list...)
		writes := 0
		err := w.JudgeAll(t.Context(), func(ctx context.Context, do func(*store.Writer) error) error {
			if writes++; writes > stop {
				return stopped
			}
			return w.store.Update(ctx, do)
		})
		if err != nil && !errors.Is(err, stopped) {
			t.Fatal(err)
		}
		w.replica(new(webhook.Receiver))
		w.judge(t)
		if got := view(t, w.store, (*store.Reader).OpenWarnings); len(got) != 65 {
			t.Errorf("stopped after %d: %s", stop, named(got))
		}
		if r := view(t, w.store, (*store.Reader).Receiving); r.Waiting != 64 || w.ended(t) != "" {
			t.Errorf("stopped after %d: %d messages; ended %s", stop, r.Waiting, w.ended(t))
		}
	}
}

// Of two replicas on one database one judges, and the other goes on when that one is gone.
func TestTwoReplicas(t *testing.T) {
	t.Parallel()
	database := storetest.Postgres(t)
	first := newWorldOn(t, openStore(t, database), 2, new(webhook.Receiver))
	second := &world{store: openStore(t, database), log: new(log)}
	second.replica(new(webhook.Receiver))
	first.measure(t, hour{seats: 85})
	run := func(w *world) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.RunJudging(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	short := make(chan struct{}, 10)
	first.log.short, second.log.short = short, short
	until := func(want string) {
		t.Helper()
		if <-short; first.open(t) != want {
			t.Fatalf("%s, want %s", first.open(t), want)
		}
	}
	stop := run(first)
	until("seats vpn 80")
	stopSecond := run(second)
	first.measure(t, hour{seats: 96})
	stop()
	until("seats vpn 80, seats vpn 95")
	stopSecond()
	if r := view(t, first.store, (*store.Reader).Receiving); r.Waiting != 2 || first.log.count("capacity runs short")+second.log.count("capacity runs short") != 2 {
		t.Errorf("%d messages, and the log was told %d and %d times", r.Waiting, first.log.count("capacity runs short"), second.log.count("capacity runs short"))
	}
}

// Planners see what Usage would tell them, and nobody's else.
func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	w.measure(t, hour{seats: 85, sessions: 165, refused: 7})
	w.judge(t)
	operator := provisioner.Actor{ID: "o", Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}}
	for _, c := range []struct {
		who   provisioner.Actor
		want  string
		codes provisioner.Code
	}{
		{as(provisioner.RolePlanner, "stadt"), "refused stadt", ""},
		{as(provisioner.RolePlanner, "dorf"), "", ""},
		{as(provisioner.RoleTenantAdmin, "stadt", "dorf"), "refused stadt, seats vpn 80", ""},
		{operator, "refused, refused stadt, seats vpn 80, sessions gw1 80", ""},
		{as(provisioner.RoleHelpdesk, "stadt"), "", provisioner.CodeNotAllowed},
	} {
		l, err := w.List(t.Context(), c.who, true)
		refusal, _ := provisioner.AsRefusal(err)
		if named(l.Warnings) != c.want || (refusal == nil) != (c.codes == "") || refusal != nil && refusal.Code != c.codes || l.Receiving != nil {
			t.Errorf("%+v: %s, %v, want %s", c.who.Grants, named(l.Warnings), err, c.want)
		}
	}
	// In metrics, tenants have no name.
	counts, err := w.Standing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(counts); strings.Contains(text, "stadt") || !strings.Contains(text, "vpn") || len(counts) != 4 {
		t.Errorf("%s", text)
	}
}
