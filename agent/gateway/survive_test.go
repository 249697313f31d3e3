package gateway

import (
	"context"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func TestRestartBringsPeersBackAndCalls(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1), peer(2, 2))
		synctest.Wait()
		// The first peer is heard from.
		endpoint := netip.MustParseAddrPort("192.0.2.7:4500")
		w.device.meddle(func(peers map[wireguard.Key]wireguard.PeerStatus) {
			s := peers[wireguard.Key(keyOf(1))]
			s.Endpoint, s.Rx, s.LastHandshake = endpoint, 100, time.Now()
			peers[wireguard.Key(keyOf(1))] = s
		})
		time.Sleep(2 * endpointsEvery)
		w.halt()
		if len(w.device.holds()) != 0 {
			t.Fatal("a stopped gateway left tunnels that nobody watches")
		}
		// The control plane is away: what is known comes back all the same.
		w.plane.with(func() { w.plane.hold = true })
		w.start()
		synctest.Wait()
		w.exact()
		if got := w.device.peers[wireguard.Key(keyOf(1))]; got.Endpoint != endpoint || got.Keepalive != 25*time.Second {
			t.Errorf("endpoint %v, keepalive %v: the gateway does not call", got.Endpoint, got.Keepalive)
		}
		if got := w.device.peers[wireguard.Key(keyOf(2))]; got.Keepalive != 0 {
			t.Errorf("a peer never heard from gets keepalives: %v", got.Keepalive)
		}
		if h := w.plane.greetings()[len(w.plane.greetings())-1]; h.GetEpoch() != "epoch-1" || h.GetRevision() != 2 {
			t.Errorf("hello %v", h)
		}
		if w.plane.lastAck().GetRevision() != 2 {
			t.Errorf("acknowledged %v", w.plane.lastAck())
		}
	})
}

// A kernel's interface outlives a killed process: what is on it and belongs
// there is left alone, the rest goes.
func TestRestartTakesOverAnInterface(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1), peer(2, 2))
		synctest.Wait()
		kept := make(map[wireguard.Key]wireguard.PeerStatus)
		w.device.meddle(func(peers map[wireguard.Key]wireguard.PeerStatus) {
			for k, s := range peers {
				kept[k] = s
			}
		})
		w.halt()
		strange := kept[wireguard.Key(keyOf(1))]
		strange.PublicKey, strange.AllowedIPs = wireguard.Key(keyOf(77)), nil
		kept[strange.PublicKey] = strange
		// Session 2 ended while the gateway was dead; its key has a new one.
		w.plane.change([]string{"s2"}, peer(3, 2))
		w.device.meddle(func(peers map[wireguard.Key]wireguard.PeerStatus) {
			for k, s := range kept {
				peers[k] = s
			}
			w.device.trace = nil
		})
		w.start()
		synctest.Wait()
		w.exact()
		for _, c := range w.device.trace {
			if c.Peer.PublicKey == wireguard.Key(keyOf(1)) {
				t.Errorf("a peer that was right was touched: %+v", c)
			}
		}
	})
}

// What the kernel carries is left to the next process where that is wanted, which touches nothing that is right.
func TestRestartLeavesTunnels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t.Context(), t, t.TempDir()+"/state")
		w.prepare = func(g *Gateway) { g.o.LeaveTunnels = true }
		w.start()
		defer w.end()
		if err := w.gateway.Alive(t.Context()); err != nil {
			t.Error(err)
		}
		w.plane.change(nil, peer(1, 1), peer(2, 2))
		synctest.Wait()
		before := len(w.device.trace)
		w.halt()
		w.exact()
		w.start()
		synctest.Wait()
		w.exact()
		if touched := w.device.trace[before:]; len(touched) > 0 {
			t.Errorf("the restart touched %+v", touched)
		}
	})
}

// Other servers are for the next connection.
func TestOtherServers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first := w.gateway.o.Servers
		check(t, w.gateway.SetServers([]control.Server{{Host: "other", Port: 8443}}))
		synctest.Wait()
		if s := w.gateway.Status(); !s.Connected || s.Server != first[0].String() {
			t.Errorf("the connection that stood does not any more: %+v", s)
		}
		check(t, w.gateway.SetServers(nil))
		if diff := cmp.Diff(first, w.gateway.o.Servers); diff != "" {
			t.Errorf("without any, not the one that was joined:\n%s", diff)
		}
	})
}

// Removals are on disk before they are acknowledged: killed right afterwards,
// with the control plane away, the gateway does not bring the session back.
func TestAcknowledgedRemovalSurvivesAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := newWorld(t.Context(), t, dir+"/state")
		w.start()
		defer w.end()
		w.plane.change(nil, peer(1, 1), peer(2, 2))
		synctest.Wait()
		w.plane.with(func() { w.plane.hold = true })
		w.plane.order(t.Context(), removalOrder("epoch-1", 3, "s1"))
		for w.plane.seenGone("s1").IsZero() {
			time.Sleep(time.Millisecond)
		}
		killed := dir + "/killed"
		check(t, os.CopyFS(killed, os.DirFS(w.dir)))
		check(t, os.Chmod(killed, 0o700))
		private(t, killed)
		w.halt()
		w.dir = killed
		w.plane.with(func() { clear(w.plane.gone) })
		w.start()
		synctest.Wait()
		if n := len(w.device.holds()); n != 1 {
			t.Errorf("%d peers, want the one that was not removed", n)
		}
		if w.plane.seenGone("s1").IsZero() {
			t.Error("the removal is not acknowledged on the new stream")
		}
	})
}

