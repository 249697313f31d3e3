package config

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
)

// Offers is what a file of offers says.
type Offers struct {
	Offers []plan.Offer
	// People is how many may work from home, by tenant, where the control plane does not know.
	People map[string]int64
}

// LoadOffers reads what can be bought. A file that is wrong gives Problems; one that cannot be
// read an error that wraps the system's.
func LoadOffers(file string) (Offers, error) { return load(file, parseOffers) }

func parseOffers(m *mapping) Offers {
	var all Offers
	lines := make(map[string]int)
	if v, ok := m.need("offers"); ok {
		for _, item := range v.list("offers") {
			if len(all.Offers) == plan.MostOffers {
				item.failf("more than %d offers", plan.MostOffers)
				break
			}
			o := item.mapping("an offer")
			if o == nil {
				continue
			}
			one := offer(o)
			if n, _ := o.ask("name"); lines[one.Name] > 0 && one.Name != "" {
				n.failf("%q is offered twice; the first is in line %d", one.Name, lines[one.Name])
			}
			lines[one.Name] = o.line
			all.Offers = append(all.Offers, one)
			o.done()
		}
	}
	if v, ok := m.ask("people"); ok {
		all.People = people(v)
	}
	m.done()
	return all
}

func people(v value) map[string]int64 {
	m := v.mapping("people")
	if m == nil {
		return nil
	}
	all := make(map[string]int64)
	for _, e := range m.under("people.").keys {
		if _, ok := name(value{v.source, &yaml.Node{Kind: yaml.ScalarNode, Line: e.line}, "people"}, e.key); !ok {
			continue
		}
		if n, ok := e.value.whole(0, capacity.MostSeats); ok {
			all[e.key] = n
		}
	}
	return all
}

func offer(m *mapping) plan.Offer {
	var o plan.Offer
	m.needText("name", &o.Name, name)
	var kinds []string
	for _, k := range plan.Kinds() {
		kinds = append(kinds, string(k))
	}
	kind := ""
	m.needText("kind", &kind, oneOf(kinds...))
	o.Kind = plan.Kind(kind)
	keysOf(m, o.Kind)
	periodic := o.Kind == plan.Used || o.Kind == plan.Base
	if v, ok := m.need("price"); ok {
		if o.Price = offered(v, "price.", periodic); o.Price.NetCents == 0 && v.node.Kind == yaml.MappingNode {
			v.failf("needs an amount above 0 as %q", "price.net")
		}
	}
	if v, ok := m.ask("maintenance"); ok {
		o.Maintenance = offered(v, "maintenance.", false)
	}
	if v, ok := m.ask("overage"); ok {
		o.Overage = offered(v, "overage.", false)
	} else if o.Kind == plan.Base {
		m.fail(m.line, "an offer of the kind base needs %q: what a seat beyond costs", "overage")
	}
	m.whole("pack", &o.Pack, 1, capacity.MostSeats)
	m.whole("included", &o.Included, 1, capacity.MostSeats)
	m.whole("delivery_days", &o.DeliveryDays, 0, 3650)
	m.whole("sessions", &o.Sessions, 1, capacity.MostSeats)
	if _, ok := m.ask("sessions"); !ok && o.Kind == plan.Server {
		m.fail(m.line, "an offer of the kind server needs %q: how many it carries", "sessions")
	}
	var megabits int64
	m.whole("mbits", &megabits, 1, 10_000_000)
	o.Kilobits = 1000 * megabits
	if v, ok := m.ask("used_share"); ok {
		if s, ok := v.text(); ok {
			n, err := plan.ParseShare(s)
			switch {
			case err != nil:
				v.failf("%s", err)
			case n == 0:
				v.failf("is 0%%: leave the offer out")
			}
			o.UsedShare = n
		}
	}
	m.date("from", &o.From, 0)
	m.date("until", &o.Until, 1) // included in the file, exclusive in the type
	if v, _ := m.ask("until"); !o.From.IsZero() && !o.Until.IsZero() && !o.From.Before(o.Until) {
		v.failf("%s is before from", v.node.Value)
	}
	return o
}

// keysOf refuses what is for other kinds of offers.
func keysOf(m *mapping, kind plan.Kind) {
	bought := []plan.Kind{plan.Perpetual, plan.Server, plan.Laptop}
	of := map[string][]plan.Kind{
		"maintenance": bought, "pack": bought, "used_share": {plan.Used}, "included": {plan.Base}, "overage": {plan.Base},
		"sessions": {plan.Server}, "mbits": {plan.Server},
	}
	for _, e := range m.keys {
		if kinds := of[e.key]; kind != "" && kinds != nil && !slices.Contains(kinds, kind) {
			var names []string
			for _, k := range kinds {
				names = append(names, string(k))
			}
			e.value.failf("is for offers of the kind %s", choices(names))
		}
	}
}

// offered reads a price that is paid once, or in periods.
func offered(v value, prefix string, periodic bool) provisioner.Price {
	p := provisioner.Price{Period: provisioner.PerYear}
	m := v.mapping("price")
	if m == nil {
		return p
	}
	m.under(prefix)
	if net, ok := m.need("net"); ok {
		p.NetCents = net.cents()
	}
	if gross, ok := m.ask("gross"); ok {
		if p.GrossCents = gross.cents(); p.GrossCents < p.NetCents {
			gross.failf("is less than net")
		}
	}
	if periodic {
		period := string(p.Period)
		m.text("per", &period, oneOf(string(provisioner.PerYear), string(provisioner.PerMonth)))
		p.Period = provisioner.PricePeriod(period)
	}
	m.done()
	return p
}
