package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

const (
	// aliveFor is how old a handshake may be at most for the gateway to count as there. With a keepalive of
	// 25 s a live peer's is up to 125 s old.
	aliveFor = 180 * time.Second
	// tryEach is how long each of the gateway's addresses is tried. WireGuard repeats a handshake after 5 s; where
	// there are other addresses to try, one handshake must do: networks with half an IPv6 are many.
	tryEach, tryShort = 8 * time.Second, 3 * time.Second
	// resolveWithin bounds the search for the gateway's name.
	resolveWithin = 5 * time.Second
	// aheadAllowed is how far a handshake may lie in the future without a word, so that a clock that is kept right in
	// small steps costs nobody a session.
	aheadAllowed = 5 * time.Second
	// firewallMark lets the encrypted packets past the routes into the tunnel.
	firewallMark = hostnet.FirewallMark
)

// Resolver finds the addresses of a host, as net.Resolver.LookupNetIP does with network "ip".
type Resolver func(ctx context.Context, network, host string) ([]netip.Addr, error)

// tunnel is the laptop's end of the encrypted connection. Its methods are safe for concurrent use.
type tunnel interface {
	// prepare opens the interface, so that what cannot work fails before a session takes a seat.
	prepare(ctx context.Context, key wireguard.PrivateKey) error
	// install makes the tunnel that of the settings. fresh: it belongs to another session than the present
	// one, so that the peer is added anew and the counters begin at zero.
	install(ctx context.Context, s *settings, fresh bool) error
	// tend looks whether the gateway answers, and tries its other addresses if not.
	tend(ctx context.Context)
	// wake sets the tunnel up anew after a sleep, which may have outlived its keys.
	wake(ctx context.Context)
	// settle makes the host's network right again, after the laptop has come into another one.
	settle(ctx context.Context)
	reading() reading
	// probe asks the gateway for an answer and does not wait for it; errNoProbe if nothing there would give one.
	probe(ctx context.Context) error
	// keepFitting finds the MTU of each new way to the gateway, until the context ends. refit has the present way
	// measured again.
	keepFitting(ctx context.Context) error
	refit()
	// holdsTwo says that the former tunnel can go on beside the next one. installBeside makes the next one so, for another
	// session, with an interface of its own; what went on beside the present one before goes. After an error the tunnel is as
	// it was. former tells how that one is doing, and letGo takes it away, if it is that of the session of that id.
	holdsTwo() bool
	installBeside(ctx context.Context, s *settings, former string) error
	former() formerReading
	letGo(ctx context.Context, former string) error
	// remove takes the peer and the host's settings away; traffic is dead when it returns, whatever it returns.
	remove(ctx context.Context) error
	// close takes the interface away too.
	close() error
	dial(ctx context.Context, network, address string) (net.Conn, error)
}

// hostTunnel is the real tunnel: a WireGuard device, and the host's network around it.
type hostTunnel struct {
	options wireguard.Options
	network *hostnet.Host // nil in mode netstack
	resolve Resolver
	log     *slog.Logger
	// always does not end: a reading takes a millisecond, and there is nobody who would give up on it.
	always context.Context

	mu  sync.Mutex
	key wireguard.PrivateKey
	mtu int // of an open netstack device
	// fitting is of the present lane's way.
	fitting fitting
	lane
	left *lane // goes on beside; nil: none does
	// leftOf is the session of that one.
	leftOf string
}

// lane is one device with the session that it carries.
type lane struct {
	name     string // of the interface
	device   *wireguard.Device
	now      *settings
	since    time.Time
	observer *wireguard.Observer
	sum      reading
	gateways []netip.Addr // of the gateway, in the order of trying
	turn     int
	triedAt  time.Time
	wokeAt   time.Time // zero: it has not slept
}

func newHostTunnel(o Options) *hostTunnel {
	d := o.Device
	d.Logger = o.Logger
	if d.Mode != wireguard.Netstack {
		if d.Name == "" {
			d.Name = DefaultInterface
		}
		if !d.Source.IsValid() && !d.SmallFootprint {
			d.FirewallMark = firewallMark
		}
	}
	name := d.Name
	if o.Network != nil && d.Name != "" && o.Network.Interface() == secondName(d.Name) {
		name = secondName(d.Name) // a killed process was there last
	}
	return &hostTunnel{
		options: d, network: o.Network, resolve: o.Resolve, log: o.Logger, always: context.Background(), lane: lane{name: name},
		fitting: fitting{unfit: make(chan struct{}, 1)},
	}
}

func (t *hostTunnel) prepare(ctx context.Context, key wireguard.PrivateKey) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.device != nil && t.key == key {
		select {
		case <-t.device.Done(): // somebody took the interface away
		default:
			return nil
		}
	}
	return t.open(ctx, key, defaultMTU)
}

