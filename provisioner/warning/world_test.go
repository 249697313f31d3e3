package warning_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
	"github.com/heimdraht/heimdraht/provisioner/usage"
	"github.com/heimdraht/heimdraht/provisioner/warning"
	"github.com/heimdraht/heimdraht/provisioner/webhook"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// world is a city and a village that share a pool of 100 seats, and a gateway.
type world struct {
	*warning.Service
	store *store.Store
	log   *log
	hours time.Time // up to when is measured
}

// log can be read while it is written.
type log struct {
	mu    sync.Mutex
	all   bytes.Buffer
	short chan struct{} // each time it is told that capacity runs short; nil: nobody waits for that
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.short != nil && bytes.Contains(b, []byte("capacity runs short")) {
		l.short <- struct{}{}
	}
	return l.all.Write(b)
}

func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.all.String(), text)
}

func openStore(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// newWorld measures nothing yet; days ago is when it begins to.
func newWorld(t *testing.T, days int, r *webhook.Receiver) *world {
	t.Helper()
	return newWorldOn(t, openStore(t, storetest.SQLite(t)), days, r)
}

func newWorldOn(t *testing.T, s *store.Store, days int, r *webhook.Receiver) *world {
	t.Helper()
	year, month, day := provisioner.DayOf(time.Now())
	w := &world{store: s, log: new(log), hours: provisioner.DayBegins(year, month, day-days)}
	w.replica(r)
	w.update(t, func(tx *store.Writer) error {
		err := errors.Join(tx.PutDirectory(provisioner.Directory{Name: "ad"}),
			tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "ad", Policy: provisioner.DefaultPolicy()}),
			tx.PutTenant(provisioner.Tenant{Name: "dorf", Directory: "ad", Policy: provisioner.DefaultPolicy()}),
			tx.PutPool(pool(80, 95)),
			tx.PutGateway(provisioner.Gateway{
				Name: "gw1", Endpoint: "gw1.example:51820", Sessions: 200, Tenants: []string{"stadt", "dorf"},
				AggregateV4: netip.MustParsePrefix("10.64.0.0/16"), AggregateV6: netip.MustParsePrefix("fd80::/48"),
			}),
			tx.JoinGateway("gw1", sha256.Sum256([]byte("gw1")), time.Now().Add(time.Hour), "test"),
			tx.AddUsageSeries([]store.UsageSeries{{Kind: "pool", Name: "vpn"}, {Kind: "tenant", Name: "stadt"}, {Kind: "tenant", Name: "dorf"}, {Kind: "gateway", Name: "gw1"}, {Kind: "provider"}}),
			tx.PutWarningState(store.WarningState{HoursTo: w.hours, DaysTo: w.hours}))
		for i := range 60 {
			p, e := tx.KeepPerson(provisioner.Person{Directory: "ad", StableID: fmt.Sprint(i)})
			err = errors.Join(err, e, tx.PutStanding(provisioner.Standing{Person: p.ID, Tenant: "stadt", Entitled: true, ReadAt: tx.Now}))
		}
		return err
	})
	return w
}

func pool(warn ...int64) provisioner.LicencePool {
	return provisioner.LicencePool{
		Name: "vpn", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 100, Burst: 50}}, WarnAt: warn,
		Shares: []provisioner.PoolShare{{Tenant: "stadt"}, {Tenant: "dorf"}},
	}
}

// replica has another one go on, that knows nothing of before.
func (w *world) replica(r *webhook.Receiver) {
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	w.Service = warning.New(warning.Options{Store: w.store, Usage: usage.New(usage.Options{Store: w.store, Logger: logger}), Webhook: r, Logger: logger})
}

func (w *world) update(t testing.TB, do func(*store.Writer) error) {
	t.Helper()
	if err := w.store.Update(t.Context(), do); err != nil {
		t.Fatal(err)
	}
}

// hour is what is measured in one.
type hour struct {
	seats, sessions, queue, refused int64 // of the pool, on the gateway, and of all
	withheld, gap                   bool
	few                             bool // of all together, fewer than five people were refused
}

