package plan

import (
	"slices"

	"github.com/heimdraht/heimdraht/provisioner/address"
)

// group is gateways that share tenants, and the tenants they serve.
type group struct {
	name     string // of the first gateway
	gateways []Gateway
	tenants  []int

	seats, kilobits *Figure // needed
	count           *Figure // of gateways now
	sessions, most  *Figure // of all of them now, and of the largest
	carries, each   *Figure // kbit/s of all, and of one; nil: not known
}

// groups lists the gateways that have tenants of the plan.
func (m *maker) groups() (list []*group) {
	for _, g := range m.Gateways {
		mine := &group{name: g.Name, gateways: []Gateway{g}}
		for _, t := range g.Tenants {
			if i, planned := m.index[t]; planned {
				mine.tenants = append(mine.tenants, i)
			}
		}
		if len(mine.tenants) == 0 {
			continue
		}
		var apart []*group
		for _, other := range list {
			if !slices.ContainsFunc(other.tenants, func(t int) bool { return slices.Contains(mine.tenants, t) }) {
				apart = append(apart, other)
				continue
			}
			mine.gateways = append(other.gateways, mine.gateways...)
			mine.tenants = append(other.tenants, mine.tenants...)
			mine.name = mine.gateways[0].Name
		}
		list = append(apart, mine)
	}
	for _, g := range list {
		slices.Sort(g.tenants)
		g.tenants = slices.Compact(g.tenants)
	}
	return list
}

// gateways says how many are missing, if one of them may fail, and how many addresses.
func (m *maker) gateways() {
	groups := m.groups()
	var served int
	person := m.leaf(Figure{Name: Throughput, Value: m.Throughput, Unit: Kilobits})
	for _, g := range groups {
		served += len(g.tenants)
		m.measure(g, person)
		// More of the largest kind that there is.
		m.addresses(g, m.add(g, "", g.most, g.each))
		m.servers(g)
	}
	if served < len(m.Tenants) {
		m.warn(WarnNoGateways, "", nil)
	}
}

// measure says what a group has to carry, and what it does.
func (m *maker) measure(g *group, person *Figure) {
	year := m.plan.Decisive
	g.seats = m.needed[year-1]
	if len(g.tenants) < len(m.Tenants) {
		var people []*Figure
		for _, t := range g.tenants {
			people = append(people, m.people[year-1][t])
		}
		all := m.follows(Figure{Name: PeoplePlanned, Of: g.name, Year: year, Unit: People}, Sum, people...)
		g.seats = m.larger(Figure{Of: g.name, Year: year}, all, m.peaksWithin(g, year))
	}
	g.kilobits = m.follows(Figure{Name: KilobitsNeeded, Of: g.name, Unit: Kilobits}, Product, g.seats, person)
	var sessions []*Figure
	for _, w := range g.gateways {
		sessions = append(sessions, m.leaf(Figure{Name: GatewaySessions, Of: w.Name, Value: w.Sessions, Unit: Seats}))
	}
	g.count = m.leaf(Figure{Name: GatewayCount, Of: g.name, Value: int64(len(g.gateways)), Unit: Gateways})
	g.sessions = m.follows(Figure{Name: SessionsTogether, Of: g.name, Unit: Seats}, Sum, sessions...)
	g.most = m.follows(Figure{Name: SessionsLargest, Of: g.name, Unit: Seats}, Most, sessions...)
	if m.GatewayKilobits > 0 {
		g.each = m.leaf(Figure{Name: GatewayKilobits, Of: g.name, Value: m.GatewayKilobits, Unit: Kilobits})
		g.carries = m.follows(Figure{Name: KilobitsTogether, Of: g.name, Unit: Kilobits}, Product, g.count, g.each)
	}
}

