package gateway

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// Whatever happens in whatever order, the device ends up as the control plane
// says, and the last place is acknowledged.
func TestAlwaysEndsExact(t *testing.T) {
	base := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		run := 0
		// The bubble's test has no deadline to ask for.
		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) {
			run++
			w := newWorld(t.Context(), rt, filepath.Join(base, fmt.Sprint(run)))
			w.plane.pageSize = 2
			w.plane.config.AccessLists = true
			w.start()
			defer w.end()
			m := &model{w: w, rt: rt, free: 1}
			rt.Repeat(m.actions())
			w.plane.with(func() { w.plane.hold = false })
			w.device.with(func() { w.device.delay, w.device.refuse = 0, nil })
			w.device.filter.with(func() { w.device.filter.fail, w.device.filter.cannotForget = nil, nil })
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			w.exact()
			if a := w.plane.lastAck(); a.GetRevision() != w.plane.revision || a.GetEpoch() != w.plane.epoch {
				rt.Fatalf("acknowledged %v, want %d in %s", a, w.plane.revision, w.plane.epoch)
			}
			m.noneReturned()
			if len(w.device.filter.inherited) > 0 {
				rt.Fatalf("%v came to others with connections of those who had them", w.device.filter.inherited)
			}
		})
	})
}

// model drives a world at random.
type model struct {
	w       *world
	rt      *rapid.T
	free    int // next session number
	epochs  int
	removed []string // acknowledged or removed by order, in this epoch
}

const modelKeys = 6

func (m *model) actions() map[string]func(*rapid.T) {
	w := m.w
	return map[string]func(*rapid.T){
		"open": func(rt *rapid.T) {
			k := rapid.IntRange(0, modelKeys-1).Draw(rt, "key")
			p := peer(m.free, k)
			m.free++
			w.plane.change(append(m.sessionsOf(k), m.holders(p.GetAllowedIps()[0])...), p)
		},
		"close": func(rt *rapid.T) {
			k := rapid.IntRange(0, modelKeys-1).Draw(rt, "key")
			w.plane.change(m.sessionsOf(k))
		},
		"revoke": func(rt *rapid.T) {
			k := rapid.IntRange(0, modelKeys-1).Draw(rt, "key")
			ids := m.sessionsOf(k)
			if len(ids) == 0 {
				return
			}
			revision := w.plane.change(ids)
			m.send(removalOrder(w.plane.epoch, revision, ids...))
			m.removed = append(m.removed, ids...)
		},
		"swap addresses": func(rt *rapid.T) {
			var all []*heimdrahtv1.Peer
			for _, id := range slices.Sorted(maps.Keys(w.plane.sessions)) {
				all = append(all, proto.Clone(w.plane.sessions[id]).(*heimdrahtv1.Peer))
			}
			if len(all) < 2 {
				return
			}
			first := all[0].GetAllowedIps()
			for i := range all[1:] {
				all[i].AllowedIps = all[i+1].GetAllowedIps()
			}
			all[len(all)-1].AllowedIps = first
			w.plane.change(nil, all...)
		},
		"lose a delta": func(rt *rapid.T) {
			m.send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: &heimdrahtv1.Delta{
				Epoch: w.plane.epoch, After: w.plane.revision + 3, Upto: w.plane.revision + 4}}})
		},
		"old delta": func(rt *rapid.T) {
			m.send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: &heimdrahtv1.Delta{
				Epoch: w.plane.epoch, After: 0, Upto: 1, Peers: []*heimdrahtv1.Peer{peer(1, 0), peer(2, 1)}}}})
		},
		"half a snapshot": func(rt *rapid.T) {
			m.send(beginOrder(w.plane.epoch, w.plane.revision))
			m.send(pageOrder(peer(1_000_000, 0)))
			w.plane.disconnect()
		},
		"disconnect": func(rt *rapid.T) { w.plane.disconnect() },
		"restart":    func(rt *rapid.T) { w.halt(); w.start() },
		"kill":       func(rt *rapid.T) { m.kill() },
		"restore": func(rt *rapid.T) {
			w.plane.with(func() {
				m.epochs++
				w.plane.epoch = fmt.Sprintf("restored-%d", m.epochs)
				w.plane.revision = max(1, w.plane.revision-3)
				w.plane.oldest, w.plane.log = w.plane.revision, nil
			})
			m.removed = nil
			w.plane.disconnect()
		},
		"forget changes": func(rt *rapid.T) {
			w.plane.with(func() { w.plane.oldest, w.plane.log = w.plane.revision, nil })
		},
		"other rights": func(rt *rapid.T) {
			for _, p := range w.plane.sessions {
				w.plane.change(nil, proto.Clone(p).(*heimdrahtv1.Peer))
				return
			}
		},
		"filter fails": func(rt *rapid.T) { w.device.filter.with(func() { w.device.filter.fail = firewall.ErrUnusable }) },
		"filter works": func(rt *rapid.T) { w.device.filter.with(func() { w.device.filter.fail = nil }) },
		"filter lost":  func(rt *rapid.T) { w.device.filter.with(func() { w.device.filter.lost = true }) },
		"forgetting":   func(rt *rapid.T) { w.device.filter.with(func() { w.device.filter.forgetting = 2 * time.Second }) },
		"forgets not": func(rt *rapid.T) {
			w.device.filter.with(func() { w.device.filter.cannotForget = firewall.ErrUnusable })
		},
		"forgets": func(rt *rapid.T) {
			w.device.filter.with(func() { w.device.filter.cannotForget, w.device.filter.forgetting = nil, 0 })
		},
		"hold":  func(rt *rapid.T) { w.plane.with(func() { w.plane.hold = !w.plane.hold }) },
		"slow":  func(rt *rapid.T) { w.device.with(func() { w.device.delay = time.Second }) },
		"quick": func(rt *rapid.T) { w.device.with(func() { w.device.delay = 0 }) },
		"new port": func(rt *rapid.T) {
			w.plane.with(func() {
				w.plane.config = proto.Clone(w.plane.config).(*heimdrahtv1.GatewayConfiguration)
				w.plane.config.ListenPort = uint32(m.free)
			})
			w.plane.disconnect()
		},
		"": func(rt *rapid.T) {
			if rapid.Bool().Draw(rt, "let time pass") {
				time.Sleep(time.Duration(rapid.IntRange(1, 5000).Draw(rt, "ms")) * time.Millisecond)
			}
		},
	}
}

