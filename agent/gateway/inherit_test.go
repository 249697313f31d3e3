package gateway

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// Who gets an address after somebody else is let in and acknowledged when that one's connections have ended, and not before. That
// they cannot be ended is said.
func TestForgetBeforeAcknowledging(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.device.filter.with(func() { w.device.filter.cannotForget = errors.New("test") })
		heir := peer(2, 2)
		heir.AllowedIps = peer(1, 1).GetAllowedIps()
		revision := w.plane.change([]string{"s1"}, heir)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(w.device.holds()) + len(w.device.filter.holds()); n != 0 || w.plane.lastAck().GetRevision() >= revision {
			t.Error("let in, or acknowledged, while connections of the former one may stand")
		}
		if s := w.gateway.Status(); len(s.Problems) != 1 || s.Problems[0].Code != CodeFilter {
			t.Errorf("status %+v", s)
		}
		w.device.filter.with(func() { w.device.filter.cannotForget = nil })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.exact()
		if w.plane.lastAck().GetRevision() != revision || len(w.device.filter.inherited) != 0 || len(w.gateway.Status().Problems) != 0 {
			t.Errorf("acknowledged %v, inherited %v, status %+v", w.plane.lastAck(), w.device.filter.inherited, w.gateway.Status())
		}
	})
}

// Who loses access waits for nobody's connections to end: neither who made room for an heir, nor who comes later, by delta, by
// order or by snapshot. The heir waits, and nothing that comes with her is acknowledged by its place.
func TestNoRemovalWaitsForForgetting(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1), peer(3, 3), peer(4, 4), peer(5, 5), peer(7, 7))
		synctest.Wait()
		hang := make(chan struct{})
		w.device.filter.with(func() { w.device.filter.hang = hang })
		gone := func(ids ...string) {
			t.Helper()
			synctest.Wait()
			for _, id := range ids {
				if at := w.plane.seenGone(id); at.IsZero() {
					t.Errorf("the removal of %s waits", id)
				}
			}
		}
		before := w.plane.lastAck().GetRevision()
		heir := peer(2, 2)
		heir.AllowedIps = peer(1, 1).GetAllowedIps()
		w.plane.change([]string{"s1", "s7"}, heir)
		gone("s1", "s7")
		next := peer(6, 3) // the same laptop's next session, with an address of somebody else
		next.AllowedIps = peer(7, 7).GetAllowedIps()
		w.plane.change([]string{"s3"}, next)
		gone("s3")
		revision := w.plane.change([]string{"s4"})
		w.plane.order(t.Context(), removalOrder("epoch-1", revision, "s4"))
		gone("s4")
		w.plane.with(func() { w.plane.oldest = w.plane.revision + 1; w.plane.log = nil })
		revision = w.plane.change([]string{"s5"})
		gone("s5")
		if n := len(w.device.holds()); n != 0 || w.plane.lastAck().GetRevision() != before {
			t.Errorf("%d peers, acknowledged %v", n, w.plane.lastAck())
		}
		w.device.filter.with(func() { w.device.filter.hang = nil })
		close(hang)
		time.Sleep(time.Second)
		synctest.Wait()
		w.exact()
		w.settled(revision)
	})
}

// settled demands that everything up to a revision is acknowledged, and that nobody has inherited a connection.
func (w *world) settled(revision int64) {
	w.t.Helper()
	if w.plane.lastAck().GetRevision() != revision || len(w.device.filter.inherited) != 0 {
		w.t.Errorf("acknowledged %v, inherited %v", w.plane.lastAck(), w.device.filter.inherited)
	}
}

// Who is revoked while she waits for an address gets none, and a removal that goes with its revision is not told twice.
func TestAnHeirIsRevoked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		hang := make(chan struct{})
		w.device.filter.with(func() { w.device.filter.hang = hang })
		heir := peer(2, 2)
		heir.AllowedIps = peer(1, 1).GetAllowedIps()
		w.plane.change([]string{"s1"}, heir)
		synctest.Wait()
		revision := w.plane.change([]string{"s2"})
		synctest.Wait()
		if w.plane.seenGone("s2").IsZero() {
			t.Error("the removal of an heir waits")
		}
		w.device.filter.with(func() { w.device.filter.hang = nil })
		close(hang)
		synctest.Wait()
		w.exact()
		w.plane.change(nil, peer(3, 3))
		synctest.Wait()
		revision = max(revision, w.plane.change([]string{"s3"}))
		synctest.Wait()
		if at := w.plane.seenGone("s3"); w.plane.lastAck().GetRevision() != revision || !at.IsZero() {
			t.Errorf("acknowledged %v, and besides at %v", w.plane.lastAck(), at)
		}
		if slices.ContainsFunc(w.device.trace, func(c wireguard.Change) bool { return !c.Remove && c.Peer.PublicKey == wireguard.Key(keyOf(2)) }) {
			t.Error("an heir was let in who had been revoked")
		}
	})
}

// A gateway that ends, or whose interface is taken away, waits for no forgetting; what waited is done on the next device.
func TestForgettingEndsWithItsDevice(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.device.filter.with(func() { w.device.filter.hang = make(chan struct{}) })
		heir := peer(2, 2)
		heir.AllowedIps = peer(1, 1).GetAllowedIps()
		w.plane.change([]string{"s1"}, heir)
		synctest.Wait()
		w.device.filter.with(func() { w.device.filter.hang = nil })
		check(t, w.device.Close())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.exact()
		w.device.filter.with(func() { w.device.filter.hang = make(chan struct{}) })
		last := peer(3, 3)
		last.AllowedIps = heir.GetAllowedIps()
		revision := w.plane.change([]string{"s2"}, last)
		synctest.Wait()
		stopping := time.Now()
		w.halt()
		if took := time.Since(stopping); took > time.Second {
			t.Errorf("stopping took %v", took)
		}
		w.device.filter.with(func() { w.device.filter.hang = nil })
		w.start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.exact()
		w.settled(revision)
	})
}

// Heirs that come one after the other wait for a turn of the kernel's each, and a pause as long as it.
func TestHeirsOneAfterTheOther(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1), peer(2, 2))
		synctest.Wait()
		w.device.filter.with(func() { w.device.filter.forgetting = 100 * time.Millisecond })
		began := time.Now()
		for n := 1; n <= 2; n++ {
			heir := peer(10+n, 10+n)
			heir.AllowedIps = peer(n, n).GetAllowedIps()
			revision := w.plane.change([]string{peer(n, n).GetSessionId()}, heir)
			for w.plane.lastAck().GetRevision() != revision {
				time.Sleep(time.Millisecond)
			}
		}
		if took := time.Since(began); took > 350*time.Millisecond {
			t.Errorf("two heirs waited for %v", took)
		}
		w.exact()
	})
}
