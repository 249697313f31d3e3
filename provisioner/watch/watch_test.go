package watch_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

type world struct {
	store    *store.Store
	hub      *watch.Hub
	contacts *watch.Contacts
	epoch    string
}

func newWorld(t *testing.T) *world {
	log := slog.New(slog.DiscardHandler)
	w := &world{hub: watch.NewHub(log)}
	ctx, stop := context.WithCancel(context.Background())
	s, err := store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "db"), Committed: w.hub.Poke})
	if err != nil {
		t.Fatal(err)
	}
	w.store, w.contacts = s, watch.NewContacts(s, log)
	if err := s.Update(ctx, func(tx *store.Writer) error {
		w.epoch = tx.Epoch()
		return errors.Join(
			tx.PutDirectory(provisioner.Directory{Name: "ad"}),
			tx.PutTenant(provisioner.Tenant{Name: "stadt", Directory: "ad"}),
			tx.PutGateway(provisioner.Gateway{Name: "gw1", AggregateV4: netip.MustParsePrefix("10.80.0.0/16")}),
			tx.PutGateway(provisioner.Gateway{Name: "gw2", AggregateV4: netip.MustParsePrefix("10.81.0.0/16")}),
		)
	}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	go func() { ended <- w.hub.Run(ctx, s) }()
	go func() { ended <- w.contacts.Run(ctx) }()
	started := w.hub.Listen(watch.Device("nobody"))
	defer started.Close()
	if !rings(started, 5*time.Second) {
		t.Fatal("the hub does not start")
	}
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, <-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) record(t *testing.T, c provisioner.Change) {
	t.Helper()
	if err := w.store.Update(context.Background(), func(tx *store.Writer) error { _, err := tx.Record(c); return err }); err != nil {
		t.Fatal(err)
	}
}

func rings(l *watch.Listener, within time.Duration) bool {
	select {
	case <-l.C:
		return true
	default:
	}
	select {
	case <-l.C:
		return true
	case <-time.After(within):
		return false
	}
}

func TestAChangeWakesThoseItNames(t *testing.T) {
	w := newWorld(t)
	gw1, gw2, d1 := w.hub.Listen(watch.Gateway("gw1")), w.hub.Listen(watch.Gateway("gw2")), w.hub.Listen(watch.Device("d1"))
	defer gw1.Close()
	defer gw2.Close()
	w.record(t, provisioner.Change{Kind: provisioner.ChangeOpened, Gateway: "gw1", Device: "d1"})
	if !rings(gw1, 5*time.Second) || !rings(d1, 5*time.Second) {
		t.Error("a listener that is named was not woken")
	}
	w.record(t, provisioner.Change{Kind: provisioner.ChangeOpened, Gateway: "gw1", Device: "d2"})
	if !rings(gw1, 5*time.Second) {
		t.Error("the gateway was not woken again")
	}
	if rings(gw2, 0) || rings(d1, 0) {
		t.Error("a listener that is not named was woken")
	}
	d1.Close()
	d1.Close()
	w.record(t, provisioner.Change{Kind: provisioner.ChangeDevice, Device: "d1"})
	if rings(d1, 10*time.Millisecond) {
		t.Error("a closed listener was woken")
	}
}

func TestManyChangesWakeASlowListenerOnce(t *testing.T) {
	w := newWorld(t)
	slow, probe := w.hub.Listen(watch.Gateway("gw1")), w.hub.Listen(watch.Gateway("gw2"))
	defer slow.Close()
	defer probe.Close()
	for range 100 {
		w.record(t, provisioner.Change{Kind: provisioner.ChangeOpened, Gateway: "gw1"})
	}
	w.record(t, provisioner.Change{Kind: provisioner.ChangeOpened, Gateway: "gw2"})
	if !rings(probe, 5*time.Second) {
		t.Fatal("the probe was not woken")
	}
	if !rings(slow, 0) || rings(slow, 0) {
		t.Error("a listener that does not listen must find exactly one wake-up")
	}
}

func TestALostWakeUpIsMadeUpFor(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(context.Background())
	s, err := store.Open(ctx, store.Options{Path: filepath.Join(t.TempDir(), "db")}) // nobody pokes
	if err != nil {
		t.Fatal(err)
	}
	hub := watch.NewHub(log)
	ended := make(chan error, 1)
	go func() { ended <- hub.Run(ctx, s) }()
	defer func() {
		stop()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	}()
	l := hub.Listen(watch.Gateway("gw1"))
	defer l.Close()
	if !rings(l, 5*time.Second) {
		t.Fatal("the hub does not start")
	}
	if err := s.Update(ctx, func(tx *store.Writer) error {
		_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeGateway, Gateway: "gw1"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !rings(l, 10*time.Second) {
		t.Error("the poll did not find the change")
	}
}

func TestWaitTellsWhoConfirmed(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	for _, g := range []string{"gw1", "gw2"} {
		if err := w.contacts.Connected(ctx, g, w.epoch, 5); err != nil {
			t.Fatal(err)
		}
	}
	debts := []store.Debt{{Gateway: "gw1", Session: "a", Revision: 7}, {Gateway: "gw1", Session: "b", Revision: 9}, {Gateway: "gw2", Session: "c", Revision: 5}}
	wait := func(d time.Duration) []provisioner.Confirmation {
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return w.contacts.Wait(ctx, w.epoch, debts)
	}
	check := func(name string, got []provisioner.Confirmation, gw1 bool) {
		t.Helper()
		if len(got) != 2 || got[0].Gateway != "gw1" || got[0].Confirmed != gw1 || !got[1].Confirmed {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := wait(10 * time.Millisecond)
	check("nothing yet", got, false)
	if d := time.Until(got[0].GraceUntil); d < provisioner.GatewayGrace-time.Minute || d > provisioner.GatewayGrace {
		t.Errorf("grace ends in %v", d)
	}
	w.contacts.Acknowledged("gw1", "another epoch", 100, nil)
	check("another epoch", wait(10*time.Millisecond), false)
	w.contacts.Acknowledged("gw1", w.epoch, 7, nil)
	check("half", wait(10*time.Millisecond), false)
	go w.contacts.Acknowledged("gw1", w.epoch, 7, []string{"b"})
	check("one by one", wait(10*time.Second), true)
}

func TestConfirmationsOfOtherReplicasAreFound(t *testing.T) {
	w := newWorld(t)
	other := watch.NewContacts(w.store, slog.New(slog.DiscardHandler)) // knows no stream
	if err := w.contacts.Connected(context.Background(), "gw1", w.epoch, 5); err != nil {
		t.Fatal(err)
	}
	w.contacts.Acknowledged("gw1", w.epoch, 9, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if got := other.Wait(ctx, w.epoch, []store.Debt{{Gateway: "gw1", Session: "a", Revision: 9}}); len(got) != 1 || !got[0].Confirmed {
		t.Errorf("%+v", got)
	}
}
