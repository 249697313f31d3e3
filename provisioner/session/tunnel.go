package session

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Tunnel is what a laptop installs for a session.
type Tunnel struct {
	Addresses    []netip.Prefix // at most one a family
	Gateway      string
	Probes       []netip.Addr // the gateway's inside addresses, which answer probes
	Endpoint     string       // host and UDP port
	PublicKey    provisioner.Key
	PresharedKey [32]byte
	AllowedIPs   []netip.Prefix
	Full         bool
	LocalDenied  bool // what is in the laptop's own network is not reached; with Full only
	DNSServers   []netip.Addr
	DNSDomains   []string
	MTU          int
	Keepalive    time.Duration
}

// Peer is what a gateway installs for a session.
type Peer struct {
	Session      string
	PublicKey    provisioner.Key
	PresharedKey [32]byte
	AllowedIPs   []netip.Prefix
	NotAfter     time.Time               // zero: as long as the session
	Access       *provisioner.AccessList // nil: Peer does not say it
}

// Peer derives what the gateway must install for an open session.
func (s *Service) Peer(session provisioner.Session, gateway provisioner.Gateway) (Peer, error) {
	key, err := s.Keys.PresharedKey(session.KeyVersion, cmp.Or(session.KeyOf, session.ID))
	if err != nil {
		return Peer{}, fmt.Errorf("deriving the preshared key of a session: %w", err)
	}
	return Peer{
		Session: session.ID, PublicKey: session.PublicKey, PresharedKey: key,
		AllowedIPs: Addresses(session, gateway), NotAfter: session.NotAfter(),
	}, nil
}

// Addresses are those of a session, each as a prefix of one address.
func Addresses(session provisioner.Session, gateway provisioner.Gateway) []netip.Prefix {
	v4, v6 := aggregateOf(gateway).Addresses(session.AddressIndex)
	return hosts(v4, v6)
}

func hosts(addrs ...netip.Addr) []netip.Prefix {
	var list []netip.Prefix
	for _, a := range addrs {
		if a.IsValid() {
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return list
}

func (s *Service) tunnel(session provisioner.Session, gateway provisioner.Gateway, tenant provisioner.Tenant, standing provisioner.Standing) (Tunnel, error) {
	peer, err := s.Peer(session, gateway)
	if err != nil {
		return Tunnel{}, err
	}
	t := Tunnel{
		Addresses: peer.AllowedIPs, Gateway: gateway.Name, Endpoint: gateway.Endpoint, PublicKey: gateway.PublicKey,
		PresharedKey: peer.PresharedKey, Full: tenant.Policy.Tunnel == provisioner.TunnelFull && !tenant.PasswordOnly(standing),
		DNSServers: tenant.Policy.DNSServers, DNSDomains: tenant.Policy.DNSDomains,
		Probes: probes(gateway, peer.AllowedIPs),
		MTU:    provisioner.TunnelMTU, Keepalive: provisioner.Keepalive,
	}
	t.LocalDenied = t.Full && tenant.Policy.LocalNetworks == provisioner.LocalDenied
	t.AllowedIPs = allowedIPs(t, gateway, tenant.Destinations(standing))
	return t, nil
}

// probes are the gateway's inside addresses of the families that the laptop has.
func probes(gateway provisioner.Gateway, own []netip.Prefix) (list []netip.Addr) {
	v4, v6 := aggregateOf(gateway).GatewayAddresses()
	for _, a := range []netip.Addr{v4, v6} {
		if a.IsValid() && slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Addr().Is4() == a.Is4() }) {
			list = append(list, a)
		}
	}
	return list
}

// allowedIPs is what goes through the tunnel: everything, or what the person
// was granted, her name servers and the gateway's inside address (so that it
// can be seen whether the tunnel works). A full tunnel names both families, so
// that the laptop blocks the one that has no address inside; a split one only
// those in which the laptop has an address.
func allowedIPs(t Tunnel, gateway provisioner.Gateway, granted []provisioner.Destination) []netip.Prefix {
	if t.Full {
		return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	list := hosts(aggregateOf(gateway).GatewayAddresses())
	list = append(list, hosts(t.DNSServers...)...)
	for _, d := range granted {
		list = append(list, d.Prefix.Masked())
	}
	list = slices.DeleteFunc(list, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(t.Addresses, func(a netip.Prefix) bool { return a.Addr().Is4() == p.Addr().Is4() })
	})
	return widest(list)
}

// widest leaves out prefixes that lie within another, sorts, and drops doubles.
func widest(list []netip.Prefix) []netip.Prefix {
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if c := a.Bits() - b.Bits(); c != 0 {
			return c
		}
		return a.Addr().Compare(b.Addr())
	})
	var out []netip.Prefix
	for _, p := range list {
		if !slices.ContainsFunc(out, func(o netip.Prefix) bool { return o.Contains(p.Addr()) }) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return out
}
