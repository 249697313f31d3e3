package hostnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// echoWithin bounds how long sending one packet may take: a full queue drops it.
const echoWithin = 500 * time.Millisecond

// Echo sends one echo request to an address, and does not wait for the answer: that
// something came back shows in the counters of the tunnel through which it went. It
// takes the rights of an administrator, or on Linux the sysctl ping_group_range.
func Echo(to netip.Addr) (err error) {
	raw, datagram, any := "ip4:icmp", "udp4", "0.0.0.0"
	var kind icmp.Type = ipv4.ICMPTypeEcho
	if to.Is6() {
		raw, datagram, any, kind = "ip6:ipv6-icmp", "udp6", "::", ipv6.ICMPTypeEchoRequest
	}
	// The kernel fills in the checksum of ICMPv6, of which the own address is a part.
	message, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{Seq: 1}}).Marshal(nil)
	if err != nil {
		return fmt.Errorf("writing an echo request: %w", err)
	}
	var target net.Addr = &net.IPAddr{IP: to.AsSlice()}
	conn, err := icmp.ListenPacket(raw, any)
	if err != nil {
		var less error
		if conn, less = icmp.ListenPacket(datagram, any); less != nil {
			return fmt.Errorf("opening a socket for echo requests: %w", errors.Join(err, less))
		}
		target = &net.UDPAddr{IP: to.AsSlice()}
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetWriteDeadline(time.Now().Add(echoWithin)); err != nil {
		return fmt.Errorf("asking %s for an echo: %w", to, err)
	}
	if _, err := conn.WriteTo(message, target); err != nil {
		return fmt.Errorf("asking %s for an echo: %w", to, err)
	}
	return nil
}
