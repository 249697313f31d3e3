package gateway

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/heimdraht/heimdraht/agent/firewall"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// What a session may reach changes without its tunnel, survives a restart from
// the journal, and is acknowledged when it holds.
func TestRightsChange(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.with(func() { w.plane.config.AccessLists = true })
		w.plane.disconnect()
		time.Sleep(time.Second)
		p := peer(1, 1)
		w.plane.change(nil, p)
		synctest.Wait()
		w.exact()
		changes := len(w.device.trace)
		revision := w.plane.change(nil, proto.Clone(p).(*heimdrahtv1.Peer))
		synctest.Wait()
		w.exact()
		if len(w.device.trace) != changes || w.plane.lastAck().GetRevision() != revision {
			t.Errorf("the device was changed %d times, acknowledged %v", len(w.device.trace)-changes, w.plane.lastAck())
		}

		w.plane.with(func() { w.plane.config.AccessLists = true })
		w.stop() // the control plane is gone: all that is known is on disk
		w.halt()
		w.start()
		time.Sleep(time.Second)
		synctest.Wait()
		w.exact()
		w.stop = w.plane.serve(w.pipes)
	})
}

// A control plane of the version before says nothing of lists; one that does
// has everything told anew, and until then nobody loses anything.
func TestOlderControlPlane(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1), peer(2, 2))
		synctest.Wait()
		w.exact()
		snapshots := w.plane.snapshots
		w.plane.with(func() {
			w.plane.config = proto.Clone(w.plane.config).(*heimdrahtv1.GatewayConfiguration)
			w.plane.config.AccessLists = true
			for _, p := range w.plane.sessions {
				p.Access = "list"
			}
		})
		w.plane.disconnect()
		time.Sleep(time.Second)
		synctest.Wait()
		w.exact()
		if w.plane.snapshots != snapshots+1 {
			t.Errorf("%d snapshots, want one", w.plane.snapshots-snapshots)
		}
	})
}

// A gateway that cannot filter lets nobody in, says so, and acknowledges
// nothing; whoever loses access loses it all the same.
func TestFilterFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.device.filter.with(func() { w.device.filter.fail = errors.Join(firewall.ErrUnusable, errors.New("test")) })
		revision := w.plane.change([]string{"s1"}, peer(2, 2))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(w.device.holds()); n != 0 {
			t.Errorf("%d peers that nothing holds", n)
		}
		if s := w.gateway.Status(); len(s.Problems) != 1 || s.Problems[0].Code != CodeFilter {
			t.Errorf("status %+v", s)
		}
		if w.plane.lastAck().GetRevision() >= revision {
			t.Error("acknowledged what nothing holds")
		}
		w.device.filter.with(func() { w.device.filter.fail = nil })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.exact()
		if w.plane.lastAck().GetRevision() != revision {
			t.Errorf("acknowledged %v", w.plane.lastAck())
		}
	})
}

// What somebody else does to the filter is put right.
func TestFilterIsRestored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.device.filter.with(func() { w.device.filter.lost = true })
		w.device.with(func() { w.device.setup.Disturbed() })
		synctest.Wait()
		if w.device.filter.Lost() || w.device.filter.restored != 1 {
			t.Errorf("lost %v, restored %d times", w.device.filter.lost, w.device.filter.restored)
		}
	})
}
