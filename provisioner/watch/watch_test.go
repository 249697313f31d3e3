package watch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/storetest"
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
	s, err := store.Open(ctx, store.Options{Database: storetest.SQLite(t).Database, Changed: w.hub.Poke})
	if err != nil {
		t.Fatal(err)
	}
	w.store, w.contacts = s, watch.NewContacts(s, w.hub, log)
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
	s, err := store.Open(ctx, storetest.SQLite(t)) // nobody pokes
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

// connect makes a stream of a gateway that has been told everything up to a
// revision.
func (w *world) connect(t *testing.T, gateway string, told int64) *watch.Contact {
	t.Helper()
	k, err := w.contacts.Connected(context.Background(), gateway)
	if err != nil {
		t.Fatal(err)
	}
	k.Told(w.epoch, told)
	return k
}

func (w *world) wait(d time.Duration, debts ...store.Debt) []provisioner.Confirmation {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return w.contacts.Wait(ctx, w.epoch, debts)
}

// confirmed reports whether every gateway has confirmed by now.
func (w *world) confirmed(debts ...store.Debt) bool {
	for _, c := range w.wait(10*time.Millisecond, debts...) {
		if !c.Confirmed {
			return false
		}
	}
	return true
}

func TestWaitTellsWhoConfirmed(t *testing.T) {
	w := newWorld(t)
	gw1, gw2 := w.connect(t, "gw1", 20), w.connect(t, "gw2", 20)
	gw2.Acknowledged(w.epoch, 5, nil)
	debts := []store.Debt{{Gateway: "gw1", Session: "a", Revision: 7}, {Gateway: "gw1", Session: "b", Revision: 9}, {Gateway: "gw2", Session: "c", Revision: 5}}
	check := func(name string, got []provisioner.Confirmation, gw1 bool) {
		t.Helper()
		if len(got) != 2 || got[0].Gateway != "gw1" || got[0].Confirmed != gw1 || !got[1].Confirmed {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := w.wait(10*time.Millisecond, debts...)
	check("nothing yet", got, false)
	if d := time.Until(got[0].GraceUntil); d < provisioner.GatewayGrace-time.Minute || d > provisioner.GatewayGrace {
		t.Errorf("grace ends in %v", d)
	}
	gw1.Acknowledged("another epoch", 15, nil)
	check("another epoch", w.wait(10*time.Millisecond, debts...), false)
	gw1.Acknowledged(w.epoch, 7, nil)
	check("half", w.wait(10*time.Millisecond, debts...), false)
	go gw1.Acknowledged(w.epoch, 7, []string{"b"})
	check("one by one", w.wait(10*time.Second, debts...), true)
}

// Nobody confirms what it was not told, nor by being connected alone.
func TestConfirmationsNeverComeTooEarly(t *testing.T) {
	w := newWorld(t)
	debt := store.Debt{Gateway: "gw1", Session: "a", Revision: 9}
	k := w.connect(t, "gw1", 8)
	for name, say := range map[string]func(){
		"to be connected":     func() {},
		"a place ahead of us": func() { k.Acknowledged(w.epoch, 1<<40, nil) },
		"the place we know":   func() { k.Acknowledged(w.epoch, 8, nil) },
		"another session":     func() { k.Acknowledged(w.epoch, 8, []string{"b", ""}) },
		"another epoch":       func() { k.Acknowledged("x", 9, nil) },
	} {
		if say(); w.confirmed(debt) {
			t.Errorf("%s confirmed it", name)
		}
	}
	k.Told(w.epoch, 9)
	if k.Acknowledged(w.epoch, 9, nil); !w.confirmed(debt) {
		t.Error("a gateway that was told cannot confirm")
	}
	// Its device is gone, and with it all that was installed.
	if k.Acknowledged("", 0, nil); w.confirmed(debt) {
		t.Error("a gateway that takes its word back has still confirmed")
	}
	if k.Acknowledged(w.epoch, 8, []string{"a"}); w.confirmed(store.Debt{Gateway: "gw2", Session: "a", Revision: 1}) {
		t.Error("one gateway confirmed for another")
	}
}

// Of two streams of one gateway only the newer one's words count, whatever the
// order in which they arrive: the gateway behind it may be restored from an
// older state, or be another machine.
func TestAFormerStreamConfirmsNothing(t *testing.T) {
	w := newWorld(t)
	debt := store.Debt{Gateway: "gw1", Session: "a", Revision: 9}
	former := w.connect(t, "gw1", 20)
	former.Acknowledged(w.epoch, 20, []string{"a"})
	if !w.confirmed(debt) {
		t.Fatal("the stream does not work")
	}
	newer := w.connect(t, "gw1", 5)
	if w.confirmed(debt) {
		t.Error("what was said on the former stream counts for the newer one")
	}
	row := func() store.GatewayState {
		g, err := store.Read(context.Background(), w.store, func(tx *store.Reader) (store.GatewayState, error) { return tx.Gateway("gw1") })
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if g := row(); g.Epoch != "" || g.Revision != 0 || !g.Connected {
		t.Errorf("written down: %+v", g)
	}
	former.Acknowledged(w.epoch, 20, []string{"a"})
	former.Observed(time.Now())
	if former.Disconnected() {
		t.Error("the former stream says that it was the newest")
	}
	if w.confirmed(debt) {
		t.Error("the former stream still confirms")
	}
	ended, end := context.WithCancelCause(context.Background())
	replaced := errors.New("replaced")
	end(replaced)
	if _, err := w.contacts.Connected(ended, "gw1"); !errors.Is(err, replaced) {
		t.Errorf("a stream that was replaced before it was noted: %v", err)
	}
	newer.Told(w.epoch, 9)
	if newer.Acknowledged(w.epoch, 9, nil); !w.confirmed(debt) {
		t.Error("the newer stream cannot confirm")
	}
	if !newer.Disconnected() || newer.Disconnected() {
		t.Error("the newer stream does not end once")
	}
	if newer.Acknowledged("", 0, nil); !w.confirmed(debt) {
		t.Error("words count after the end")
	}
}

func TestAGatewayCannotFillTheMemory(t *testing.T) {
	w := newWorld(t)
	k := w.connect(t, "gw1", 5)
	junk := make([]string, 100)
	for i := range 1000 {
		for j := range junk {
			junk[j] = fmt.Sprint(i, " ", j)
		}
		k.Acknowledged(w.epoch, 5, junk)
	}
	k.Acknowledged(w.epoch, 5, []string{"a"})
	if w.confirmed(store.Debt{Gateway: "gw1", Session: "a", Revision: 6}) {
		t.Error("100,001 sessions are remembered")
	}
	k.Told(w.epoch, 6)
	if k.Acknowledged(w.epoch, 6, nil); !w.confirmed(store.Debt{Gateway: "gw1", Session: "a", Revision: 6}) {
		t.Error("the revision no longer confirms")
	}
}

func TestConfirmationsOfOtherReplicasAreFound(t *testing.T) {
	w := newWorld(t)
	other := watch.NewContacts(w.store, w.hub, slog.New(slog.DiscardHandler)) // knows no stream
	w.connect(t, "gw1", 9).Acknowledged(w.epoch, 9, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if got := other.Wait(ctx, w.epoch, []store.Debt{{Gateway: "gw1", Session: "a", Revision: 9}}); len(got) != 1 || !got[0].Confirmed {
		t.Errorf("%+v", got)
	}
}

// Whoever follows so slowly that changes are trimmed before they are read wakes
// everybody: what is not known may have concerned anybody.
func TestTrimmedChangesWakeEverybody(t *testing.T) {
	w := newWorld(t)
	gw1, gw2 := w.hub.Listen(watch.Gateway("gw1")), w.hub.Listen(watch.Gateway("gw2"))
	defer gw1.Close()
	defer gw2.Close()
	if err := w.store.Update(context.Background(), func(tx *store.Writer) error {
		first, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeOpened, Gateway: "gw1"})
		if err != nil {
			return err
		}
		if _, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeOpened, Gateway: "gw2"}); err != nil {
			return err
		}
		_, err = tx.TrimChanges(first, 1000)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if !rings(gw2, 5*time.Second) || !rings(gw1, 5*time.Second) {
		t.Error("a listener was not woken")
	}
}
