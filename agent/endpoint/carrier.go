package endpoint

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// Carrier takes the place of the WireGuard device and the host's network, where thousands of laptops run in one
// process: a device of its own takes 175 KB for each, and its handshakes more of the processor than all else that
// a laptop does. Its methods are called one at a time.
type Carrier interface {
	// Install is told what would be installed: the gateway as the one peer, and the laptop's own addresses.
	// fresh: it belongs to another session than what was installed before.
	Install(gateway wireguard.Peer, addresses []netip.Addr, fresh bool) error
	// Count is what the interface would have counted since the session was installed, and the last handshake.
	Count() Count
	// Remove takes away what Install was told. Idempotent.
	Remove()
}

// Count is what an interface counted. LastHandshake zero: none.
type Count struct {
	Received, Sent uint64
	LastHandshake  time.Time
}

// carried is a tunnel whose place a Carrier takes.
type carried struct {
	carrier Carrier

	mu    sync.Mutex
	since time.Time // zero: nothing is installed
}

func (c *carried) prepare(context.Context, wireguard.PrivateKey) error { return nil }

func (c *carried) install(_ context.Context, s *settings, fresh bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	gateway := wireguard.Peer{PublicKey: s.PublicKey, PresharedKey: s.PresharedKey, AllowedIPs: s.AllowedIPs, Keepalive: s.Keepalive}
	if addr, err := netip.ParseAddr(s.Host); err == nil { // of a name, nobody has to find the address
		gateway.Endpoint = netip.AddrPortFrom(addr, s.Port)
	}
	if fresh {
		c.since = time.Now()
	}
	return c.carrier.Install(gateway, s.Addresses, fresh)
}

func (c *carried) tend(context.Context)   {}
func (c *carried) wake(context.Context)   {}
func (c *carried) settle(context.Context) {}

func (c *carried) reading() reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return reading{}
	}
	count := c.carrier.Count()
	return reading{installed: c.since, handshake: count.LastHandshake, received: count.Received, sent: count.Sent}
}

func (c *carried) holdsTwo() bool { return false }

func (c *carried) installBeside(context.Context, *settings, string) error {
	return errors.New("a carrier carries one session")
}

func (c *carried) former() formerReading { return formerReading{} }

func (c *carried) letGo(context.Context, string) error { return nil }

func (c *carried) probe(context.Context) error { return errNoProbe }

func (c *carried) keepFitting(context.Context) error { return nil }

func (c *carried) refit() {}

func (c *carried) remove(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = time.Time{}
	c.carrier.Remove()
	return nil
}

func (c *carried) close() error { return nil }

func (c *carried) dial(context.Context, string, string) (net.Conn, error) { return nil, notConnected() }
