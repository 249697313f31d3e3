package gateway

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func TestSnapshotThenDeltas(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1), peer(2, 2))
		synctest.Wait()
		w.exact()
		w.plane.change([]string{"s1"}, peer(3, 3))
		synctest.Wait()
		w.exact()
		if w.plane.lastAck().GetRevision() != 3 || w.plane.lastAck().GetEpoch() != "epoch-1" {
			t.Errorf("acknowledged %v", w.plane.lastAck())
		}
		if w.plane.snapshots != 1 {
			t.Errorf("%d snapshots were needed, want the first one only", w.plane.snapshots)
		}
		for _, c := range w.device.trace {
			if !c.Remove && c.Peer.Keepalive != 0 {
				t.Errorf("the gateway keeps a new peer alive by itself: %v", c.Peer.Keepalive)
			}
		}
	})
}

func TestLifeSigns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		before := w.plane.ackCount()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := w.plane.ackCount() - before; n != 10 {
			t.Errorf("%d acknowledgements in 20 s, want one each 2 s", n)
		}
	})
}

func TestEmptyDeltaAdvances(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil)
		synctest.Wait()
		if w.plane.lastAck().GetRevision() != 2 {
			t.Errorf("acknowledged %v", w.plane.lastAck())
		}
	})
}

// A removal arrives before everything else, and what was on its way does not
// bring the session back.
func TestRemovalBeatsWhatWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		// The session is closed at 4; the delta upto 3 renews its peer and
		// comes late.
		w.plane.with(func() { w.plane.hold = true })
		w.plane.order(t.Context(), removalOrder("epoch-1", 4, "s1", "never-seen"))
		synctest.Wait()
		if len(w.device.holds()) != 0 {
			t.Fatal("the removed peer is still there")
		}
		if w.plane.allGone()["s1"].IsZero() || w.plane.allGone()["never-seen"].IsZero() {
			t.Errorf("acknowledged as removed: %v", w.plane.allGone())
		}
		if w.plane.lastAck().GetRevision() != 2 {
			t.Errorf("a removal moved the revision: %v", w.plane.lastAck())
		}
		late := peer(1, 1)
		late.AllowedIps = []string{"10.80.9.9/32"}
		w.plane.order(t.Context(), &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: &heimdrahtv1.Delta{
			Epoch: "epoch-1", After: 2, Upto: 3, Peers: []*heimdrahtv1.Peer{late, peer(2, 2)}}}})
		synctest.Wait()
		if n := len(w.device.holds()); n != 1 {
			t.Errorf("%d peers, want only the other one", n)
		}
		if n := len(w.gateway.wanted.tombstones); n != 2 {
			t.Errorf("%d tombstones", n)
		}
		w.plane.order(t.Context(), &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: &heimdrahtv1.Delta{
			Epoch: "epoch-1", After: 3, Upto: 4, RemovedSessions: []string{"s1"}}}})
		synctest.Wait()
		if n := len(w.gateway.wanted.tombstones); n != 0 {
			t.Errorf("%d tombstones after their revision", n)
		}
	})
}

func TestLostDeltaLeadsToASnapshot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.order(t.Context(), &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: &heimdrahtv1.Delta{
			Epoch: "epoch-1", After: 7, Upto: 8, Peers: []*heimdrahtv1.Peer{peer(9, 9)}}}})
		synctest.Wait()
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.exact()
		if len(w.plane.asked()) != 1 || w.plane.snapshots != 2 {
			t.Errorf("asked %q, %d snapshots", w.plane.asked(), w.plane.snapshots)
		}
	})
}

// Nothing of a snapshot counts before its end mark.
func TestSnapshotWithoutItsEndChangesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		before := w.device.holds()
		w.plane.with(func() { w.plane.hold = true })
		w.plane.order(t.Context(), beginOrder("epoch-1", 9))
		w.plane.order(t.Context(), pageOrder(peer(2, 2)))
		synctest.Wait()
		if diff := cmp.Diff(before, w.device.holds()); diff != "" {
			t.Errorf("half a snapshot changed the device:\n%s", diff)
		}
		// A removal comes between the pages, of a session that the snapshot
		// still names.
		w.plane.order(t.Context(), removalOrder("epoch-1", 10, "s1"))
		synctest.Wait()
		if len(w.device.holds()) != 0 {
			t.Error("a removal waited for the end of a snapshot")
		}
		w.plane.order(t.Context(), pageOrder(peer(1, 1)))
		w.plane.order(t.Context(), endOrder("epoch-1", 9, 2))
		synctest.Wait()
		if n := len(w.device.holds()); n != 1 {
			t.Errorf("%d peers after the snapshot, want the one that was not removed", n)
		}
		if w.plane.lastAck().GetRevision() != 9 {
			t.Errorf("acknowledged %v", w.plane.lastAck())
		}
	})
}

