package endpoint

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// TestDialRemembers: when names are not answered any more, the control plane is where it was.
func TestDialRemembers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	check(t, err)
	var failing error
	inside := false
	d := newDialer(Options{Resolve: func(context.Context, string, string) ([]netip.Addr, error) {
		if failing != nil {
			return nil, failing
		}
		if inside {
			return []netip.Addr{netip.MustParseAddr("127.99.0.2")}, nil
		}
		// The first address refuses: nobody listens there.
		return []netip.Addr{netip.MustParseAddr("127.99.0.1"), netip.MustParseAddr("127.0.0.1")}, nil
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, failing = range []error{nil, errors.New("the tunnel is dead")} {
		conn, err := d.dial(ctx, "tcp", "vpn.stadt.example:"+port)
		check(t, err)
		check(t, conn.Close())
	}
	// Behind the tunnel the name has another address, which is reached through the tunnel only.
	failing, inside = nil, true
	conn, err := d.dial(ctx, "tcp", "vpn.stadt.example:"+port)
	check(t, err)
	check(t, conn.Close())
	failing = errors.New("the tunnel is dead")
	if _, err := d.dial(ctx, "tcp", "other.stadt.example:"+port); !errors.Is(err, failing) {
		t.Errorf("a host never seen: %v", err)
	}
}
