package main

import (
	"fmt"
	"strings"

	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
)

type planFigure = *heimdrahtv1.PlanFigure

// showPlan prints a plan: sentences and tables for people, every figure for programs.
func (a *app) showPlan(v *planView) error {
	switch a.form {
	case formCSV:
		return writeCSV(a.out, planColumns(), v.GetFigures())
	case formJSON:
		return a.json(v.object())
	}
	a.say(words{"Plan ab %s; Jahre: %d; Verwaltungen: %d", "plan from %s; years: %d; tenants: %d"},
		dayIn(dayOfValue(v.value(plan.PlanFrom, "", "", 0))).in(a.language), len(v.years), len(v.tenants()))
	for _, part := range []func(*planView) error{a.showNeeds, a.showYears, a.showPooling, a.showOffers, a.showTenants, a.showCliff} {
		if err := part(v); err != nil {
			return err
		}
	}
	a.say(words{})
	for _, w := range v.GetWarnings() {
		a.say(words{"! %s", "! %s"}, terminal.Harmless(v.warningOf(w).in(a.language)))
	}
	if v.asked.GetExplain() {
		a.say(words{})
		a.explain(v)
	}
	for _, n := range v.notes() {
		a.hint(words{"%s", "%s"}, terminal.Harmless(n.in(a.language)))
	}
	return nil
}

func (v *planView) object() orderedObject {
	type warning = *heimdrahtv1.PlanWarning
	names := func(list []string) []string { return append([]string{}, list...) }
	return orderedObject{
		{"at", forPrograms(timeOf(v.GetAt()))}, {"reason", v.GetReason()}, {"decisive_year", v.GetDecisiveYear()},
		{"figures", objects(planColumns(), v.GetFigures())},
		{"warnings", objects([]column[warning]{
			{"code", words{}, func(w warning) any { return w.GetCode() }},
			{"of", words{}, func(w warning) any { return w.GetOf() }},
			{"figure", words{}, func(w warning) any { return placeOf(w.GetFigure()) }},
		}, v.GetWarnings())},
		{"left_out", names(v.GetLeftOut())}, {"people_known", names(v.GetPeopleKnown())}, {"laptops_withheld", names(v.GetLaptopsWithheld())},
	}
}

// placeOf is a place in the list of figures, from 0; nil: none.
func placeOf(place uint32) any {
	if place == 0 {
		return nil
	}
	return int64(place) - 1
}

func planColumns() []column[planFigure] {
	orNil := func(n int64) any {
		if n == 0 {
			return nil
		}
		return n
	}
	return []column[planFigure]{
		{"name", words{}, func(f planFigure) any { return f.GetName() }},
		{"tenant", words{}, func(f planFigure) any { return f.GetTenant() }},
		{"of", words{}, func(f planFigure) any { return f.GetOf() }},
		{"year", words{}, func(f planFigure) any { return orNil(f.GetYear()) }},
		{"share_at_home", words{}, func(f planFigure) any { return orNil(f.GetStep()) }},
		{"value", words{}, func(f planFigure) any { return f.GetValue() }},
		{"unit", words{}, func(f planFigure) any { return f.GetUnit() }},
		{"formula", words{}, func(f planFigure) any { return f.GetFormula() }},
		{"inputs", words{}, func(f planFigure) any {
			places := []string{}
			for _, in := range f.GetInputs() {
				places = append(places, fmt.Sprint(in))
			}
			return places
		}},
	}
}

// need is a line of what is needed.
type need struct {
	what                words
	of                  string
	needed, there, more int64
}