// open opens the device anew. The caller holds the lock.
func (t *hostTunnel) open(ctx context.Context, key wireguard.PrivateKey, mtu int) error {
	if err := t.shut(); err != nil {
		return err
	}
	o := t.options
	o.PrivateKey, o.MTU, o.Name = key, mtu, t.name
	device, err := wireguard.Open(ctx, o)
	if err != nil {
		return err
	}
	t.device, t.key, t.mtu = device, key, mtu
	// An interface that a killed process left behind is taken over with its peers; a laptop has none to keep.
	inherited, err := device.Peers(ctx)
	if err == nil && len(inherited) > 0 {
		err = device.Apply(ctx, wireguard.Plan(nil, wireguard.Installed(inherited)))
	}
	if err != nil {
		return errors.Join(err, t.shut())
	}
	return nil
}

// shut closes the devices. The caller holds the lock.
func (t *hostTunnel) shut() error {
	err := t.shutLeft()
	if t.device == nil {
		return err
	}
	device := t.device
	t.device, t.now = nil, nil
	return errors.Join(err, device.Close())
}

func (t *hostTunnel) install(ctx context.Context, s *settings, fresh bool) error {
	gateways, err := t.locate(ctx, s)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.device == nil {
		return errors.New("installing the tunnel: its interface is not open")
	}
	if len(gateways) == 0 && t.now != nil && t.now.Host == s.Host {
		gateways = t.gateways // where it was is a better guess than none
	}
	if t.options.Mode == wireguard.Netstack && t.mtu != s.MTU {
		if err := t.open(ctx, t.key, s.MTU); err != nil {
			return fmt.Errorf("installing the tunnel: %w", err)
		}
	}
	if fresh {
		t.observer, t.sum, t.since = &wireguard.Observer{}, reading{}, time.Now()
	} else {
		// Adding the peer anew sets its counters to zero. If they cannot be read, bytes stay uncounted.
		_ = t.observe(ctx)
	}
	if fresh {
		if err := t.shutLeft(); err != nil {
			return fmt.Errorf("installing the tunnel: %w", err)
		}
	}
	former := t.now
	t.now, t.gateways, t.turn = s, gateways, 0
	t.lookAtRoad(ctx)
	if err := t.setHost(ctx, s); err != nil {
		return fmt.Errorf("installing the tunnel: %w", err)
	}
	return t.connect(ctx, former)
}

// setHost gives the addresses, routes and name servers to the host, or to the device's own network.
func (t *hostTunnel) setHost(ctx context.Context, s *settings) error {
	if network := t.device.Net(); network != nil {
		network.SetNameServers(s.DNSServers)
		return network.SetAddresses(s.Addresses)
	}
	config := hostnet.Config{
		Interface: t.device.Name(), MTU: t.fitting.mtu(s), FullTunnel: s.FullTunnel, LocalDenied: s.LocalDenied, Addresses: s.hosts(), Routes: s.routes(),
		DNS: hostnet.DNS{Servers: s.DNSServers, Domains: s.DNSDomains},
	}
	if s.LocalDenied {
		config.DNS.Domains = nil // whom else should it ask?
	}
	if t.left != nil {
		was := t.left.now
		config.Former = hostnet.Former{Interface: t.left.name, Addresses: was.hosts(), Routes: was.routes(), FullTunnel: was.FullTunnel}
	}
	conflicts, err := onlyConflicts(t.network.Set(ctx, config))
	t.sum.conflicts = conflicts
	if err == nil {
		t.fitting.given = config.MTU
	}
	return err
}

// hosts are the laptop's own addresses.
func (s *settings) hosts() (list []netip.Prefix) {
	for _, addr := range s.Addresses {
		list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
	}
	return list
}

// routes are what goes through the tunnel but everything, which FullTunnel says.
func (s *settings) routes() (list []netip.Prefix) {
	for _, prefix := range s.AllowedIPs {
		if prefix.Bits() > 0 {
			list = append(list, prefix)
		}
	}
	return list
}

