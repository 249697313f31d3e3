package config

import (
	"net/netip"

	"github.com/heimdraht/heimdraht/provisioner"
)

// The most sessions that a gateway can be declared with.
const mostSessions = 1_000_000

// aggregate is a gateway's prefix, kept to compare with the others'.
type aggregate struct {
	prefix  netip.Prefix
	gateway string
}

func (l *loader) gateway(m *mapping) provisioner.Gateway {
	var g provisioner.Gateway
	g.Name = l.name(m)
	m.needText("endpoint", &g.Endpoint, hostPort(51820))
	if v, ok := m.need("sessions"); ok {
		g.Sessions, _ = v.whole(1, mostSessions)
	}
	if v, ok := m.need("aggregate"); ok {
		if a := v.mapping("aggregate").under("aggregate."); a != nil {
			g.AggregateV4 = l.aggregate(a, "v4", g)
			g.AggregateV6 = l.aggregate(a, "v6", g)
			if len(a.keys) == 0 {
				v.failf("needs v4, v6 or both")
			}
			a.done()
		}
	}
	m.list("tenants", "names of tenants", &g.Tenants, name)
	m.flag("masquerade", &g.Masquerade)
	m.whole("weight", &g.Weight, 1, provisioner.MostWeight)
	m.text("site", &g.Site, name)
	m.bitRate("throughput", &g.Throughput)
	m.percentages("warn", &g.WarnAt, 100)
	return g
}

func (l *loader) aggregate(m *mapping, family string, g provisioner.Gateway) netip.Prefix {
	v, ok := m.ask(family)
	if !ok {
		return netip.Prefix{}
	}
	s, ok := v.text()
	if !ok {
		return netip.Prefix{}
	}
	p, ok := prefix(v, s)
	if !ok {
		return netip.Prefix{}
	}
	if (family == "v4") != p.Addr().Is4() {
		v.failf("%s is of the other family", p)
		return netip.Prefix{}
	}
	if p.Bits() == 0 || p.Addr().IsMulticast() || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() || p.Addr().IsUnspecified() {
		v.failf("%s cannot be given to laptops: use a private network of your own", p)
		return netip.Prefix{}
	}
	// Addresses of a laptop number the sessions; each needs one of its own.
	if room := p.Addr().BitLen() - p.Bits(); room < 62 && g.Sessions > int64(1)<<room {
		v.failf("%s has %d addresses, fewer than the %d sessions", p, int64(1)<<room, g.Sessions)
		return netip.Prefix{}
	}
	for _, other := range l.aggregates {
		if other.prefix.Overlaps(p) {
			// The inside network routes each aggregate to one gateway.
			v.failf("%s overlaps with %s of gateway %s", p, other.prefix, other.gateway)
			return p
		}
	}
	l.aggregates = append(l.aggregates, aggregate{p, g.Name})
	return p
}