// peaksWithin are the scaled peaks of pools that only tenants of a group use.
func (m *maker) peaksWithin(g *group, year int) (list []*Figure) {
	for _, p := range m.Pools {
		if slices.ContainsFunc(p.Tenants, func(t string) bool { return !slices.Contains(g.tenants, m.index[t]) }) {
			continue
		}
		if f := m.plan.Find(SeatsByPeak, "", p.Name, year); f != nil {
			list = append(list, f)
		}
	}
	return list
}

// add says how many gateways of a size a group needs more. kilobits is nil where it is not
// known.
func (m *maker) add(g *group, offer string, sessions, kilobits *Figure) *Figure {
	of := Figure{Of: g.name, Unit: Gateways}
	if offer != "" {
		of.Of = offer + " " + g.name
	}
	named := func(n Name) Figure { of.Name = n; return of }
	all := []*Figure{m.follows(named(AddBySessions), Spare, g.seats, g.sessions, g.most, sessions)}
	if g.carries != nil && kilobits != nil {
		all = append(all, m.follows(named(AddByThroughput), Spare, g.kilobits, g.carries, g.each, kilobits))
	}
	return m.follows(named(GatewaysToAdd), Most, all...)
}

// addresses says how many the laptops of a group need: one each, in blocks of which each
// tenant may have begun one on every gateway.
func (m *maker) addresses(g *group, added *Figure) {
	of := func(n Name, u Unit) Figure { return Figure{Name: n, Of: g.name, Unit: u} }
	size := m.leaf(Figure{Name: BlockSize, Of: g.name, Value: address.BlockSize, Unit: Addresses})
	then := m.follows(of(GatewaysThen, Gateways), Sum, g.count, added)
	var filled []*Figure
	for _, t := range g.tenants {
		laptops := m.follows(Figure{Name: Connectable, Tenant: m.Tenants[t].Name, Of: g.name, Unit: Laptops}, Most, m.atHome[m.plan.Decisive-1][t], m.laptopsNow[t])
		filled = append(filled, m.follows(Figure{Name: BlocksFilled, Tenant: m.Tenants[t].Name, Of: g.name, Unit: Blocks}, Units, laptops, size))
	}
	one := m.leaf(of(One, Gateways))
	one.Value = 1
	others := m.follows(of(OtherGateways, Gateways), Beyond, then, one)
	tenants := m.leaf(of(TenantCount, Tenants))
	tenants.Value = int64(len(g.tenants))
	begun := m.follows(of(BlocksBegun, Blocks), Product, tenants, others)
	blocks := m.follows(of(BlocksNeeded, Blocks), Sum, append(filled, begun)...)
	needed := m.follows(of(AddressesNeeded, Addresses), Product, blocks, size)
	var there []*Figure
	for _, w := range g.gateways {
		there = append(there, m.leaf(Figure{Name: GatewayAddresses, Of: w.Name, Value: w.Addresses, Unit: Addresses}))
	}
	all, most := m.follows(of(AddressesAll, Addresses), Sum, there...), m.follows(of(AddressesLargest, Addresses), Most, there...)
	left := m.follows(of(AddressesThere, Addresses), Beyond, all, most)
	if missing := m.follows(of(AddressesMissing, Addresses), Beyond, needed, left); missing.Value > 0 {
		m.warn(WarnAddresses, g.name, missing)
	}
}

// servers says how many of each server on offer a group needs.
func (m *maker) servers(g *group) {
	for i, o := range m.Offers {
		if o.Kind != Server {
			continue
		}
		sessions := m.leaf(Figure{Name: GatewaySessions, Of: o.Name + " " + g.name, Value: o.Sessions, Unit: Seats})
		var kilobits *Figure
		if o.Kilobits > 0 {
			kilobits = m.leaf(Figure{Name: GatewayKilobits, Of: o.Name + " " + g.name, Value: o.Kilobits, Unit: Kilobits})
		}
		m.serversOf[i] = append(m.serversOf[i], m.add(g, o.Name, sessions, kilobits))
	}
}
