package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/firewall"
)

// Who gets an address that somebody else had waits until the kernel has forgotten that one's connections, or she would be sent
// what still comes on them. It takes a fifth of a second where many are remembered, and may hang: so it is done beside the
// rounds, and only heirs wait for it. Nobody loses access later for it.

// inheritance is touched by the installing goroutine alone, but for the problem.
type inheritance struct {
	// heirs are keys whose sessions are not on the device yet. What they have lost is acknowledged, what they get is not.
	heirs []*entry
	since time.Time // the first of them waits
	// unswept: the kernel may remember those that had addresses before the device was opened.
	unswept bool
	running *forgetting // nil: none
	again   time.Time   // not before, after one that failed
	// problem is why heirs wait, guarded by Gateway.mu.
	inheritProblem *control.Problem
}

// forgetting is one turn of the kernel's.
type forgetting struct {
	heirs  []*entry
	began  time.Time
	cancel context.CancelFunc
	done   chan struct{}
	err    error // when it is done
}

// inherits says whether a session has to wait. Nil: nothing filters, and nothing is remembered.
func inherits(filter Filter, s *session) bool {
	if filter == nil {
		return false
	}
	name := string(s.peer.PublicKey[:])
	return slices.ContainsFunc(s.peer.AllowedIPs, func(p netip.Prefix) bool { return p.IsSingleIP() && filter.Inherits(name, p.Addr()) })
}

// gatherHeirs is how long they wait for others to come together with them, while the rounds go on.
const gatherHeirs = 100 * time.Millisecond

// waits notes that the key of a step is an heir.
func (g *Gateway) waits(e *entry) {
	if len(g.heirs) == 0 {
		g.since = time.Now()
	}
	g.heirs = append(g.heirs, e)
}

// forget has the connections ended of those whose addresses heirs wait for, unless that is being done. more: there may be other
// heirs among the keys that wait.
func (g *Gateway) forget(ctx context.Context, now time.Time, more bool) {
	if more && now.Sub(g.since) < gatherHeirs {
		return
	}
	if g.running != nil || g.device == nil || g.device.Filter() == nil || now.Before(g.again) || len(g.heirs) == 0 && !g.unswept {
		return
	}
	g.mu.Lock()
	var addresses []netip.Addr
	for _, e := range g.heirs {
		if s := g.desired(e.key); s != nil {
			addresses = append(addresses, s.guard().Addresses...)
		}
	}
	g.mu.Unlock()
	end, err := g.device.Filter().Forget(addresses)
	if err != nil {
		g.cannotForget(err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &forgetting{heirs: g.heirs, began: now, cancel: cancel, done: make(chan struct{})}
	g.running, g.heirs = f, nil
	go func() {
		f.err = end(ctx)
		close(f.done)
		wake(g.wakeInstaller)
	}()
}

// forgotten lets the heirs in whose turn has ended.
func (g *Gateway) forgotten() {
	if g.running == nil {
		return
	}
	select {
	case <-g.running.done:
		g.running.cancel()
		heirs, took, err := g.running.heirs, time.Since(g.running.began), g.running.err
		g.running = nil
		if err != nil {
			g.heirs = append(heirs, g.heirs...)
			g.cannotForget(err)
			return
		}
		g.device.Filter().Forgotten()
		g.again = time.Now().Add(took) // it never takes more than half of a processor
		g.mu.Lock()
		defer g.mu.Unlock()
		g.unswept, g.inheritProblem = false, nil
		g.lookAgain(heirs)
	default:
	}
}

// lookAgain has the heirs' keys looked at as all others.
func (g *Gateway) lookAgain(heirs []*entry) {
	for _, e := range heirs {
		g.pending.putBack(e)
	}
}

func (g *Gateway) cannotForget(err error) {
	g.again = time.Now().Add(control.Jitter(retryRound, 0.2))
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inheritProblem == nil {
		g.log.Error("connections of former sessions cannot be ended: nobody gets an address of theirs until they can", "error", err)
	}
	g.inheritProblem = deviceProblem(g.setup, fmt.Errorf("%w: %w", firewall.ErrUnusable, err))
}

// endForgetting gives up what runs, with the device. The device that is opened next is another matter.
func (g *Gateway) endForgetting() {
	heirs := g.heirs
	if f := g.running; f != nil {
		f.cancel()
		<-f.done // what it was for goes with the device
		heirs = append(heirs, f.heirs...)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inheritance = inheritance{}
	g.lookAgain(heirs)
}
