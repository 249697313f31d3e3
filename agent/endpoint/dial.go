package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/heimdraht/heimdraht/agent/hostnet"
)

// findWithin leaves half of the time for a connection for the connection.
const findWithin = 4 * time.Second

// dialer connects to the control plane past the tunnel, also when the tunnel is dead and with it the name
// servers: it remembers where the control plane was.
type dialer struct {
	net     net.Dialer
	resolve Resolver

	mu    sync.Mutex
	known map[string][]netip.Addr
}

func newDialer(o Options) *dialer {
	d := &dialer{resolve: o.Resolve, known: make(map[string][]netip.Addr)}
	if o.Network != nil {
		d.net.Control = around
	}
	return d
}

// around marks the connection, so that a full tunnel lets it pass. Whoever may not mark has no full tunnel either.
func around(network, address string, conn syscall.RawConn) error {
	if err := hostnet.Around(network, address, conn); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
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
			return conn, nil
		}
		errs = append(errs, err)
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

// find looks the host up, and falls back to where it was last.
func (d *dialer) find(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, findWithin)
	defer cancel()
	found, err := d.resolve(ctx, "ip", host)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && len(found) > 0 {
		d.known[host] = found
		return found, nil
	}
	if known := d.known[host]; len(known) > 0 {
		return known, nil
	}
	if err == nil {
		err = errors.New("it has no address")
	}
	return nil, fmt.Errorf("looking up %s: %w", host, err)
}
