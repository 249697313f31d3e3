package hostnet

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/windows"
)

// Of ws2ipdef.h.
const (
	ipDontFragment   = 14
	ipv6DontFragment = 14
)

// whole has a socket's packets never be sent in parts.
func whole(network, _ string, conn syscall.RawConn) error {
	var setting error
	err := conn.Control(func(fd uintptr) {
		if network[2] == '6' {
			setting = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, ipv6DontFragment, 1)
		} else {
			setting = windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, ipDontFragment, 1)
		}
	})
	if err := errors.Join(err, setting); err != nil {
		return fmt.Errorf("asking for whole packets: %w", err)
	}
	return nil
}
