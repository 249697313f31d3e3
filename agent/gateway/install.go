package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

const (
	// maxRound is how many keys one round looks at: what a removal waits for
	// at most.
	maxRound = 128
	// restoredKeepalive makes the gateway itself call a peer whose endpoint
	// it remembers, so that the tunnel is back in milliseconds.
	restoredKeepalive = 25 * time.Second

	housekeepingEvery  = time.Second
	shortRest          = 10 * time.Millisecond
	contactEvery       = time.Minute // while connected
	contactEveryCutOff = 5 * time.Minute
	// endpointsEvery is how often the journal learns where peers have moved. A
	// peer whose endpoint it lacks when the gateway is killed comes back only
	// when the laptop calls, which takes up to two minutes.
	endpointsEvery = 5 * time.Second
	// A journal is compacted when it has grown by this much and to four times
	// what the last compaction left.
	compactGrowth = 1 << 20
	retryDevice   = 5 * time.Second
	retryRound    = time.Second
)

// installer is the state of the goroutine that touches device and journal.
type installer struct {
	device   Device // nil: not open
	lost     bool   // the interface was taken away
	setup    Setup
	facts    Facts // guarded by Gateway.mu
	openedAt time.Time
	// deviceProblem is why there is no device, guarded by Gateway.mu.
	deviceProblem *control.Problem
	// journalProblem is why nothing is kept, guarded by Gateway.mu.
	journalProblem *control.Problem
	notBefore      time.Time // of the next attempt to open it
	pauseUntil     time.Time // after a round that failed

	owners  map[netip.Prefix]wireguard.Key
	blocked map[wireguard.Key]struct{} // could not be installed; tried again at each pass
	// heldBefore are those that were on a device which was closed.
	heldBefore []firewall.Change

	journaled     int64 // the last number on disk
	compactedSize int64
	journalFailed bool      // what was appended is lost, unless it is written anew
	journalRetry  time.Time // not before

	observation
	inheritance
	houseKeptAt   time.Time
	endpointsKept time.Time
}

// install brings the device to the wanted state, and the state to the disk,
// until the context ends.
func (g *Gateway) install(ctx context.Context) error {
	defer func() {
		if err := errors.Join(g.leave(context.WithoutCancel(ctx)), g.letGo()); err != nil {
			g.log.Error("leaving", "error", err)
		}
	}()
	g.blocked = make(map[wireguard.Key]struct{})
	g.nextPass = time.Now().Add(control.Jitter(passEvery, 0.2))
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		now := time.Now()
		g.ensureDevice(ctx, now)
		g.forgotten()
		if now.Sub(g.houseKeptAt) >= housekeepingEvery {
			g.houseKeptAt = now
			g.keepHouse(now)
		}
		if !now.Before(g.nextPass) && g.device != nil {
			g.observe(ctx, true)
		}
		if g.device != nil {
			g.look(ctx, now)
			g.restoreFilter()
		}
		if !now.Before(g.pauseUntil) {
			more, err := g.round(ctx)
			g.forget(ctx, now, more)
			if err != nil && ctx.Err() == nil {
				g.log.Error("peers are not as they should be; trying again", "error", err)
				g.pauseUntil = time.Now().Add(control.Jitter(retryRound, 0.2))
			}
			if err == nil && more {
				g.tellTurn()
				continue
			}
		}
		g.tellTurn()
		g.rest(ctx)
	}
}

// tellTurn tells who waits in Alive.
func (g *Gateway) tellTurn() {
	select {
	case g.turned <- struct{}{}:
	default:
	}
}

// rest waits until there is something to do.
func (g *Gateway) rest(ctx context.Context) {
	wait := housekeepingEvery
	if len(g.heirs) > 0 && g.running == nil {
		wait = min(wait, max(time.Until(g.again), shortRest))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-g.wakeInstaller:
	case <-g.deviceDone():
	case <-timer.C:
	}
}

func (g *Gateway) deviceDone() <-chan struct{} {
	if g.device == nil {
		return nil
	}
	return g.device.Done()
}

// step is what one round does with one key.
type step struct {
	entry *entry
	want  *session // nil: nothing
	// heir: it is to have a session, when somebody else's connections have
	// ended. Until then nothing.
	heir bool
	// rival has an address of the session, and is to keep it. Zero: nobody.
	rival wireguard.Key
}

