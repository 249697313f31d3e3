package plan

import "github.com/heimdraht/heimdraht/provisioner"

// tax is whether prices are meant without tax or with it.
type tax struct {
	price, maintenance, overage, cost, share Name
	of                                       func(provisioner.Price) int64
}

func net() tax {
	return tax{PriceNet, MaintenanceNet, OverageNet, CostNet, ShareNet, func(p provisioner.Price) int64 { return p.NetCents }}
}

func gross() tax {
	return tax{PriceGross, MaintenanceGross, OverageGross, CostGross, ShareGross, func(p provisioner.Price) int64 { return p.GrossCents }}
}

// offers says what each costs, a year and in all, and what of it falls upon whom.
func (m *maker) offers() {
	bySeats, byLaptops := m.needs("seats", m.alone[m.plan.Decisive-1]), m.needs("laptops", m.laptopsToBuy)
	for i, o := range m.Offers {
		m.delivery(o)
		counts := m.counts(o, m.serversOf[i])
		if counts == nil { // servers for gateways that are not known
			continue
		}
		needs := bySeats
		if o.Kind == Laptop {
			needs = byLaptops
		}
		fresh := m.fresh(o, counts)
		m.cost(o, counts, fresh, needs, net())
		if o.gross() {
			m.cost(o, counts, fresh, needs, gross())
		}
	}
}

func (m *maker) needs(of string, all []*Figure) *Figure {
	return m.follows(Figure{Name: Needs, Of: of, Unit: all[0].Unit}, Sum, all...)
}

// delivery says when an offer has to be ordered.
func (m *maker) delivery(o Offer) {
	days := m.leaf(Figure{Name: DeliveryDays, Of: o.Name, Value: o.DeliveryDays, Unit: Days})
	by := m.follows(Figure{Name: OrderBy, Of: o.Name, Unit: Date}, Beyond, m.from, days)
	today := dateValue(m.At)
	switch {
	case by.Value < today:
		m.warn(WarnLate, o.Name, by)
	case !o.From.IsZero() && by.Value < dateValue(o.From), !o.Until.IsZero() && !m.At.Before(o.Until):
		m.warn(WarnNotOffered, o.Name, by)
	}
}

// counts is how many of an offer there have to be in each year.
func (m *maker) counts(o Offer, servers []*Figure) (years []*Figure) {
	switch o.Kind {
	case Server:
		if len(servers) == 0 {
			return nil
		}
		all := m.follows(Figure{Name: GatewaysToAdd, Of: o.Name, Unit: Gateways}, Sum, servers...)
		return m.packed(o, same(all, m.Years))
	case Laptop:
		all := m.follows(Figure{Name: LaptopsPlanned, Of: o.Name, Unit: Laptops}, Sum, m.laptopsToBuy...)
		return m.packed(o, same(all, m.Years))
	case Perpetual:
		return m.packed(o, m.toBuy)
	case Used:
		return m.billed(o)
	case Base:
		return m.beyond(o)
	}
	return nil
}

func same(f *Figure, years int) []*Figure {
	list := make([]*Figure, years)
	for i := range list {
		list[i] = f
	}
	return list
}

// packed is what has been bought until each year: never less than the year before.
func (m *maker) packed(o Offer, needed []*Figure) (years []*Figure) {
	pack := m.leaf(Figure{Name: PackSize, Of: o.Name, Value: max(1, o.Pack), Unit: needed[0].Unit})
	for i := range needed {
		most := m.follows(Figure{Name: SeatsToBuy, Of: o.Name, Year: i + 1, Unit: needed[i].Unit}, Most, needed[:i+1]...)
		years = append(years, m.follows(Figure{Name: Bought, Of: o.Name, Year: i + 1, Unit: needed[i].Unit}, Packs, most, pack))
	}
	return years
}

// billed is how many seats are paid as they are used.
func (m *maker) billed(o Offer) (years []*Figure) {
	used := int64(million)
	if o.UsedShare > 0 {
		used = o.UsedShare
	}
	share := m.leaf(Figure{Name: UsedShare, Of: o.Name, Value: used, Unit: Millionths})
	for i, n := range m.toBuy {
		years = append(years, m.follows(Figure{Name: SeatsBilled, Of: o.Name, Year: i + 1, Unit: Seats}, Part, n, share))
	}
	return years
}

