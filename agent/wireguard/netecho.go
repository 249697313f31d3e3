//go:build !nonetstack

package wireguard

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Echo sends one echo request to an address, and does not wait for the answer: that
// something came back shows in the counters of the peer.
func (n *Net) Echo(to netip.Addr) error {
	network, transport := header.IPv4ProtocolNumber, header.ICMPv4ProtocolNumber
	if to.Is6() {
		network, transport = header.IPv6ProtocolNumber, header.ICMPv6ProtocolNumber
	}
	route, err := n.stack.FindRoute(nic, tcpip.Address{}, tcpip.AddrFromSlice(to.AsSlice()), network, false)
	if err != nil {
		return fmt.Errorf("finding the way to %s: %v", to, err)
	}
	defer route.Release()
	message := make([]byte, header.ICMPv4MinimumSize)
	if to.Is6() {
		h := header.ICMPv6(message)
		h.SetType(header.ICMPv6EchoRequest)
		h.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: h, Src: route.LocalAddress(), Dst: route.RemoteAddress()}))
	} else {
		h := header.ICMPv4(message)
		h.SetType(header.ICMPv4Echo)
		h.SetChecksum(header.ICMPv4Checksum(h, 0))
	}
	packet := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: int(route.MaxHeaderLength()), Payload: buffer.MakeWithData(message),
	})
	defer packet.DecRef()
	if err := route.WritePacket(stack.NetworkHeaderParams{Protocol: transport, TTL: route.DefaultTTL()}, packet); err != nil {
		return fmt.Errorf("asking %s for an echo: %v", to, err)
	}
	return nil
}