func (v *planView) needs() (list []need) {
	year := v.GetDecisiveYear()
	list = append(list, need{words{"Plätze", "seats"}, "", v.value(plan.SeatsNeeded, "", "", year), v.value(plan.SeatsOwned, "", "", year), v.value(plan.SeatsToBuy, "", "", year)})
	for _, g := range v.groups() {
		list = append(list,
			need{words{"Zugangsserver", "gateways"}, g, v.value(plan.GatewaysThen, "", g, 0), v.value(plan.GatewayCount, "", g, 0), v.value(plan.GatewaysToAdd, "", g, 0)},
			need{words{"Adressen", "addresses"}, g, v.value(plan.AddressesNeeded, "", g, 0), v.value(plan.AddressesThere, "", g, 0), v.value(plan.AddressesMissing, "", g, 0)})
	}
	laptops := need{what: words{"Laptops", "laptops"}, needed: v.value(plan.AtHome, "", "", year), more: v.value(plan.LaptopsToBuy, "", "", 0)}
	for _, t := range v.tenants() {
		laptops.there += v.value(plan.LaptopsNow, t, "", 0)
	}
	return append(list, laptops)
}

func (a *app) showNeeds(v *planView) error {
	a.say(words{})
	if len(v.years) > 1 { // else there is no other one; what is owned may have ended by then
		a.say(words{"Im Jahr %d, in dem am meisten gebraucht wird:", "In year %d, in which most is needed:"}, v.GetDecisiveYear())
	}
	return list(a.printer, "", []column[need]{
		{"", words{"was", "what"}, func(n need) any { return n.what.in(a.language) }},
		{"", words{"um", "around"}, func(n need) any { return n.of }},
		{"", words{"nötig", "needed"}, func(n need) any { return n.needed }},
		{"", words{"vorhanden", "there"}, func(n need) any { return n.there }},
		{"", words{"fehlt", "missing"}, func(n need) any { return n.more }},
	}, v.needs())
}

func (a *app) showYears(v *planView) error {
	a.say(words{})
	at := func(n plan.Name) func(int64) any { return func(y int64) any { return v.value(n, "", "", y) } }
	return list(a.printer, "", []column[int64]{
		{"", words{"Jahr", "year"}, func(y int64) any { return y }},
		{"", words{"Menschen", "people"}, at(plan.PeoplePlanned)},
		{"", words{"zu Hause", "at home"}, at(plan.AtHome)},
		{"", words{"Formel", "formula"}, at(plan.SeatsByFormula)},
		{"", words{"gemessene Spitze", "observed peak"}, func(y int64) any {
			if f := v.figure(plan.SeatsByPeak, "", "", y); f != nil {
				return f.GetValue()
			}
			return nil
		}},
		{"", words{"Plätze nötig", "seats needed"}, at(plan.SeatsNeeded)},
		{"", words{"vorhanden", "owned"}, at(plan.SeatsOwned)},
		{"", words{"fehlen", "to buy"}, at(plan.SeatsToBuy)},
	}, v.years)
}

func (a *app) showPooling(v *planView) error {
	if len(v.tenants()) < 2 {
		return nil
	}
	year := v.GetDecisiveYear()
	a.say(words{})
	a.say(words{"Gemeinsam sind %d Plätze nötig, jede Verwaltung für sich bräuchte zusammen %d: %d weniger.", "Together %d seats are needed, each tenant alone would take %d: %d fewer."},
		v.value(plan.SeatsNeeded, "", "", year), v.value(plan.SeatsAlone, "", "", year), v.value(plan.SavedByPooling, "", "", year))
	return nil
}

func (a *app) showOffers(v *planView) error {
	type offer = *heimdrahtv1.PlanOffer
	if len(v.asked.GetOffers()) == 0 {
		return nil
	}
	a.say(words{})
	cost := func(n plan.Name) func(offer) any {
		return func(o offer) any {
			if f := v.figure(n, "", o.GetName(), 0); f != nil {
				return euros(f.GetValue())
			}
			return nil
		}
	}
	return list(a.printer, "", []column[offer]{
		{"", words{"Angebot", "offer"}, func(o offer) any { return o.GetName() }},
		{"", words{"Art", "kind"}, func(o offer) any { return kindOf(o.GetKind()).in(a.language) }},
		{"", words{"Menge zuletzt", "quantity in the end"}, func(o offer) any {
			if v.figure(plan.CostNet, "", o.GetName(), 0) == nil { // a gateway for those that are not planned
				return nil
			}
			return v.count(o, v.years[len(v.years)-1])
		}},
		{"", words{"netto", "net"}, cost(plan.CostNet)},
		{"", words{"brutto", "gross"}, cost(plan.CostGross)},
		{"", words{"bestellen bis", "order by"}, func(o offer) any {
			return dayIn(dayOfValue(v.value(plan.OrderBy, "", o.GetName(), 0))).in(a.language)
		}},
	}, v.asked.GetOffers())
}