// beyond is how many seats are not included in a base.
func (m *maker) beyond(o Offer) (years []*Figure) {
	included := m.leaf(Figure{Name: Included, Of: o.Name, Value: o.Included, Unit: Seats})
	for i, n := range m.toBuy {
		years = append(years, m.follows(Figure{Name: OverageSeats, Of: o.Name, Year: i + 1, Unit: Seats}, Beyond, n, included))
	}
	return years
}

// cost is what an offer costs, by year and in all, and each tenant's part of it.
func (m *maker) cost(o Offer, counts, fresh []*Figure, needs *Figure, t tax) {
	price := m.leaf(Figure{Name: t.price, Of: o.Name, Value: t.of(o.Price), Unit: Cents})
	var years []*Figure
	switch o.Kind {
	case Used, Base:
		years = m.costByPeriod(o, counts, m.periods(o), price, t)
	case Perpetual, Server, Laptop:
		years = m.costBought(o, counts, fresh, price, t)
	}
	total := m.follows(Figure{Name: t.cost, Of: o.Name, Unit: Cents}, Sum, years...)
	weights := make([]int64, len(needs.Inputs))
	for i, n := range needs.Inputs {
		weights[i] = n.Value
	}
	for i, part := range allot(total.Value, weights) {
		m.leaf(Figure{
			Name: t.share, Tenant: m.Tenants[i].Name, Of: o.Name, Value: part, Unit: Cents,
			Formula: Allotted, Inputs: []*Figure{total, needs, m.which(i)},
		})
	}
}

// which is a place in a list of needs.
func (m *maker) which(i int) *Figure {
	for len(m.places) <= i {
		n := len(m.places)
		m.places = append(m.places, m.leaf(Figure{Name: WhichOne, Tenant: m.Tenants[n].Name, Value: int64(n)}))
	}
	return m.places[i]
}

// fresh is what of an offer is bought in each year beyond the year before.
func (m *maker) fresh(o Offer, bought []*Figure) (years []*Figure) {
	if o.Kind == Used || o.Kind == Base {
		return nil
	}
	for i, all := range bought {
		if i > 0 {
			all = m.follows(Figure{Name: BoughtNew, Of: o.Name, Year: i + 1, Unit: all.Unit}, Beyond, all, bought[i-1])
		}
		years = append(years, all)
	}
	return years
}

// costBought is what is bought in each year, and the maintenance of all that was.
func (m *maker) costBought(o Offer, bought, fresh []*Figure, price *Figure, t tax) (years []*Figure) {
	maintenance := m.leaf(Figure{Name: t.maintenance, Of: o.Name, Value: t.of(o.Maintenance), Unit: Cents})
	for i, all := range bought {
		of := Figure{Of: o.Name, Year: i + 1, Unit: Cents}
		once := m.follows(named(of, CostOnce, t), Product, fresh[i], price)
		running := m.follows(named(of, CostRunning, t), Product, all, maintenance)
		of.Name = t.cost
		years = append(years, m.follows(of, Sum, once, running))
	}
	return years
}

// periods is how often a year an offer is paid.
func (m *maker) periods(o Offer) *Figure {
	if f := m.plan.Find(PeriodsAYear, "", o.Name, 0); f != nil {
		return f
	}
	f := Figure{Name: PeriodsAYear, Of: o.Name, Value: 1, Unit: Years}
	if o.Price.Period == provisioner.PerMonth {
		f.Value, f.Unit = 12, Months
	}
	return m.leaf(f)
}

// costByPeriod is what is paid for seats month by month, or year by year.
func (m *maker) costByPeriod(o Offer, counts []*Figure, periods, price *Figure, t tax) (years []*Figure) {
	var overage *Figure
	if o.Kind == Base {
		overage = m.leaf(Figure{Name: t.overage, Of: o.Name, Value: t.of(o.Overage), Unit: Cents})
	}
	for i, n := range counts {
		of := Figure{Of: o.Name, Year: i + 1, Unit: Cents}
		var parts []*Figure
		if overage == nil {
			parts = append(parts, m.follows(named(of, CostRunning, t), Product, n, price, periods))
		} else {
			parts = append(parts, m.follows(named(of, CostRunning, t), Product, price, periods), m.follows(named(of, CostOverage, t), Product, n, overage, periods))
		}
		of.Name = t.cost
		years = append(years, m.follows(of, Sum, parts...))
	}
	return years
}

// named is a part of a cost, told apart by tax.
func named(f Figure, n Name, t tax) Figure {
	f.Name = n
	if t.cost == CostGross {
		f.Name += "-gross"
	}
	return f
}
