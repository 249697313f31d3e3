package plan

import (
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

func (m *maker) given() {
	m.home = m.leaf(Figure{Name: HomeShare, Value: m.HomeShare, Unit: Millionths})
	m.online = m.leaf(Figure{Name: OnlineAtPeak, Value: m.OnlineAtPeak, Unit: Millionths})
	m.share = m.follows(Figure{Name: OnlineShare, Unit: Millionths}, Part, m.home, m.online)
	m.growth = m.leaf(Figure{Name: GrowthAYear, Value: m.Growth, Unit: Millionths})
	m.most = m.leaf(Figure{Name: RefusedAtMost, Value: m.Refused, Unit: Millionths})
	m.from = m.leaf(Figure{Name: PlanFrom, Value: dateValue(m.From), Unit: Date})
	if m.HomeShareThen > 0 {
		m.homeThen = m.leaf(Figure{Name: HomeShareThen, Value: m.HomeShareThen, Unit: Millionths})
	}
	until := m.yearsUntil()
	for year := 1; year <= m.Years; year++ {
		m.grownFor = append(m.grownFor, m.leaf(Figure{Name: GrownFor, Year: year, Value: int64(until + year - 1), Unit: Years}))
	}
	for _, t := range m.Tenants {
		m.now = append(m.now, m.leaf(Figure{Name: PeopleNow, Tenant: t.Name, Value: t.People, Unit: People}))
	}
}

// peak is the observed peak of a pool, with the people among whom it was observed.
type peak struct {
	seats, people *Figure
	tenants       []int
}

// peaks lists those that were observed.
func (m *maker) peaks() (list []peak) {
	for _, p := range m.Pools {
		if p.Peak == 0 || p.Shared {
			continue
		}
		var among []*Figure
		var tenants []int
		for _, t := range p.Tenants {
			among, tenants = append(among, m.now[m.index[t]]), append(tenants, m.index[t])
		}
		people := m.follows(Figure{Name: PeopleNow, Of: p.Name, Unit: People}, Sum, among...)
		if people.Value == 0 {
			continue
		}
		list = append(list, peak{m.leaf(Figure{Name: ObservedPeak, Of: p.Name, Value: p.Peak, Unit: Seats}), people, tenants})
	}
	return list
}

// scaled is what a peak would be with the people of a year, and the planned share of them
// at home; never more than there are people.
func (m *maker) scaled(p peak, year int) *Figure {
	var then []*Figure
	for _, t := range p.tenants {
		then = append(then, m.people[year-1][t])
	}
	people := m.follows(Figure{Name: PeoplePlanned, Of: p.seats.Of, Year: year, Unit: People}, Sum, then...)
	inputs := []*Figure{p.seats, people, p.people}
	if m.homeThen != nil {
		inputs = append(inputs, m.home, m.homeThen)
	}
	scaled := m.follows(Figure{Name: PeakScaled, Of: p.seats.Of, Year: year, Unit: Seats}, Scaled, inputs...)
	return m.follows(Figure{Name: SeatsByPeak, Of: p.seats.Of, Year: year, Unit: Seats}, Least, scaled, people)
}

// seats says how many are needed, by each tenant alone and by all together.
func (m *maker) seats() {
	peaks := m.peaks()
	for year := 1; year <= m.Years; year++ {
		var people, home, alone []*Figure
		for i, t := range m.Tenants {
			n := m.follows(Figure{Name: PeoplePlanned, Tenant: t.Name, Year: year, Unit: People}, Grown, m.now[i], m.growth, m.grownFor[year-1])
			people = append(people, n)
			home = append(home, m.follows(Figure{Name: AtHome, Tenant: t.Name, Year: year, Unit: People}, Part, n, m.home))
		}
		m.people, m.atHome = append(m.people, people), append(m.atHome, home)
		all := m.follows(Figure{Name: PeoplePlanned, Year: year, Unit: People}, Sum, people...)
		m.all = append(m.all, all)
		var seen []*Figure
		own := make(map[int][]*Figure) // peaks of tenants that have a pool for themselves
		for _, p := range peaks {
			s := m.scaled(p, year)
			seen = append(seen, s)
			if len(p.tenants) == 1 {
				own[p.tenants[0]] = append(own[p.tenants[0]], s)
			}
		}
		for i, t := range m.Tenants {
			alone = append(alone, m.larger(Figure{Tenant: t.Name, Year: year}, people[i], own[i]))
		}
		m.alone = append(m.alone, alone)
		m.needed = append(m.needed, m.larger(Figure{Year: year}, all, seen))
		m.compare(year)
	}
	m.plan.Decisive = 1
	for i, n := range m.needed {
		if n.Value > m.needed[m.plan.Decisive-1].Value {
			m.plan.Decisive = i + 1
		}
	}
	year := m.plan.Decisive
	m.plan.Reason = SeatsByFormula
	if f := m.plan.Find(SeatsByPeak, "", "", year); f != nil && f.Value > m.plan.Find(SeatsByFormula, "", "", year).Value {
		m.plan.Reason = SeatsByPeak
		m.warn(WarnPeak, "", f)
	}
	if len(peaks) == 0 {
		m.warn(WarnNoPeak, "", nil)
	}
	m.warn(WarnMandate, "", m.plan.Find(WithoutSeat, "", "", year))
}

// larger is the number of seats for people: what the formula says, or what was seen.
func (m *maker) larger(of Figure, people *Figure, seen []*Figure) *Figure {
	of.Unit = Seats
	of.Name = SeatsByFormula
	inputs := []*Figure{m.follows(of, SeatsFor, people, m.share, m.most)}
	if len(seen) > 0 {
		of.Name = SeatsByPeak
		inputs = append(inputs, m.follows(of, Sum, seen...))
	}
	of.Name = SeatsNeeded
	return m.follows(of, Most, inputs...)
}

// compare holds all together against each alone, and against the day on which all come.
func (m *maker) compare(year int) {
	needed := m.needed[year-1]
	home := m.follows(Figure{Name: AtHome, Year: year, Unit: People}, Sum, m.atHome[year-1]...)
	alone := m.follows(Figure{Name: SeatsAlone, Year: year, Unit: Seats}, Sum, m.alone[year-1]...)
	m.follows(Figure{Name: SavedByPooling, Year: year, Unit: Seats}, Beyond, alone, needed)
	m.follows(Figure{Name: WithoutSeat, Year: year, Unit: People}, Beyond, home, needed)
}

// owned counts what contracts give in each year, at the time at which they give least.
func (m *maker) owned() {
	for year := 1; year <= m.Years; year++ {
		begins, ends := m.yearBegins(year), m.yearBegins(year+1)
		var parts []*Figure
		for _, p := range m.Pools {
			if p.Shared {
				parts = append(parts, m.leaf(Figure{Name: GuaranteedSeats, Of: p.Name, Year: year, Value: p.Guaranteed, Unit: Seats}))
				continue
			}
			at := leastAt(p.Contracts, begins, ends)
			for _, c := range p.Contracts {
				if c.RunsAt(at) {
					parts = append(parts, m.leaf(Figure{Name: ContractSeats, Of: contractName(p.Name, c), Year: year, Value: c.Seats, Unit: Seats}))
				}
			}
		}
		owned := m.follows(Figure{Name: SeatsOwned, Year: year, Unit: Seats}, Sum, parts...)
		m.owns = append(m.owns, owned)
		m.toBuy = append(m.toBuy, m.follows(Figure{Name: SeatsToBuy, Year: year, Unit: Seats}, Beyond, m.needed[year-1], owned))
	}
}

// leastAt is when contracts give least, from a time to another.
func leastAt(contracts []provisioner.Contract, from, until time.Time) time.Time {
	pool := provisioner.LicencePool{Contracts: contracts}
	least := pool.At(from)
	at := from
	for _, q := range pool.Quantities(from)[1:] {
		if q.From.Before(until) && q.Seats < least.Seats {
			least, at = q, q.From
		}
	}
	return at
}

func contractName(pool string, c provisioner.Contract) string {
	if c.Reference == "" {
		return pool
	}
	return pool + " " + c.Reference
}

// laptops says how many are missing in the decisive year.
func (m *maker) laptops() {
	for i, t := range m.Tenants {
		now := m.leaf(Figure{Name: LaptopsNow, Tenant: t.Name, Value: t.Laptops, Unit: Laptops})
		m.laptopsNow = append(m.laptopsNow, now)
		m.laptopsToBuy = append(m.laptopsToBuy, m.follows(Figure{Name: LaptopsToBuy, Tenant: t.Name, Unit: Laptops}, Beyond, m.atHome[m.plan.Decisive-1][i], now))
	}
	m.follows(Figure{Name: LaptopsToBuy, Unit: Laptops}, Sum, m.laptopsToBuy...)
}

// steps of the share at home, in millionths.
const step = 50_000

// cliff is the part of attempts that is refused at each share at home, with the seats of
// the plan and with today's.
func (m *maker) cliff() {
	year := m.plan.Decisive
	for home := int64(step); home <= million; home += step {
		at := m.leaf(Figure{Name: HomeShare, Step: home, Value: home, Unit: Millionths})
		online := m.follows(Figure{Name: OnlineShare, Step: home, Unit: Millionths}, Part, at, m.online)
		m.follows(Figure{Name: RefusedPlanned, Step: home, Unit: Millionths}, Refused, m.needed[year-1], m.all[year-1], online)
		m.follows(Figure{Name: RefusedToday, Step: home, Unit: Millionths}, Refused, m.owns[0], m.all[0], online)
	}
}

// deadlines are the dates by which something has to be done.
func (m *maker) deadlines() {
	ends := m.yearBegins(m.Years + 1)
	for _, p := range m.Pools {
		if p.Shared {
			continue
		}
		for _, c := range p.Contracts {
			name := contractName(p.Name, c)
			if last := c.NoticeBy.AddDate(0, 0, -1); !c.NoticeBy.IsZero() && c.NoticeBy.After(m.At) && last.Before(ends) {
				m.warn(WarnNotice, name, m.leaf(Figure{Name: NoticeBy, Of: name, Value: dateValue(last), Unit: Date}))
			}
			if last := c.Until.AddDate(0, 0, -1); !c.Until.IsZero() && c.Until.After(m.At) && last.Before(ends) {
				m.warn(WarnEnds, name, m.leaf(Figure{Name: ContractEnds, Of: name, Value: dateValue(last), Unit: Date}))
			}
		}
	}
	slices.SortStableFunc(m.plan.Warnings, func(a, b Warning) int { return rank(a) - rank(b) })
}

// rank orders warnings: what is always so stands before what has a date.
func rank(w Warning) int {
	if w.Figure != nil && w.Figure.Unit == Date {
		return int(w.Figure.Value)
	}
	return 0
}
