package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// A laptop that takes its place and goes in a loop is refused after a while, told when
// to come again, and has its place then still. One in a train is never refused.
func TestALaptopThatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.serve("gw1")
		o := office{world: w, list: []replica{{sessions: w.Service}}}
		o.opens(w.laptop(1))
		train, loop := w.laptop(2), w.laptop(3)
		place := func(a provisioner.Actor) time.Time {
			t.Helper()
			q, err := store.Read(t.Context(), w.store, func(tx *store.Reader) (store.Queued, error) { return tx.InQueue(a.ID) })
			if err != nil {
				t.Fatal(err)
			}
			return q.Since
		}
		comesAndGoes := func(a provisioner.Actor) error {
			t.Helper()
			opened, err := w.Open(t.Context(), a, session.OpenRequest{Stream: a.ID, Wait: true})
			if err != nil {
				return err
			}
			if !opened.Waits {
				t.Fatal("does not wait")
			}
			return w.Leave(t.Context(), a, a.ID)
		}
		if err := comesAndGoes(loop); err != nil {
			t.Fatal(err)
		}
		since := place(loop)
		for times := 1; ; times++ {
			if times > 100 {
				t.Fatal("never refused")
			}
			err := comesAndGoes(loop)
			if err == nil {
				continue
			}
			expect(t, err, provisioner.CodeTryLater)
			refusal, _ := provisioner.AsRefusal(err)
			if refusal.RetryAfter <= 0 || refusal.RetryAfter > time.Minute {
				t.Fatalf("told to come again after %v", refusal.RetryAfter)
			}
			time.Sleep(refusal.RetryAfter)
			break
		}
		o.waits(loop)
		if now := place(loop); !now.Equal(since) {
			t.Errorf("waits since %v, before since %v", now, since)
		}

		if err := comesAndGoes(train); err != nil {
			t.Fatal(err)
		}
		since = place(train)
		for range 5 * 20 {
			time.Sleep(9 * time.Second)
			if err := comesAndGoes(train); err != nil {
				t.Fatal(err)
			}
			if now := place(train); !now.Equal(since) {
				t.Fatalf("waits since %v, before since %v", now, since)
			}
		}
	})
}

// Whichever control planes a laptop takes its place at, it is counted once.
func TestPlacesAreCountedAtAllReplicas(t *testing.T) {
	inOffice(t, func(o *office) {
		o.opens(o.laptop(1))
		o.opens(o.laptop(2))
		loop := o.laptop(3)
		for range 30 {
			o.waits(loop)
			if err := o.at().Leave(t.Context(), loop, loop.ID); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range o.list {
			_, err := r.sessions.Open(t.Context(), loop, session.OpenRequest{Stream: loop.ID, Wait: true})
			expect(t, err, provisioner.CodeTryLater)
		}
		o.counted(2, 1, 0)
	})
}
