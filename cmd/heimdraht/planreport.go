package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/heimdraht/heimdraht/cmd/internal/terminal"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
)

//go:embed planreport.html
var planReport string

// page is what the report shows: texts in German, ready to be read.
type page struct {
	From, Made string
	Summary    []string
	Warnings   []string
	Notes      []string
	Tables     map[string]sheet
	Seats      bars
	Costs      bars
	Cliff      curve
	Offers     bool
	Derivation []string
}

// sheet is a table.
type sheet struct {
	Caption string
	Heads   []string
	Rows    [][]string
	Foot    []string
}

// report writes one page for people who decide, in German, that needs nothing but itself.
func (v *planView) report(out io.Writer) error {
	t, err := template.New("plan").Parse(planReport)
	if err != nil {
		return fmt.Errorf("reading the page of the report: %w", err)
	}
	if err := t.Execute(out, v.page()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func german(n int64) string { return wholeNumber(n, ".") }

func (v *planView) page() page {
	p := page{
		From: dayIn(dayOfValue(v.value(plan.PlanFrom, "", "", 0))).de, Made: timeOf(v.GetAt()).Local().Format("02.01.2006"),
		Summary: v.summary(), Offers: len(v.priced()) > 0, Seats: v.seatBars(), Costs: v.costBars(), Cliff: v.curve(),
		Tables: map[string]sheet{
			"assumptions": v.assumptions(), "needs": v.needSheet(), "years": v.yearSheet(), "cliff": v.cliffSheet(),
			"offers": v.offerSheet(), "tenants": v.tenantSheet(),
		},
	}
	unbroken := strings.NewReplacer(" €", "\u00a0€", " %", "\u00a0%") // a unit stays on its number's line
	for _, s := range p.Tables {
		for _, row := range append(s.Rows, s.Heads, s.Foot) {
			for i := range row {
				row[i] = unbroken.Replace(terminal.Harmless(row[i]))
			}
		}
	}
	for _, w := range v.GetWarnings() {
		p.Warnings = append(p.Warnings, terminal.Harmless(v.warningOf(w).de))
	}
	for _, n := range v.notes() {
		p.Notes = append(p.Notes, terminal.Harmless(n.de))
	}
	if v.asked.GetExplain() {
		for i, f := range v.GetFigures() {
			p.Derivation = append(p.Derivation, terminal.Harmless(v.line(i, f).de))
		}
	}
	return p
}

// summary is what somebody reads who reads nothing else.
func (v *planView) summary() []string {
	year := v.GetDecisiveYear()
	at := func(n plan.Name) int64 { return v.value(n, "", "", year) }
	said := []string{fmt.Sprintf(
		"Ab %s sollen %s der %s Menschen von zu Hause arbeiten können, %s davon zugleich. Höchstens %s der Versuche sollen abgewiesen werden. Dafür sind %s Plätze nötig; vorhanden sind %s, es fehlen %s.",
		dayIn(dayOfValue(v.value(plan.PlanFrom, "", "", 0))).de, percentOf(v.asked.GetHomeShare()).de, german(v.value(plan.PeoplePlanned, "", "", 1)), percentOf(v.asked.GetOnlineAtPeak()).de,
		percentOf(v.asked.GetRefused()).de, german(v.value(plan.SeatsNeeded, "", "", 1)), german(v.value(plan.SeatsOwned, "", "", 1)), german(v.value(plan.SeatsToBuy, "", "", 1)))}
	if year > 1 {
		said = append(said, fmt.Sprintf("Am meisten wird im Jahr %d gebraucht: Für dann %s Menschen sind %s Plätze nötig; vorhanden sind dann %s, es fehlen %s. Von diesem Jahr ist im Folgenden die Rede.",
			year, german(at(plan.PeoplePlanned)), german(at(plan.SeatsNeeded)), german(at(plan.SeatsOwned)), german(at(plan.SeatsToBuy))))
	}
	if plan.Name(v.GetReason()) == plan.SeatsByPeak {
		said = append(said, fmt.Sprintf("Entscheidend ist die gemessene Spitze: Hochgerechnet verlangt sie %s Plätze, die Formel allein nur %s.", german(at(plan.SeatsByPeak)), german(at(plan.SeatsByFormula))))
	} else {
		said = append(said, "Entscheidend ist die Formel (Engset): wie oft alle Plätze belegt sind, wenn die Menschen unabhängig voneinander kommen.")
	}
	if len(v.tenants()) > 1 {
		said = append(said, fmt.Sprintf("Gemeinsam brauchen die %d Verwaltungen %s Plätze weniger als jede für sich (%s).",
			len(v.tenants()), german(at(plan.SavedByPooling)), german(at(plan.SeatsAlone))))
	}
	for _, n := range v.needs() {
		if n.more > 0 && n.what.de != "Plätze" {
			said = append(said, fmt.Sprintf("%s%s: nötig %s, vorhanden %s, es fehlen %s.", n.what.de, inBrackets(n.of), german(n.needed), german(n.there), german(n.more)))
		}
	}
	return said
}

func (v *planView) assumptions() sheet {
	s := sheet{Caption: "Annahmen", Heads: []string{"Annahme", "Wert"}}
	for _, n := range []plan.Name{plan.HomeShare, plan.HomeShareThen, plan.OnlineAtPeak, plan.OnlineShare, plan.RefusedAtMost, plan.GrowthAYear, plan.Throughput} {
		if f := v.figure(n, "", "", 0); f != nil {
			s.Rows = append(s.Rows, []string{nameOf(f).de, valueOf(f).de})
		}
	}
	if n := v.asked.GetKbitsAGateway(); n > 0 {
		s.Rows = append(s.Rows, []string{planNames()[plan.GatewayKilobits].de, german(n) + " kbit/s"})
	}
	return s
}

func (v *planView) needSheet() sheet {
	s := sheet{Caption: "Was nötig ist, im Jahr des höchsten Bedarfs; Zugangsserver und Adressen so, dass der größte ausfallen darf", Heads: []string{"Was", "Um", "Nötig", "Vorhanden", "Fehlt"}}
	for _, n := range v.needs() {
		s.Rows = append(s.Rows, []string{n.what.de, orDash(n.of), german(n.needed), german(n.there), german(n.more)})
	}
	return s
}

func (v *planView) yearSheet() sheet {
	s := sheet{Caption: "Plätze nach Jahren des Plans", Heads: []string{"Jahr", "Menschen", "Zu Hause", "Nach der Formel", "Nach der Spitze", "Nötig", "Vorhanden", "Fehlen"}}
	for _, y := range v.years {
		peak := "-"
		if f := v.figure(plan.SeatsByPeak, "", "", y); f != nil {
			peak = german(f.GetValue())
		}
		at := func(n plan.Name) string { return german(v.value(n, "", "", y)) }
		s.Rows = append(s.Rows, []string{fmt.Sprint(y), at(plan.PeoplePlanned), at(plan.AtHome), at(plan.SeatsByFormula), peak, at(plan.SeatsNeeded), at(plan.SeatsOwned), at(plan.SeatsToBuy)})
	}
	return s
}

func (v *planView) cliffSheet() sheet {
	s := sheet{Caption: "Abgewiesene von 1.000 Versuchen", Heads: []string{"Zu Hause", "Mit den geplanten Plätzen", "Mit den heutigen Plätzen"}}
	for _, p := range v.cliff() {
		s.Rows = append(s.Rows, []string{percentOf(p.home).de, ofThousand(p.planned).de, ofThousand(p.today).de})
	}
	return s
}

func (v *planView) offerSheet() sheet {
	s := sheet{Caption: "Kosten der Angebote nach Jahren, netto", Heads: []string{"Angebot", "Art", "Menge zuletzt"}}
	for _, y := range v.years {
		s.Heads = append(s.Heads, fmt.Sprintf("Jahr %d", y))
	}
	s.Heads = append(s.Heads, "Zusammen netto", "Zusammen brutto", "Bestellen bis")
	for _, o := range v.priced() {
		row := []string{o.GetName(), kindOf(o.GetKind()).de, german(v.count(o, v.years[len(v.years)-1]))}
		for _, y := range v.years {
			row = append(row, amountOf(v.value(plan.CostNet, "", o.GetName(), y)).de)
		}
		gross := "-"
		if f := v.figure(plan.CostGross, "", o.GetName(), 0); f != nil {
			gross = amountOf(f.GetValue()).de
		}
		s.Rows = append(s.Rows, append(row, amountOf(v.value(plan.CostNet, "", o.GetName(), 0)).de, gross,
			dayIn(dayOfValue(v.value(plan.OrderBy, "", o.GetName(), 0))).de))
	}
	return s
}

func (v *planView) tenantSheet() sheet {
	year := v.GetDecisiveYear()
	s := sheet{Caption: "Verwaltungen: Bedarf, und ihr Anteil an den Kosten jedes Angebots, netto", Heads: []string{"Verwaltung", "Menschen", "Plätze allein", "Laptops fehlen"}}
	foot := []string{"Zusammen", german(v.value(plan.PeoplePlanned, "", "", year)), german(v.value(plan.SeatsAlone, "", "", year)), german(v.value(plan.LaptopsToBuy, "", "", 0))}
	for _, o := range v.priced() {
		s.Heads = append(s.Heads, o.GetName())
		foot = append(foot, amountOf(v.value(plan.CostNet, "", o.GetName(), 0)).de)
	}
	for _, t := range v.tenants() {
		row := []string{t, german(v.value(plan.PeoplePlanned, t, "", year)), german(v.value(plan.SeatsNeeded, t, "", year)), german(v.value(plan.LaptopsToBuy, t, "", 0))}
		for _, o := range v.priced() {
			row = append(row, amountOf(v.value(plan.ShareNet, t, o.GetName(), 0)).de)
		}
		s.Rows = append(s.Rows, row)
	}
	s.Foot = foot
	return s
}

// bar is one bar of a chart. Lengths are in units of the drawing.
type bar struct {
	Label, Value   string
	Y, Length, Low int
	Class          string
}

// bars is a chart of bars from left to right.
type bars struct {
	Title, About  string
	Height, Width int
	Bars          []bar
}

// The drawing's measures: a column of labels, and the longest bar.
const (
	labelWidth = 170
	barWidth   = 420
	barHeight  = 22
)

func (b *bars) add(label, value, class string, n, most int64) {
	length := 0
	if most > 0 {
		length = int(n * barWidth / most)
	}
	y := 4 + len(b.Bars)*(barHeight+6)
	b.Bars = append(b.Bars, bar{Label: label, Value: value, Y: y, Length: length, Low: y + 16, Class: class})
	b.Height, b.Width = y+barHeight+6, labelWidth+barWidth+150
}

func (v *planView) seatBars() bars {
	b := bars{Title: "Plätze nach Jahren", About: "Für jedes Jahr des Plans ein Balken für nötige und einer für vorhandene Plätze; die Zahlen stehen in der Tabelle daneben."}
	var most int64
	for _, y := range v.years {
		most = max(most, v.value(plan.SeatsNeeded, "", "", y), v.value(plan.SeatsOwned, "", "", y))
	}
	for _, y := range v.years {
		needed, owned := v.value(plan.SeatsNeeded, "", "", y), v.value(plan.SeatsOwned, "", "", y)
		b.add(fmt.Sprintf("Jahr %d: nötig", y), german(needed), "needed", needed, most)
		b.add(fmt.Sprintf("Jahr %d: vorhanden", y), german(owned), "there", owned, most)
	}
	return b
}

func (v *planView) costBars() bars {
	b := bars{Title: fmt.Sprintf("Kosten der Angebote über %d Jahre, netto", len(v.years)), About: "Für jedes Angebot ein Balken; die Zahlen stehen in der Tabelle daneben."}
	var most int64
	for _, o := range v.priced() {
		most = max(most, v.value(plan.CostNet, "", o.GetName(), 0)/100)
	}
	for _, o := range v.priced() {
		cents := v.value(plan.CostNet, "", o.GetName(), 0)
		b.add(shortened(terminal.Harmless(o.GetName())), amountOf(cents).de, "needed", cents/100, most)
	}
	return b
}

// shortened is a label that fits its column.
func shortened(s string) string {
	if r := []rune(s); len(r) > 22 {
		return string(r[:21]) + "…"
	}
	return s
}

// curve is a chart of two lines: refused of 1,000, by share at home.
type curve struct {
	Planned, Today string // points of the lines
	X, Y           []tick
}

// tick is a mark of an axis.
type tick struct {
	At    int
	Label string
}

// The measures of the curve's drawing.
const (
	curveLeft, curveTop     = 60, 10
	curveWidth, curveHeight = 600, 260
)

func (v *planView) curve() curve {
	var c curve
	var planned, today []string
	at := func(home, refused int64) string {
		return fmt.Sprintf("%d,%d", curveLeft+home*curveWidth/1_000_000, curveTop+curveHeight-refused*curveHeight/1_000_000)
	}
	for _, p := range v.cliff() {
		planned, today = append(planned, at(p.home, p.planned)), append(today, at(p.home, p.today))
	}
	for i := range int64(6) {
		c.X = append(c.X, tick{int(curveLeft + i*curveWidth/5), fmt.Sprintf("%d %%", 20*i)})
		c.Y = append(c.Y, tick{int(curveTop + curveHeight - i*curveHeight/5), german(200 * i)})
	}
	c.Planned, c.Today = strings.Join(planned, " "), strings.Join(today, " ")
	return c
}
