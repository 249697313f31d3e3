package endpoint

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"syscall"

	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// Where the gateway is, and that the way there does not lead into the tunnel itself.

// locate finds the gateway's addresses. None is no error: the network may be away, and tend goes on looking.
// A *rejection: they lie in what is reached through the gateway, and its packets, unmarked, would go in circles.
func (t *hostTunnel) locate(ctx context.Context, s *settings) ([]netip.Addr, error) {
	var found []netip.Addr
	if addr, err := netip.ParseAddr(s.Host); err == nil {
		found = []netip.Addr{addr.Unmap()}
		if t.unreached(ctx, addr.Unmap(), s.Port) {
			ctx, cancel := context.WithTimeout(ctx, resolveWithin)
			defer cancel()
			if others := translated(ctx, t.resolve, addr.Unmap()); len(others) > 0 {
				found = others
			}
		}
	} else {
		ctx, cancel := context.WithTimeout(ctx, resolveWithin)
		defer cancel()
		found, err = t.resolve(ctx, "ip", s.Host)
		if err != nil {
			t.log.Warn("could not find the gateway", "host", s.Host, "error", err)
			return nil, nil
		}
	}
	var outside []netip.Addr
	for _, addr := range found {
		if addr = addr.Unmap(); !slices.Contains(outside, addr) && (t.aside() || !covered(addr, s.AllowedIPs)) {
			outside = append(outside, addr)
		}
	}
	if len(found) > 0 && len(outside) == 0 {
		return nil, gatewayInside(s.Host)
	}
	return outside, nil
}

// unreached says whether this network has no way to an address of IPv4.
func (t *hostTunnel) unreached(ctx context.Context, addr netip.Addr, port uint16) bool {
	if !addr.Is4() || t.network == nil {
		return false
	}
	_, _, err := t.network.Path(ctx, netip.AddrPortFrom(addr, port))
	return errors.Is(err, syscall.ENETUNREACH)
}

// aside says whether encrypted packets find their way around the tunnel whatever goes through it: by their mark, or
// because the host knows no routes into a netstack.
func (t *hostTunnel) aside() bool {
	return t.options.Mode == wireguard.Netstack || t.options.FirewallMark != 0
}

func covered(addr netip.Addr, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
