package gateway

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// ensureDevice opens the device as soon as a configuration is known, and
// again when it has gone.
func (g *Gateway) ensureDevice(ctx context.Context, now time.Time) {
	select {
	case <-g.deviceDone():
		g.lost = true
	default:
	}
	if g.lost {
		g.log.Error("the interface was taken away; opening it anew")
		if err := g.closeDevice(); err != nil {
			g.log.Error("closing what is left of it", "error", err)
		}
	}
	g.mu.Lock()
	setup, known := g.wantedSetup()
	g.mu.Unlock()
	if !known || now.Before(g.notBefore) || g.device != nil && setup.equal(g.setup) {
		return
	}
	err := g.adapt(ctx, setup)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		g.deviceProblem = nil
		return
	}
	g.notBefore = now.Add(control.Jitter(retryDevice, 0.2))
	problem := deviceProblem(setup, err)
	if g.deviceProblem == nil || g.deviceProblem.Code != problem.Code {
		g.log.Error("the WireGuard interface is not ready; trying again", "error", problem)
	}
	g.deviceProblem = problem
}

func (g *Gateway) wantedSetup() (Setup, bool) {
	c := g.configuration
	if c == nil {
		return Setup{}, false
	}
	s := Setup{PrivateKey: g.key, ListenPort: c.listenPort, MTU: c.mtu, Addresses: c.addresses, Masquerade: c.masquerade,
		Inside: c.inside, Disturbed: func() { wake(g.wakeInstaller) }}
	if g.o.ListenPort != 0 {
		s.ListenPort = g.o.ListenPort
	}
	return s, true
}

// adapt makes the device what the setup says, and keeps tunnels standing if
// that can be.
func (g *Gateway) adapt(ctx context.Context, setup Setup) error {
	if g.device != nil && setup.sameDevice(g.setup) {
		if err := g.device.Configure(ctx, setup); err != nil {
			return err
		}
		g.setup = setup
		return nil
	}
	if err := g.closeDevice(); err != nil {
		return err
	}
	device, err := g.o.Open(ctx, setup)
	if err != nil {
		return err
	}
	dump, err := g.begin(ctx, device, setup)
	if err != nil {
		return errors.Join(err, device.Close())
	}
	g.opened(device, setup, dump)
	return nil
}

// begin makes an open device what the setup says, with a filter that holds from the first moment whom it is to hold: tunnels
// of the process before may be there.
func (g *Gateway) begin(ctx context.Context, device Device, setup Setup) ([]wireguard.PeerStatus, error) {
	start := time.Now()
	dump, err := device.Peers(ctx)
	g.dumpedAt, g.dumpTook = time.Now(), time.Since(start)
	if err != nil {
		return nil, err
	}
	if err := g.guardAll(device, dump); err != nil {
		return nil, err
	}
	return dump, device.Configure(ctx, setup)
}

// guardAll has the filter begin with all sessions but heirs. Who had addresses on the device before is known of one that was
// closed. Of one that a former process has left it is known who had got hers: others may have been on their way. One that holds
// nobody tells nothing, and the journal is believed.
func (g *Gateway) guardAll(device Device, dump []wireguard.PeerStatus) error {
	filter := device.Filter()
	if filter == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var before []firewall.Change
	for _, c := range g.heldBefore {
		before = append(before, c, firewall.Change{Session: c.Session})
	}
	if err := filter.Apply(before); err != nil {
		return err
	}
	there := make(map[wireguard.Key]wireguard.Peer, len(dump))
	for _, p := range wireguard.Installed(dump) {
		there[p.PublicKey] = p
	}
	var changes []firewall.Change
	for key := range g.wanted.byKey {
		s := g.desired(key)
		if s == nil || inherits(filter, s) || len(dump) > 0 && !s.on(there[key]) {
			continue
		}
		changes = append(changes, firewall.Change{Session: string(key[:]), Guard: s.guard()})
	}
	return filter.Apply(changes)
}

// opened takes stock of a device, which may have peers from before, and has
// everything installed.
func (g *Gateway) opened(device Device, setup Setup, dump []wireguard.PeerStatus) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.device, g.setup, g.facts, g.openedAt, g.heldBefore = device, setup, device.Facts(), time.Now(), nil
	g.observation.opened(dump)
	g.unswept = device.Filter() != nil
	g.installed = make(map[wireguard.Key]installed, len(dump))
	g.owners = make(map[netip.Prefix]wireguard.Key)
	for _, peer := range wireguard.Installed(dump) {
		in := installed{peer: peer}
		// The preshared key is a session's own, so that it tells whether the
		// peer is still that session's.
		if s := g.wanted.of(peer.PublicKey); s != nil && s.peer.PresharedKey == peer.PresharedKey {
			in.session, in.access = s.id, s.accessName()
		}
		g.setInstalled(peer.PublicKey, in)
		if in.session != "" {
			g.traces[in.session] = peer.PublicKey
		}
	}
	g.log.Info("WireGuard interface is up", "interface", g.facts.Interface, "mode", g.facts.Mode, "port", g.facts.ListenPort,
		"peers", len(dump), "to_install", len(g.wanted.byKey))
	g.touchAll()
	// Removals from before a restart are on disk. They are done as soon as
	// what the device brought along has been cleared away.
	var dead []string
	for id := range g.wanted.tombstones {
		dead = append(dead, id)
	}
	if len(dead) > 0 {
		g.pending.addRemoval(dead, place{}, g.noted, keysOf(g.installed), g.loses)
	}
}

func (g *Gateway) setInstalled(key wireguard.Key, in installed) {
	g.setAbsent(key)
	g.installed[key] = in
	for _, prefix := range in.peer.AllowedIPs {
		g.owners[prefix] = key
	}
}

func (g *Gateway) setAbsent(key wireguard.Key) {
	for _, prefix := range g.installed[key].peer.AllowedIPs {
		if g.owners[prefix] == key {
			delete(g.owners, prefix)
		}
	}
	delete(g.installed, key)
}

// letGo is the last that is done with the device.
func (g *Gateway) letGo() error {
	if g.o.LeaveTunnels && !g.lost {
		return g.endDevice(Device.Leave)
	}
	return g.closeDevice()
}

func (g *Gateway) closeDevice() error { return g.endDevice(Device.Close) }

func (g *Gateway) endDevice(how func(Device) error) error {
	g.lost = false
	if g.device == nil {
		return nil
	}
	g.endForgetting()
	err := how(g.device)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heldBefore = nil
	for key, in := range g.installed {
		g.heldBefore = append(g.heldBefore, firewall.Change{Session: string(key[:]), Guard: guardOf(in.peer.AllowedIPs, nil)})
	}
	g.device, g.facts = nil, Facts{}
	g.forgetProgress()
	clear(g.installed)
	clear(g.traces)
	return err
}
