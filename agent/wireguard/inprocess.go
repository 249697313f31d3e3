package wireguard

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// inProcessPeers is the most peers in one call to wireguard-go. The call holds the device's lock throughout,
// and an addition takes 0.2 ms: a removal waits 25 ms behind this, where it would wait 6 s behind 29,000.
const inProcessPeers = 128

// inProcess is wireguard-go in this process. It is spoken to without a socket: the sockets lie in one folder
// of the host, whatever the network namespace, and would let others with root rights change the peers.
type inProcess struct {
	device *device.Device
	bind   conn.Bind
	// dumped is how many bytes the last dump had.
	dumped atomic.Int64
}

// openUserspace opens wireguard-go on a TUN device.
func openUserspace(o Options) (backend, facts, error) {
	link, err := createTUN(o)
	if err != nil {
		return nil, facts{}, fmt.Errorf("making a TUN device: %w", err)
	}
	name, err := link.Name()
	if err != nil {
		return nil, facts{}, errors.Join(fmt.Errorf("asking a TUN device its name: %w", err), link.Close())
	}
	if err := linkUp(name); err != nil {
		return nil, facts{}, errors.Join(fmt.Errorf("bringing %s up: %w", name, err), link.Close())
	}
	b, port, err := startInProcess(o, newSteadyTUN(link))
	return b, facts{mode: Userspace, name: name, listenPort: port}, err
}

// startInProcess starts wireguard-go. It owns the TUN device from here on.
func startInProcess(o Options, link tun.Device) (backend, uint16, error) {
	link, bind, err := portioned(link, newBind(o), o.Portion)
	if err != nil {
		return nil, 0, errors.Join(err, link.Close())
	}
	p := &inProcess{device: device.NewDevice(link, bind, quietLogger(o.Logger)), bind: bind}

	config := appendKey(nil, "private_key=", o.PrivateKey)
	config = fmt.Appendf(config, "listen_port=%d\nfwmark=%d\n", o.ListenPort, o.FirewallMark)
	err = p.device.IpcSetOperation(bytes.NewReader(config))
	if err == nil {
		err = p.device.Up()
	}
	if err != nil {
		p.device.Close()
		return nil, 0, fmt.Errorf("listening on UDP port %d: %w", o.ListenPort, err)
	}
	port, _, err := p.get()
	if err != nil {
		p.device.Close()
		return nil, 0, err
	}
	return p, port, nil
}

func (p *inProcess) configure(changes []Change) error {
	if err := p.device.IpcSetOperation(bytes.NewReader(appendChanges(nil, changes))); err != nil {
		return fmt.Errorf("configuring wireguard-go: %w", err)
	}
	return nil
}

func (p *inProcess) dump() ([]PeerStatus, error) {
	_, peers, err := p.get()
	return peers, err
}

func (p *inProcess) get() (uint16, []PeerStatus, error) {
	dump := bytes.NewBuffer(make([]byte, 0, p.dumped.Load()))
	if err := p.device.IpcGetOperation(dump); err != nil {
		return 0, nil, fmt.Errorf("asking wireguard-go: %w", err)
	}
	p.dumped.Store(int64(dump.Len()) * 9 / 8) // the next one has other numbers
	return parseDump(dump.Bytes())
}

// leaveBy has packets of a family leave by one interface, if the socket can be bound to one.
func (p *inProcess) leaveBy(ipv4 bool, index uint32) error {
	socket, ok := p.bind.(conn.BindSocketToInterface)
	switch {
	case !ok:
		return nil
	case ipv4:
		return socket.BindSocketToInterface4(index, false)
	}
	return socket.BindSocketToInterface6(index, false)
}

func (p *inProcess) limits() (peers, allowedIPs int) { return inProcessPeers, math.MaxInt }

func (p *inProcess) done() <-chan struct{} { return p.device.Wait() }

// leave is close: the tunnels are this process's.
func (p *inProcess) leave() error { return p.close() }

func (p *inProcess) close() error {
	p.device.Close()
	return nil
}

// quietLogger passes on what wireguard-go calls errors and drops its diary of handshakes and keepalives,
// which would be a record of who worked when. Errors with one peer are debug output for the same reason,
// and because a laptop without a network has one every five seconds.
func quietLogger(log *slog.Logger) *device.Logger {
	return &device.Logger{
		Verbosef: device.DiscardLogf,
		Errorf: func(format string, args ...any) {
			if strings.HasPrefix(format, "%v - ") {
				log.Debug("wireguard-go reports a problem with a peer", "problem", fmt.Sprintf(format, args...))
				return
			}
			log.Warn("wireguard-go reports a problem", "problem", fmt.Sprintf(format, args...))
		},
	}
}

// steadyTUN keeps the news that the interface went up or down from wireguard-go. It would close its socket on
// going down, and a TUN device is reported as down once, at a moment of its own choosing, after it was made.
type steadyTUN struct {
	tun.Device
	events chan tun.Event
}

// newSteadyTUN starts a goroutine that ends when the TUN device is closed.
func newSteadyTUN(link tun.Device) *steadyTUN {
	s := &steadyTUN{Device: link, events: make(chan tun.Event)}
	go func() {
		defer close(s.events)
		for event := range link.Events() {
			if event &= tun.EventMTUUpdate; event != 0 {
				s.events <- event
			}
		}
	}()
	return s
}

// Events returns changes of the MTU only.
func (s *steadyTUN) Events() <-chan tun.Event { return s.events }