func (m *model) sessionsOf(k int) []string {
	var ids []string
	for id, p := range m.w.plane.sessions {
		if string(p.GetPublicKey()) == string(keyOf(k).bytes()) {
			ids = append(ids, id)
		}
	}
	return ids
}

// holders are the sessions with an address.
func (m *model) holders(ip string) []string {
	var ids []string
	for id, p := range m.w.plane.sessions {
		if slices.Contains(p.GetAllowedIps(), ip) {
			ids = append(ids, id)
		}
	}
	return ids
}

// send gives an order to the stream, if there is one.
func (m *model) send(order *heimdrahtv1.SyncResponse) {
	select {
	case m.w.plane.orders <- order:
	case <-time.After(10 * time.Millisecond):
	}
}

// kill stops the gateway as a loss of power does: the disk is as it is now.
func (m *model) kill() {
	w := m.w
	next := w.dir + "+"
	copied := os.CopyFS(next, os.DirFS(w.dir))
	w.halt()
	// A file may have been replaced while it was copied.
	if copied != nil {
		check(w.t, os.RemoveAll(next))
		check(w.t, os.CopyFS(next, os.DirFS(w.dir)))
	}
	check(w.t, os.Chmod(next, 0o700))
	entries, err := os.ReadDir(next)
	check(w.t, err)
	for _, e := range entries {
		check(w.t, os.Chmod(filepath.Join(next, e.Name()), 0o600))
	}
	w.dir = next
	w.start()
}

// noneReturned fails if a session that was removed is on the device.
func (m *model) noneReturned() {
	for _, in := range m.w.gateway.installed {
		if slices.Contains(m.removed, in.session) {
			m.rt.Fatalf("the removed session %s is back", in.session)
		}
	}
}

