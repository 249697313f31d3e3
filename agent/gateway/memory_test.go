package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// memoryDevice is a device at the edge: a table of peers that can be slow,
// fail, and be meddled with.
type memoryDevice struct {
	mu       sync.Mutex
	peers    map[wireguard.Key]wireguard.PeerStatus
	setup    Setup
	opened   int
	closed   chan struct{}
	delay    time.Duration                // of each call to Apply
	refuse   func(wireguard.Change) error // nil: nothing
	trace    []wireguard.Change           // what was applied, in order
	applied  map[wireguard.Key]time.Time  // when a key was last changed
	dumpTime time.Duration
	dumps    []time.Time
	short    bool // the next dump lacks a peer
	filter   memoryFilter
}

// memoryFilter is a filter at the edge. What it holds can be lost, and it can fail.
type memoryFilter struct {
	mu       sync.Mutex
	guards   map[string]*firewall.Guard
	lost     bool
	restored int
	fail     error

	last      map[netip.Addr]string // whose an address was last, while her connections stand
	inherited []string              // who got an address with another one's connections
	ending    []netip.Addr

	cannotForget error
	forgetting   time.Duration // how long it takes
	hang         chan struct{} // it takes until this is closed; nil: no longer
}

func (f *memoryFilter) Apply(changes []firewall.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	if f.guards == nil {
		f.guards, f.last = make(map[string]*firewall.Guard), make(map[netip.Addr]string)
	}
	for _, c := range changes {
		if f.guards[c.Session] = c.Guard; c.Guard == nil {
			delete(f.guards, c.Session)
			continue
		}
		for _, a := range c.Guard.Addresses {
			if last := f.last[a]; last != "" && last != c.Session {
				f.inherited = append(f.inherited, fmt.Sprint(a))
			}
			f.last[a] = c.Session
		}
	}
	return nil
}

func (f *memoryFilter) Inherits(session string, address netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last[address] != "" && f.last[address] != session
}

func (f *memoryFilter) Forget(addresses []netip.Addr) (func(context.Context) error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ending = addresses
	takes, hang, err := f.forgetting, f.hang, f.cannotForget
	return func(ctx context.Context) error {
		var passed <-chan time.Time
		if hang == nil {
			passed = time.After(takes)
		}
		select {
		case <-hang:
			return err
		case <-passed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}, nil
}

func (f *memoryFilter) Forgotten() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.ending {
		held := func(g *firewall.Guard) bool { return slices.Contains(g.Addresses, a) }
		if !slices.ContainsFunc(slices.Collect(maps.Values(f.guards)), held) {
			delete(f.last, a)
		}
	}
	f.ending = nil
}

func (f *memoryFilter) Lost() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

func (f *memoryFilter) Restore() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = false
	f.restored++
	return f.fail
}

// with changes how the filter behaves.
func (f *memoryFilter) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// holds is by which list which session's addresses are held.
func (f *memoryFilter) holds() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]string)
	for session, g := range f.guards {
		key := wireguard.Key([]byte(session)).String()
		out[key] = fmt.Sprint(g.Addresses)
		if g.List != nil {
			out[key] += " " + g.List.Name
		}
	}
	return out
}

func newMemoryDevice() *memoryDevice {
	return &memoryDevice{peers: make(map[wireguard.Key]wireguard.PeerStatus), applied: make(map[wireguard.Key]time.Time)}
}

func (d *memoryDevice) open(_ context.Context, setup Setup) (Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened++
	d.setup = setup
	d.closed = make(chan struct{})
	return d, nil
}

// Apply implements Device, in calls of 32 as the kernel's.
func (d *memoryDevice) Apply(ctx context.Context, changes []wireguard.Change) error {
	failed := &wireguard.ApplyError{}
	for chunk := range slices.Chunk(changes, 32) {
		d.mu.Lock()
		delay := d.delay
		d.mu.Unlock()
		if delay > 0 {
			select {
			case <-time.After(delay):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		d.mu.Lock()
		if d.isClosed() {
			d.mu.Unlock()
			return net.ErrClosed
		}
		for _, c := range chunk {
			if err := d.change(c); err != nil {
				delete(d.peers, c.Peer.PublicKey)
				failed.Failed = append(failed.Failed, &wireguard.ChangeError{Change: c, Err: err})
			}
		}
		d.mu.Unlock()
	}
	if len(failed.Failed) > 0 {
		return fmt.Errorf("applying: %w", failed)
	}
	return nil
}

func (d *memoryDevice) isClosed() bool {
	select {
	case <-d.closed:
		return true
	default:
		return false
	}
}

func (d *memoryDevice) change(c wireguard.Change) error {
	key := c.Peer.PublicKey
	if d.refuse != nil {
		if err := d.refuse(c); err != nil {
			return err
		}
	}
	d.trace = append(d.trace, c)
	d.applied[key] = time.Now()
	if c.Remove {
		delete(d.peers, key)
		return nil
	}
	s, there := d.peers[key]
	if there && s.PresharedKey != c.Peer.PresharedKey {
		return errors.New("test: the session of a live peer was changed in place")
	}
	ips := s.AllowedIPs
	s.Peer.PublicKey, s.PresharedKey, s.Keepalive = key, c.Peer.PresharedKey, c.Peer.Keepalive
	if c.Peer.Endpoint.IsValid() {
		s.Endpoint = c.Peer.Endpoint
	}
	if !c.KeepAllowedIPs || !there {
		ips = slices.Clone(c.Peer.AllowedIPs)
	}
	s.AllowedIPs = ips
	for other, o := range d.peers {
		if other != key && slices.ContainsFunc(o.AllowedIPs, func(p netip.Prefix) bool { return slices.Contains(ips, p) }) {
			return wireguard.ErrAddressTaken
		}
	}
	d.peers[key] = s
	return nil
}

// Peers implements Device.
func (d *memoryDevice) Peers(context.Context) ([]wireguard.PeerStatus, error) {
	d.mu.Lock()
	takes := d.dumpTime
	d.mu.Unlock()
	time.Sleep(takes) // real: only outside bubbles; without the lock, for which no bubble lets time pass
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dumps = append(d.dumps, time.Now())
	var out []wireguard.PeerStatus
	for _, s := range d.peers {
		s.AllowedIPs = slices.Clone(s.AllowedIPs)
		out = append(out, s)
	}
	if d.short && len(out) > 0 {
		d.short = false
		out = out[1:]
	}
	return out, nil
}

func (d *memoryDevice) Configure(_ context.Context, setup Setup) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setup = setup
	return nil
}

func (d *memoryDevice) Filter() Filter { return &d.filter }

func (d *memoryDevice) Facts() Facts { return Facts{Interface: "hd0", Mode: "memory"} }

func (d *memoryDevice) Done() <-chan struct{} { return d.closed }

// Close takes the peers with it, as a removed interface does.
func (d *memoryDevice) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.isClosed() {
		close(d.closed)
		clear(d.peers)
		d.filter.with(func() { clear(d.filter.guards) })
	}
	return nil
}

// Leave implements Device as the kernel's: the peers stay.
func (d *memoryDevice) Leave() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.isClosed() {
		close(d.closed)
	}
	return nil
}

// meddle changes the device behind everybody's back.
func (d *memoryDevice) meddle(f func(peers map[wireguard.Key]wireguard.PeerStatus)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d.peers)
}

// with changes how the device behaves.
func (d *memoryDevice) with(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// holds is what is installed, as text.
func (d *memoryDevice) holds() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[string]string)
	for key, s := range d.peers {
		out[key.String()] = s.PresharedKey.Base64() + fmt.Sprint(s.AllowedIPs)
	}
	return out
}
