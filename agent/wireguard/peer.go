package wireguard

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Peer is what a device must hold for one other end of a tunnel.
type Peer struct {
	PublicKey Key
	// PresharedKey zero: none.
	PresharedKey PresharedKey
	// AllowedIPs are the addresses that the peer may send from and that are sent to it. None: the peer can
	// shake hands and nothing else.
	AllowedIPs []netip.Prefix
	// Endpoint is where to reach the peer at first. Zero: learnt from its first packet. Peers roam, so that
	// a device may know better after a while; see Plan.
	Endpoint netip.AddrPort
	// Keepalive is how often an empty packet keeps the way through firewalls open, in whole seconds up to
	// 65,535. Zero: never.
	Keepalive time.Duration
}

// PeerStatus is a peer as a device reports it.
type PeerStatus struct {
	// Peer is the peer as installed; its Endpoint is where it was last heard from.
	Peer
	// LastHandshake is zero if there was none since the peer was added.
	LastHandshake time.Time
	// Rx and Tx count the bytes received and sent since the peer was added, handshakes and keepalives
	// included (an idle peer with a keepalive of 25 s grows by about 3 bytes a second).
	Rx, Tx uint64
}

// Installed returns the peers of a dump without their counters, as Plan wants them.
func Installed(dump []PeerStatus) []Peer {
	peers := make([]Peer, len(dump))
	for i, status := range dump {
		peers[i] = status.Peer
	}
	return peers
}

// maxKeepalive is the largest interval that WireGuard's 16 bits of seconds hold.
const maxKeepalive = 65535 * time.Second

var (
	errNoKey     = errors.New("the peer has no public key")
	errKeepalive = errors.New("a keepalive is 0 to 65,535 whole seconds")
)

// validate says what of the peer no device could install.
func (p Peer) validate() error {
	if p.PublicKey.IsZero() {
		return errNoKey
	}
	if p.Keepalive < 0 || p.Keepalive > maxKeepalive || p.Keepalive%time.Second != 0 {
		return errKeepalive
	}
	if p.Endpoint != (netip.AddrPort{}) && (!p.Endpoint.IsValid() || p.Endpoint.Port() == 0) {
		return fmt.Errorf("the endpoint %q is no address with a port", p.Endpoint)
	}
	for _, prefix := range p.AllowedIPs {
		if !prefix.IsValid() {
			return errors.New("an allowed address is no prefix")
		}
	}
	return nil
}

// normalPrefixes returns the valid ones of the prefixes as a device would report them: host bits zero,
// IPv4 as IPv4, none twice. The order stays.
func normalPrefixes(prefixes []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(prefixes))
	for _, prefix := range prefixes {
		prefix, ok := normalPrefix(prefix)
		if !ok || contains(out, prefix) {
			continue
		}
		out = append(out, prefix)
	}
	return out
}

func normalPrefix(prefix netip.Prefix) (netip.Prefix, bool) {
	if !prefix.IsValid() {
		return netip.Prefix{}, false
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), true
}

// contains is slices.Contains, except that a session has two addresses and a list of that length needs no
// map: at 29,000 peers the maps would cost more than everything else here.
func contains(list []netip.Prefix, prefix netip.Prefix) bool {
	for _, other := range list {
		if other == prefix {
			return true
		}
	}
	return false
}
