package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/heimdraht/heimdraht/agent/hostnet"
)

// findWithin leaves half of the time for a connection for the connection.
const findWithin = 4 * time.Second

// dialer connects to the control plane past the tunnel. It remembers where the control plane was reached: with a dead
// tunnel the name servers are dead too, and with a living one they may name an address that only the inside knows.
type dialer struct {
	net     net.Dialer
	resolve Resolver

	mu    sync.Mutex
	known map[string]netip.Addr
}

func newDialer(o Options) *dialer {
	d := &dialer{resolve: o.Resolve, known: make(map[string]netip.Addr)}
	d.net.ControlContext = small
	if o.Network != nil {
		d.net.ControlContext = around(o.Network)
	}
	return d
}

// small keeps a connection to packets that come through everywhere.
func small(_ context.Context, network, _ string, conn syscall.RawConn) error {
	return hostnet.SmallSegments(network, conn)
}

// around keeps the connection from going through the tunnel. Whoever lacks the rights for that has no tunnel either.
func around(host *hostnet.Host) func(ctx context.Context, network, address string, conn syscall.RawConn) error {
	return func(ctx context.Context, network, address string, conn syscall.RawConn) error {
		if err := host.Around(ctx, network, address, conn); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return small(ctx, network, address, conn)
	}
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialling: %w", err)
	}
	addrs, err := d.find(ctx, host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i, addr := range addrs {
		conn, err := d.dialOne(ctx, network, net.JoinHostPort(addr.String(), port), len(addrs)-i)
		if err == nil {
			d.mu.Lock()
			d.known[host] = addr
			d.mu.Unlock()
			return conn, nil
		}
		errs = append(errs, err)
	}
	if literal, err := netip.ParseAddr(host); err == nil && literal.Is4() && errors.Is(errors.Join(errs...), syscall.ENETUNREACH) {
		for _, addr := range translated(ctx, d.resolve, literal) {
			conn, err := d.dialOne(ctx, network, net.JoinHostPort(addr.String(), port), 1)
			if err == nil {
				return conn, nil
			}
			errs = append(errs, err)
		}
	}
	return nil, errors.Join(errs...)
}

// dialOne gives the address its share of the time, so that one which swallows packets does not use up all.
func (d *dialer) dialOne(ctx context.Context, network, address string, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return d.net.DialContext(ctx, network, address)
}

// find looks the host up. Where it was last comes first if it still is there, and else last.
func (d *dialer) find(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, findWithin)
	defer cancel()
	found, err := d.resolve(ctx, "ip", host)
	d.mu.Lock()
	known, isKnown := d.known[host]
	d.mu.Unlock()
	if i := slices.Index(found, known); isKnown && i >= 0 {
		return slices.Insert(slices.Delete(slices.Clone(found), i, i+1), 0, known), nil
	}
	if isKnown {
		return append(slices.Clone(found), known), nil
	}
	if err == nil && len(found) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", host, err)
	}
	return found, nil
}
