//go:build !nonetstack

package wireguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// DialContext connects through the tunnel, as net.Dialer.DialContext would without one. Networks are tcp, tcp4,
// tcp6, udp, udp4 and udp6. Names are asked of the name servers inside the tunnel, never of the host's.
func (n *Net) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := n.dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("dialling %s through the tunnel: %w", address, err)
	}
	return conn, nil
}

func (n *Net) dial(ctx context.Context, network, address string) (net.Conn, error) {
	protocol, family := strings.TrimRight(network, "46"), strings.TrimLeft(network, "tcpud")
	if protocol != "tcp" && protocol != "udp" || len(family) > 1 {
		return nil, net.UnknownNetworkError(network)
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("the port %q is no number up to 65,535", portText)
	}
	candidates, err := n.candidates(ctx, family, host)
	if err != nil {
		return nil, err
	}
	// A TCP/IP stack would try for minutes, and one dead address must not use up the time of the others.
	var errs []error
	for i, ip := range candidates {
		attempt, cancel := context.WithTimeout(ctx, dialShare(ctx, len(candidates)-i))
		conn, err := n.dialAddress(attempt, protocol, netip.AddrPortFrom(ip, uint16(port)))
		cancel()
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// candidates returns the addresses of the host that are of a family which the device has an address of.
func (n *Net) candidates(ctx context.Context, family, host string) ([]netip.Addr, error) {
	var ips []netip.Addr
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = []netip.Addr{ip.Unmap()}
	} else if ips, err = n.LookupNetIP(ctx, host); err != nil {
		return nil, err
	}
	var has4, has6 bool
	for _, own := range n.Addresses() {
		has4, has6 = has4 || own.Is4(), has6 || own.Is6()
	}
	var out []netip.Addr
	for _, ip := range ips {
		if ip.Is4() && has4 && family != "6" || ip.Is6() && has6 && family != "4" {
			out = append(out, ip)
		}
	}
	if len(out) == 0 {
		return nil, &net.AddrError{Err: "no address of a family that the tunnel carries", Addr: host}
	}
	return out, nil
}

const (
	// maxDialTime bounds an attempt without a deadline of its own.
	maxDialTime = 30 * time.Second
	// minDialTime is enough for two lost packets, even if little of the deadline is left.
	minDialTime = 2 * time.Second
)

// dialShare divides the time that is left evenly among the addresses that are left.
func dialShare(ctx context.Context, left int) time.Duration {
	remaining := maxDialTime
	if deadline, ok := ctx.Deadline(); ok {
		remaining = min(remaining, time.Until(deadline))
	}
	return max(minDialTime, remaining/time.Duration(left))
}

func (n *Net) dialAddress(ctx context.Context, protocol string, to netip.AddrPort) (net.Conn, error) {
	if err := n.ctx.Err(); err != nil {
		return nil, net.ErrClosed
	}
	full := stackAddress(to)
	full.NIC = 0 // any: an own address is reached without the tunnel
	if protocol == "udp" {
		conn, err := gonet.DialUDP(n.stack, nil, &full, protocolOf(to.Addr()))
		if err != nil {
			return nil, withErrno(err)
		}
		return conn, nil
	}
	conn, err := gonet.DialContextTCP(ctx, n.stack, full, protocolOf(to.Addr()))
	if err != nil {
		return nil, withErrno(err)
	}
	return conn, nil
}

// withErrno gives the error numbers back that gonet has turned into text, for those who tell a refused
// connection from a dead tunnel.
func withErrno(err error) error {
	for text, errno := range map[string]syscall.Errno{
		(&tcpip.ErrConnectionRefused{}).String():  syscall.ECONNREFUSED,
		(&tcpip.ErrHostUnreachable{}).String():    syscall.EHOSTUNREACH,
		(&tcpip.ErrNetworkUnreachable{}).String(): syscall.ENETUNREACH,
		(&tcpip.ErrConnectionReset{}).String():    syscall.ECONNRESET,
		(&tcpip.ErrPortInUse{}).String():          syscall.EADDRINUSE,
	} {
		if strings.HasSuffix(err.Error(), text) {
			return fmt.Errorf("%w: %w", err, errno)
		}
	}
	return err
}

// ListenTCP accepts connections from inside the tunnel. An unspecified address means all the device's own;
// port 0 any free one.
func (n *Net) ListenTCP(address netip.AddrPort) (net.Listener, error) {
	if n.ctx.Err() != nil {
		return nil, fmt.Errorf("listening inside the tunnel: %w", net.ErrClosed)
	}
	listener, err := gonet.ListenTCP(n.stack, stackAddress(address), listenProtocol(address))
	if err != nil {
		return nil, fmt.Errorf("listening on %v inside the tunnel: %w", address, withErrno(err))
	}
	l := &stackListener{TCPListener: listener, network: n.ctx}
	opened := make(chan struct{})
	l.detach = context.AfterFunc(n.ctx, func() {
		<-opened
		_ = l.Close()
	})
	close(opened)
	return l, nil
}

// ListenUDP receives packets from inside the tunnel.
func (n *Net) ListenUDP(address netip.AddrPort) (net.PacketConn, error) {
	if n.ctx.Err() != nil {
		return nil, fmt.Errorf("listening inside the tunnel: %w", net.ErrClosed)
	}
	local := stackAddress(address)
	conn, err := gonet.DialUDP(n.stack, &local, nil, listenProtocol(address))
	if err != nil {
		return nil, fmt.Errorf("listening on %v inside the tunnel: %w", address, withErrno(err))
	}
	return conn, nil
}

// listenProtocol is IPv6 for the unspecified address of IPv6 and for none: such a socket hears both.
func listenProtocol(address netip.AddrPort) tcpip.NetworkProtocolNumber {
	if address.Addr().Unmap().Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// stackListener is a listener that says net.ErrClosed when it is closed, as the standard library expects, and
// that closes with its network.
type stackListener struct {
	*gonet.TCPListener
	once    sync.Once
	closed  atomic.Bool
	network context.Context // ends with the network
	detach  func() bool     // ends the watch over it
}

// Accept waits for a connection.
func (l *stackListener) Accept() (net.Conn, error) {
	conn, err := l.TCPListener.Accept()
	if err != nil {
		if l.closed.Load() || l.network.Err() != nil {
			return nil, net.ErrClosed
		}
		return nil, fmt.Errorf("accepting inside the tunnel: %w", err)
	}
	return conn, nil
}

// Close stops listening. It may be called more than once.
func (l *stackListener) Close() error {
	l.once.Do(func() {
		l.closed.Store(true)
		l.detach()
		l.TCPListener.Shutdown()
		_ = l.TCPListener.Close() // never fails
	})
	return nil
}

// acceptForeign makes the stack accept TCP connections to foreign addresses. It is called before any packet
// moves: the stack reads what this writes without a lock.
func (n *Net) acceptForeign(handler Handler) error {
	if err := n.stack.SetPromiscuousMode(nic, true); err != nil {
		return fmt.Errorf("accepting packets for other addresses: %v", err)
	}
	if err := n.stack.SetSpoofing(nic, true); err != nil {
		return fmt.Errorf("answering from other addresses: %v", err)
	}
	// Handshakes in progress at a time; a client whose first packet finds no room sends it again.
	const inFlight = 1024
	forwarder := tcp.NewForwarder(n.stack, 0, inFlight, func(request *tcp.ForwarderRequest) {
		n.forward(request, handler)
	})
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, func(id stack.TransportEndpointID, packet *stack.PacketBuffer) bool {
		return !n.owns(id.LocalAddress) && forwarder.HandlePacket(id, packet)
	})
	return nil
}

func (n *Net) forward(request *tcp.ForwarderRequest, handler Handler) {
	id := request.ID()
	var queue waiter.Queue
	endpoint, err := request.CreateEndpoint(&queue)
	request.Complete(err != nil)
	if err != nil {
		n.log.Debug("a connection through the gateway did not come about", "reason", err.String())
		return
	}
	handler(gonet.NewTCPConn(&queue, endpoint), netip.AddrPortFrom(netipOf(id.LocalAddress), id.LocalPort))
}

// owns says whether the address is one of the device's own.
func (n *Net) owns(address tcpip.Address) bool {
	ip := netipOf(address)
	for _, own := range n.Addresses() {
		if own == ip {
			return true
		}
	}
	return false
}

func netipOf(address tcpip.Address) netip.Addr {
	ip, _ := netip.AddrFromSlice(address.AsSlice()) // of no bytes: invalid, as it should be
	return ip
}