func private(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(dir + "/*")
	check(t, err)
	for _, f := range files {
		check(t, os.Chmod(f, 0o600))
	}
}

func TestGrace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.withGrace(time.Hour)
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.plane.with(func() { w.plane.hold = true })
		check(t, w.pipes.Close()) // nobody answers any more
		w.plane.disconnect()
		time.Sleep(58 * time.Minute)
		synctest.Wait()
		if n := len(w.device.holds()); n != 1 {
			t.Fatalf("%d peers before the grace time has run out", n)
		}
		if s := w.gateway.Status(); s.Connected || time.Until(s.GraceEnds).Abs() > 3*time.Minute {
			t.Errorf("status %+v", s)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if n := len(w.device.holds()); n != 0 {
			t.Fatalf("%d peers after the grace time has run out", n)
		}
		if s := w.gateway.Status(); !s.Suspended {
			t.Errorf("status %+v", s)
		}

		// Contact alone brings nobody back; the control plane's word does.
		w.reopen()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := w.gateway.Status(); !s.Connected {
			t.Fatalf("status %+v", s)
		}
		if n := len(w.device.holds()); n != 0 {
			t.Errorf("%d peers on contact alone", n)
		}
		if a := w.plane.lastAck(); a.GetEpoch() != "" {
			t.Errorf("acknowledged %v with nothing installed", a)
		}
		w.plane.with(func() { w.plane.hold = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		w.exact()
		if w.plane.lastAck().GetRevision() != 2 {
			t.Errorf("acknowledged %v", w.plane.lastAck())
		}
	})
}

// withGrace sets the grace time.
func (w *world) withGrace(d time.Duration) {
	w.plane.with(func() {
		w.plane.config = proto.Clone(w.plane.config).(*heimdrahtv1.GatewayConfiguration)
		w.plane.config.GraceMs = d.Milliseconds()
	})
	w.plane.order(w.ctx, &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Configuration{Configuration: w.plane.config}})
}

// reopen lets the control plane answer again.
func (w *world) reopen() {
	w.stop()
	w.pipes.open()
	w.stop = w.plane.serve(w.pipes)
}

// Neither a restart nor a clock that was set back extends the grace time.
func TestRestartDoesNotExtendGrace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.withGrace(time.Hour)
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		check(t, w.pipes.Close())
		w.plane.disconnect()
		for range 6 {
			time.Sleep(9*time.Minute + 30*time.Second)
			synctest.Wait()
			if n := len(w.device.holds()); n != 1 {
				t.Fatalf("%d peers within the grace time", n)
			}
			w.halt()
			w.start()
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(w.device.holds()); n != 0 {
			t.Errorf("%d peers after the grace time, with restarts", n)
		}
		w.halt()
		w.start()
		synctest.Wait()
		if n := len(w.device.holds()); n != 0 {
			t.Errorf("%d peers after a restart beyond the grace time", n)
		}
	})
}

func TestCutOffCountsTheLongerTime(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name   string
		record contactRecord
		want   time.Duration
	}{
		{"clock right", contactRecord{At: now.Add(-3 * time.Hour), CutOffMS: 1000}, 3 * time.Hour},
		{"clock set back", contactRecord{At: now.Add(5 * time.Hour), CutOffMS: (2 * time.Hour).Milliseconds()}, 2 * time.Hour},
		{"never any", contactRecord{}, 0},
		{"connected a moment ago", contactRecord{At: now}, 0},
	} {
		if got := resumeCutOff(c.record, now).elapsed(now).Round(time.Second); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := lostContact(now).elapsed(now.Add(time.Hour)); got != time.Hour {
		t.Errorf("an hour after: %v", got)
	}
}

// While the disk takes nothing, removals are made all the same, and nothing
// is acknowledged.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t.Context(), t, t.TempDir()+"/state")
		disk := &failingJournal{}
		w.prepare = func(g *Gateway) { disk.journal, g.journal = g.journal, disk }
		w.start()
		defer w.end()
		w.plane.change(nil, peer(1, 1), peer(2, 2))
		synctest.Wait()
		disk.full.Store(true)
		w.plane.order(t.Context(), removalOrder("epoch-1", 3, "s1"))
		w.plane.change([]string{"s1"}, peer(3, 3))
		synctest.Wait()
		w.exact()
		if !w.plane.seenGone("s1").IsZero() || w.plane.lastAck().GetRevision() != 2 {
			t.Errorf("acknowledged %v, gone %v, without a disk", w.plane.lastAck(), w.plane.allGone())
		}
		if s := w.gateway.Status(); len(s.Problems) != 1 || s.Problems[0].Code != control.CodeStateUnusable {
			t.Errorf("status %+v", s)
		}
		disk.full.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if w.plane.seenGone("s1").IsZero() || w.plane.lastAck().GetRevision() != 3 {
			t.Errorf("acknowledged %v, gone %v, with a disk again", w.plane.lastAck(), w.plane.allGone())
		}
	})
}

