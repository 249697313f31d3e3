package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
)

// planNames are figures in people's words.
func planNames() map[plan.Name]words {
	return map[plan.Name]words{
		plan.HomeShare:        {"Anteil zu Hause", "share at home"},
		plan.HomeShareThen:    {"Anteil zu Hause, als gemessen wurde", "share at home when observed"},
		plan.OnlineAtPeak:     {"davon zur Spitze verbunden", "of them connected at the peak"},
		plan.GrowthAYear:      {"Wachstum im Jahr", "growth a year"},
		plan.RefusedAtMost:    {"Abweisungen höchstens", "refused at most"},
		plan.GrownFor:         {"Jahre des Wachstums", "years of growth"},
		plan.PeopleNow:        {"Menschen heute", "people today"},
		plan.LaptopsNow:       {"Laptops heute", "laptops today"},
		plan.ObservedPeak:     {"gemessene Spitze", "observed peak"},
		plan.PeakScaled:       {"gemessene Spitze, hochgerechnet", "observed peak, scaled"},
		plan.ContractSeats:    {"Plätze des Vertrags", "seats of the contract"},
		plan.GuaranteedSeats:  {"zugesagte Plätze", "guaranteed seats"},
		plan.Throughput:       {"Durchsatz je Mensch", "throughput a person"},
		plan.GatewaySessions:  {"Verbindungen des Zugangsservers", "sessions of the gateway"},
		plan.GatewayKilobits:  {"Durchsatz des Zugangsservers", "throughput of the gateway"},
		plan.GatewayCount:     {"Zugangsserver heute", "gateways today"},
		plan.GatewayAddresses: {"Adressen des Zugangsservers", "addresses of the gateway"},
		plan.BlockSize:        {"Adressen je Block", "addresses a block"},
		plan.One:              {"eins", "one"},
		plan.PlanFrom:         {"Beginn", "from"},
		plan.NoticeBy:         {"kündbar bis", "notice by"},
		plan.ContractEnds:     {"Vertragsende", "contract ends"},
		plan.DeliveryDays:     {"Lieferzeit", "delivery"},
		plan.PackSize:         {"kleinste Menge", "smallest quantity"},
		plan.Included:         {"enthaltene Plätze", "included seats"},
		plan.UsedShare:        {"davon im Mittel benutzt", "of them used on average"},
		plan.PeriodsAYear:     {"Zahlungen im Jahr", "payments a year"},
		plan.PriceNet:         {"Preis netto", "price, net"},
		plan.PriceGross:       {"Preis brutto", "price, gross"},
		plan.MaintenanceNet:   {"Wartung im Jahr netto", "maintenance a year, net"},
		plan.MaintenanceGross: {"Wartung im Jahr brutto", "maintenance a year, gross"},
		plan.OverageNet:       {"Preis darüber hinaus netto", "price beyond, net"},
		plan.OverageGross:     {"Preis darüber hinaus brutto", "price beyond, gross"},
		plan.WhichOne:         {"Stelle in der Liste", "place in the list"},

		plan.OnlineShare:      {"Anteil verbunden", "share connected"},
		plan.PeoplePlanned:    {"Menschen", "people"},
		plan.AtHome:           {"Menschen zu Hause", "people at home"},
		plan.SeatsByFormula:   {"Plätze nach der Formel", "seats by the formula"},
		plan.SeatsByPeak:      {"Plätze nach der gemessenen Spitze", "seats by the observed peak"},
		plan.SeatsNeeded:      {"Plätze nötig", "seats needed"},
		plan.SeatsAlone:       {"Plätze, jede Verwaltung für sich", "seats, each tenant alone"},
		plan.SavedByPooling:   {"durch Teilen gespart", "saved by pooling"},
		plan.WithoutSeat:      {"ohne Platz, wenn alle zugleich kommen", "without a seat if all come at once"},
		plan.SeatsOwned:       {"Plätze vorhanden", "seats owned"},
		plan.SeatsToBuy:       {"Plätze fehlen", "seats to buy"},
		plan.SessionsTogether: {"Verbindungen der Zugangsserver zusammen", "sessions of the gateways together"},
		plan.SessionsLargest:  {"Verbindungen des größten Zugangsservers", "sessions of the largest gateway"},
		plan.KilobitsNeeded:   {"Durchsatz nötig", "throughput needed"},
		plan.KilobitsTogether: {"Durchsatz der Zugangsserver zusammen", "throughput of the gateways together"},
		plan.AddBySessions:    {"Zugangsserver fehlen, nach Verbindungen", "gateways to add, by sessions"},
		plan.AddByThroughput:  {"Zugangsserver fehlen, nach Durchsatz", "gateways to add, by throughput"},
		plan.GatewaysToAdd:    {"Zugangsserver fehlen", "gateways to add"},
		plan.GatewaysThen:     {"Zugangsserver dann", "gateways then"},
		plan.OtherGateways:    {"Zugangsserver neben einem", "gateways beside one"},
		plan.Connectable:      {"Laptops, die sich verbinden können", "laptops that can connect"},
		plan.TenantCount:      {"Verwaltungen", "tenants"},
		plan.BlocksFilled:     {"Blöcke gefüllt", "blocks filled"},
		plan.BlocksBegun:      {"Blöcke angebrochen", "blocks begun"},
		plan.BlocksNeeded:     {"Blöcke", "blocks"},
		plan.AddressesNeeded:  {"Adressen nötig", "addresses needed"},
		plan.AddressesAll:     {"Adressen der Zugangsserver zusammen", "addresses of the gateways together"},
		plan.AddressesLargest: {"Adressen des größten Zugangsservers", "addresses of the largest gateway"},
		plan.AddressesThere:   {"Adressen ohne den größten Zugangsserver", "addresses without the largest gateway"},
		plan.AddressesMissing: {"Adressen fehlen", "addresses missing"},
		plan.LaptopsToBuy:     {"Laptops fehlen", "laptops to buy"},
		plan.LaptopsPlanned:   {"Laptops fehlen zusammen", "laptops to buy in all"},
		plan.OrderBy:          {"bestellen bis", "order by"},
		plan.RefusedPlanned:   {"abgewiesen, mit den geplanten Plätzen", "refused with planned seats"},
		plan.RefusedToday:     {"abgewiesen, mit den vorhandenen Plätzen", "refused with today's seats"},
		plan.Bought:           {"gekauft", "bought"},
		plan.BoughtNew:        {"neu gekauft", "bought anew"},
		plan.SeatsBilled:      {"Plätze berechnet", "seats billed"},
		plan.OverageSeats:     {"Plätze über die enthaltenen hinaus", "seats beyond those included"},
		plan.CostOnce:         {"Kaufpreis netto", "purchase, net"},
		plan.CostRunning:      {"laufend netto", "running, net"},
		plan.CostOverage:      {"darüber hinaus netto", "beyond, net"},

		plan.CostOnce + "-gross":    {"Kaufpreis brutto", "purchase, gross"},
		plan.CostRunning + "-gross": {"laufend brutto", "running, gross"},
		plan.CostOverage + "-gross": {"darüber hinaus brutto", "beyond, gross"},

		plan.CostNet:    {"Kosten netto", "cost, net"},
		plan.CostGross:  {"Kosten brutto", "cost, gross"},
		plan.Needs:      {"Bedarf aller Verwaltungen", "needs of all tenants"},
		plan.ShareNet:   {"Anteil an den Kosten netto", "share of the cost, net"},
		plan.ShareGross: {"Anteil an den Kosten brutto", "share of the cost, gross"},
	}
}

