package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

type capacityUsageCommand struct {
	By        string `enum:"tenant,pool,gateway,provider" default:"tenant" placeholder:"tenant|pool|gateway|provider" help:"${capacity_by}"`
	Name      string `placeholder:"NAME" help:"${capacity_name}"`
	From      string `default:"7d" placeholder:"WHEN" help:"${capacity_from}"`
	To        string `placeholder:"WHEN" help:"${capacity_to}"`
	Step      string `default:"1h" placeholder:"1m|5m|15m|1h|1d" help:"${capacity_step}"`
	CSVGerman bool   `name:"csv-german" help:"${capacity_csv_german}"`
}

const capacityUsage = "heimdraht capacity usage"

// Run shows how much was used.
func (c *capacityUsageCommand) Run(ctx context.Context, a *app) error {
	request, err := c.request(a, time.Now())
	if err != nil {
		return err
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.plan.GetUsage(ctx, request)
		if err != nil {
			return forOperators(err, request.GetBy(), words{"Nehmen Sie --by tenant oder --by pool.", "Use --by tenant or --by pool."})
		}
		return c.show(a, r)
	})
}

// forOperators is the error of who asked for what operators alone are told, with what to ask for
// instead; another error is left as it is.
func forOperators(err error, by heimdrahtv1.UsageBy, instead words) error {
	refused, is := control.AsProblem(control.FromStatus(err))
	if !is || refused.Code != string(provisioner.CodeNotAllowed) || by != heimdrahtv1.UsageBy_USAGE_BY_PROVIDER && by != heimdrahtv1.UsageBy_USAGE_BY_GATEWAY {
		return err
	}
	return problem(refused.Code, words{"Von Zugangsservern und von allen zusammen erfährt nur, wer das Ganze betreibt.", "Of gateways and of all together only operators are told."}, instead)
}

func (c *capacityUsageCommand) request(a *app, now time.Time) (*heimdrahtv1.GetUsageRequest, error) {
	wrong := func(w words, args ...any) error {
		return usageError{fmt.Sprintf(w.in(a.language), args...), capacityUsage}
	}
	if c.CSVGerman && a.form == formJSON {
		return nil, wrong(words{"--csv-german und -o json schließen einander aus", "--csv-german and -o json exclude each other"})
	}
	from, err := day(c.From, now, false)
	if err != nil {
		return nil, wrong(words{"--from: %q ist keine Zeit; möglich sind 7d, 3h, 31.1.2027, 2027-01-31 und 2027-01-31T08:00", "--from: %q is no time; possible are 7d, 3h, 31.1.2027, 2027-01-31 and 2027-01-31T08:00"}, c.From)
	}
	to := now
	if c.To != "" {
		if to, err = day(c.To, now, true); err != nil {
			return nil, wrong(words{"--to: %q ist keine Zeit; möglich sind 3h, 31.1.2027, 2027-01-31 und 2027-01-31T08:00", "--to: %q is no time; possible are 3h, 31.1.2027, 2027-01-31 and 2027-01-31T08:00"}, c.To)
		}
	}
	steps := map[string]time.Duration{"1m": time.Minute, "5m": 5 * time.Minute, "15m": 15 * time.Minute, "1h": time.Hour, "1d": 24 * time.Hour, "24h": 24 * time.Hour}
	step, ok := steps[c.Step]
	switch {
	case !ok:
		return nil, wrong(words{"--step: möglich sind 15m, 1h und 1d, nach Zugangsservern auch 1m und 5m", "--step: possible are 15m, 1h and 1d, by gateway 1m and 5m, too"})
	case step < 15*time.Minute && (c.By == "tenant" || c.By == "pool"):
		return nil, wrong(words{"--step %s gibt es nur nach Zugangsservern: Nach Verwaltungen und Lizenzen sind 15m das kürzeste, damit niemand aus Zahlen einen Menschen erkennt",
			"--step %s is for gateways only: by tenant and licence pool 15m is the shortest, so that nobody can tell a person from numbers"}, c.Step)
	case from.After(now):
		return nil, wrong(words{"--from liegt in der Zukunft", "--from is in the future"})
	case !from.Before(to):
		return nil, wrong(words{"--from liegt nicht vor --to", "--from is not before --to"})
	}
	return &heimdrahtv1.GetUsageRequest{
		By: heimdrahtv1.UsageBy(heimdrahtv1.UsageBy_value["USAGE_BY_"+strings.ToUpper(c.By)]), Name: c.Name,
		From: timestamppb.New(from), To: timestamppb.New(to), StepSeconds: int64(step / time.Second),
	}, nil
}