// onlyConflicts tells networks that are reached in another way, with which a laptop can live, from failures.
func onlyConflicts(err error) ([]*hostnet.ConflictError, error) {
	if err == nil {
		return nil, nil
	}
	if conflict, ok := err.(*hostnet.ConflictError); ok { //nolint:errorlint // each layer is looked at in turn
		return []*hostnet.ConflictError{conflict}, nil
	}
	var parts []error
	switch wrapper := err.(type) { //nolint:errorlint // each layer is looked at in turn
	case interface{ Unwrap() []error }:
		parts = wrapper.Unwrap()
	case interface{ Unwrap() error }:
		parts = []error{wrapper.Unwrap()}
	}
	if len(parts) == 0 {
		return nil, err
	}
	var all []*hostnet.ConflictError
	for _, part := range parts {
		some, failure := onlyConflicts(part)
		if failure != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// connect adds the gateway as the one peer, anew: after the gateway has lost the peer, the laptop is back in
// 6 ms so, and an update alone would take 15 s. The caller holds the lock.
func (t *hostTunnel) connect(ctx context.Context, former *settings) error {
	peer := wireguard.Peer{
		PublicKey: t.now.PublicKey, PresharedKey: t.now.PresharedKey,
		AllowedIPs: t.now.AllowedIPs, Keepalive: t.now.Keepalive,
	}
	if len(t.gateways) > 0 {
		peer.Endpoint = netip.AddrPortFrom(t.gateways[t.turn%len(t.gateways)], t.now.Port)
	}
	changes := wireguard.Readd(peer)
	if former != nil && former.PublicKey != peer.PublicKey {
		t.observer.Forget(former.PublicKey)
		gone := wireguard.Change{Remove: true, Peer: wireguard.Peer{PublicKey: former.PublicKey}}
		changes = append([]wireguard.Change{gone}, changes...)
	}
	t.triedAt = time.Now()
	t.lead(ctx)
	if err := t.device.Apply(ctx, changes); err != nil {
		return fmt.Errorf("installing the gateway: %w", err)
	}
	return nil
}

// lead has the encrypted packets leave past the tunnel on systems where no mark does. Without a way to the gateway there
// is nothing to lead, and the next network tries again. The caller holds the lock.
func (t *hostTunnel) lead(ctx context.Context) {
	if t.network == nil || t.device == nil || len(t.gateways) == 0 {
		return
	}
	gateway := t.gateways[t.turn%len(t.gateways)]
	index, err := t.network.Outside(ctx, gateway)
	if err == nil && index != 0 {
		err = t.device.LeaveBy(gateway, index)
	}
	if err != nil && ctx.Err() == nil {
		t.log.Warn("could not lead the tunnel's own packets around it", "error", err)
	}
}

func (t *hostTunnel) tend(ctx context.Context) {
	t.mu.Lock()
	s := t.now
	if s == nil {
		t.mu.Unlock()
		return
	}
	if err := t.observe(ctx); err != nil && ctx.Err() == nil {
		t.putBack(ctx, err)
	}
	silent := t.silent(time.Now())
	lastOne := t.turn+1 >= len(t.gateways)
	t.mu.Unlock()
	if !silent {
		return
	}
	var again []netip.Addr
	if lastOne { // all were tried: look whether the name has others now
		again, _ = t.locate(ctx, s) // that it went inside is no news: none is none
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != s || t.device == nil {
		return
	}
	t.turn++
	if len(again) > 0 {
		t.gateways, t.turn = again, 0
	}
	t.lookAtRoad(ctx)
	if err := t.connect(ctx, nil); err != nil && ctx.Err() == nil {
		t.log.Warn("could not try another address of the gateway", "error", err)
	}
}

// silent says whether the gateway had its time to answer and did not. The caller holds the lock.
func (t *hostTunnel) silent(now time.Time) bool {
	patience := tryEach
	if len(t.gateways) > 1 {
		patience = tryShort
	}
	return (!t.sum.alive(now) || t.doubted()) && !t.sum.setBack(now) && (len(t.gateways) == 0 || now.Sub(t.triedAt) >= patience)
}

func (t *hostTunnel) settle(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil || t.device == nil {
		return
	}
	t.lookAtRoad(ctx)
	t.fitting.again()
	if err := t.setHost(ctx, t.now); err != nil && ctx.Err() == nil {
		t.log.Warn("could not set up the tunnel's place in the new network", "error", err)
	}
	t.lead(ctx)
	t.greet(ctx)
}

// putBack opens the interface again, which somebody took away. The caller holds the lock.
func (t *hostTunnel) putBack(ctx context.Context, cause error) {
	t.log.Warn("the tunnel's interface is gone: putting it back", "error", cause)
	s := t.now
	err := t.open(ctx, t.key, t.mtu)
	t.now = s
	if err == nil {
		t.observer = &wireguard.Observer{}
		if err = t.setHost(ctx, s); err == nil {
			err = t.connect(ctx, nil)
		}
	}
	if err != nil {
		t.log.Error("could not put the tunnel's interface back", "error", err)
	}
}

func (t *hostTunnel) remove(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.now
	t.now = nil
	err := t.shutLeft()
	if s != nil && t.device != nil {
		gone := []wireguard.Change{{Remove: true, Peer: wireguard.Peer{PublicKey: s.PublicKey}}}
		if t.device.Apply(ctx, gone) != nil {
			// An interface that does not let go of its peer has to go itself.
			err = errors.Join(err, t.shut())
		}
	}
	if t.network != nil {
		// Without a tunnel too: a process that was killed may have left its settings behind.
		err = errors.Join(err, t.network.Clear(ctx))
	}
	return err
}

func (t *hostTunnel) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shut()
}

func (t *hostTunnel) dial(ctx context.Context, network, address string) (net.Conn, error) {
	t.mu.Lock()
	var inside *wireguard.Net
	if t.device != nil && t.now != nil {
		inside = t.device.Net()
	}
	t.mu.Unlock()
	if inside == nil {
		return nil, notConnected()
	}
	return inside.DialContext(ctx, network, address)
}

func (t *hostTunnel) probe(context.Context) error {
	t.mu.Lock()
	var inside *wireguard.Net
	var to netip.Addr
	if t.device != nil && t.now != nil && len(t.now.Probes) > 0 {
		inside, to = t.device.Net(), t.now.Probes[0]
	}
	t.mu.Unlock()
	switch {
	case !to.IsValid():
		return errNoProbe
	case inside != nil:
		return inside.Echo(to)
	default:
		return hostnet.Echo(to)
	}
}