// kindOf is how an offer is paid, in words.
func kindOf(kind string) words {
	switch plan.Kind(kind) {
	case plan.Perpetual:
		return words{"Kauf mit Wartung", "purchase and maintenance"}
	case plan.Used:
		return words{"nach Nutzung", "as used"}
	case plan.Base:
		return words{"Grundpreis und Mehrverbrauch", "base and overage"}
	case plan.Server:
		return words{"Zugangsserver", "gateway"}
	case plan.Laptop:
		return words{"Laptop", "laptop"}
	}
	return words{kind, kind}
}

// nameOf is a figure's name for people; a name that a newer server has is shown as it is.
func nameOf(f *heimdrahtv1.PlanFigure) words {
	if plan.Name(f.GetName()) == plan.SeatsToBuy { // of an offer: what it sells
		switch plan.Unit(f.GetUnit()) {
		case plan.Gateways:
			return planNames()[plan.GatewaysToAdd]
		case plan.Laptops:
			return planNames()[plan.LaptopsToBuy]
		}
	}
	if w, known := planNames()[plan.Name(f.GetName())]; known {
		return w
	}
	return words{f.GetName(), f.GetName()}
}

// wholeNumber is a number as people write it, in groups of three.
func wholeNumber(n int64, separator string) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + separator + s[i:]
	}
	return sign + s
}

