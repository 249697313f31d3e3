package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// States of the kernel that are no connection: one that is over and only remembered (TCP_TIME_WAIT), and who listens
// (TCP_LISTEN).
const timeWait, listens = 6, 10

// Connections counts the TCP connections of this machine that have one of these addresses as their own end. Those of
// containers, which have a network of their own, are not among them, and neither is what knows no connections.
func (*Host) Connections(own []netip.Addr) (n int, err error) {
	for _, family := range families() {
		list, err := settled(func() ([]*netlink.Socket, error) { return netlink.SocketDiagTCP(uint8(family)) })
		if family == netlink.FAMILY_V6 && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT)) {
			continue // a kernel without IPv6; one that cannot list connections at all has said so of IPv4
		}
		if err != nil {
			return n, fmt.Errorf("listing the connections of this machine: %w", err)
		}
		for _, s := range list {
			// One over IPv4 may belong to a socket of IPv6.
			source, ok := netip.AddrFromSlice(s.ID.Source)
			if ok && s.State != timeWait && s.State != listens && slices.Contains(own, source.Unmap()) {
				n++
			}
		}
	}
	return n, nil
}
