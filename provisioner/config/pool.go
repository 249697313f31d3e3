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
)

func (l *loader) pool(m *mapping) provisioner.LicencePool {
	var p provisioner.LicencePool
	p.Name = l.name(m)
	var model string
	m.needText("model", &model, poolModel)
	p.Model = provisioner.PoolModel(model)
	if v, ok := m.need("seats"); ok {
		p.Seats, _ = v.whole(1, mostSeats)
	}
	m.whole("burst", &p.Burst, 0, mostSeats)
	m.date("from", &p.From, 0)
	m.date("until", &p.Until, 1) // included in the file, exclusive in the type
	if v, _ := m.ask("until"); !p.From.IsZero() && !p.Until.IsZero() && !p.From.Before(p.Until) {
		v.failf("%s is before from", v.node.Value)
	}
	m.text("contract", &p.Contract, atMost(120))
	if v, ok := m.ask("eur_per_seat_year"); ok {
		p.CentsPerSeatYear = v.cents()
	}
	if v, ok := m.need("tenants"); ok {
		p.Shares = shares(v, p.Seats)
	}
	return p
}

func poolModel(v value, s string) (string, bool) {
	if s == "named" {
		v.failf("named seats are not counted by this version: only %q is", provisioner.PoolConcurrent)
		return "", false
	}
	return oneOf(string(provisioner.PoolConcurrent))(v, s)
}

// shares reads name: {guarantee: seats}; a tenant without a guarantee may have
// no value. They are sorted by tenant: the order in the file means nothing.
func shares(v value, seats int64) []provisioner.PoolShare {
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
	if seats > 0 && sum > seats {
		v.failf("the guarantees add up to %d, more than the %d seats", sum, seats)
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