// day is a time that somebody typed. A day alone is its beginning; as an end it is its
// last instant's, so that it is among what is told.
func day(typed string, now time.Time, end bool) (time.Time, error) {
	for _, form := range []string{time.DateOnly, "2.1.2006", "02.01.2006"} {
		if t, err := time.ParseInLocation(form, typed, time.Local); err == nil {
			if end {
				t = t.AddDate(0, 0, 1)
			}
			return t, nil
		}
	}
	for _, form := range []string{"2006-01-02T15:04", "2.1.2006 15:04"} {
		if t, err := time.ParseInLocation(form, typed, time.Local); err == nil {
			return t, nil
		}
	}
	t, ok := instant(typed, now)
	if !ok || typed == "" {
		return time.Time{}, errors.New("no time")
	}
	return t.AsTime(), nil
}

// usageLine is one step of one series.
type usageLine struct {
	series *heimdrahtv1.UsageSeries
	*heimdrahtv1.UsagePoint
}

func (c *capacityUsageCommand) show(a *app, r *heimdrahtv1.GetUsageResponse) error {
	var lines []usageLine
	for _, s := range r.GetSeries() {
		for _, p := range s.GetPoints() {
			lines = append(lines, usageLine{s, p})
		}
	}
	switch {
	case c.CSVGerman:
		return writeGermanCSV(a.out, usageLineColumns(c.By), lines)
	case a.form == formCSV:
		return writeCSV(a.out, usageLineColumns(c.By), lines)
	case a.form == formJSON:
		return a.json(orderedObject{
			{"from", forPrograms(timeOf(r.GetFrom()))}, {"to", forPrograms(timeOf(r.GetTo()))}, {"step_seconds", r.GetStepSeconds()},
			{"usage", objects(usageLineColumns(c.By), lines)},
		})
	}
	if len(lines) == 0 {
		a.hint(words{"Für diese Zeit gibt es keine Zahlen, die Sie sehen: Es wird nach jeder vollen Stunde gezählt.", "There are no numbers of that time that you see: they come after each full hour."})
		return nil
	}
	a.say(words{"%s bis %s", "%s to %s"}, a.time(timeOf(r.GetFrom())), a.time(timeOf(r.GetTo())))
	a.say(words{})
	if err := list(a.printer, "", seriesColumns(), r.GetSeries()); err != nil {
		return err
	}
	a.say(words{})
	if len(r.GetSeries()) == 1 {
		if err := list(a.printer, "", pointColumns(lines), lines); err != nil {
			return err
		}
	}
	a.explainMarks(lines)
	return nil
}

// explainMarks says what marks mean that stand in the answer.
func (a *app) explainMarks(lines []usageLine) {
	var withheld, partly, incomplete, gap bool
	for _, l := range lines {
		gap = gap || l.GetMinutes() == 0
		withheld = withheld || l.GetSessions().GetWithheld()
		partly = partly || l.GetPartly()
		incomplete = incomplete || l.GetIncomplete()
	}
	if withheld || partly {
		a.hint(words{"Verdeckt (·) sind Stunden mit weniger als 5 Menschen und solche, aus denen man sie errechnen könnte. Von weniger als 50 Beschäftigten ist auf 5 gerundet.",
			"Withheld (·) are hours with fewer than 5 people and those from which they could be computed. Of fewer than 50 staff, numbers are rounded to 5."})
	}
	if partly {
		a.hint(words{"~: ohne die verdeckten Stunden.", "~: without the hours that are withheld."})
	}
	if incomplete {
		a.hint(words{"*: Ein Zugangsserver war nicht da; Bytes fehlen.", "*: a gateway was away; bytes are missing."})
	}
	if gap {
		a.hint(words{"Lücken: Da hat niemand gezählt.", "Gaps: nobody counted then."})
	}
}

// spark draws the highest numbers of a series in at most so many signs. A gap is a blank,
// what is withheld a dot.
func spark(points []*heimdrahtv1.UsagePoint, width int) string {
	const bars = "▁▂▃▄▅▆▇█"
	highest := int64(1)
	for _, p := range points {
		highest = max(highest, p.GetSessions().GetMax())
	}
	group := max(1, (len(points)+width-1)/width)
	var b strings.Builder
	for len(points) > 0 {
		part := points[:min(group, len(points))]
		points = points[len(part):]
		sign, most := ' ', int64(-1)
		for _, p := range part {
			switch {
			case p.GetMinutes() == 0:
			case p.GetSessions().GetWithheld():
				if most < 0 {
					sign = '·'
				}
			case p.GetSessions().GetMax() > most:
				most = p.GetSessions().GetMax()
				sign = []rune(bars)[most*7/highest]
			}
		}
		b.WriteRune(sign)
	}
	return b.String()
}