// Beyond so many offers a table of tenants is too wide for a screen.
const offersBesides = 5

func (a *app) showTenants(v *planView) error {
	year := v.GetDecisiveYear()
	columns := []column[string]{
		{"", words{"Verwaltung", "tenant"}, func(t string) any { return t }},
		{"", words{"Menschen", "people"}, func(t string) any { return v.value(plan.PeoplePlanned, t, "", year) }},
		{"", words{"Plätze allein", "seats alone"}, func(t string) any { return v.value(plan.SeatsNeeded, t, "", year) }},
		{"", words{"Laptops fehlen", "laptops to buy"}, func(t string) any { return v.value(plan.LaptopsToBuy, t, "", 0) }},
	}
	for i, o := range v.priced() {
		if i < offersBesides {
			columns = append(columns, column[string]{"", words{o.GetName() + " netto", o.GetName() + ", net"}, func(t string) any {
				return euros(v.value(plan.ShareNet, t, o.GetName(), 0))
			}})
		}
	}
	a.say(words{})
	return list(a.printer, "", columns, v.tenants())
}

// showCliff draws how many of 1,000 attempts are refused, by share at home.
func (a *app) showCliff(v *planView) error {
	a.say(words{})
	bar := func(p point) string { return strings.Repeat("█", int(p.planned*36/1_000_000)) }
	return list(a.printer, "", []column[point]{
		{"", words{"zu Hause", "at home"}, func(p point) any { return percentOf(p.home).in(a.language) }},
		{"", words{"von 1000 abgewiesen, geplant", "of 1000 refused, as planned"}, func(p point) any { return ofThousand(p.planned).in(a.language) }},
		{"", words{"mit heutigen Plätzen", "with today's seats"}, func(p point) any { return ofThousand(p.today).in(a.language) }},
		{"", words{"geplant", "planned"}, func(p point) any { return bar(p) }},
	}, v.cliff())
}

// explain says of every figure what it follows from.
func (a *app) explain(v *planView) {
	a.say(words{"Anteile gelten in Formeln als Bruchteile von eins; gerundet (⌈ ⌉) sind sie auf ein Millionstel, alles andere auf ganze Zahlen.",
		"Shares count in formulas as parts of one; they are rounded (⌈ ⌉) to a millionth, all else to whole numbers."})
	for i, f := range v.GetFigures() {
		a.say(words{"%s", "%s"}, terminal.Harmless(v.line(i, f).in(a.language)))
	}
}

// line is a figure with its number, and the numbers of those that it follows from.
func (v *planView) line(i int, f planFigure) words {
	head := fmt.Sprintf("[%d] ", i)
	var beside []string
	for _, s := range []string{f.GetTenant(), f.GetOf()} {
		if s != "" {
			beside = append(beside, s)
		}
	}
	of := words{strings.Join(beside, ", "), strings.Join(beside, ", ")}
	if f.GetYear() > 0 {
		of = words{joined(of.de, fmt.Sprintf("Jahr %d", f.GetYear())), joined(of.en, fmt.Sprintf("year %d", f.GetYear()))}
	}
	if f.GetStep() > 0 {
		p := percentOf(f.GetStep())
		of = words{joined(of.de, p.de+" zu Hause"), joined(of.en, p.en+" at home")}
	}
	name, value := nameOf(f), valueOf(f)
	tail := ""
	if f.GetFormula() != "" {
		tail = "  = " + f.GetFormula() + ": "
		for n, in := range f.GetInputs() {
			if n > 0 {
				tail += ", "
			}
			tail += fmt.Sprintf("[%d]", in)
		}
	}
	return words{head + name.de + inBrackets(of.de) + ": " + value.de + tail, head + name.en + inBrackets(of.en) + ": " + value.en + tail}
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
