package gateway

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// takeRecords takes what the journal lacks.
func (g *Gateway) takeRecords() (records [][]byte, noted int64, rewrite iter.Seq[[]byte]) {
	noted = g.noted
	if g.journalFailed && time.Now().Before(g.journalRetry) {
		return nil, g.journaled, nil
	}
	if g.journalFailed || g.journal.Size() > g.compactedSize*4+compactGrowth {
		g.rewrite = true
	}
	if noted == g.journaled {
		return nil, noted, nil
	}
	if !g.rewrite {
		records, g.records, g.recordBytes = g.records, nil, 0
		return records, noted, nil
	}
	m := memory{wanted: g.wanted, configuration: g.rawConfig, contact: g.contact(time.Now())}
	all, err := m.compacted()
	if err != nil {
		g.log.Error("the journal cannot be written anew", "error", err)
		return nil, g.journaled, nil
	}
	g.rewrite, g.records, g.recordBytes = false, nil, 0
	clear(g.movedEndpoints)
	return nil, noted, all
}

// keep brings the records to the disk. While that fails nothing is
// acknowledged; tunnels go on, and removals are still made.
func (g *Gateway) keep(records [][]byte, noted int64, rewrite iter.Seq[[]byte]) {
	var err error
	switch {
	case noted == g.journaled:
		return
	case rewrite != nil:
		if err = g.journal.Compact(rewrite); err == nil {
			g.compactedSize = g.journal.Size()
		}
	default:
		err = g.journal.Append(records...)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.journaled, g.journalFailed, g.journalProblem = noted, false, nil
		return
	}
	g.journalRetry = time.Now().Add(control.Jitter(retryRound, 0.2))
	if !g.journalFailed {
		g.log.Error("peers are not kept on disk; nothing is acknowledged until they are", "error", err)
	}
	g.journalFailed, g.journalProblem = true, control.StateUnusable(g.o.State.Path(), err)
}

// suspend removes all peers until the control plane brings us up to date.
func (g *Gateway) suspend() {
	g.suspended = true
	g.forgetProgress()
	g.pending.touch(keysOf(g.installed), g.loses)
}

// keepHouse does what is due by the clock.
func (g *Gateway) keepHouse(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.connected && !g.suspended && len(g.wanted.sessions) > 0 && g.cutOff.elapsed(now) >= g.grace() {
		g.log.Warn("no contact for longer than the grace time: all peers are removed", "grace", g.grace())
		g.suspend()
	}
	if !g.nextExpiry.IsZero() && !now.Add(g.clock).Before(g.nextExpiry) {
		var ended []wireguard.Key
		for _, s := range g.wanted.sessions {
			if _, there := g.installed[s.peer.PublicKey]; there && g.ended(s) {
				ended = append(ended, s.peer.PublicKey)
			}
		}
		g.pending.touch(ended, g.loses)
		g.findNextExpiry()
	}
	for id := range g.confirmed {
		if _, dead := g.wanted.tombstones[id]; !dead {
			delete(g.confirmed, id)
		}
	}
	every := contactEveryCutOff
	if g.connected {
		every = contactEvery
	}
	if g.contactNoted.IsZero() {
		g.contactNoted = now
	}
	var err error
	if now.Sub(g.contactNoted) >= every && !g.cutOff.last.IsZero() {
		err = g.noteContact()
	}
	if now.Sub(g.endpointsKept) >= endpointsEvery {
		g.endpointsKept = now
		err = errors.Join(err, g.noteEndpoints())
	}
	if err != nil {
		g.log.Error("the journal lacks something", "error", err)
	}
}

func (g *Gateway) noteEndpoints() error {
	endpoints := make(endpointRecord)
	for id := range g.movedEndpoints {
		if s := g.wanted.sessions[id]; s != nil {
			endpoints[id] = s.peer.Endpoint
		}
	}
	clear(g.movedEndpoints)
	if len(endpoints) == 0 {
		return nil
	}
	record, err := encodeRecord(recordEndpoint, endpoints)
	if err != nil {
		return err
	}
	g.noteRecord(record)
	return nil
}

// leave keeps the last contact and the endpoints, so that a restart finds its
// peers.
func (g *Gateway) leave(ctx context.Context) error {
	if g.device != nil && !g.lost {
		g.observe(ctx, false)
	}
	g.mu.Lock()
	err := errors.Join(g.noteContact(), g.noteEndpoints())
	records, noted, rewrite := g.takeRecords()
	g.mu.Unlock()
	g.keep(records, noted, rewrite)
	return err
}

func keysOf(m map[wireguard.Key]installed) []wireguard.Key { return slices.Collect(maps.Keys(m)) }