// percentOf is a share with as many decimals as it has.
func percentOf(millionths int64) words {
	sign := ""
	if millionths < 0 {
		sign, millionths = "-", -millionths
	}
	s := strings.TrimRight(strings.TrimRight(fmt.Sprintf("%d.%04d", millionths/10_000, millionths%10_000), "0"), ".")
	return words{sign + strings.Replace(s, ".", ",", 1) + " %", sign + s + "%"}
}

// ofThousand is a probability in attempts of a thousand.
func ofThousand(millionths int64) words {
	s := fmt.Sprintf("%d.%d", millionths/1000, millionths%1000/100)
	return words{strings.Replace(s, ".", ",", 1), s}
}

func amountOf(cents int64) words {
	return words{
		fmt.Sprintf("%s,%02d €", wholeNumber(cents/100, "."), cents%100),
		fmt.Sprintf("€%s.%02d", wholeNumber(cents/100, ","), cents%100),
	}
}

func dayOfValue(days int64) time.Time { return time.Unix(days*86400, 0).UTC() }

func dayIn(t time.Time) words { return words{t.Format("02.01.2006"), t.Format(time.DateOnly)} }

// valueOf is a figure's value for people, with its unit.
func valueOf(f *heimdrahtv1.PlanFigure) words {
	unit := words{"", ""}
	switch plan.Unit(f.GetUnit()) {
	case plan.Cents:
		return amountOf(f.GetValue())
	case plan.Millionths:
		return percentOf(f.GetValue())
	case plan.Date:
		return dayIn(dayOfValue(f.GetValue()))
	case plan.People:
		unit = words{" Menschen", " people"}
	case plan.Seats:
		unit = words{" Plätze", " seats"}
	case plan.Laptops:
		unit = words{" Laptops", " laptops"}
	case plan.Gateways:
		unit = words{" Zugangsserver", " gateways"}
	case plan.Addresses:
		unit = words{" Adressen", " addresses"}
	case plan.Blocks:
		unit = words{" Blöcke", " blocks"}
	case plan.Tenants:
		unit = words{" Verwaltungen", " tenants"}
	case plan.Kilobits:
		unit = words{" kbit/s", " kbit/s"}
	case plan.Months:
		unit = words{" Monate", " months"}
	case plan.Years:
		unit = words{" Jahre", " years"}
	case plan.Days:
		unit = words{" Tage", " days"}
	}
	return words{wholeNumber(f.GetValue(), ".") + unit.de, wholeNumber(f.GetValue(), ",") + unit.en}
}