func TestSnapshotThatLacksPeersIsAskedForAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.plane.order(t.Context(), beginOrder("epoch-1", 2))
		w.plane.order(t.Context(), endOrder("epoch-1", 2, 1))
		synctest.Wait()
		w.exact()
		if len(w.plane.asked()) != 1 {
			t.Errorf("asked %q", w.plane.asked())
		}
	})
}

// A snapshot that never ends does not hold the gateway for ever.
func TestSnapshotThatNeverEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.order(t.Context(), beginOrder("epoch-1", 9))
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if n := len(w.plane.greetings()); n != 2 {
			t.Errorf("%d streams, want a second one", n)
		}
	})
}

func TestNewEpochAndGatewayAhead(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := range 5 {
			w.plane.change(nil, peer(i, i))
		}
		synctest.Wait()
		// The control plane is restored from a backup: new epoch, fewer
		// sessions, a lower revision.
		w.plane.with(func() {
			w.plane.epoch, w.plane.revision = "epoch-2", 2
			delete(w.plane.sessions, "s1")
			w.plane.log = nil
		})
		w.plane.disconnect()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		w.exact()
		if w.plane.lastAck().GetEpoch() != "epoch-2" || w.plane.lastAck().GetRevision() != 2 {
			t.Errorf("acknowledged %v", w.plane.lastAck())
		}
		// The same without a new epoch, which a copied file brings about.
		w.plane.with(func() { w.plane.revision = 1; w.plane.log = nil })
		w.plane.disconnect()
		time.Sleep(2 * time.Second)
		w.plane.change([]string{"s2"})
		synctest.Wait()
		w.exact()
	})
}

// The same device opens its next session: the old one must be dead, the new
// one alive, under the same key and addresses.
func TestNextSessionOfOneDevice(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.plane.change([]string{"s1"}, peer(2, 1))
		synctest.Wait()
		w.exact() // the device refuses a change of session in place
	})
}

// An address goes from one peer to another, also when the other one comes
// first in the queue and in another round.
func TestAddressChangesHands(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var crowd []*heimdrahtv1.Peer
		for i := range 400 {
			crowd = append(crowd, peer(i, i))
		}
		w.plane.change(nil, crowd...)
		synctest.Wait()
		w.exact()
		for i := range 400 {
			moved := peer(i, i)
			moved.AllowedIps = peer(0, (i+1)%400).GetAllowedIps()
			crowd[i] = moved
		}
		w.plane.change(nil, crowd...)
		synctest.Wait()
		time.Sleep(2 * passEvery)
		synctest.Wait()
		w.exact()
	})
}

// While thousands of additions are being made, a removal waits for one call.
func TestRemovalDoesNotWaitForBulk(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.device.with(func() { w.device.delay = 100 * time.Millisecond }) // each call of 32
		var crowd []*heimdrahtv1.Peer
		for i := 100; i < 5100; i++ {
			crowd = append(crowd, peer(i, i))
		}
		for page := range slices.Chunk(crowd, 1000) {
			w.plane.change(nil, page...)
		}
		time.Sleep(time.Second)
		begun := time.Now()
		w.plane.order(t.Context(), removalOrder("epoch-1", 99, "s1"))
		for w.plane.seenGone("s1").IsZero() {
			time.Sleep(10 * time.Millisecond)
		}
		if took := w.plane.seenGone("s1").Sub(begun); took > time.Second {
			t.Errorf("a removal took %v behind 5,000 additions", took)
		}
		if w.plane.lastAck().GetRevision() > 2 {
			t.Errorf("acknowledged %d while additions wait", w.plane.lastAck().GetRevision())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(w.device.holds()); n != 5000 {
			t.Errorf("%d peers at the end", n)
		}
	})
}

// A slow device is brought to the newest state, and what waits stays bounded.
func TestSlowDeviceSkipsStates(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.device.with(func() { w.device.delay = time.Minute })
		for i := range 3000 {
			if i%2 == 0 {
				w.plane.change(nil, peer(i, 1))
			} else {
				w.plane.change([]string{fmt.Sprintf("s%d", i-1)})
			}
			synctest.Wait()
		}
		w.gateway.mu.Lock()
		waiting, batches := len(w.gateway.pending.entries), len(w.gateway.pending.deltas)
		w.gateway.mu.Unlock()
		if waiting > 1 || batches > maxBatches {
			t.Errorf("%d keys and %d batches wait", waiting, batches)
		}
		w.plane.change(nil, peer(5000, 1))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		w.exact()
		if w.plane.lastAck().GetRevision() != w.plane.revision {
			t.Errorf("acknowledged %d of %d", w.plane.lastAck().GetRevision(), w.plane.revision)
		}
	})
}

func TestPeerEndsAtItsTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.with(func() {
			// The gateway's clock is slow by an hour: the control plane's counts.
			w.plane.config.ServerTime = timestamppb.New(time.Now().Add(time.Hour))
		})
		if s := w.gateway.Status(); len(s.Problems) != 0 {
			t.Errorf("with a right clock there is a problem: %v", s.Problems)
		}
		w.plane.disconnect()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := w.gateway.Status(); len(s.Problems) != 1 || s.Problems[0].Code != control.CodeClockWrong {
			t.Errorf("a clock that is an hour slow is not said: %v", s.Problems)
		}
		first, second := peer(1, 1), peer(2, 2)
		first.NotAfter = timestamppb.New(time.Now().Add(time.Hour + 10*time.Minute))
		second.NotAfter = timestamppb.New(time.Now().Add(time.Hour + 20*time.Minute))
		w.plane.change(nil, first, second, peer(3, 3))
		for _, c := range []struct {
			at   time.Duration
			want int
		}{{9 * time.Minute, 3}, {11 * time.Minute, 2}, {19 * time.Minute, 2}, {21 * time.Minute, 1}} {
			t0 := first.GetNotAfter().AsTime().Add(-time.Hour - 10*time.Minute)
			time.Sleep(time.Until(t0.Add(c.at)))
			synctest.Wait()
			if n := len(w.device.holds()); n != c.want {
				t.Errorf("after %v: %d peers, want %d", c.at, n, c.want)
			}
		}
	})
}

func TestConfigurationThatCannotBe(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.plane.with(func() { w.plane.config.Addresses = []string{"10.80.0.1"} })
		w.plane.disconnect()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		s := w.gateway.Status()
		if s.Connected || len(s.Problems) != 1 || s.Problems[0].Code != control.CodeConfigRefused {
			t.Errorf("status %+v", s)
		}
		if len(w.device.holds()) != 1 {
			t.Error("a bad configuration took the peers away")
		}
	})
}

// A configuration that moves addresses keeps the tunnels; one that moves the
// port opens the device anew, with everybody on it.
func TestConfigurationChanges(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.plane.with(func() {
			w.plane.config = proto.Clone(w.plane.config).(*heimdrahtv1.GatewayConfiguration)
			w.plane.config.Addresses = []string{"10.81.0.1/16"}
		})
		w.plane.order(t.Context(), &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Configuration{Configuration: w.plane.config}})
		synctest.Wait()
		if w.device.opened != 1 || w.device.setup.Addresses[0].String() != "10.81.0.1/16" {
			t.Errorf("opened %d times, addresses %v", w.device.opened, w.device.setup.Addresses)
		}
		w.plane.with(func() {
			w.plane.config = proto.Clone(w.plane.config).(*heimdrahtv1.GatewayConfiguration)
			w.plane.config.ListenPort = 4711
		})
		w.plane.order(t.Context(), &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Configuration{Configuration: w.plane.config}})
		synctest.Wait()
		if w.device.opened != 2 || w.device.setup.ListenPort != 4711 {
			t.Errorf("opened %d times, port %d", w.device.opened, w.device.setup.ListenPort)
		}
		w.exact()
	})
}

// One peer that cannot be installed takes nobody with it, and comes as soon
// as it can be.
func TestPeerThatTheDeviceRefuses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		bad := peer(1, 1)
		w.device.with(func() {
			w.device.refuse = func(c wireguard.Change) error {
				if !c.Remove && c.Peer.PublicKey == wireguard.Key(bad.GetPublicKey()) {
					return errors.New("test: no")
				}
				return nil
			}
		})
		malformed := peer(4, 4)
		malformed.PublicKey = []byte{1}
		w.plane.change(nil, bad, peer(2, 2), peer(3, 3), malformed)
		synctest.Wait()
		if n := len(w.device.holds()); n != 2 || w.plane.lastAck().GetRevision() != 2 {
			t.Errorf("%d peers, acknowledged %v", n, w.plane.lastAck())
		}
		w.device.with(func() { w.device.refuse = nil })
		time.Sleep(2 * passEvery)
		synctest.Wait()
		if n := len(w.device.holds()); n != 3 {
			t.Errorf("%d peers after the device gave in", n)
		}
	})
}

// A removal that the device refuses is not acknowledged, and is tried again.
func TestRemovalThatTheDeviceRefuses(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.device.with(func() {
			w.device.refuse = func(c wireguard.Change) error {
				if c.Remove {
					return errors.New("test: no")
				}
				return nil
			}
		})
		// The device at the edge drops what it refuses; put it back.
		kept := maps.Clone(w.device.peers)
		w.plane.order(t.Context(), removalOrder("epoch-1", 3, "s1"))
		w.plane.change([]string{"s1"})
		synctest.Wait()
		w.device.meddle(func(peers map[wireguard.Key]wireguard.PeerStatus) { maps.Copy(peers, kept) })
		if !w.plane.seenGone("s1").IsZero() || w.plane.lastAck().GetRevision() != 2 {
			t.Errorf("acknowledged %v, gone %v", w.plane.lastAck(), w.plane.allGone())
		}
		w.device.with(func() { w.device.refuse = nil })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		w.exact()
		if w.plane.seenGone("s1").IsZero() || w.plane.lastAck().GetRevision() != 3 {
			t.Errorf("acknowledged %v, gone %v", w.plane.lastAck(), w.plane.allGone())
		}
	})
}