// sparkWidth leaves room for the other columns on a screen of 120.
const sparkWidth = 36

func seriesColumns() []column[*heimdrahtv1.UsageSeries] {
	type series = *heimdrahtv1.UsageSeries
	told := func(s series) (most *heimdrahtv1.UsagePoint) {
		for _, p := range s.GetPoints() {
			if p.GetMinutes() > 0 && !p.GetSessions().GetWithheld() && (most == nil || p.GetSessions().GetMax() > most.GetSessions().GetMax()) {
				most = p
			}
		}
		return most
	}
	return []column[series]{
		{"name", words{"Name", "name"}, func(s series) any { return seriesName(s) }},
		{"highest", words{"höchstens", "highest"}, func(s series) any {
			if most := told(s); most != nil {
				return most.GetSessions().GetMax()
			}
			return nil
		}},
		{"at", words{"wann", "when"}, func(s series) any {
			if most := told(s); most != nil {
				return timeOf(most.GetAt())
			}
			return nil
		}},
		{"of", words{"von", "of"}, func(s series) any {
			if s.GetOf() == 0 {
				return nil
			}
			return s.GetOf()
		}},
		{"course", words{"Verlauf", "course"}, func(s series) any { return spark(s.GetPoints(), sparkWidth) }},
	}
}

func seriesName(s *heimdrahtv1.UsageSeries) any {
	if s.GetName() == "" {
		return shown{"", words{"alle zusammen", "all together"}}
	}
	return s.GetName()
}

// pointColumns have, of the reasons for refusals that seldom come, those that did.
func pointColumns(lines []usageLine) []column[usageLine] {
	list := []column[usageLine]{
		{"at", words{"wann", "when"}, func(l usageLine) any { return timeOf(l.GetAt()) }},
		{"sessions_max", words{"höchstens", "highest"}, func(l usageLine) any { return highestOf(l.UsagePoint, l.GetSessions()) }},
		{"sessions_mean", words{"Mittel", "mean"}, func(l usageLine) any { return meanOf(l.GetSessions()) }},
		{"sessions_p95", words{"95 %", "95 %"}, func(l usageLine) any { return p95Of(l.GetSessions()) }},
		{"opened", words{"begonnen", "opened"}, func(l usageLine) any { return countOr(l.GetOpened()) }},
		{"queue_max", words{"warteten", "waited"}, func(l usageLine) any { return highestOf(l.UsagePoint, l.GetQueue()) }},
		{"refused_no_seat", words{"ohne Platz", "no seat"}, func(l usageLine) any {
			return refusedFor(l.UsagePoint, heimdrahtv1.RefusalReason_REFUSAL_REASON_NO_SEAT)
		}},
	}
	for _, v := range []struct {
		key     string
		heading words
		reason  heimdrahtv1.RefusalReason
	}{
		{"refused_no_gateway", words{"ohne Zugangsserver", "no gateway"}, heimdrahtv1.RefusalReason_REFUSAL_REASON_NO_GATEWAY},
		{"refused_not_now", words{"jetzt nicht", "not now"}, heimdrahtv1.RefusalReason_REFUSAL_REASON_NOT_NOW},
		{"refused_otherwise", words{"sonst abgewiesen", "else refused"}, heimdrahtv1.RefusalReason_REFUSAL_REASON_OTHERWISE},
	} {
		of := func(l usageLine) any { return refusedFor(l.UsagePoint, v.reason) }
		if slices.ContainsFunc(lines, func(l usageLine) bool { n, is := of(l).(*heimdrahtv1.Count); return is && n.GetValue() > 0 }) {
			list = append(list, column[usageLine]{v.key, v.heading, of})
		}
	}
	return append(list,
		column[usageLine]{"received_bytes", words{"empfangen", "received"}, func(l usageLine) any { return bytesOf(l.GetReceivedBytes()) }},
		column[usageLine]{"sent_bytes", words{"gesendet", "sent"}, func(l usageLine) any { return bytesOf(l.GetSentBytes()) }},
		column[usageLine]{"remarks", words{"!", "!"}, func(l usageLine) any { return remarksOf(l.UsagePoint) }},
	)
}

