package session_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// inFleet is a world in a bubble, whose gateways are followed.
func inFleet(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10)
		w.idle(0)
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 2)
		go func() { ended <- w.RunFleet(ctx) }()
		go func() { ended <- w.RunExpiry(ctx) }()
		test(t, w)
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// alive serves a gateway that gives a sign of life each two seconds until it is ended.
func (w *world) alive(gateway string) (end func()) {
	contact := w.serve(gateway)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				contact.Acknowledged(w.epoch, 1<<40, nil)
			}
		}
	}()
	return func() { close(stop); <-ended }
}

// A gateway falls silent here: its laptops hear of it within seconds. One whose probes
// are not answered either gets another session, on another gateway, with its seat; and
// one that says so of a gateway that is heard goes on where it is.
func TestALostGateway(t *testing.T) {
	inFleet(t, func(t *testing.T, w *world) {
		endOne, endTwo := w.alive("gw1"), w.alive("gw2")
		ada, emil := w.laptop(1), w.laptop(2)
		first := w.open(ada, session.OpenRequest{Stream: "a"}).Session
		if first.Gateway != "gw1" {
			t.Fatalf("on %s", first.Gateway)
		}
		time.Sleep(10 * time.Second)
		again := w.open(ada, session.OpenRequest{Stream: "a", Resume: first.ID, GatewaySilent: true})
		if !again.Resumed || again.Session.ID != first.ID {
			t.Errorf("the gateway is heard, and another session is opened: %+v", again.Session)
		}
		news := w.News("gw1")
		died := time.Now()
		endOne()
		<-news.Changed
		if took := time.Since(died); took > 5*time.Second || !w.News("gw1").Unheard || w.News("gw2").Unheard {
			t.Errorf("after %s: %+v, %+v", took, w.News("gw1"), w.News("gw2"))
		}
		// Somebody else's word does not move her; her own does.
		if o := w.open(emil, session.OpenRequest{Stream: "b", Resume: first.ID, GatewaySilent: true}); o.Session.Gateway != "gw2" || o.Session.ID == first.ID {
			t.Errorf("emil got %+v", o.Session)
		}
		w.mayCheck(ada, "a", first.ID)
		moved := w.open(ada, session.OpenRequest{Stream: "a", Resume: first.ID, GatewaySilent: true})
		if moved.Resumed || moved.Session.Gateway != "gw2" || moved.Session.Pool != first.Pool {
			t.Errorf("moved to %+v", moved.Session)
		}
		expect(t, w.Check(context.Background(), ada, "a", first.ID), provisioner.CodeGatewayLost)
		// Now none is heard: it is us whom nobody reaches, and nobody is told anything.
		endTwo()
		time.Sleep(time.Minute)
		if w.News("gw1").Unheard || w.News("gw2").Unheard {
			t.Error("nobody is heard, and it is said of the gateways")
		}
	})
}

func (w *world) mayCheck(actor provisioner.Actor, stream, id string) {
	w.t.Helper()
	if err := w.Check(context.Background(), actor, stream, id); err != nil {
		w.t.Error(err)
	}
}

// Laptops take the longer to move the more they are, within bounds: never all at once, and none waits for too long.
func TestLaptopsOfALostGatewaySpread(t *testing.T) {
	for _, c := range []struct {
		open int64
		want time.Duration
	}{{0, 300 * time.Millisecond}, {1_500, 1_800 * time.Millisecond}, {5_000, 6 * time.Second}, {100_000, 10 * time.Second}} {
		if got := session.SpreadOf(c.open); got != c.want {
			t.Errorf("%d spread over %v, not %v", c.open, got, c.want)
		}
	}
}

// A gateway whose addresses are all somebody's refuses, though it has room for sessions; one that is given back is the next one's.
func TestAddressesRunOut(t *testing.T) {
	t.Parallel()
	const addresses = 64 - 3 // but the network's, the gateway's and the broadcast address
	w := newWorld(t, 100)
	w.serve("gw1")
	w.update(func(tx *store.Writer) error {
		g, err := tx.Gateway("gw1")
		g.AggregateV4, g.Tenants = netip.MustParsePrefix("10.80.0.0/26"), []string{"stadt"}
		return errors.Join(err, tx.PutGateway(g.Gateway))
	})
	first := w.laptop(0)
	held := w.open(first, session.OpenRequest{Stream: "a"}).Session
	for n := 1; n < addresses; n++ {
		w.open(w.laptop(n), session.OpenRequest{Stream: "a"})
	}
	last := w.laptop(addresses)
	_, err := w.Open(context.Background(), last, session.OpenRequest{Stream: "a"})
	expect(t, err, provisioner.CodeGatewayFull)
	w.mayCheck(first, "a", held.ID)
	if err := w.Close(context.Background(), first, held.ID); err != nil {
		t.Fatal(err)
	}
	w.open(last, session.OpenRequest{Stream: "a"})
}

