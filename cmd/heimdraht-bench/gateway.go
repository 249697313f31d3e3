//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/gateway"
	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// gateways choose where each gateway's device listens.
func (r *runner) chooseEndpoints(ctx context.Context) ([]string, error) {
	var list []string
	for n := range r.town.gateways {
		socket, err := new(net.ListenConfig).ListenPacket(ctx, "udp", fmt.Sprintf("127.3.0.%d:0", n+1))
		if err != nil {
			return nil, fmt.Errorf("finding a free UDP port: %w", err)
		}
		list = append(list, socket.LocalAddr().String())
		if err := socket.Close(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// startGateways lets them join and waits until all are connected.
func (r *runner) startGateways(ctx context.Context, endpoints []string) error {
	p := r.say.phase("%d gateways join", r.town.gateways, r.town.gateways)
	defer p.end()
	for n, endpoint := range endpoints {
		if err := r.startGateway(ctx, n, netip.MustParseAddrPort(endpoint).Addr()); err != nil {
			return fmt.Errorf("starting gateway %s: %w", r.town.gateway(n), err)
		}
		p.step()
	}
	return r.awaitGateways(ctx)
}

func (r *runner) startGateway(ctx context.Context, n int, listen netip.Addr) error {
	name := r.town.gateway(n)
	token, err := heimdrahtv1.NewAdminServiceClient(r.operator.conn).CreateGatewayToken(r.operator.as(ctx),
		&heimdrahtv1.CreateGatewayTokenRequest{Gateway: name})
	if err != nil {
		return control.FromStatus(err)
	}
	dir, err := state.Open(filepath.Join(r.dir, name))
	if err != nil {
		return err
	}
	dial := r.fleet.dialer(netip.AddrFrom4([4]byte{127, 2, 0, byte(n + 1)}))
	_, err = gateway.Join(ctx, gateway.JoinOptions{Address: r.plane.address, Token: token.GetToken(), State: dir, Version: version, Language: "en", Dial: dial})
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	open := r.openDevice(n, listen)
	g, err := gateway.New(gateway.Options{State: dir, Open: open, Version: version, Language: "en", Dial: dial, Logger: r.log})
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	r.gateways = append(r.gateways, g)
	r.background("gateway "+name, func(ctx context.Context) error { return errors.Join(g.Run(ctx), dir.Close()) })
	return nil
}

// openDevice opens what the gateway applies its peers to.
func (r *runner) openDevice(n int, listen netip.Addr) func(context.Context, gateway.Setup) (gateway.Device, error) {
	return func(ctx context.Context, setup gateway.Setup) (gateway.Device, error) {
		draw := rand.New(rand.NewPCG(r.flags.Seed, uint64(n)))
		if r.flags.GatewayMode == "memory" {
			return newPaper(setup, draw), nil
		}
		stack := gateway.Netstack{Listen: listen, Change: func(o *wireguard.Options) { o.SmallFootprint, o.Logger = true, r.log }}
		device, err := stack.Open(ctx, setup)
		return &busy{Device: device, draw: draw, sums: make(sums)}, err
	}
}

// awaitGateways waits until all gateways are connected, as the control plane sees it.
func (r *runner) awaitGateways(ctx context.Context) error {
	const look = 20 * time.Millisecond
	for {
		answer, err := heimdrahtv1.NewAdminServiceClient(r.operator.conn).ListGateways(r.operator.as(ctx), &heimdrahtv1.ListGatewaysRequest{})
		if err != nil {
			return fmt.Errorf("asking for the gateways: %w", control.FromStatus(err))
		}
		away := slices.ContainsFunc(answer.GetGateways(), func(g *heimdrahtv1.Gateway) bool { return !g.GetConnected() })
		if !away && len(answer.GetGateways()) == r.town.gateways {
			return nil
		}
		if err := control.Sleep(ctx, look); err != nil {
			return fmt.Errorf("waiting for the gateways: %w", err)
		}
	}
}

// peers is how many all gateways together hold.
func (r *runner) peers() int {
	sum := 0
	for _, g := range r.gateways {
		sum += g.Status().Peers
	}
	return sum
}

// sums are what devices would have counted of each peer.
type sums map[wireguard.Key]wireguard.PeerStatus

// count makes up what each peer moved since the last dump, so that every session is reported in every pass, as on a
// working morning. A live peer shakes hands at least each two minutes.
func (s sums) count(dump []wireguard.PeerStatus, draw *rand.Rand) {
	now := time.Now()
	for i := range dump {
		p := &dump[i]
		sum := s[p.PublicKey]
		sum.Rx += 1_000 + uint64(draw.IntN(100_000))
		sum.Tx += 1_000 + uint64(draw.IntN(1_000_000))
		if now.Sub(sum.LastHandshake) > 2*time.Minute {
			sum.LastHandshake = now.Add(-time.Duration(draw.IntN(120)) * time.Second)
		}
		s[p.PublicKey] = sum
		p.Rx, p.Tx, p.LastHandshake = sum.Rx, sum.Tx, sum.LastHandshake
	}
}

// forget drops the sums of peers that are taken away.
func (s sums) forget(changes []wireguard.Change) {
	for _, c := range changes {
		if c.Remove {
			delete(s, c.Peer.PublicKey)
		}
	}
}

// busy is a real device whose peers seem to work. Its methods are called from one goroutine, as those of every
// gateway.Device.
type busy struct {
	gateway.Device

	draw *rand.Rand
	sums sums
}

// Apply implements gateway.Device.
func (b *busy) Apply(ctx context.Context, changes []wireguard.Change) error {
	b.sums.forget(changes)
	return b.Device.Apply(ctx, changes)
}

// Peers implements gateway.Device.
func (b *busy) Peers(ctx context.Context) ([]wireguard.PeerStatus, error) {
	dump, err := b.Device.Peers(ctx)
	b.sums.count(dump, b.draw)
	return dump, err
}

// paper only notes its peers: a gateway without a device.
type paper struct {
	setup gateway.Setup
	draw  *rand.Rand
	sums  sums
	peers map[wireguard.Key]wireguard.Peer
	done  chan struct{}
	close func()
}

func newPaper(setup gateway.Setup, draw *rand.Rand) *paper {
	p := &paper{setup: setup, draw: draw, sums: make(sums), peers: make(map[wireguard.Key]wireguard.Peer), done: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.done) })
	return p
}

// Apply implements gateway.Device.
func (p *paper) Apply(_ context.Context, changes []wireguard.Change) error {
	p.sums.forget(changes)
	for _, c := range changes {
		key := c.Peer.PublicKey
		if c.Remove {
			delete(p.peers, key)
			continue
		}
		if former, ok := p.peers[key]; ok && c.KeepAllowedIPs {
			c.Peer.AllowedIPs = former.AllowedIPs
		}
		p.peers[key] = c.Peer
	}
	return nil
}

// Peers implements gateway.Device.
func (p *paper) Peers(context.Context) ([]wireguard.PeerStatus, error) {
	dump := make([]wireguard.PeerStatus, 0, len(p.peers))
	for _, peer := range p.peers {
		dump = append(dump, wireguard.PeerStatus{Peer: peer})
	}
	p.sums.count(dump, p.draw)
	return dump, nil
}

// Configure implements gateway.Device.
func (p *paper) Configure(_ context.Context, setup gateway.Setup) error {
	p.setup = setup
	return nil
}

// Filter implements gateway.Device.
func (p *paper) Filter() gateway.Filter { return nil }

// Facts implements gateway.Device.
func (p *paper) Facts() gateway.Facts {
	return gateway.Facts{Mode: "memory", ListenPort: p.setup.ListenPort}
}

// Done implements gateway.Device.
func (p *paper) Done() <-chan struct{} { return p.done }

// Leave implements gateway.Device: paper carries nothing.
func (p *paper) Leave() error { return p.Close() }

// Close implements gateway.Device.
func (p *paper) Close() error {
	p.close()
	return nil
}
