package hostnet

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Of netinet/in.h and netinet6/in6.h.
const (
	ipDontFrag   = 28
	ipv6DontFrag = 62
)

// whole has a socket's packets never be sent in parts.
func whole(network, _ string, conn syscall.RawConn) error {
	var setting error
	err := conn.Control(func(fd uintptr) {
		if network[2] == '6' {
			setting = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, ipv6DontFrag, 1)
		} else {
			setting = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, ipDontFrag, 1)
		}
	})
	if err := errors.Join(err, setting); err != nil {
		return fmt.Errorf("asking for whole packets: %w", err)
	}
	return nil
}