// round looks at some keys, urgent ones first: device, then disk, then the
// word that it is done. more says that there is more to do at once.
func (g *Gateway) round(ctx context.Context) (more bool, err error) {
	g.mu.Lock()
	var steps []step
	if g.device != nil {
		steps = g.takeSteps()
	}
	changes, failed := g.plan(steps)
	guards := guardsOf(steps, failed)
	records, noted, rewrite := g.takeRecords()
	g.mu.Unlock()

	if len(steps) == 0 && noted == g.journaled {
		g.settle(nil, result{})
		return false, nil
	}
	if slices.ContainsFunc(changes, func(c wireguard.Change) bool { return c.Remove }) && g.cheapDump() {
		g.observe(ctx, false)
	}
	held := g.hold(guards)
	if held != nil {
		// Nobody is let in whom nothing holds; whoever is to go goes all the same.
		changes = slices.DeleteFunc(changes, func(c wireguard.Change) bool { return !c.Remove })
	}
	impossible := len(failed)
	err = errors.Join(held, g.apply(ctx, changes, failed))
	if err == nil && len(failed) > impossible {
		err = g.hold(guardsOf(steps, failed)) // who is not on the device has no address
	}
	g.keep(records, noted, rewrite)
	g.settle(steps, result{err: err, failed: failed})
	return err == nil, err
}

// takeSteps takes the keys of one round. Who holds an address that another
// key is to get comes along, so that the address is given up first.
func (g *Gateway) takeSteps() []step {
	filter := g.device.Filter()
	entries := g.pending.take(maxRound)
	taken := make(map[wireguard.Key]struct{}, len(entries))
	for _, e := range entries {
		taken[e.key] = struct{}{}
	}
	steps := make([]step, 0, len(entries))
	for i := 0; i < len(entries); i++ {
		s := step{entry: entries[i], want: g.desired(entries[i].key)}
		if s.want != nil {
			var leaving []wireguard.Key
			leaving, s.rival = g.holders(s.want)
			for _, key := range leaving {
				if _, here := taken[key]; here {
					continue
				}
				taken[key] = struct{}{}
				e := g.pending.takeKey(key)
				if e == nil { // nobody has noticed yet that it must go
					e = &entry{key: key}
				}
				entries = append(entries, e)
			}
			if s.heir = s.rival.IsZero() && inherits(filter, s.want); s.heir {
				s.want = nil
			} else {
				g.traces[s.want.id] = s.want.peer.PublicKey
			}
		}
		steps = append(steps, s)
	}
	return steps
}

// holders are those who have prefixes on the device that a session is to get.
// rival is one who is to keep hers; zero: nobody.
func (g *Gateway) holders(s *session) (leaving []wireguard.Key, rival wireguard.Key) {
	for _, prefix := range s.peer.AllowedIPs {
		owner, ok := g.owners[prefix]
		switch {
		case !ok || owner == s.peer.PublicKey:
		case g.keeps(owner, prefix):
			rival = owner
		default:
			leaving = append(leaving, owner)
		}
	}
	return leaving, rival
}

// keeps says whether who has a prefix on the device is to have it.
func (g *Gateway) keeps(owner wireguard.Key, prefix netip.Prefix) bool {
	s := g.desired(owner)
	return s != nil && slices.Contains(s.peer.AllowedIPs, prefix)
}

// failures are changes that could not be made, by key.
type failures map[wireguard.Key]error

// plan says what the device must do for the steps.
func (g *Gateway) plan(steps []step) ([]wireguard.Change, failures) {
	failed := make(failures)
	claimed := make(map[netip.Prefix]wireguard.Key)
	var removals []wireguard.Change
	var want, have []wireguard.Peer
	for _, s := range steps {
		key := s.entry.key
		now, there := g.installed[key]
		switch {
		case s.want == nil && there:
			removals = append(removals, wireguard.Change{Remove: true, Peer: wireguard.Peer{PublicKey: key}})
			continue
		case s.want == nil:
			continue
		}
		rival, taken := conflict(claimed, s.want)
		if !s.rival.IsZero() {
			rival, taken = s.rival, true
		}
		if taken {
			failed[key] = fmt.Errorf("session %s is to get an address of the peer %v", s.want.id, rival)
			if there { // it must not keep what it had, either
				removals = append(removals, wireguard.Change{Remove: true, Peer: wireguard.Peer{PublicKey: key}})
			}
			continue
		}
		peer := s.want.peer
		if there && now.session == s.want.id && now.peer.PresharedKey == peer.PresharedKey {
			peer.Keepalive = now.peer.Keepalive
			have = append(have, now.peer)
		} else {
			if there {
				// Another session: the old one must be dead at once, which a
				// change of keys alone does not bring about.
				removals = append(removals, wireguard.Change{Remove: true, Peer: wireguard.Peer{PublicKey: key}})
			}
			if peer.Endpoint.IsValid() {
				peer.Keepalive = restoredKeepalive
			}
		}
		want = append(want, peer)
	}
	return append(removals, wireguard.Plan(want, have)...), failed
}

