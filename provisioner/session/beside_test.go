package session_test

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func (w *world) drain(gateway string, within time.Duration) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		return tx.SetDrain(gateway, provisioner.Drain{Since: tx.Now, By: tx.Now.Add(within), Why: "disk"})
	})
}

// seats tells how many are held.
func (w *world) seats() int64 {
	w.t.Helper()
	offers, err := store.Read(context.Background(), w.store, func(tx *store.Reader) ([]seat.Offer, error) {
		return tx.Offers(seat.Claim{Tenant: "stadt"}, time.Now())
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return offers[0].Held
}

// onGateway lists the sessions of a gateway.
func (w *world) onGateway(gateway string) []string {
	w.t.Helper()
	snap, err := w.Snapshot(context.Background(), gateway)
	if err != nil {
		w.t.Fatal(err)
	}
	var list []string
	for _, p := range snap.Peers {
		list = append(list, p.Session)
	}
	return list
}

func (w *world) mustHold(gateway string, want ...string) {
	w.t.Helper()
	got := w.onGateway(gateway)
	if len(got) != len(want) || len(want) == 1 && got[0] != want[0] {
		w.t.Errorf("%s holds %v, want %v", gateway, got, want)
	}
}

// A gateway is drained. A laptop that can opens its next session beside the present one,
// with the one seat there is; and the former ends when the laptop says so, at the
// deadline, or with the other one.
func TestADrainBeside(t *testing.T) {
	inFleet(t, func(t *testing.T, w *world) {
		defer w.alive("gw1")()
		defer w.alive("gw2")()
		ada := w.laptop(1)
		ctx := context.Background()
		first := w.open(ada, session.OpenRequest{Stream: "a", Beside: true}).Session
		w.drain("gw1", 10*time.Minute)
		moved := w.open(ada, session.OpenRequest{Stream: "a", Beside: true})
		second := moved.Session
		if moved.Leaving.ID != first.ID || second.Gateway != "gw2" || time.Until(moved.Leaving.LeaseUntil).Round(time.Second) != 10*time.Minute {
			t.Fatalf("%+v beside %+v", second, moved.Leaving)
		}
		w.mustHold("gw1", first.ID)
		w.mustHold("gw2", second.ID)
		if n := w.seats(); n != 1 {
			t.Errorf("%d seats are held", n)
		}
		if err := w.CheckLeaving(ctx, ada, first.ID); err != nil {
			t.Error(err)
		}
		// A stream that breaks changes nothing, as long as the laptop still holds both.
		if o := w.open(ada, session.OpenRequest{Stream: "b", Resume: second.ID, Beside: true, Leaving: first.ID}); !o.Resumed || o.Leaving.ID != first.ID {
			t.Errorf("resumed: %+v", o)
		}
		// It renews the present one, past the end of a lease; the former has none.
		renewFor := func(d time.Duration) {
			for range int(d / time.Minute) {
				time.Sleep(time.Minute)
				synctest.Wait()
				if _, err := w.Renew(ctx, ada, "b", second.ID, provisioner.Usage{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		renewFor(9 * time.Minute)
		w.mustHold("gw1", first.ID)
		renewFor(2 * time.Minute)
		expect(t, w.CheckLeaving(ctx, ada, first.ID), provisioner.CodeSessionElsewhere)
		w.mustHold("gw1")
		w.mustHold("gw2", second.ID)

		// Back, and this time the laptop ends it when its connections have.
		w.update(func(tx *store.Writer) error { return tx.SetDrain("gw1", provisioner.Drain{}) })
		w.drain("gw2", 24*time.Hour)
		third := w.open(ada, session.OpenRequest{Stream: "b", Beside: true})
		if third.Leaving.ID != second.ID || time.Until(third.Leaving.LeaseUntil).Round(time.Second) != 4*time.Hour {
			t.Errorf("moved to %+v", third)
		}
		if err := w.Close(ctx, ada, second.ID); err != nil {
			t.Error(err)
		}
		w.mustHold("gw2")
		w.mustHold("gw1", third.Session.ID)

		// Back once more, and it closes the present one.
		w.update(func(tx *store.Writer) error { return tx.SetDrain("gw2", provisioner.Drain{}) })
		w.drain("gw1", time.Hour)
		fourth := w.open(ada, session.OpenRequest{Stream: "b", Beside: true})
		if err := w.Close(ctx, ada, fourth.Session.ID); err != nil || fourth.Leaving.ID != third.Session.ID {
			t.Error(err, fourth)
		}
		w.mustHold("gw1")
		w.mustHold("gw2")
		if n := w.seats(); n != 0 {
			t.Errorf("%d seats are held by nobody", n)
		}
	})
}

// Where two sessions cannot be, the next one takes the place of the former in one step.
func TestNotBeside(t *testing.T) {
	for name, c := range map[string]struct {
		before func(w *world)
		ask    session.OpenRequest
		on     string
	}{
		"a laptop that cannot":        {func(w *world) { w.drain("gw1", time.Hour) }, session.OpenRequest{}, "gw2"},
		"on the same gateway":         {func(*world) {}, session.OpenRequest{Beside: true}, "gw1"},
		"there is no time for it":     {func(w *world) { w.drain("gw1", 0) }, session.OpenRequest{Beside: true}, "gw2"},
		"her time ends in a moment":   {func(w *world) { w.endsIn(time.Second) }, session.OpenRequest{Beside: true}, "gw2"},
		"no room on the other one":    {func(w *world) { w.full("gw2") }, session.OpenRequest{Beside: true}, "gw1"},
		"no address on the other one": {func(w *world) { w.usedUp("gw2") }, session.OpenRequest{Beside: true}, "gw1"},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(t *testing.T, w *world) {
				defer w.alive("gw1")()
				defer w.alive("gw2")()
				ada := w.laptop(1)
				first := w.open(ada, session.OpenRequest{Stream: "a", Beside: true}).Session
				c.before(w)
				c.ask.Stream = "a"
				next := w.open(ada, c.ask)
				if next.Leaving.ID != "" || next.Session.Gateway != c.on {
					t.Errorf("%+v beside %+v", next.Session, next.Leaving)
				}
				if c.on == first.Gateway && next.Session.AddressIndex != first.AddressIndex {
					t.Error("another address on the same gateway")
				}
				if open := len(w.onGateway("gw1")) + len(w.onGateway("gw2")); open != 1 || w.seats() != 1 {
					t.Errorf("%d sessions with %d seats", open, w.seats())
				}
			})
		})
	}
}

// endsIn has policy end all that is open, and gw1 drained.
func (w *world) endsIn(d time.Duration) {
	w.t.Helper()
	w.drain("gw1", time.Hour)
	w.update(func(tx *store.Writer) error {
		list, err := tx.SessionsIn(provisioner.Everywhere(), "", "", 10)
		for _, s := range list {
			if err == nil {
				err = tx.SetEnding(s, provisioner.Ending{DueAt: tx.Now, EndsAt: tx.Now.Add(d), Why: provisioner.CodeSessionAged})
			}
		}
		return err
	})
}

// declare changes what is declared of a gateway.
func (w *world) declare(name string, change func(*provisioner.Gateway)) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		g, err := tx.Gateway(name)
		if err != nil {
			return err
		}
		g.Tenants = []string{"stadt"}
		change(&g.Gateway)
		return tx.PutGateway(g.Gateway)
	})
}