// Where no other gateway has room, what there is stays.
func TestALostGatewayWithoutAnother(t *testing.T) {
	inFleet(t, func(t *testing.T, w *world) {
		endOne, endTwo := w.alive("gw1"), w.alive("gw2")
		defer endTwo()
		ada := w.laptop(1)
		first := w.open(ada, session.OpenRequest{Stream: "a"}).Session
		w.update(func(tx *store.Writer) error {
			g, err := tx.Gateway("gw2")
			if err != nil {
				return err
			}
			g.Sessions, g.Tenants = 0, []string{"stadt"}
			return tx.PutGateway(g.Gateway)
		})
		news := w.News("gw1")
		endOne()
		<-news.Changed // when its stream still counts as up
		_, err := w.Open(context.Background(), ada, session.OpenRequest{Stream: "a", Resume: first.ID, GatewaySilent: true})
		expect(t, err, provisioner.CodeGatewayFull)
		w.mayCheck(ada, "a", first.ID)
	})
}

// A gateway is drained: nobody comes to it, who asks for another session gets one
// elsewhere with the seat she has, and who has not moved is moved at the deadline.
func TestADrain(t *testing.T) {
	inFleet(t, func(t *testing.T, w *world) {
		defer w.alive("gw1")()
		defer w.alive("gw2")()
		ada, emil := w.laptop(1), w.laptop(2)
		first := w.open(ada, session.OpenRequest{Stream: "a"}).Session
		news := w.News("gw1")
		w.update(func(tx *store.Writer) error {
			return tx.SetDrain("gw1", provisioner.Drain{Since: tx.Now, By: tx.Now.Add(time.Hour), Why: "disk"})
		})
		<-news.Changed
		if l := w.News("gw1").Leaving; l.Why != provisioner.CodeGatewayDraining || time.Until(l.By) > time.Hour {
			t.Errorf("the news: %+v", l)
		}
		if o := w.open(emil, session.OpenRequest{Stream: "b"}); o.Session.Gateway != "gw2" {
			t.Errorf("emil comes to %s", o.Session.Gateway)
		}
		w.mayCheck(ada, "a", first.ID) // she works on
		if o := w.open(ada, session.OpenRequest{Stream: "a"}); o.Session.Gateway != "gw2" {
			t.Errorf("ada moves to %s", o.Session.Gateway)
		}
		// Back again by hand, and this time she stays to the end. She renews, or the
		// lease would end it.
		w.update(func(tx *store.Writer) error { return tx.SetDrain("gw1", provisioner.Drain{}) })
		w.update(func(tx *store.Writer) error {
			return tx.SetDrain("gw2", provisioner.Drain{Since: tx.Now, By: tx.Now.Add(time.Minute), Why: "disk"})
		})
		second, err := store.Read(context.Background(), w.store, func(tx *store.Reader) (provisioner.Session, error) { return tx.OpenSessionOf(ada.ID) })
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second)
		w.mayCheck(ada, "a", second.ID) // she has a moment to move by herself
		time.Sleep(20 * time.Second)
		expect(t, w.Check(context.Background(), ada, "a", second.ID), provisioner.CodeGatewayDraining)
		if o := w.open(ada, session.OpenRequest{Stream: "a"}); o.Session.Gateway != "gw1" {
			t.Errorf("ada is moved to %s", o.Session.Gateway)
		}
	})
}

// Where all gateways are being left she is told until when, and gets none.
func TestAMaintenanceOfAll(t *testing.T) {
	inFleet(t, func(t *testing.T, w *world) {
		defer w.alive("gw1")()
		defer w.alive("gw2")()
		w.update(func(tx *store.Writer) error {
			return tx.SetDrain("gw2", provisioner.Drain{Since: tx.Now, By: tx.Now, Why: "disk"})
		})
		ada := w.laptop(1)
		first := w.open(ada, session.OpenRequest{Stream: "a"}).Session
		from := time.Now().Add(provisioner.MaintenanceLead + 2*time.Minute)
		w.update(func(tx *store.Writer) error {
			return tx.SetMaintenance("gw1", provisioner.Maintenance{From: from, Until: from.Add(time.Hour), Why: "new disks"})
		})
		time.Sleep(time.Minute)
		if w.News("gw1").Leaving.Why != "" {
			t.Error("it is left too early")
		}
		time.Sleep(2 * time.Minute)
		if l := w.News("gw1").Leaving; l.Why != provisioner.CodeGatewayMaintenance || !l.By.Equal(from.Truncate(time.Millisecond)) {
			t.Errorf("the news: %+v, it begins at %s", l, from)
		}
		_, err := w.Open(context.Background(), ada, session.OpenRequest{Stream: "a"})
		expect(t, err, provisioner.CodeGatewaysResting)
		if refusal, ok := provisioner.AsRefusal(err); !ok || refusal.RetryAfter <= 0 {
			t.Errorf("%+v", refusal)
		}
		// It begins at once instead.
		now := time.Now()
		w.update(func(tx *store.Writer) error {
			return tx.SetMaintenance("gw1", provisioner.Maintenance{From: now, Until: now.Add(5 * time.Minute), Why: "new disks"})
		})
		time.Sleep(time.Minute)
		expect(t, w.Check(context.Background(), ada, "a", first.ID), provisioner.CodeGatewayMaintenance)
		time.Sleep(4*time.Minute + time.Second)
		if o := w.open(ada, session.OpenRequest{Stream: "a"}); o.Session.Gateway != "gw1" || o.Session.ID == first.ID {
			t.Errorf("afterwards she gets %+v", o.Session)
		}
	})
}

