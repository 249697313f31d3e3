package endpoint

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/heimdraht/heimdraht/agent/hostnet"
)

// reading is what the tunnel's interface has to tell.
type reading struct {
	// installed is since when there is a tunnel. Zero: there is none.
	installed time.Time
	// handshake is the last sign of life of the gateway. Zero: none since the session opened.
	handshake time.Time
	// received and sent count bytes since the session opened, keepalives included.
	received, sent uint64
	// unresolved is the gateway's name if it has no address.
	unresolved string
	// elsewhere is another tunnel of this machine into which packets to a silent gateway go. Empty: none.
	elsewhere string
	// doubted: nothing was heard of the gateway since the machine woke up.
	doubted bool
	// unfit: what fits on the way to the gateway is not known yet, and may be soon.
	unfit bool
	// conflicts are networks of the office that this laptop reaches in another way.
	conflicts []*hostnet.ConflictError
}

// alive says whether the gateway was there lately. A handshake in the future is one from before the clock was set
// back, and says no more.
func (r reading) alive(now time.Time) bool {
	return !r.handshake.IsZero() && now.Sub(r.handshake).Abs() <= aliveFor
}

// setBack says whether the clock was set back since the last handshake. WireGuard marks handshakes with the time, and a
// gateway takes none from a peer that is older than the last one it took: until the clock has made up for it, this tunnel
// lasts as long as its present keys do, three minutes at most, and to set up its peer anew is to end it at once. Another
// session is another peer to the gateway.
func (r reading) setBack(now time.Time) bool {
	return r.handshake.Sub(now) > aheadAllowed
}

// Of so many bytes up something must have come back: who uploads gets an acknowledgement of one in forty or more.
const sentEnough, returnedMin = 50_000, 100

// oneSided says whether much goes through the tunnel and hardly anything comes back.
func (r reading) oneSided() bool { return r.sent >= sentEnough && r.received < r.sent/returnedMin }

// observe adds up what the interface moved. It fails if there is no interface. The caller holds the lock.
func (t *hostTunnel) observe(ctx context.Context) error {
	if t.device == nil {
		return net.ErrClosed
	}
	dump, err := t.device.Peers(ctx)
	if err != nil {
		return err
	}
	for _, d := range t.observer.Observe(dump) {
		t.sum.received += d.Rx
		t.sum.sent += d.Tx
		// One in the future is from before the clock was set back.
		if d.LastHandshake.After(t.sum.handshake) || !d.LastHandshake.IsZero() && t.sum.handshake.After(time.Now().Add(aliveFor)) {
			t.sum.handshake = d.LastHandshake
		}
	}
	return nil
}

func (t *hostTunnel) reading() reading {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return reading{}
	}
	// If it cannot be read, what was read last still holds; tend puts a missing interface back.
	_ = t.observe(t.always)
	r := t.sum
	r.installed, r.unfit, r.doubted = t.since, t.unfit(), t.doubted()
	switch {
	case len(t.gateways) == 0:
		r.unresolved = t.now.Host
	case t.device != nil && !r.alive(time.Now()) && time.Since(t.since) >= answerExpected:
		r.elsewhere = leads(t.always, netip.AddrPortFrom(t.gateways[t.turn%len(t.gateways)], t.now.Port), t.device.Name())
	}
	return r
}
