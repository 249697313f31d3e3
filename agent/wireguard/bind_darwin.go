package wireguard

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
)

// newBind is always our own socket: wireguard-go's cannot be bound to an interface on macOS, and handles one packet at a
// time there too.
func newBind(o Options) conn.Bind { return newSmallBind(o.Source) }

// BindSocketToInterface4 uses ip(4)'s IP_BOUND_IF. A hole is never asked for.
func (b *smallBind) BindSocketToInterface4(index uint32, _ bool) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return boundTo(b.ip4, unix.IPPROTO_IP, unix.IP_BOUND_IF, index)
}

// BindSocketToInterface6 is the same for IPv6.
func (b *smallBind) BindSocketToInterface6(index uint32, _ bool) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return boundTo(b.ip6, unix.IPPROTO_IPV6, unix.IPV6_BOUND_IF, index)
}

func boundTo(socket *net.UDPConn, level, option int, index uint32) error {
	if socket == nil {
		return net.ErrClosed
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var binding error
	err = raw.Control(func(fd uintptr) { binding = unix.SetsockoptInt(int(fd), level, option, int(index)) })
	return errors.Join(err, binding)
}
