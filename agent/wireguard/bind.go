package wireguard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"

	"golang.zx2c4.com/wireguard/conn"
)

// smallBind is a UDP socket for wireguard-go that handles one packet at a time, and that can be bound to one
// local address. wireguard-go's own one handles 128 packets at a time, and keeps 64 KB for each of them in
// each of its goroutines.
type smallBind struct {
	source netip.Addr // zero: all addresses, IPv4 and IPv6

	mu       sync.RWMutex
	ip4, ip6 *net.UDPConn
}

// receiveBuffer is how many bytes may wait in the kernel to be decrypted.
const receiveBuffer = 2 << 20

func newSmallBind(source netip.Addr) *smallBind { return &smallBind{source: source.Unmap()} }

// Open listens on the port, or on any free one if it is 0.
func (b *smallBind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ip4 != nil || b.ip6 != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	// Where the port is free to choose, one that is free for IPv4 may be taken for IPv6.
	const attempts = 100
	for attempt := 1; ; attempt++ {
		err := b.listen(port)
		if err == nil {
			break
		}
		if closing := b.closeLocked(); closing != nil {
			return nil, 0, errors.Join(err, closing)
		}
		if port != 0 || attempt == attempts || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, 0, err
		}
	}
	var receive []conn.ReceiveFunc
	actual := port
	for _, socket := range []*net.UDPConn{b.ip4, b.ip6} {
		if socket != nil {
			receive = append(receive, receiveFrom(socket))
			actual = localPort(socket)
			// The kernel's default holds 90 packets, less than a TCP window; beyond it packets are lost. It is a
			// limit and takes no memory by itself. A system that allows less gives what it allows.
			_ = socket.SetReadBuffer(receiveBuffer)
		}
	}
	return receive, actual, nil
}

// listen opens the sockets that the source address asks for.
func (b *smallBind) listen(port uint16) (err error) {
	if b.source.IsValid() {
		socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(b.source, port)))
		if err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		if b.source.Is4() {
			b.ip4 = socket
		} else {
			b.ip6 = socket
		}
		return nil
	}
	if b.ip4, err = net.ListenUDP("udp4", &net.UDPAddr{Port: int(port)}); err != nil {
		b.ip4 = nil
		return fmt.Errorf("listening for IPv4: %w", err)
	}
	b.ip6, err = net.ListenUDP("udp6", &net.UDPAddr{Port: int(localPort(b.ip4))})
	if err != nil {
		b.ip6 = nil
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("listening for IPv6: %w", err)
		}
		// A host without IPv6, whatever errno its system has for it.
	}
	return nil
}

func localPort(socket *net.UDPConn) uint16 {
	address, ok := socket.LocalAddr().(*net.UDPAddr)
	if !ok {
		return 0
	}
	return uint16(address.Port)
}

func receiveFrom(socket *net.UDPConn) conn.ReceiveFunc {
	return func(packets [][]byte, sizes []int, endpoints []conn.Endpoint) (int, error) {
		n, from, err := socket.ReadFromUDPAddrPort(packets[0])
		if err != nil {
			return 0, err
		}
		sizes[0], endpoints[0] = n, smallEndpoint{unmapped(from)}
		return 1, nil
	}
}

// Send writes the packets to the endpoint.
func (b *smallBind) Send(packets [][]byte, endpoint conn.Endpoint) error {
	to, ok := endpoint.(smallEndpoint)
	if !ok {
		return conn.ErrWrongEndpointType
	}
	b.mu.RLock()
	socket := b.ip4
	if to.Addr().Is6() {
		socket = b.ip6
	}
	b.mu.RUnlock()
	if socket == nil {
		return syscall.EAFNOSUPPORT
	}
	for _, packet := range packets {
		if _, err := socket.WriteToUDPAddrPort(packet, to.AddrPort); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the sockets; they can be opened again.
func (b *smallBind) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closeLocked()
}

func (b *smallBind) closeLocked() error {
	var errs []error
	for _, socket := range []*net.UDPConn{b.ip4, b.ip6} {
		if socket != nil {
			errs = append(errs, socket.Close())
		}
	}
	b.ip4, b.ip6 = nil, nil
	return errors.Join(errs...)
}

// SetMark is refused on Linux: Options do not allow a mark together with this socket. Elsewhere there are no marks.
func (b *smallBind) SetMark(mark uint32) error {
	if mark != 0 && runtime.GOOS == "linux" {
		return errors.New("this socket has no firewall mark")
	}
	return nil
}

// ParseEndpoint reads an address and port.
func (b *smallBind) ParseEndpoint(s string) (conn.Endpoint, error) {
	to, err := netip.ParseAddrPort(s)
	if err != nil {
		return nil, err
	}
	return smallEndpoint{unmapped(to)}, nil
}

// BatchSize is one packet.
func (b *smallBind) BatchSize() int { return 1 }

// smallEndpoint is where packets go. It remembers no source address: the socket has one, or the route says.
type smallEndpoint struct{ netip.AddrPort }

func (smallEndpoint) ClearSrc()             {}
func (smallEndpoint) SrcToString() string   { return "" }
func (smallEndpoint) SrcIP() netip.Addr     { return netip.Addr{} }
func (e smallEndpoint) DstIP() netip.Addr   { return e.Addr() }
func (e smallEndpoint) DstToString() string { return e.AddrPort.String() }

// DstToBytes is what a cookie is bound to (WireGuard, section 5.4.7: address and port).
func (e smallEndpoint) DstToBytes() []byte {
	b, err := e.MarshalBinary()
	if err != nil {
		return nil
	}
	return b
}
