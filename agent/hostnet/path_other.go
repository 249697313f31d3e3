//go:build windows || darwin

package hostnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Path is how packets around the tunnel leave for an address: from which address of this machine, and in which size at
// most as far as is known here. Nothing is sent.
func (h *Host) Path(ctx context.Context, to netip.AddrPort) (from netip.Addr, mtu int, err error) {
	conn, err := (&net.Dialer{ControlContext: h.Around}).DialContext(ctx, "udp", to.String())
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("looking for the way to %v: %w", to, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	from = conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	index, err := h.Outside(ctx, to.Addr())
	if err != nil || index == 0 {
		return from, 0, err
	}
	by, err := net.InterfaceByIndex(int(index))
	if err != nil {
		return from, 0, fmt.Errorf("looking what fits on the way to %v: %w", to, err)
	}
	return from, by.MTU, nil
}
