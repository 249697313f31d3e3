package endpoint

import (
	"context"
	"net/netip"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// What the control plane says of the MTU is the most. Lines at home take less (PPPoE, DS-Lite, mobile networks, another
// tunnel), and many drop what is too large without a word. So the laptop asks the gateway for echoes through the tunnel,
// in some sizes, as soon as a way to it is new, and takes the largest that comes back.
const (
	// overhead4 and overhead6 are what WireGuard adds to a packet: IP, UDP, and 32 bytes of its own.
	overhead4, overhead6 = 60, 80
	// fitStep: WireGuard pads to multiples of 16 bytes, so that sizes between them tell nothing.
	fitStep = 16
	// fitTries is how often a way is tried again on which nobody answers, fitFirst later and then twice as long each time.
	fitTries = 5
	fitFirst = time.Second
	// fitSeldom keeps a way on which something else gets no answer from being measured all the time.
	fitSeldom = time.Minute
	// fitAwaited is how long whoever waits for a connection waits for that as well: what is begun in the first moment
	// would go by the larger size to its end.
	fitAwaited = time.Second
)

// road is the way that the encrypted packets take. While it is the same, so is what fits.
type road struct{ from, to netip.Addr }

// fitting is what is known of the sizes that fit.
type fitting struct {
	// unfit holds at most one hint that the way is new.
	unfit chan struct{}
	road  road
	// room is the largest packet inside that fits as far as this machine knows. Zero: it does not know.
	room int
	// found is the largest that came back. Zero: not measured on this road.
	found int
	at    time.Time // when found was
	// given is what the interface was given last.
	given int
}

// mtu is what the interface gets for these settings.
func (f *fitting) mtu(s *settings) int {
	most := s.MTU
	if f.room != 0 {
		most = min(most, f.room)
	}
	if f.found != 0 {
		most = min(most, f.found)
	}
	return max(most, minMTU)
}

// look takes note of the way to a gateway, and says that it is to be measured if it is new.
func (f *fitting) look(now road, room int) {
	f.room = room
	if f.road == now {
		return
	}
	f.road, f.found = now, 0
	f.poke()
}

func (f *fitting) poke() {
	select {
	case f.unfit <- struct{}{}:
	default: // it is known already
	}
}

// again has a way measured that was before. Another one can look the same: two homes with the same addresses.
func (f *fitting) again() {
	if time.Since(f.at) >= fitSeldom {
		f.poke()
	}
}

// sizesUpTo are those to try, up to the MTU that holds: the multiples of WireGuard's padding, and the MTU itself, to which
// nothing is added.
func sizesUpTo(mtu int) (sizes []int) {
	for size := minMTU; size < mtu; size += fitStep {
		sizes = append(sizes, size)
	}
	return append(sizes, mtu)
}

// room is what is left for a packet inside on a way of which this is known.
func room(pathMTU int, gateway netip.Addr) int {
	switch {
	case pathMTU == 0:
		return 0
	case gateway.Is4():
		return pathMTU - overhead4
	default:
		return pathMTU - overhead6
	}
}

// lookAtRoad looks which way the packets to the gateway take. That none is there now, the next network mends. The
// caller holds the lock.
func (t *hostTunnel) lookAtRoad(ctx context.Context) {
	if t.network == nil || t.now == nil || len(t.gateways) == 0 {
		return
	}
	gateway := t.gateways[t.turn%len(t.gateways)]
	from, mtu, err := t.network.Path(ctx, netip.AddrPortFrom(gateway, t.now.Port))
	if err != nil {
		t.log.Debug("could not see the way to the gateway", "error", err)
		return
	}
	t.fitting.look(road{from, gateway}, room(mtu, gateway))
}

// keepFitting measures each new way, until the context ends.
func (t *hostTunnel) keepFitting(ctx context.Context) error {
	var again <-chan time.Time // nil: nothing is left to do
	for try := 0; ; {
		select {
		case <-t.fitting.unfit:
			try = 0
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
		again = nil
		if done := t.fit(ctx); !done && try < fitTries {
			again = time.After(control.Jitter(fitFirst<<try, 0.2))
			try++
		}
	}
}

// refit measures the present way again: small packets come through it, and others perhaps not.
func (t *hostTunnel) refit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fitting.again()
}

// measurable says whether there is a tunnel whose gateway answers. The caller holds the lock.
func (t *hostTunnel) measurable() bool {
	return t.now != nil && t.device != nil && t.network != nil && t.device.Mode() != wireguard.Netstack && len(t.now.Probes) > 0
}

// unfit says whether what fits is not known yet. The caller holds the lock.
func (t *hostTunnel) unfit() bool { return t.fitting.found == 0 && t.measurable() }

// fit measures once, and gives the interface the MTU that was found. It reports that nothing is left to do.
func (t *hostTunnel) fit(ctx context.Context) bool {
	t.mu.Lock()
	s, measured := t.now, t.fitting.road
	if !t.measurable() {
		t.mu.Unlock()
		return true
	}
	present := t.fitting.mtu(s)
	err := t.giveMTU(ctx, s)
	t.mu.Unlock()
	if err != nil {
		return false
	}
	best, err := hostnet.Fits(ctx, s.Probes[0], sizesUpTo(present))
	if err != nil {
		t.log.Debug("could not measure what fits on the way to the gateway", "error", err)
		return false
	}
	if best == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil || t.device == nil {
		return true
	}
	t.lookAtRoad(ctx) // a router may have answered what fits
	if t.now != s || t.fitting.road != measured {
		t.fitting.poke()
		return true
	}
	t.fitting.found, t.fitting.at = best, time.Now()
	if mtu := t.fitting.mtu(s); mtu < present {
		t.log.Info("the way to the gateway takes smaller packets only", "mtu", mtu)
	}
	return t.giveMTU(ctx, s) == nil
}

// giveMTU gives the interface the MTU that holds now, if it has another one. The caller holds the lock.
func (t *hostTunnel) giveMTU(ctx context.Context, s *settings) error {
	if t.fitting.mtu(s) == t.fitting.given {
		return nil
	}
	err := t.setHost(ctx, s)
	if err != nil && ctx.Err() == nil {
		t.log.Warn("could not give the tunnel its MTU", "error", err)
	}
	return err
}