// measure has hours be over.
func (w *world) measure(t *testing.T, list ...hour) {
	t.Helper()
	for part := range slices.Chunk(list, 100) {
		w.update(t, func(tx *store.Writer) error {
			var err error
			for _, h := range part {
				err = errors.Join(err, w.write(tx, h))
				w.hours = w.hours.Add(usage.Hour)
			}
			return errors.Join(err, tx.PutUsageState(store.UsageState{SeenAt: w.hours, MinutesTo: w.hours, HoursTo: w.hours, DaysTo: w.hours.Add(-400 * usage.Day)}))
		})
	}
}

func (w *world) write(tx *store.Writer, h hour) error {
	if h.gap {
		return nil
	}
	interval := func(minutes, most int64) capacity.Interval {
		v := capacity.Interval{Minutes: minutes, Complete: minutes, Sessions: capacity.Gauge{Max: most, Mean: 100 * most, P95: most}, Queue: capacity.Gauge{Max: h.queue}}
		v.Refused[capacity.NoSeat], v.Refused[capacity.Otherwise] = h.refused, 900
		v.Disclosed = capacity.DiscloseSessions | capacity.DiscloseQueue | capacity.DiscloseRefused(capacity.NoSeat)
		if h.withheld {
			v.Disclosed = 0
		}
		return v
	}
	// The most of the hour stands in its second quarter.
	var err error
	for i := range 4 {
		most, on := h.seats/2, h.sessions/2
		if i == 1 {
			most, on = h.seats, h.sessions
		}
		at := w.hours.Add(time.Duration(i) * usage.Quarter) // and its ten minutes more
		err = errors.Join(err, tx.PutUsageInterval(usage.FiveMinutes, at, "pool", capacity.PackIntervals([]int64{1}, []capacity.Interval{interval(15, most)})),
			tx.PutUsageInterval(usage.FiveMinutes, at, "gateway", capacity.PackIntervals([]int64{4}, []capacity.Interval{interval(15, on)})))
	}
	for id, kind := range map[int64]string{1: "pool", 2: "tenant", 5: "provider"} {
		v := interval(60, h.seats)
		if kind == "provider" && !h.few {
			v.Disclosed = capacity.DiscloseRefused(capacity.NoSeat)
		}
		err = errors.Join(err, tx.PutUsageInterval(usage.Hour, w.hours, kind, capacity.PackIntervals([]int64{id}, []capacity.Interval{v})))
	}
	return err
}

func (w *world) judge(t testing.TB) {
	t.Helper()
	if err := w.JudgeAll(t.Context(), w.store.Update); err != nil {
		t.Fatal(err)
	}
}

// open names the warnings that stand.
func (w *world) open(t *testing.T) string {
	t.Helper()
	return named(view(t, w.store, (*store.Reader).OpenWarnings))
}

func (w *world) ended(t *testing.T) string {
	t.Helper()
	var texts []string
	for _, v := range view(t, w.store, func(tx *store.Reader) ([]store.Warning, error) { return tx.EndedWarnings(100) }) {
		texts = append(texts, named([]store.Warning{v})+" "+v.EndedWhy)
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

func named(list []store.Warning) string {
	var names []string
	for _, v := range list {
		names = append(names, strings.TrimSpace(fmt.Sprintf("%s %s %s", v.Kind, v.Name, strings.TrimSuffix(fmt.Sprint(" ", v.Percent), " 0"))))
	}
	slices.Sort(names)
	return strings.ReplaceAll(strings.Join(names, ", "), "  ", " ")
}

func view[T any](t testing.TB, s *store.Store, read func(*store.Reader) (T, error)) T {
	t.Helper()
	v, err := store.Read(context.Background(), s, read)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func as(role provisioner.Role, tenants ...string) provisioner.Actor {
	a := provisioner.Actor{ID: "p", Language: "en"}
	for _, t := range tenants {
		a.Grants = append(a.Grants, provisioner.Grant{Role: role, Tenant: t})
	}
	return a
}
