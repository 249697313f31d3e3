package gateway

import (
	"context"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const (
	passEvery = 30 * time.Second
	// dumpShare keeps dumps at least this many of their own durations apart,
	// so that a removal seldom waits for one.
	dumpShare = 300
	// quickDump is what a removal may wait for the last bytes of its session.
	quickDump = 5 * time.Millisecond
	// A new session is looked at this soon, so that the helpdesk sees within
	// seconds whether it works, but looks are this far apart.
	firstLook = 2 * time.Second
	looksEach = 5 * time.Second
	// oddPasses is how often the device must be found other than we left it
	// before we believe it: a dump can come back short.
	oddPasses   = 2
	maxReport   = 500
	maxReadings = 2 * maxSessions
)

// observation is what the installing goroutine knows of the device's counts.
type observation struct {
	observer wireguard.Observer
	nextPass time.Time
	// nextLook is when sessions that are new are looked at. Zero: none is.
	nextLook time.Time
	dumpedAt time.Time
	dumpTook time.Duration
	// odd counts the passes in which a key was not as we left it.
	odd   map[wireguard.Key]int
	meter meter
}

// opened starts anew with a device: what it has counted is not ours to tell.
func (o *observation) opened(dump []wireguard.PeerStatus) {
	o.observer = wireguard.Observer{}
	o.observer.Prime(dump)
	o.odd = make(map[wireguard.Key]int)
}

// reading is what a session moved since it was last reported.
type reading struct {
	rx, tx    uint64
	handshake time.Time // zero: none
}

// cheapDump says whether a dump may be taken before a removal.
func (g *Gateway) cheapDump() bool {
	return g.dumpTook < quickDump && time.Since(g.dumpedAt) >= dumpShare*g.dumpTook
}

// lookSoon plans a look at a session that was just installed.
func (g *Gateway) lookSoon(now time.Time) {
	if g.nextLook.IsZero() {
		g.nextLook = now.Add(firstLook)
		if next := g.dumpedAt.Add(looksEach); next.After(g.nextLook) {
			g.nextLook = next
		}
	}
}

// look reads new sessions if one is due and a dump costs nothing; a whole pass
// comes soon anyway.
func (g *Gateway) look(ctx context.Context, now time.Time) {
	if g.nextLook.IsZero() || now.Before(g.nextLook) {
		return
	}
	g.nextLook = time.Time{}
	if g.cheapDump() {
		g.observe(ctx, false)
		wake(g.wakeSender)
	}
}

// observe reads the device. A whole pass also looks for what somebody else
// changed, and is reported as complete.
func (g *Gateway) observe(ctx context.Context, whole bool) {
	start := time.Now()
	dump, err := g.device.Peers(ctx)
	g.dumpedAt, g.dumpTook = time.Now(), time.Since(start)
	if whole {
		g.nextPass = g.dumpedAt.Add(max(control.Jitter(passEvery, 0.2), dumpShare*g.dumpTook))
	}
	if err != nil {
		g.lost = g.lost || isGone(err)
		if ctx.Err() == nil {
			g.log.Warn("the device's counters cannot be read", "error", err)
		}
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.observer.Observe(dump) {
		g.meter.add(d)
		g.read(d)
	}
	if !whole {
		g.reportBy = true
		return
	}
	if load := g.meter.pass(g.dumpedAt, readCPU()); load != nil {
		g.load = load
	}
	g.compare(dump)
	blocked := make([]wireguard.Key, 0, len(g.blocked))
	for key := range g.blocked {
		blocked = append(blocked, key)
	}
	g.pending.touch(blocked, g.loses)
	g.passDone = true
	wake(g.wakeSender)
}

// read adds one difference to what is to be reported.
func (g *Gateway) read(d wireguard.Difference) {
	id := g.installed[d.PublicKey].session
	if id == "" {
		return
	}
	if s := g.wanted.sessions[id]; s != nil && d.Endpoint.IsValid() && s.peer.Endpoint != d.Endpoint {
		s.peer.Endpoint = d.Endpoint
		g.movedEndpoints[id] = struct{}{}
	}
	r, known := g.readings[id]
	if !known && len(g.readings) >= maxReadings {
		return // cut off for so long that nobody will ask
	}
	r.rx += d.Rx
	r.tx += d.Tx
	if d.LastHandshake.After(r.handshake) {
		r.handshake = d.LastHandshake
	}
	g.readings[id] = r
}

// compare finds peers that somebody else removed, added or changed, and has
// them put right when it is certain.
func (g *Gateway) compare(dump []wireguard.PeerStatus) {
	seen := make(map[wireguard.Key]bool, len(dump))
	odd := make(map[wireguard.Key]int)
	var touched []wireguard.Key
	suspect := func(key wireguard.Key, is *wireguard.Peer) {
		odd[key] = g.odd[key] + 1
		if odd[key] < oddPasses {
			return
		}
		delete(odd, key)
		if is == nil {
			g.log.Warn("a peer has gone from the interface without our doing; putting it back", "peer", key)
			g.setAbsent(key)
		} else {
			g.log.Warn("a peer on the interface is not as it was installed, or not ours; putting it right", "peer", key)
			g.setInstalled(key, installed{peer: *is})
		}
		touched = append(touched, key)
	}
	for i := range dump {
		peer := &dump[i].Peer
		seen[peer.PublicKey] = true
		if ours, ok := g.installed[peer.PublicKey]; !ok || ours.session == "" || !alike(ours.peer, *peer) {
			suspect(peer.PublicKey, peer)
		}
	}
	for key := range g.installed {
		if !seen[key] {
			suspect(key, nil)
		}
	}
	g.odd = odd
	g.pending.touch(touched, g.loses)
}

func alike(a, b wireguard.Peer) bool {
	if a.PresharedKey != b.PresharedKey || len(a.AllowedIPs) != len(b.AllowedIPs) {
		return false
	}
	for _, prefix := range a.AllowedIPs {
		if !slices.Contains(b.AllowedIPs, prefix) {
			return false
		}
	}
	return true
}

// report takes the readings as messages. After a whole pass there is at least
// one, and the last one says that the pass is complete.
func (g *Gateway) report(whole bool) []*heimdrahtv1.SyncRequest {
	now := time.Now()
	var out []*heimdrahtv1.SyncRequest
	page := &heimdrahtv1.SyncObservation{}
	flush := func() {
		out = append(out, &heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_Observation{Observation: page}})
		page = &heimdrahtv1.SyncObservation{}
	}
	for id, r := range g.readings {
		if len(page.Peers) == maxReport {
			flush()
		}
		p := &heimdrahtv1.PeerObservation{SessionId: id, ReceivedBytes: r.rx, SentBytes: r.tx}
		if !r.handshake.IsZero() {
			age := max(now.Sub(r.handshake).Milliseconds(), 0)
			p.LastHandshakeAgeMs = &age
		}
		page.Peers = append(page.Peers, p)
	}
	clear(g.readings)
	page.Complete = whole
	if whole || len(page.Peers) > 0 {
		flush()
	}
	return out
}