func (w *world) full(name string) {
	w.t.Helper()
	w.declare(name, func(g *provisioner.Gateway) { g.Sessions = 0 })
}

// usedUp has somebody else have all addresses of a gateway that is much better than the others.
func (w *world) usedUp(name string) {
	w.t.Helper()
	w.declare(name, func(g *provisioner.Gateway) { g.Weight, g.AggregateV4 = 1000, netip.MustParsePrefix("10.81.0.0/26") })
	w.update(func(tx *store.Writer) error {
		_, err := tx.TakeAddress(name, "umland", "another", address.Aggregate{V4: netip.MustParsePrefix("10.81.0.0/26")})
		return err
	})
}

// The next gateway never answers: the laptop goes on where it is, with its seat. So does
// one that has never heard of the next session, whatever became of the answer; and what a
// laptop no longer holds ends.
func TestBackToTheFormer(t *testing.T) {
	inFleet(t, func(t *testing.T, w *world) {
		defer w.alive("gw1")()
		ada := w.laptop(1)
		ctx := context.Background()
		first := w.open(ada, session.OpenRequest{Stream: "a", Beside: true}).Session
		w.mute("gw2")
		w.drain("gw1", time.Hour)
		_, err := w.Open(ctx, ada, session.OpenRequest{Stream: "a", Beside: true})
		expect(t, err, provisioner.CodeGatewayNotReady)
		w.mayCheck(ada, "a", first.ID)
		w.mustHold("gw1", first.ID)
		w.mustHold("gw2")
		if n := w.seats(); n != 1 {
			t.Errorf("%d seats are held", n)
		}
		if _, err := w.Renew(ctx, ada, "a", first.ID, provisioner.Usage{}); err != nil {
			t.Error(err)
		}

		defer w.alive("gw2")()
		lost := w.open(ada, session.OpenRequest{Stream: "a", Beside: true}).Session
		back := w.open(ada, session.OpenRequest{Stream: "b", Resume: first.ID, Beside: true})
		if !back.Resumed || back.Session.ID != first.ID || back.Leaving.ID != "" || back.Session.Pool != "vpn" || w.seats() != 1 {
			t.Errorf("back in %+v, %d seats", back, w.seats())
		}
		expect(t, w.Check(ctx, ada, "b", lost.ID), provisioner.CodeSessionElsewhere)
		w.mustHold("gw1", first.ID)
		w.mustHold("gw2")

		next := w.open(ada, session.OpenRequest{Stream: "b", Beside: true}).Session
		if o := w.open(ada, session.OpenRequest{Stream: "c", Resume: next.ID, Beside: true}); !o.Resumed || o.Leaving.ID != "" {
			t.Errorf("resumed without the former: %+v", o)
		}
		expect(t, w.CheckLeaving(ctx, ada, first.ID), provisioner.CodeSessionElsewhere)
		w.mustHold("gw1")
	})
}
