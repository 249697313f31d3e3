package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// limit lets people in by rules from now on.
func (w *world) limit(rules ...provisioner.AccessTime) {
	w.t.Helper()
	w.update(func(tx *store.Writer) error {
		t, err := tx.Tenant("stadt")
		if err != nil {
			return err
		}
		t.Policy.Access = rules
		return tx.PutTenant(t)
	})
}

// everyDay is a rule for hours by the clock in Germany. The clock of a bubble begins
// at one in the morning there.
func everyDay(t *testing.T, hours string) provisioner.AccessTime {
	t.Helper()
	a := provisioner.AccessTime{Group: provisioner.GroupAll}
	var err error
	if a.Begin, a.End, err = provisioner.ParseHours(hours); err != nil {
		t.Fatal(err)
	}
	return a
}

// bubble runs a test in which time passes at once, with the duty that ends leases.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 10)
		w.serve("gw1")
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- w.RunExpiry(ctx) }()
		test(t, w)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (w *world) renew(a provisioner.Actor, o session.Opened) error {
	_, err := w.Renew(context.Background(), a, o.Session.Stream, o.Session.ID, provisioner.Usage{})
	return err
}

// A session ends with its hours, however well it is renewed, and its gateway knows it;
// the laptop is told to come back when the next ones begin.
func TestASessionEndsWithItsHours(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		begun := time.Now()
		w.limit(everyDay(t, "00:00-01:20"))
		laptop := w.laptop(1)
		opened := w.open(laptop, session.OpenRequest{Stream: "a"})
		end := begun.Add(20 * time.Minute)
		if got := opened.Session.EndsAt; !got.Equal(end) {
			t.Fatalf("it ends at %v, want %v", got, end)
		}
		snap, err := w.Snapshot(context.Background(), "gw1")
		if err != nil || len(snap.Peers) != 1 || !snap.Peers[0].NotAfter.Equal(end) {
			t.Errorf("the gateway is told %+v, %v", snap.Peers, err)
		}
		for time.Now().Before(end.Add(-time.Second)) {
			if err := w.renew(laptop, opened); err != nil {
				t.Fatal(time.Since(begun), err)
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(10 * time.Second)
		err = w.Check(context.Background(), laptop, "a", opened.Session.ID)
		expect(t, err, provisioner.CodeOutsideHours)
		if r, ok := provisioner.AsRefusal(err); ok && r.RetryAfter == 0 {
			t.Error("the laptop is not to come back by itself")
		}
		w.expectCounted("over", 0, 0)
		_, err = w.Open(context.Background(), laptop, session.OpenRequest{Stream: "a"})
		expect(t, err, provisioner.CodeOutsideHours)
		next := end.Add(22*time.Hour + 40*time.Minute) // midnight
		if r, ok := provisioner.AsRefusal(err); ok && (time.Now().Add(r.RetryAfter).Before(next) || time.Now().Add(r.RetryAfter).After(next.Add(time.Minute))) {
			t.Errorf("to come back after %v", r.RetryAfter)
		}
		refusals, err := store.Read(context.Background(), w.store, func(tx *store.Reader) ([]store.RecentRefusal, error) {
			return tx.RefusalsOf(provisioner.Person{ID: w.device(laptop.ID).Person}, "stadt", 10)
		})
		if err != nil || len(refusals) != 0 {
			t.Error("it is kept when the laptop was on: ", refusals, err)
		}
	})
}

// A policy that changes reaches open sessions with the next renewal.
func TestChangedHoursReachOpenSessions(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		begun, laptop := time.Now(), w.laptop(1)
		opened := w.open(laptop, session.OpenRequest{Stream: "a"})
		ends := func() time.Time {
			t.Helper()
			s, err := store.Read(context.Background(), w.store, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(opened.Session.ID) })
			if err != nil {
				t.Fatal(err)
			}
			delta, err := w.Delta(context.Background(), "gw1", w.epoch, opened.Session.Revision-1)
			if err != nil || len(delta.Peers) != 1 || !delta.Peers[0].NotAfter.Equal(s.EndsAt) {
				t.Errorf("the gateway is told %+v, %v; it ends at %v", delta.Peers, err, s.EndsAt)
			}
			return s.EndsAt
		}
		for _, c := range []struct {
			hours string
			ends  time.Time
		}{{"00:00-03:00", begun.Add(2 * time.Hour)}, {"00:00-05:00", begun.Add(4 * time.Hour)}, {"00:00-24:00", time.Time{}}, {"00:00-02:00", begun.Add(time.Hour)}} {
			w.limit(everyDay(t, c.hours))
			if err := w.renew(laptop, opened); err != nil || !ends().Equal(c.ends) {
				t.Errorf("%s: ends at %v, want %v; %v", c.hours, ends(), c.ends, err)
			}
		}
		w.limit()
		if err := w.renew(laptop, opened); err != nil || !ends().IsZero() {
			t.Error("without a policy it ends at ", ends(), err)
		}
		w.limit(everyDay(t, "02:00-03:00")) // not now
		expect(t, w.renew(laptop, opened), provisioner.CodeOutsideHours)
		expect(t, w.Check(context.Background(), laptop, "a", opened.Session.ID), provisioner.CodeOutsideHours)
		w.expectCounted("over", 0, 0)
	})
}

// A crisis that lifts the hours reaches open sessions with their next renewal, and so does its end.
func TestTheHoursOfACrisis(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.limit(everyDay(t, "00:00-01:20"))
		laptop := w.laptop(1)
		opened := w.open(laptop, session.OpenRequest{Stream: "a"})
		plan := provisioner.CrisisPlan{LiftHours: true}
		w.crisis(plan, true)
		for range 30 {
			if err := w.renew(laptop, opened); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		w.serve("gw1")
		other := w.open(w.laptop(2), session.OpenRequest{Stream: "b"})
		if !other.Session.EndsAt.IsZero() {
			t.Errorf("one that is opened in the crisis ends at %v", other.Session.EndsAt)
		}
		w.crisis(plan, false)
		expect(t, w.renew(laptop, opened), provisioner.CodeOutsideHours)
		_, err := w.Open(context.Background(), laptop, session.OpenRequest{Stream: "a"})
		expect(t, err, provisioner.CodeOutsideHours)
	})
}
