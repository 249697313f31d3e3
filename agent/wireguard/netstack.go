//go:build !nonetstack

package wireguard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// nic is the number of the one interface of the stack.
const nic tcpip.NICID = 1

// Net is the network inside the tunnel of a Netstack device: gVisor's TCP/IP, in this process. It ends with
// its device; everything on it then fails. All methods are safe for concurrent use.
//
// wireguard-go brings a netstack of its own. It is not used because it panics when it is closed while a packet
// is on its way out, which a load test with thousands of laptops meets, and because it cannot change its
// addresses or accept connections to foreign ones.
type Net struct {
	stack *stack.Stack
	link  *channel.Endpoint
	mtu   int
	batch int
	log   *slog.Logger

	ctx    context.Context // ends with the device, and with it the reading of packets
	cancel context.CancelFunc

	mu          sync.Mutex
	addresses   []netip.Addr
	nameServers []netip.Addr
}

// HasNetstack says whether this program has mode Netstack.
const HasNetstack = true

// openNetstack opens wireguard-go on a network stack in this process.
func openNetstack(o Options) (backend, facts, error) {
	network, err := newNet(o)
	if err != nil {
		return nil, facts{}, err
	}
	b, port, err := startInProcess(o, &stackTUN{network: network, events: make(chan tun.Event)})
	return b, facts{mode: Netstack, listenPort: port, net: network}, err
}

// newNet makes the stack with the addresses and name servers of the options.
func newNet(o Options) (*Net, error) {
	// Packets that wait to be encrypted. The stack takes a full queue for a busy line and sends again.
	const queue = 1024
	batch := 128
	if o.SmallFootprint {
		batch = 1
	}
	n := &Net{
		stack: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
			// The stack could reach its own addresses by itself, but would then take everybody's packets for
			// its own in forwarding, and drop them.
			HandleLocal: o.Foreign == nil,
		}),
		link:  channel.New(queue, uint32(o.MTU), ""),
		mtu:   o.MTU,
		batch: batch,
		log:   o.Logger,
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	sack := tcpip.TCPSACKEnabled(true) // off unless asked for; without it one lost packet costs a round trip
	err := n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	// gVisor's RACK (RFC 8985) gets lost after a burst of losses and goes on at one packet in each timeout, that
	// is, stands still. Without it, SACK recovery (RFC 6675) does.
	noRACK := tcpip.TCPRecovery(0)
	if err == nil {
		err = n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &noRACK)
	}
	if err == nil {
		err = n.stack.CreateNIC(nic, n.link)
	}
	if err != nil {
		n.close()
		return nil, fmt.Errorf("making a network stack: %v", err)
	}
	n.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	if err := n.SetAddresses(o.Addresses); err != nil {
		n.close()
		return nil, err
	}
	n.SetNameServers(o.NameServers)
	if o.Foreign != nil {
		if err := n.acceptForeign(o.Foreign); err != nil {
			n.close()
			return nil, err
		}
	}
	return n, nil
}

// SetAddresses makes these the addresses that the device answers to and sends from; the first one of each
// family is the one it sends from by itself. Connections on an address that is taken away fail.
func (n *Net) SetAddresses(addresses []netip.Addr) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	wanted := make(map[netip.Addr]bool, len(addresses))
	for _, address := range addresses {
		if !address.IsValid() {
			return errors.New("setting the addresses inside the tunnel: one of them is none")
		}
		wanted[address.Unmap()] = true
	}
	var now []netip.Addr
	held := make(map[netip.Addr]bool, len(n.addresses))
	for _, address := range n.addresses {
		if wanted[address] {
			held[address] = true
			now = append(now, address)
			continue
		}
		if err := n.stack.RemoveAddress(nic, tcpip.AddrFromSlice(address.AsSlice())); err != nil {
			return fmt.Errorf("taking the address %v from the network stack: %v", address, err)
		}
	}
	n.addresses = now
	for _, address := range addresses {
		address = address.Unmap()
		if held[address] {
			continue
		}
		err := n.stack.AddProtocolAddress(nic, tcpip.ProtocolAddress{
			Protocol:          protocolOf(address),
			AddressWithPrefix: tcpip.AddrFromSlice(address.AsSlice()).WithPrefix(),
		}, stack.AddressProperties{})
		if err != nil {
			return fmt.Errorf("giving the address %v to the network stack: %v", address, err)
		}
		held[address] = true
		n.addresses = append(n.addresses, address)
	}
	return nil
}