// A state that went to disk and came back is the same state, through single
// records, through a compaction, and cut off anywhere.
func TestJournalIsTheState(t *testing.T) {
	root := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		dir, err := state.Open(filepath.Join(root, fmt.Sprint(run)))
		check(rt, err)
		defer closing(rt, dir)
		j, err := dir.OpenJournal("j", newMemory().replay)
		check(rt, err)
		live := newMemory()
		states, base := []string{live.String()}, j.Size()
		for range rapid.IntRange(1, 12).Draw(rt, "orders") {
			order := drawOrder(rt, live.wanted)
			record, err := encodeOrder(order)
			check(rt, err)
			check(rt, live.replay(record))
			if order.GetSnapshotEnd() != nil {
				// A snapshot is kept by writing the journal anew, in one step.
				records, err := live.compacted()
				check(rt, err)
				check(rt, j.Compact(records))
				states, base = nil, j.Size()
			} else {
				check(rt, j.Append(record))
			}
			states = append(states, live.String())
		}
		check(rt, j.Close())
		path := filepath.Join(dir.Path(), "j.journal")
		whole, err := os.ReadFile(path)
		check(rt, err)

		again := newMemory()
		j, err = dir.OpenJournal("j", again.replay)
		check(rt, err)
		if diff := cmp.Diff(live.String(), again.String()); diff != "" {
			rt.Fatalf("replayed (-live +replayed):\n%s", diff)
		}
		records, err := live.compacted()
		check(rt, err)
		check(rt, j.Compact(records))
		check(rt, j.Close())
		compacted := newMemory()
		j, err = dir.OpenJournal("j", compacted.replay)
		check(rt, err)
		check(rt, j.Close())
		if diff := cmp.Diff(live.String(), compacted.String()); diff != "" {
			rt.Fatalf("compacted (-live +compacted):\n%s", diff)
		}

		// Cut off anywhere in what was appended, it is one of the states on
		// the way.
		cut := rapid.IntRange(int(base), len(whole)).Draw(rt, "cut")
		check(rt, os.WriteFile(path, whole[:cut], 0o600))
		torn := newMemory()
		j, err = dir.OpenJournal("j", torn.replay)
		check(rt, err)
		check(rt, j.Close())
		if !slices.Contains(states, torn.String()) {
			rt.Fatalf("cut at %d of %d bytes it is no earlier state:\n%s", cut, len(whole), torn)
		}
	})
}

// String is a state in a form to compare. Empty deltas leave no record, and
// an unfinished snapshot is none.
func (m *memory) String() string {
	var b strings.Builder
	w := m.wanted
	fmt.Fprintln(&b, w.at)
	for _, id := range slices.Sorted(maps.Keys(w.sessions)) {
		s := w.sessions[id]
		fmt.Fprintln(&b, id, s.peer.PublicKey, s.peer.PresharedKey.Base64(), s.peer.AllowedIPs, s.notAfter.UTC(), w.byKey[s.peer.PublicKey] == s)
	}
	for _, id := range slices.Sorted(maps.Keys(w.tombstones)) {
		places := slices.SortedFunc(slices.Values(w.tombstones[id]), func(a, b place) int { return strings.Compare(a.epoch, b.epoch) })
		fmt.Fprintln(&b, "dead", id, places)
	}
	return b.String()
}

// drawOrder draws an order that a journal can hold.
func drawOrder(rt *rapid.T, w *wanted) *heimdrahtv1.SyncResponse {
	number := rapid.IntRange(0, 9)
	var peers []*heimdrahtv1.Peer
	for _, n := range rapid.SliceOfN(number, 0, 4).Draw(rt, "added") {
		peers = append(peers, peer(n, number.Draw(rt, "key")))
	}
	var removed []string
	for _, n := range rapid.SliceOfN(number, 0, 4).Draw(rt, "removed") {
		removed = append(removed, fmt.Sprintf("s%d", n))
	}
	epoch := rapid.SampledFrom([]string{"e1", "e2"}).Draw(rt, "epoch")
	step := int64(number.Draw(rt, "step"))
	if w.at.epoch == "" || rapid.IntRange(0, 5).Draw(rt, "kind") == 0 {
		w.begin(place{epoch, step})
		_, err := w.page(nil, 0)
		check(rt, err)
		return endOrder(epoch, step, 0)
	}
	if rapid.Bool().Draw(rt, "removal") {
		return removalOrder(epoch, w.at.revision+step, removed...)
	}
	return &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: &heimdrahtv1.Delta{
		Epoch: w.at.epoch, After: w.at.revision, Upto: w.at.revision + step, RemovedSessions: removed, Peers: peers}}}
}

