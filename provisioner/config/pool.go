package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/heimdraht/heimdraht/provisioner"
)

// The largest pool and price that are no typing error: three hundred times
// what the largest provider needs, and far from overflowing a sum.
const (
	mostSeats = 10_000_000
	mostEuros = 1_000_000
	// mostContracts of a pool; one for each tenant of the largest provider.
	mostContracts = 500
	// The longest spans of a named seat, in days.
	mostUnusedDays = 3650
)

func (l *loader) pool(m *mapping) provisioner.LicencePool {
	var p provisioner.LicencePool
	p.Name = l.name(m)
	model := string(provisioner.PoolConcurrent)
	m.needText("model", &model, oneOf(string(provisioner.PoolConcurrent), string(provisioner.PoolNamed)))
	p.Model = provisioner.PoolModel(model)
	p.Contracts = contracts(m)
	rules(m, &p)
	m.percentages("warn", &p.WarnAt, 100)
	most := provisioner.MostSeats(p.Contracts)
	var reserved int64
	for _, r := range p.Reserved {
		reserved += r.Seats
	}
	if v, ok := m.need("tenants"); ok {
		p.Shares = shares(v, most, reserved)
	}
	return p
}

// rules reads what holds for seats of one model only.
func rules(m *mapping, p *provisioner.LicencePool) {
	of := map[string]provisioner.PoolModel{
		"lend_guaranteed": provisioner.PoolConcurrent, "recall": provisioner.PoolConcurrent, "reserved": provisioner.PoolConcurrent,
		"warn_forecast":    provisioner.PoolConcurrent,
		"take_back_unused": provisioner.PoolNamed, "hold_at_least": provisioner.PoolNamed,
	}
	for _, e := range m.keys {
		if model := of[e.key]; model != "" && model != p.Model {
			e.value.path = e.key
			e.value.failf("is for pools of the model %s", model)
		}
	}
	m.percentages("warn_forecast", &p.WarnForecast, provisioner.MostProbable)
	m.whole("lend_guaranteed", &p.LendGuaranteed, 0, 100)
	m.shortSpan("recall", &p.Recall, "never")
	if v, ok := m.ask("recall"); ok && p.Recall > 0 && p.LendGuaranteed == 0 {
		v.failf("needs %q above 0: nothing that is guaranteed is lent", "lend_guaranteed")
	}
	if v, ok := m.ask("reserved"); ok {
		if r := v.mapping("reserved"); r != nil {
			r.under("reserved.")
			for _, class := range []provisioner.PriorityClass{provisioner.PriorityCrisis, provisioner.PriorityControl} {
				var n int64
				if r.whole(string(class), &n, 0, mostSeats); n > 0 {
					p.Reserved = append(p.Reserved, provisioner.Reserve{Class: class, Seats: n})
				}
			}
			r.done()
		}
	}
	m.span("take_back_unused", &p.TakeBackUnused, mostUnusedDays)
	m.span("hold_at_least", &p.HoldAtLeast, mostUnusedDays)
}

// contracts reads the one that stands in the pool itself, or a list.
func contracts(m *mapping) []provisioner.Contract {
	list, several := m.ask("contracts")
	if !several {
		return []provisioner.Contract{contract(m, "contract")}
	}
	for _, e := range m.keys {
		switch e.key {
		case "seats", "burst", "from", "until", "notice", "contract", "price", "eur_per_seat_year":
			e.value.failf("stands beside %q: it belongs to one of them", "contracts")
			_, _ = m.ask(e.key)
		}
	}
	if list.emptyList() {
		list.failf("the list is empty: a pool without a contract has no seats")
	}
	var all []provisioner.Contract
	for _, item := range list.list("contracts") {
		if len(all) == mostContracts {
			item.failf("more than %d contracts", mostContracts)
			break
		}
		if c := item.mapping("a contract"); c != nil {
			c.under("contracts.")
			one := contract(c, "reference")
			if slices.ContainsFunc(all, one.Overlaps) {
				item.failf("the contract %s runs twice on some days: one with more seats is wanted, or another reference", quoted(one.Reference))
			}
			all = append(all, one)
			c.done()
		}
	}
	return all
}

func contract(m *mapping, reference string) provisioner.Contract {
	var c provisioner.Contract
	m.text(reference, &c.Reference, atMost(120))
	if v, ok := m.need("seats"); ok {
		c.Seats, _ = v.whole(1, mostSeats)
	}
	m.whole("burst", &c.Burst, 0, mostSeats)
	m.date("from", &c.From, 0)
	m.date("until", &c.Until, 1) // included in the file, exclusive in the type
	if v, _ := m.ask("until"); !c.From.IsZero() && !c.Until.IsZero() && !c.From.Before(c.Until) {
		v.failf("%s is before from", v.node.Value)
	}
	m.date("notice", &c.NoticeBy, 1)
	if v, _ := m.ask("notice"); !c.NoticeBy.IsZero() && !c.Until.IsZero() && c.NoticeBy.After(c.Until) {
		v.failf("%s is after until: notice is given before a contract ends", v.node.Value)
	}
	year, simple := m.ask("eur_per_seat_year")
	if simple {
		c.Price = provisioner.Price{NetCents: year.cents(), Period: provisioner.PerYear}
	}
	if v, ok := m.ask("price"); ok {
		if simple {
			v.failf("stands beside %q: say it once", "eur_per_seat_year")
		}
		c.Price = price(v, m.prefix)
	}
	return c
}