// Addresses returns the addresses that the device answers to.
func (n *Net) Addresses() []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]netip.Addr(nil), n.addresses...)
}

// SetNameServers makes these the servers that DialContext asks for names, in this order.
func (n *Net) SetNameServers(servers []netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nameServers = append([]netip.Addr(nil), servers...)
}

// close ends the stack and what waits for it. It may be called more than once.
func (n *Net) close() {
	n.cancel()
	// An error says that there is no interface, because it could not be made.
	_ = n.stack.RemoveNIC(nic)
	n.stack.Close()
	n.link.Close()
}

func protocolOf(address netip.Addr) tcpip.NetworkProtocolNumber {
	if address.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// stackAddress translates an address. The unspecified addresses, and none, mean all addresses.
func stackAddress(address netip.AddrPort) tcpip.FullAddress {
	full := tcpip.FullAddress{NIC: nic, Port: address.Port()}
	if ip := address.Addr().Unmap(); ip.IsValid() && !ip.IsUnspecified() {
		full.Addr = tcpip.AddrFromSlice(ip.AsSlice())
	}
	return full
}

// stackTUN is a Net as wireguard-go sees it: a TUN device whose packets come from the stack.
type stackTUN struct {
	network *Net
	events  chan tun.Event // none ever; closed to end wireguard-go's reader
	once    sync.Once
}

// Read waits for a packet and takes what else is there.
func (t *stackTUN) Read(packets [][]byte, sizes []int, offset int) (int, error) {
	packet := t.network.link.ReadContext(t.network.ctx)
	if packet == nil {
		return 0, os.ErrClosed
	}
	for count := 0; ; {
		sizes[count] = copyPacket(packets[count][offset:], packet)
		packet.DecRef()
		count++
		if count == len(packets) {
			return count, nil
		}
		if packet = t.network.link.Read(); packet == nil {
			return count, nil
		}
	}
}

func copyPacket(to []byte, packet *stack.PacketBuffer) int {
	n := 0
	for _, slice := range packet.AsSlices() {
		n += copy(to[n:], slice)
	}
	return n
}

// Write gives decrypted packets to the stack. What is not IP is dropped, as any interface would.
func (t *stackTUN) Write(packets [][]byte, offset int) (int, error) {
	if t.network.ctx.Err() != nil {
		return 0, net.ErrClosed
	}
	for _, packet := range packets {
		packet = packet[offset:]
		if len(packet) == 0 {
			continue
		}
		var protocol tcpip.NetworkProtocolNumber
		switch packet[0] >> 4 {
		case 4:
			protocol = header.IPv4ProtocolNumber
		case 6:
			protocol = header.IPv6ProtocolNumber
		default:
			continue
		}
		inbound := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
		t.network.link.InjectInbound(protocol, inbound)
		inbound.DecRef()
	}
	return len(packets), nil
}

// Close ends the stack.
func (t *stackTUN) Close() error {
	t.once.Do(func() {
		t.network.close()
		close(t.events)
	})
	return nil
}

func (t *stackTUN) File() *os.File           { return nil }
func (t *stackTUN) MTU() (int, error)        { return t.network.mtu, nil }
func (t *stackTUN) Name() (string, error)    { return "netstack", nil }
func (t *stackTUN) Events() <-chan tun.Event { return t.events }
func (t *stackTUN) BatchSize() int           { return t.network.batch }