// warningOf is a warning as a sentence; an unknown one is told by its code.
func (v *planView) warningOf(w *heimdrahtv1.PlanWarning) words {
	at, n := words{}, words{}
	if w.GetFigure() > 0 {
		f := v.GetFigures()[w.GetFigure()-1]
		at, n = dayIn(dayOfValue(f.GetValue())), words{wholeNumber(f.GetValue(), "."), wholeNumber(f.GetValue(), ",")}
	}
	say := func(german, english string, args ...any) words {
		return words{fmt.Sprintf(german, args...), fmt.Sprintf(english, args...)}
	}
	switch plan.WarningCode(w.GetCode()) {
	case plan.WarnMandate:
		if len(v.tenants()) == 1 {
			return words{"Kommen alle zugleich, finden " + n.de + " Menschen keinen Platz.", "If all come at once, " + n.en + " people find no seat."}
		}
		s := say("Eine Homeoffice-Pflicht trifft alle Verwaltungen am selben Montag: Die Formel setzt voraus, dass sie zu verschiedenen Zeiten viel zu tun haben.", "A mandate strikes all tenants on the same Monday: the formula supposes that they are busy at different times.")
		return words{s.de + " Kommen alle zugleich, finden " + n.de + " Menschen keinen Platz.", s.en + " If all come at once, " + n.en + " people find no seat."}
	case plan.WarnPeak:
		return words{"Die gemessene Spitze verlangt mehr Plätze als die Formel; sie gilt.", "The observed peak needs more seats than the formula; it counts."}
	case plan.WarnNoPeak:
		return words{"Gemessen wurde noch nichts: Es gilt die Formel allein. Sie verspricht zu viel, wenn alle um acht kommen.", "Nothing has been observed yet: the formula alone counts. It promises too much if everybody comes at eight."}
	case plan.WarnLate:
		return words{fmt.Sprintf("%s kommt zu spät: Es hätte bis %s bestellt werden müssen.", w.GetOf(), at.de), fmt.Sprintf("%s comes too late: it should have been ordered by %s.", w.GetOf(), at.en)}
	case plan.WarnNotOffered:
		return words{fmt.Sprintf("%s lässt sich nicht rechtzeitig bestellen: Das Angebot gilt dann nicht (nötig bis %s).", w.GetOf(), at.de), fmt.Sprintf("%s cannot be ordered in time: the offer does not hold then (needed by %s).", w.GetOf(), at.en)}
	case plan.WarnNotice:
		return words{fmt.Sprintf("Vertrag %s: kündbar bis %s.", w.GetOf(), at.de), fmt.Sprintf("Contract %s: notice can be given until %s.", w.GetOf(), at.en)}
	case plan.WarnEnds:
		return words{fmt.Sprintf("Vertrag %s endet am %s.", w.GetOf(), at.de), fmt.Sprintf("Contract %s ends on %s.", w.GetOf(), at.en)}
	case plan.WarnAddresses:
		return words{fmt.Sprintf("Zugangsserver um %s: Fällt der größte aus, fehlen %s Adressen.", w.GetOf(), n.de), fmt.Sprintf("Gateways around %s: without the largest, %s addresses are missing.", w.GetOf(), n.en)}
	case plan.WarnNoGateways:
		return words{"Für manche Verwaltungen sind keine Zugangsserver bekannt, oder sie werden Ihnen nicht genannt: Sie sind nicht geplant.", "Of some tenants no gateways are known, or you are not told of them: they are not planned."}
	}
	return words{w.GetCode() + " " + w.GetOf(), w.GetCode() + " " + w.GetOf()}
}

// notes say what the plan could not know.
func (v *planView) notes() (list []words) {
	note := func(tenants []string, german, english string) {
		if len(tenants) > 0 {
			names := someOf(tenants)
			list = append(list, words{german + " " + names, english + " " + names})
		}
	}
	note(v.GetLeftOut(), "Nicht geplant, weil nicht bekannt oder verdeckt ist, wie viele Menschen von zu Hause arbeiten dürfen (--people):",
		"Not planned for, because it is not known or withheld how many people may work from home (--people):")
	note(v.GetPeopleKnown(), "Mit den Menschen geplant, die schon angemeldet sind; sind es mehr, nennen Sie die Zahl (--people):",
		"Planned for with the people who have enrolled; if there are more, say how many (--people):")
	note(v.GetLaptopsWithheld(), "Laptops zählen als keine, weil ihre Zahl verdeckt ist:", "Laptops count as none, because their number is withheld:")
	return list
}

// someOf is a list of names that is not too long to read.
func someOf(names []string) string {
	const most = 12
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", … (" + strconv.Itoa(len(names)) + ")"
}
