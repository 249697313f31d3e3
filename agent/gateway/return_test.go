package gateway

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// A gateway that was cut off has all of a thousand differences within a second of being back: sessions that ended, that are new,
// that took the place of others at the same laptop, that got addresses of others, and that may reach something else. So it has by
// deltas and by a snapshot, on a device as slow as the kernel's, with a kernel that remembers much.
func TestAThousandDifferences(t *testing.T) {
	for name, forgets := range map[string]bool{"deltas": false, "a snapshot": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.plane.with(func() { w.plane.config.AccessLists = true })
				w.plane.disconnect()
				time.Sleep(time.Second)
				var all []*heimdrahtv1.Peer
				for n := range 1_500 {
					all = append(all, peer(n, n))
				}
				for page := range slices.Chunk(all, maxPage) {
					w.plane.change(nil, page...)
				}
				time.Sleep(10 * time.Second)
				w.exact()
				w.device.with(func() { w.device.delay = 5 * time.Millisecond }) // each call of 32
				w.device.filter.with(func() { w.device.filter.forgetting = 250 * time.Millisecond })

				w.plane.with(func() { w.plane.hold = true })
				w.plane.disconnect()
				for n := range 200 {
					end, next, gone, move, rights := all[n], all[200+n], all[400+n], all[600+n], all[800+n]
					heir := peer(3_000+n, 3_000+n)
					heir.AllowedIps = gone.GetAllowedIps()
					w.plane.change([]string{end.GetSessionId(), next.GetSessionId(), gone.GetSessionId(), move.GetSessionId()},
						peer(4_000+n, 200+n), heir, peer(5_000+n, 5_000+n), proto.Clone(rights).(*heimdrahtv1.Peer))
				}
				changes := len(w.device.trace)
				for !w.gateway.Status().Connected {
					time.Sleep(time.Millisecond)
				}
				w.plane.with(func() {
					w.plane.hold = false
					if forgets {
						w.plane.oldest, w.plane.log = w.plane.revision, nil
					}
				})
				began := time.Now()
				for a := w.plane.lastAck(); a.GetRevision() != w.plane.revision; a = w.plane.lastAck() {
					if time.Since(began) > time.Minute {
						t.Fatalf("acknowledged %v", a)
					}
					time.Sleep(time.Millisecond)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("exact after %v", took)
				}
				w.exact()
				if len(w.device.filter.inherited) > 0 {
					t.Errorf("inherited %v", w.device.filter.inherited)
				}
				for _, c := range w.device.trace[changes:] {
					for _, p := range all[1_000:] {
						if string(c.Peer.PublicKey[:]) == string(p.GetPublicKey()) {
							t.Fatal("somebody who stayed as she was was touched")
						}
					}
				}
			})
		})
	}
}

// A clock that is an hour wrong, here or there, is said, and that is all: who is connected stays, who comes is let in, who goes is
// gone, and an end is as far away as the control plane means it.
func TestClocksAnHourApart(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"the control plane's is fast": time.Hour, "the control plane's is slow": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.plane.change(nil, peer(1, 1), peer(2, 2))
				synctest.Wait()
				changes := len(w.device.trace)
				w.plane.with(func() {
					w.plane.config.ServerTime, w.plane.config.GraceMs = timestamppb.New(time.Now().Add(ahead)), (30 * time.Minute).Milliseconds()
				})
				w.plane.disconnect()
				for !w.gateway.Status().Connected {
					time.Sleep(time.Millisecond)
				}
				w.plane.with(func() { w.plane.config.ServerTime = timestamppb.New(time.Now().Add(ahead)) })
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if s := w.gateway.Status(); len(s.Problems) != 1 || s.Problems[0].Code != control.CodeClockWrong {
					t.Errorf("it is not said: %+v", s.Problems)
				}
				if len(w.device.trace) != changes {
					t.Error("somebody who was there was touched")
				}
				ends := peer(3, 3)
				ends.NotAfter = timestamppb.New(time.Now().Add(ahead + 10*time.Minute))
				revision := w.plane.change([]string{"s1"}, ends)
				synctest.Wait()
				w.exact()
				if w.plane.lastAck().GetRevision() != revision {
					t.Errorf("acknowledged %v", w.plane.lastAck())
				}
				// Cut off, its peers stay for the grace time, and its end comes when it was meant.
				w.plane.disconnect()
				check(t, w.pipes.Close())
				time.Sleep(9 * time.Minute)
				w.exact()
				time.Sleep(2 * time.Minute)
				if n := len(w.device.holds()); n != 1 {
					t.Errorf("%d peers when one has ended", n)
				}
				time.Sleep(18 * time.Minute)
				if n := len(w.device.holds()); n != 1 {
					t.Errorf("%d peers within the grace time", n)
				}
				time.Sleep(2 * time.Minute)
				if n := len(w.device.holds()); n != 0 {
					t.Errorf("%d peers after the grace time", n)
				}
			})
		})
	}
}