// conflict claims the addresses of a session, or says who has one already.
func conflict(claimed map[netip.Prefix]wireguard.Key, s *session) (wireguard.Key, bool) {
	for _, prefix := range s.peer.AllowedIPs {
		if rival, ok := claimed[prefix]; ok && rival != s.peer.PublicKey {
			return rival, true
		}
	}
	for _, prefix := range s.peer.AllowedIPs {
		claimed[prefix] = s.peer.PublicKey
	}
	return wireguard.Key{}, false
}

// apply changes the device and notes what could not be done.
func (g *Gateway) apply(ctx context.Context, changes []wireguard.Change, failed failures) error {
	if len(changes) == 0 {
		return nil
	}
	err := g.device.Apply(ctx, changes)
	if isGone(err) {
		g.lost = true
		return err
	}
	var partly *wireguard.ApplyError
	if !errors.As(err, &partly) || ctx.Err() != nil {
		return err
	}
	for _, f := range partly.Failed {
		failed[f.Change.Peer.PublicKey] = f.Err
	}
	return nil
}

// isGone says whether the interface was taken away: the kernel tells nobody.
func isGone(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
}

// result is what became of a round's changes.
type result struct {
	err    error // nothing is known to be done
	failed failures
}

// settle enters what was done, and says so.
func (g *Gateway) settle(steps []step, r result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	retry := false
	for _, s := range steps {
		key := s.entry.key
		if r.err != nil {
			g.pending.putBack(s.entry)
			continue
		}
		failure := r.failed[key]
		if s.want == nil && failure != nil {
			g.log.Error("a peer could not be removed; trying again", "peer", key, "error", failure)
			g.pending.putBack(s.entry)
			retry = true
			continue
		}
		g.enter(key, s.want, failure)
		if s.heir {
			g.pending.lost(s.entry)
			g.waits(s.entry)
			continue
		}
		g.pending.done(s.entry)
	}
	if retry {
		g.pauseUntil = time.Now().Add(control.Jitter(retryRound, 0.2))
	}
	upto, moved, sessions := g.pending.reap(g.journaled)
	if moved {
		g.acked, g.ackDue = upto, true
	}
	for _, id := range sessions {
		if _, dead := g.wanted.tombstones[id]; dead {
			g.confirmed[id] = struct{}{}
		}
	}
	g.gone = append(g.gone, sessions...)
	if moved || len(sessions) > 0 {
		wake(g.wakeSender)
	}
}

// enter notes what the device holds for a key now.
func (g *Gateway) enter(key wireguard.Key, want *session, failure error) {
	before, there := g.installed[key]
	if there && (want == nil || failure != nil || before.session != want.id) {
		g.observer.Forget(key)
		delete(g.odd, key)
	}
	delete(g.blocked, key)
	if there && (want == nil || before.session != want.id) {
		delete(g.traces, before.session)
	}
	switch {
	case failure != nil:
		g.log.Error("a session cannot be installed", "session", want.id, "error", failure)
		g.blocked[key] = struct{}{}
		delete(g.traces, want.id)
		g.setAbsent(key)
	case want == nil:
		g.setAbsent(key)
	default:
		peer := want.peer
		if before.session == want.id {
			peer.Keepalive = before.peer.Keepalive
		} else if peer.Endpoint.IsValid() {
			peer.Keepalive = restoredKeepalive
		}
		if before.session != want.id {
			g.lookSoon(time.Now())
		}
		g.setInstalled(key, installed{session: want.id, access: want.accessName(), peer: peer})
	}
}
