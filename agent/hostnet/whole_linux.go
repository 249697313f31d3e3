package hostnet

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// whole has a socket's packets never be sent in parts, however small the kernel believes the way to be.
func whole(network, _ string, conn syscall.RawConn) error {
	var setting error
	err := conn.Control(func(fd uintptr) {
		if network[2] == '6' {
			setting = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
		} else {
			setting = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		}
	})
	if err := errors.Join(err, setting); err != nil {
		return fmt.Errorf("asking for whole packets: %w", err)
	}
	return nil
}

// mtuOf is the largest packet that the kernel believes to fit on the way of a connected socket: that of the route, or of
// the interface, or what a router has answered.
func mtuOf(conn *net.UDPConn, ipv4 bool) (mtu int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var reading error
	err = raw.Control(func(fd uintptr) {
		if ipv4 {
			mtu, reading = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU)
		} else {
			mtu, reading = unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU)
		}
	})
	return mtu, errors.Join(err, reading)
}
