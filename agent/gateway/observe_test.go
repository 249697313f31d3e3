package gateway

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// moves adds to the counters of a key.
func (d *memoryDevice) moves(k int, rx, tx uint64) {
	d.meddle(func(peers map[wireguard.Key]wireguard.PeerStatus) {
		s := peers[wireguard.Key(keyOf(k))]
		s.Rx, s.Tx, s.LastHandshake = s.Rx+rx, s.Tx+tx, time.Now()
		s.Endpoint = netip.MustParseAddrPort("192.0.2.1:1000")
		peers[wireguard.Key(keyOf(k))] = s
	})
}

// takeObservations returns what was reported since the last call.
func (p *plane) takeObservations() []*heimdrahtv1.SyncObservation {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.observations
	p.observations = nil
	return out
}

func TestObservationsAreDifferencesOfThoseWhoMoved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1), peer(2, 2))
		time.Sleep(2 * looksEach) // past the look at new sessions
		synctest.Wait()
		w.plane.takeObservations()
		for range 3 {
			w.device.moves(1, 100, 10)
			time.Sleep(20 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		var rx, tx uint64
		passes := 0
		for _, o := range w.plane.takeObservations() {
			if !o.GetComplete() {
				t.Error("a pass is not marked complete")
			}
			passes++
			for _, p := range o.GetPeers() {
				if p.GetSessionId() != "s1" {
					t.Errorf("a peer that did not move is named: %v", p)
				}
				if p.LastHandshakeAgeMs == nil || p.GetLastHandshakeAgeMs() > 36_000 {
					t.Errorf("handshake age %v", p.LastHandshakeAgeMs)
				}
				rx += p.GetReceivedBytes()
				tx += p.GetSentBytes()
			}
		}
		if rx != 300 || tx != 30 {
			t.Errorf("reported %d and %d bytes, want 300 and 30", rx, tx)
		}
		if passes < 3 || passes > 6 {
			t.Errorf("%d passes in two minutes", passes)
		}
	})
}

// The helpdesk shall not have to wait for the next pass to see that somebody
// has come through.
func TestNewSessionsAreLookedAtSoon(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 5 { // a pass may lie in between once, not each time
			time.Sleep(passEvery)
			w.plane.change(nil, peer(i, i))
			synctest.Wait()
			w.plane.takeObservations()
			w.device.moves(i, 100, 10)
			time.Sleep(looksEach + housekeepingEvery)
			synctest.Wait()
			all := w.plane.takeObservations()
			if len(all) == 0 || len(all[0].GetPeers()) != 1 || all[0].GetPeers()[0].LastHandshakeAgeMs == nil {
				t.Errorf("reported %v", all)
			}
		}
	})
}

// What a session moved last is reported before the word that it is gone.
func TestLastBytesOfARemovedSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1), peer(2, 1<<10))
		time.Sleep(2 * passEvery)
		synctest.Wait()
		w.plane.takeObservations()
		w.device.moves(1, 5000, 70)
		w.plane.change([]string{"s1"}, peer(3, 1)) // the next session of the same key
		synctest.Wait()
		all := w.plane.takeObservations()
		if len(all) != 1 || all[0].GetComplete() || len(all[0].GetPeers()) != 1 || all[0].GetPeers()[0].GetSessionId() != "s1" ||
			all[0].GetPeers()[0].GetReceivedBytes() != 5000 {
			t.Errorf("reported %v", all)
		}
		w.device.moves(1, 7, 7)
		time.Sleep(2 * passEvery)
		synctest.Wait()
		for _, o := range w.plane.takeObservations() {
			for _, p := range o.GetPeers() {
				if p.GetSessionId() != "s3" || p.GetReceivedBytes() != 7 {
					t.Errorf("the next session is charged with %v", p)
				}
			}
		}
	})
}

// Where a dump is slow, a removal does not wait for one, and dumps keep their
// distance.
func TestSlowDumpsKeepTheirDistance(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1), peer(2, 2))
		w.device.with(func() { w.device.dumpTime = time.Second })
		time.Sleep(time.Minute)
		w.device.with(func() { w.device.dumps = nil })
		begun := time.Now()
		w.plane.change([]string{"s1"})
		time.Sleep(time.Hour)
		synctest.Wait()
		if at := w.device.applied[wireguard.Key(keyOf(1))]; at.Sub(begun) > 100*time.Millisecond {
			t.Errorf("the removal took %v", at.Sub(begun))
		}
		for i := 1; i < len(w.device.dumps); i++ {
			if d := w.device.dumps[i].Sub(w.device.dumps[i-1]); d < 300*time.Second {
				t.Errorf("two dumps of a second are %v apart", d)
			}
		}
		if n := len(w.device.dumps); n < 9 {
			t.Errorf("%d dumps in an hour", n)
		}
	})
}

func TestForeignChangesArePutRightWhenCertain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1), peer(2, 2), peer(3, 3))
		time.Sleep(time.Minute)
		synctest.Wait()
		w.device.with(func() { w.device.trace = nil })
		w.device.with(func() { w.device.short = true }) // one dump comes back short: nothing follows
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if len(w.device.trace) != 0 {
			t.Errorf("one short dump led to %v", w.device.trace)
		}
		w.device.meddle(func(peers map[wireguard.Key]wireguard.PeerStatus) {
			delete(peers, wireguard.Key(keyOf(1)))
			changed := peers[wireguard.Key(keyOf(2))]
			changed.AllowedIPs = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
			peers[wireguard.Key(keyOf(2))] = changed
			strange := wireguard.PeerStatus{}
			strange.PublicKey = wireguard.Key(keyOf(99))
			peers[strange.PublicKey] = strange
		})
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		w.exact()
	})
}

func TestObservationsAreCutIntoPages(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 1200 {
			w.plane.change(nil, peer(i, i))
		}
		time.Sleep(2 * looksEach) // past the look at new sessions
		synctest.Wait()
		for i := range 1200 {
			w.device.moves(i, 1, 1)
		}
		w.plane.takeObservations()
		time.Sleep(40 * time.Second)
		synctest.Wait()
		all := w.plane.takeObservations()
		all = all[:1+slices.IndexFunc(all, (*heimdrahtv1.SyncObservation).GetComplete)] // the next pass may have begun
		total := 0
		for i, o := range all {
			total += len(o.GetPeers())
			if len(o.GetPeers()) > 500 || o.GetComplete() != (i == len(all)-1) {
				t.Errorf("page %d of %d has %d peers, complete %v", i, len(all), len(o.GetPeers()), o.GetComplete())
			}
		}
		if total != 1200 || len(all) != 3 {
			t.Errorf("%d peers on %d pages", total, len(all))
		}
	})
}