// failingJournal is on a disk that can be full.
type failingJournal struct {
	journal
	full atomic.Bool
}

func (f *failingJournal) Append(records ...[]byte) error {
	if f.full.Load() {
		return syscall.ENOSPC
	}
	return f.journal.Append(records...)
}

func (f *failingJournal) Compact(records iter.Seq[[]byte]) error {
	if f.full.Load() {
		return syscall.ENOSPC
	}
	return f.journal.Compact(records)
}

// What cannot be read of a journal is put right by the control plane, and kept for who wants to know why. One that was cut short
// is read as far as it goes.
func TestDamagedJournalIsSetAside(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(journal []byte) []byte
		aside  bool
	}{
		"nonsense":           {func([]byte) []byte { return []byte("nonsense") }, true},
		"of another version": {func(b []byte) []byte { b[7]++; return b }, true},
		"cut short":          {func(b []byte) []byte { return b[:len(b)-3] }, false},
		"cut to nothing":     {func([]byte) []byte { return nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.plane.change(nil, peer(1, 1))
				synctest.Wait()
				w.halt()
				path := filepath.Join(w.dir, journalName+".journal")
				b, err := os.ReadFile(path)
				check(t, err)
				check(t, os.WriteFile(path, c.damage(b), 0o600))
				w.start()
				synctest.Wait()
				w.exact() // from a snapshot, or from what was read and a delta
				if _, err := os.Stat(path + ".damaged"); (err == nil) != c.aside {
					t.Errorf("set aside: %v", err)
				}
			})
		})
	}
}

// What a gateway cannot do without is refused with words: its keys, of another version or damaged.
func TestUnusableStateIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.halt()
		for _, name := range []string{keyName, joinedName} {
			path := filepath.Join(w.dir, name+".json")
			whole, err := os.ReadFile(path)
			check(t, err)
			for _, damaged := range []string{strings.Replace(string(whole), `"version":1`, `"version":2`, 1), string(whole[:len(whole)/2])} {
				check(t, os.WriteFile(path, []byte(damaged), 0o600))
				dir, err := state.Open(w.dir)
				check(t, err)
				_, err = New(Options{State: dir, Open: w.device.open, Version: "test", Logger: slog.New(slog.DiscardHandler)})
				if p, ok := control.AsProblem(err); !ok || p.Code != control.CodeStateUnusable || !strings.Contains(p.English.Sentence, w.dir) {
					t.Errorf("%s as %.20q gives %v", name, damaged, err)
				}
				check(t, dir.Close())
			}
			check(t, os.WriteFile(path, whole, 0o600))
		}
		w.start()
	})
}

// A journal that was copied from another gateway lets nobody in, though this one is cut off.
func TestJournalOfAnotherGatewayIsSetAside(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		w.halt()
		dir, err := state.Open(w.dir)
		check(t, err)
		own, err := loadJoined(dir)
		check(t, err)
		check(t, dir.Save(joinedName, Joined{Gateway: "another", Server: own.Server}))
		check(t, dir.Close())
		w.plane.with(func() { w.plane.hold = true })
		check(t, w.pipes.Close()) // nobody answers any more
		w.plane.disconnect()
		w.start()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(w.device.holds()); n != 0 {
			t.Errorf("%d peers of another gateway", n)
		}
		if _, err := os.Stat(filepath.Join(w.dir, journalName+".journal.damaged")); err != nil {
			t.Error(err)
		}
	})
}

func TestInterfaceTakenAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.plane.change(nil, peer(1, 1))
		synctest.Wait()
		check(t, w.device.Close())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.exact()
		if w.device.opened != 2 {
			t.Errorf("opened %d times", w.device.opened)
		}
	})
}

func TestDeviceThatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t.Context(), t, t.TempDir()+"/state")
		defer w.end()
		var failing atomic.Bool
		failing.Store(true)
		w.startWith(func(ctx context.Context, s Setup) (Device, error) {
			if failing.Load() {
				return nil, os.ErrPermission
			}
			return w.device.open(ctx, s)
		})
		w.plane.change(nil, peer(1, 1))
		time.Sleep(time.Second)
		synctest.Wait()
		s := w.gateway.Status()
		if len(s.Problems) != 1 || s.Problems[0].Code != CodeNoRights {
			t.Errorf("status %+v", s)
		}
		if w.plane.lastAck().GetRevision() == 2 {
			t.Error("acknowledged what is not installed")
		}
		failing.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.exact()
	})
}
