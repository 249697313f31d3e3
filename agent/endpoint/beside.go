package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// formerReading is what there is to tell of a tunnel that goes on beside the present one.
type formerReading struct {
	// there: it is.
	there bool
	// moved counts bytes in both directions, keepalives included.
	moved uint64
	// connections are those of this machine that are in it.
	connections int
}

// maxName is the longest name of an interface (IFNAMSIZ less the zero behind it).
const maxName = 15

// secondName is what the other one of two interfaces is called: hd1 beside hd0. The tunnel goes from one to the other with
// each move.
func secondName(name string) string {
	if base, ok := strings.CutSuffix(name, "0"); ok {
		return base + "1"
	}
	return name[:min(len(name), maxName-1)] + "b"
}

func (t *hostTunnel) holdsTwo() bool {
	return t.network != nil && t.network.HoldsTwo() && t.options.Mode != wireguard.Netstack
}

func (t *hostTunnel) installBeside(ctx context.Context, s *settings, former string) error {
	if err := t.installSecond(ctx, s, former); err != nil {
		return fmt.Errorf("installing a tunnel beside another one: %w", err)
	}
	return nil
}

func (t *hostTunnel) installSecond(ctx context.Context, s *settings, former string) error {
	gateways, err := t.locate(ctx, s)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.device == nil || t.now == nil || !t.holdsTwo() {
		return errors.New("there is nothing to go on beside it")
	}
	if err := t.shutLeft(); err != nil {
		return err
	}
	next, err := t.openSecond(ctx)
	if err != nil {
		return errors.Join(err, t.setHost(ctx, t.now))
	}
	was := t.lane
	next.now, next.gateways, next.since, next.observer = s, gateways, time.Now(), &wireguard.Observer{}
	t.lane, t.left, t.leftOf = *next, &was, former
	t.lookAtRoad(ctx)
	// The gateway first, so that nothing is led to an interface that knows none.
	if err = t.connect(ctx, nil); err == nil {
		err = t.setHost(ctx, s)
	}
	if err != nil {
		t.lane, t.left = was, nil
		return errors.Join(err, t.setHost(context.WithoutCancel(ctx), t.now), next.device.Close())
	}
	return nil
}

// openSecond opens the other one of the two interfaces. The caller holds the lock.
func (t *hostTunnel) openSecond(ctx context.Context) (*lane, error) {
	o := t.options
	o.PrivateKey, o.MTU = t.key, defaultMTU
	if t.name == o.Name {
		o.Name = secondName(o.Name)
	}
	if _, err := net.InterfaceByName(o.Name); err == nil {
		return nil, fmt.Errorf("somebody else has an interface %s", o.Name) // an open would take it over
	}
	if err := t.network.Reserve(o.Name); err != nil {
		return nil, err
	}
	device, err := wireguard.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	return &lane{name: o.Name, device: device}, nil
}

// shutLeft closes the device that goes on beside the present one. The host forgets it when it is set up next. The caller
// holds the lock.
func (t *hostTunnel) shutLeft() error {
	if t.left == nil {
		return nil
	}
	device := t.left.device
	t.left = nil
	return device.Close()
}

func (t *hostTunnel) letGo(ctx context.Context, former string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left == nil || t.leftOf != former {
		return nil
	}
	err := t.shutLeft()
	if t.now != nil && t.device != nil {
		err = errors.Join(err, t.setHost(ctx, t.now))
	}
	if err != nil {
		return fmt.Errorf("letting go of the former tunnel: %w", err)
	}
	return nil
}

func (t *hostTunnel) former() formerReading {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left == nil {
		return formerReading{}
	}
	dump, err := t.left.device.Peers(t.always)
	if err != nil {
		return formerReading{} // somebody took it away
	}
	for _, d := range t.left.observer.Observe(dump) {
		t.left.sum.received += d.Rx
		t.left.sum.sent += d.Tx
	}
	r := formerReading{there: true, moved: t.left.sum.received + t.left.sum.sent}
	if r.connections, err = t.network.Connections(t.left.now.Addresses); err != nil {
		t.log.Debug("could not look for connections in the former tunnel", "error", err)
		r.connections = 1 // nobody loses one for what could not be found out
	}
	return r
}