// A session that an urgent removal named does not come back before the
// revision has passed it, whatever messages come in between.
func TestTombstonesHold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWanted()
		w.at = place{"e1", 1}
		dead := make(map[string]int64)
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			order := drawOrder(rt, w)
			if r := order.GetRemoval(); r != nil && r.GetEpoch() == w.at.epoch {
				for _, id := range r.GetSessions() {
					if r.GetRevision() > w.at.revision {
						dead[id] = max(dead[id], r.GetRevision())
					}
				}
			}
			before := w.at.epoch
			if _, _, err := w.receive(order); err != nil {
				rt.Fatal(err)
			}
			if w.at.epoch != before {
				clear(dead)
			}
			for id, until := range dead {
				if w.at.revision >= until {
					delete(dead, id)
				} else if w.sessions[id] != nil {
					rt.Fatalf("%s is back at %d, closed at %d", id, w.at.revision, until)
				}
			}
			if len(w.byKey) != len(w.sessions) {
				rt.Fatalf("%d keys for %d sessions", len(w.byKey), len(w.sessions))
			}
		}
	})
}

// Nothing is acknowledged before all its keys are done, and a removal waits
// for nothing but its own to be lost. Each is said, by session or by its place.
func TestPendingSaysDoneOnlyWhenDone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPending()
		undone := make(map[wireguard.Key]int64) // the first delta that is not done for the key
		waits := make(map[string]map[wireguard.Key]bool)
		saidBy, said, reached := make(map[string]place), make(map[string]bool), place{}
		var heirs []*entry
		var revision int64
		keys := rapid.SliceOfNDistinct(rapid.IntRange(0, 20), 0, 5, rapid.ID)
		loses := func(key wireguard.Key) bool { return key[7]%2 == 0 }
		draw := func() (out []wireguard.Key) {
			for _, n := range keys.Draw(rt, "keys") {
				out = append(out, wireguard.Key(keyOf(n)))
			}
			return out
		}
		allSaid := func() {
			for id, at := range saidBy {
				if len(waits[id]) == 0 && !said[id] && (at == (place{}) || !reached.reached(at)) {
					rt.Fatalf("removal %s is done and not said", id)
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				revision++
				touched := draw()
				p.addDelta(place{"e", revision}, 0, touched, loses)
				for _, key := range touched {
					if undone[key] == 0 {
						undone[key] = revision
					}
				}
			case 1:
				id := fmt.Sprint(len(waits))
				waits[id] = make(map[wireguard.Key]bool)
				touched := draw()
				saidBy[id] = rapid.SampledFrom([]place{{}, {"e", revision + 1}}).Draw(rt, "said by")
				p.addRemoval([]string{id}, saidBy[id], 0, touched, loses)
				for _, key := range touched {
					waits[id][key] = true
				}
			case 2:
				for _, e := range p.take(rapid.IntRange(1, 4).Draw(rt, "most")) {
					if rapid.IntRange(0, 3).Draw(rt, "fails") == 0 {
						p.putBack(e)
						continue
					}
					for _, keys := range waits {
						delete(keys, e.key)
					}
					if rapid.IntRange(0, 3).Draw(rt, "inherits") == 0 {
						p.lost(e)
						heirs = append(heirs, e)
						continue
					}
					p.done(e)
					if !slices.ContainsFunc(heirs, func(h *entry) bool { return h.key == e.key && len(h.batches) > 0 }) {
						delete(undone, e.key)
					}
				}
				if rapid.Bool().Draw(rt, "forgotten") {
					for _, e := range heirs {
						p.putBack(e)
					}
					heirs = nil
				}
			case 3:
				upto, ok, sessions := p.reap(0)
				if ok {
					reached = upto
				}
				for id, at := range saidBy {
					if ok && at != (place{}) && upto.reached(at) && len(waits[id]) > 0 {
						rt.Fatalf("removal %s is acknowledged by its place while %d keys wait", id, len(waits[id]))
					}
				}
				for _, first := range undone {
					if ok && upto.revision >= first {
						rt.Fatalf("%d is acknowledged while %d is not done", upto.revision, first)
					}
				}
				for _, id := range sessions {
					said[id] = true
					if len(waits[id]) > 0 {
						rt.Fatalf("removal %s is acknowledged while %d keys wait", id, len(waits[id]))
					}
				}
				allSaid()
			}
		}
		for _, e := range append(p.take(100), heirs...) {
			p.done(e)
		}
		upto, ok, sessions := p.reap(0)
		if ok {
			reached = upto
		}
		for _, id := range sessions {
			said[id] = true
		}
		clear(waits)
		allSaid()
		if len(p.entries) != 0 || len(p.deltas) != 0 || len(p.removals) != 0 || ok && upto.revision != revision {
			rt.Fatalf("all is done, but %d keys, %d deltas and %d removals wait", len(p.entries), len(p.deltas), len(p.removals))
		}
	})
}