// price reads what a seat costs, as {net: 18.50, gross: 22.02, per: year}.
func price(v value, prefix string) provisioner.Price {
	p := provisioner.Price{Period: provisioner.PerYear}
	m := v.mapping("price")
	if m == nil {
		return p
	}
	m.under(prefix + "price.")
	if net, ok := m.ask("net"); ok {
		p.NetCents = net.cents()
	}
	if gross, ok := m.ask("gross"); ok {
		if p.GrossCents = gross.cents(); p.GrossCents < p.NetCents {
			gross.failf("is less than net")
		}
	}
	period := string(p.Period)
	m.text("per", &period, oneOf(string(provisioner.PerYear), string(provisioner.PerMonth)))
	p.Period = provisioner.PricePeriod(period)
	m.done()
	return p
}

// percentages reads thresholds, which rise.
func (m *mapping) percentages(key string, into *[]int64, most int64) {
	v, ok := m.ask(key)
	if !ok {
		return
	}
	var all []int64
	for _, item := range v.list("percentages") {
		n, ok := item.whole(1, most)
		if ok && len(all) > 0 && n <= all[len(all)-1] {
			item.failf("%d stands after %d: from the lowest to the highest", n, all[len(all)-1])
		}
		if all = append(all, n); len(all) > 10 {
			item.failf("more than 10 thresholds")
			break
		}
	}
	*into = all
}

// shares reads name: {guarantee: seats}; a tenant without a guarantee may have
// no value. They are sorted by tenant: the order in the file means nothing. seats
// is how many there are at most, reserved how many of them are somebody's already.
func shares(v value, seats, reserved int64) []provisioner.PoolShare {
	m := v.mapping("tenants")
	if m == nil {
		return nil
	}
	if len(m.keys) == 0 {
		v.failf("is empty: name the tenants that may use the seats, such as {stadt: {guarantee: 10}}")
	}
	var all []provisioner.PoolShare
	var sum int64
	for _, e := range m.keys {
		if _, ok := name(value{v.source, &yaml.Node{Kind: yaml.ScalarNode, Line: e.line}, "tenants"}, e.key); !ok {
			continue
		}
		s := provisioner.PoolShare{Tenant: e.key}
		if e.value.path = "tenants." + e.key; !e.value.isNull() {
			if g := e.value.mapping("the share of tenant " + e.key); g != nil {
				g.under("tenants."+e.key+".").whole("guarantee", &s.Guarantee, 0, mostSeats)
				g.done()
			}
		}
		sum += s.Guarantee
		all = append(all, s)
	}
	switch {
	case seats > 0 && sum > seats:
		v.failf("the guarantees add up to %d, more than the %d seats", sum, seats)
	case seats > 0 && sum+reserved > seats:
		v.failf("the guarantees add up to %d, and %d are reserved: more than the %d seats", sum, reserved, seats)
	}
	slices.SortFunc(all, func(a, b provisioner.PoolShare) int { return strings.Compare(a.Tenant, b.Tenant) })
	return all
}

// date reads the beginning of a calendar day in Germany, days later.
func (m *mapping) date(key string, into *time.Time, days int) {
	v, ok := m.ask(key)
	if !ok {
		return
	}
	s, ok := v.scalar("!!timestamp", "!!str")
	day, err := time.Parse(time.DateOnly, s)
	if !ok || err != nil {
		// 2027-02-30 is a text to YAML, so this is told of both alike.
		v.wanted("a date such as 2027-12-31")
		return
	}
	if day.Year() < 1990 || day.Year() > 2100 {
		v.failf("%s is out of range: from 1990 to 2100", s)
		return
	}
	*into = provisioner.DayBegins(day.Year(), day.Month(), day.Day()+days)
}

// cents reads an amount in euros exactly: binary fractions would not add up.
func (v value) cents() int64 {
	s, ok := v.scalar("!!int", "!!float", "!!str")
	if !ok || !regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,2})?$`).MatchString(s) {
		switch {
		case regexp.MustCompile(`^[0-9.]+,[0-9]{1,2}$`).MatchString(s):
			v.failf("%q: write the amount with a point, such as 18.50", quoted(s))
		case regexp.MustCompile(`^[0-9]+\.[0-9]{3,}$`).MatchString(s):
			v.failf("%s has more than two decimals", quoted(s))
		case ok && strings.HasPrefix(s, "-"):
			v.failf("%s is negative", quoted(s))
		default:
			v.wanted("an amount in euros such as 18.50")
		}
		return 0
	}
	euros, fraction, _ := strings.Cut(s, ".")
	n, _ := strconv.ParseInt(euros, 10, 64) // at most nine digits
	c, _ := strconv.ParseInt((fraction + "00")[:2], 10, 64)
	if n > mostEuros {
		v.failf("%s is out of range: at most %d", s, mostEuros)
		return 0
	}
	return 100*n + c
}