func remarksOf(p *heimdrahtv1.UsagePoint) string {
	text := ""
	if p.GetPartly() {
		text += "~"
	}
	if p.GetIncomplete() {
		text += "*"
	}
	return text
}

// highestOf is the highest of a gauge as a count: of a gap nothing.
func highestOf(p *heimdrahtv1.UsagePoint, g *heimdrahtv1.UsageGauge) any {
	if p.GetMinutes() == 0 || g == nil {
		return nil
	}
	return &heimdrahtv1.Count{Value: g.GetMax(), Withheld: g.GetWithheld()}
}

func meanOf(g *heimdrahtv1.UsageGauge) any {
	if g == nil || g.Mean == nil {
		return nil
	}
	return decimal(g.GetMean())
}

func p95Of(g *heimdrahtv1.UsageGauge) any {
	if g == nil || g.P95 == nil {
		return nil
	}
	return g.GetP95()
}

func refusedFor(p *heimdrahtv1.UsagePoint, reason heimdrahtv1.RefusalReason) any {
	for _, r := range p.GetRefused() {
		if r.GetReason() == reason {
			return countOr(r.GetAttempts())
		}
	}
	return nil
}

// bytesOf is a number of bytes, for people in the unit that fits.
func bytesOf(c *heimdrahtv1.Count) any {
	if c == nil || c.GetWithheld() {
		return countOr(c)
	}
	value, unit := float64(c.GetValue()), 0
	for value >= 1000 && unit < 5 {
		value, unit = value/1000, unit+1
	}
	text := fmt.Sprintf("%.1f %cB", value, []rune(" kMGTP")[unit])
	if unit == 0 {
		text = fmt.Sprintf("%d B", c.GetValue())
	}
	return shown{fmt.Sprint(c.GetValue()), words{strings.Replace(text, ".", ",", 1), text}}
}

// usageLineColumns are for programs: of each step everything.
func usageLineColumns(by string) []column[usageLine] {
	reasons := []struct {
		key    string
		reason heimdrahtv1.RefusalReason
	}{
		{"refused_no_seat", heimdrahtv1.RefusalReason_REFUSAL_REASON_NO_SEAT}, {"refused_no_gateway", heimdrahtv1.RefusalReason_REFUSAL_REASON_NO_GATEWAY},
		{"refused_not_now", heimdrahtv1.RefusalReason_REFUSAL_REASON_NOT_NOW}, {"refused_otherwise", heimdrahtv1.RefusalReason_REFUSAL_REASON_OTHERWISE},
	}
	list := []column[usageLine]{
		{"by", words{}, func(usageLine) any { return by }},
		{"name", words{}, func(l usageLine) any { return l.series.GetName() }},
		{"at", words{}, func(l usageLine) any { return timeOf(l.GetAt()) }},
		{"minutes", words{}, func(l usageLine) any { return l.GetMinutes() }},
		{"withheld", words{}, func(l usageLine) any { return l.GetSessions().GetWithheld() }},
		{"partly", words{}, func(l usageLine) any { return l.GetPartly() }},
		{"incomplete", words{}, func(l usageLine) any { return l.GetIncomplete() }},
		{"sessions_max", words{}, func(l usageLine) any { return highestOf(l.UsagePoint, l.GetSessions()) }},
		{"sessions_mean", words{}, func(l usageLine) any { return meanOf(l.GetSessions()) }},
		{"sessions_p95", words{}, func(l usageLine) any { return p95Of(l.GetSessions()) }},
		{"opened", words{}, func(l usageLine) any { return countOr(l.GetOpened()) }},
		{"queue_max", words{}, func(l usageLine) any { return highestOf(l.UsagePoint, l.GetQueue()) }},
		{"queue_mean", words{}, func(l usageLine) any { return meanOf(l.GetQueue()) }},
		{"queue_p95", words{}, func(l usageLine) any { return p95Of(l.GetQueue()) }},
		{"received_bytes", words{}, func(l usageLine) any { return countOr(l.GetReceivedBytes()) }},
		{"sent_bytes", words{}, func(l usageLine) any { return countOr(l.GetSentBytes()) }},
	}
	for _, r := range reasons {
		list = append(list, column[usageLine]{r.key, words{}, func(l usageLine) any { return refusedFor(l.UsagePoint, r.reason) }})
	}
	return append(list, column[usageLine]{"of", words{}, func(l usageLine) any {
		if l.series.GetOf() == 0 {
			return nil
		}
		return l.series.GetOf()
	}})
}