// Home is back: after a while a few are asked to go there, and told so only as long as
// it is much better there.
func TestBackHome(t *testing.T) {
	inFleet(t, func(t *testing.T, w *world) {
		defer w.alive("gw2")()
		ada := w.laptop(1)
		s := w.open(ada, session.OpenRequest{Stream: "a"}).Session
		if s.Gateway != "gw2" {
			t.Fatalf("on %s", s.Gateway)
		}
		w.update(func(tx *store.Writer) error {
			g, err := tx.Gateway("gw2")
			if err != nil {
				return err
			}
			g.Sessions, g.Tenants = 2, []string{"stadt"} // half full with her
			return tx.PutGateway(g.Gateway)
		})
		defer w.alive("gw1")()
		time.Sleep(5 * time.Minute)
		if w.Away(s, "", true) {
			t.Error("it has been back for five minutes only")
		}
		time.Sleep(6 * time.Minute)
		asked := 0
		for range 2000 {
			if w.Away(s, "", false) {
				asked++
			}
		}
		if asked == 0 || asked > 200 {
			t.Errorf("%d of 2000 looks have somebody move", asked)
		}
		w.update(func(tx *store.Writer) error {
			g, err := tx.Gateway("gw2")
			if err != nil {
				return err
			}
			g.Sessions, g.Tenants = 1000, []string{"stadt"}
			return tx.PutGateway(g.Gateway)
		})
		time.Sleep(2 * time.Second)
		if w.Away(s, "", true) {
			t.Error("there is room here too, and she is to move")
		}
	})
}

// What the gateways report decides where a session goes, and a limit that is reached
// refuses, on both databases.
func TestThroughput(t *testing.T) {
	onReplicas(t, 10, func(t *testing.T, w *world, list []replica) {
		busy := func(gateway string, limit, rate int64) {
			w.update(func(tx *store.Writer) error {
				g, err := tx.Gateway(gateway)
				if err != nil {
					return err
				}
				g.Throughput, g.Tenants = limit, []string{"stadt"}
				return tx.PutGateway(g.Gateway)
			})
			contact := w.serve(gateway)
			contact.Loaded(provisioner.GatewayLoad{Rate: rate})
			for written := (store.Contact{}); written.Load.Rate != rate; {
				contact.Acknowledged(w.epoch, 1<<40, nil)
				var err error
				if written, err = store.Read(context.Background(), w.store, func(tx *store.Reader) (store.Contact, error) { return tx.Contact(gateway) }); err != nil {
					w.t.Fatal(err)
				}
			}
		}
		w.serve("gw2")
		other := list[len(list)-1].sessions
		busy("gw1", 1_000_000_000, 990_000_000)
		open := func(n int) (string, error) {
			o, err := other.Open(context.Background(), w.laptop(n), session.OpenRequest{Stream: "a"})
			return o.Session.Gateway, err
		}
		if at, err := open(1); at != "gw2" || err != nil {
			t.Errorf("beside a busy gateway: %s, %v", at, err)
		}
		busy("gw1", 1_000_000_000, 1_000_000_000)
		busy("gw2", 1_000, 2_000)
		_, err := open(2)
		expect(t, err, provisioner.CodeGatewayFull)
	})
}

// A gateway whose stream another replica holds falls silent: each replica finds that out
// by itself, and has its laptops move.
func TestAnotherReplicaLosesAGateway(t *testing.T) {
	onReplicas(t, 10, func(t *testing.T, w *world, list []replica) {
		w.keepServing("gw2")
		other := list[len(list)-1].sessions
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- other.RunFleet(ctx) }()
		defer func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		w.serve("gw1") // which keepServing has served until now: this one says no more
		ada := w.laptop(1)
		open := func(r session.OpenRequest) provisioner.Session {
			o, err := other.Open(context.Background(), ada, r)
			if err != nil {
				t.Fatal(err)
			}
			return o.Session
		}
		first := open(session.OpenRequest{Stream: "a"})
		if first.Gateway != "gw1" {
			t.Fatalf("on %s", first.Gateway)
		}
		for news := other.News("gw1"); !news.Unheard; news = other.News("gw1") {
			<-news.Changed
		}
		if s := open(session.OpenRequest{Stream: "a", Resume: first.ID, GatewaySilent: true}); s.Gateway != "gw2" {
			t.Errorf("moved to %s", s.Gateway)
		}
	})
}
