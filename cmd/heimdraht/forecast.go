package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type capacityForecastCommand struct {
	Pool      string `xor:"of" placeholder:"NAME" help:"${forecast_pool}"`
	Tenant    string `xor:"of" placeholder:"NAME" help:"${forecast_tenant}"`
	Gateway   string `xor:"of" placeholder:"NAME" help:"${forecast_gateway}"`
	Days      int64  `default:"28" placeholder:"N" help:"${forecast_days}"`
	Explain   bool   `help:"${forecast_explain}"`
	CSVGerman bool   `name:"csv-german" help:"${capacity_csv_german}"`
}

// Run shows what is to be expected.
func (c *capacityForecastCommand) Run(ctx context.Context, a *app) error {
	if c.CSVGerman && a.form == formJSON {
		return usageError{words{"--csv-german und -o json schließen einander aus", "--csv-german and -o json exclude each other"}.in(a.language), "heimdraht capacity forecast"}
	}
	if c.Days < 1 || c.Days > 90 {
		return usageError{words{"--days: möglich sind 1 bis 90", "--days: possible are 1 to 90"}.in(a.language), "heimdraht capacity forecast"}
	}
	request := &heimdrahtv1.GetForecastRequest{By: heimdrahtv1.UsageBy_USAGE_BY_PROVIDER, Days: c.Days}
	switch {
	case c.Pool != "":
		request.By, request.Name = heimdrahtv1.UsageBy_USAGE_BY_POOL, c.Pool
	case c.Tenant != "":
		request.By, request.Name = heimdrahtv1.UsageBy_USAGE_BY_TENANT, c.Tenant
	case c.Gateway != "":
		request.By, request.Name = heimdrahtv1.UsageBy_USAGE_BY_GATEWAY, c.Gateway
	}
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.plan.GetForecast(ctx, request)
		if err != nil {
			return forOperators(err, request.GetBy(), words{"Nennen Sie --pool oder --tenant.", "Name a --pool or a --tenant."})
		}
		return c.show(a, r)
	})
}

func (c *capacityForecastCommand) show(a *app, r *heimdrahtv1.GetForecastResponse) error {
	switch {
	case c.CSVGerman:
		return writeGermanCSV(a.out, forecastHourColumns(), r.GetHours())
	case a.form == formCSV:
		return writeCSV(a.out, forecastHourColumns(), r.GetHours())
	case a.form == formJSON:
		return a.json(orderedObject{
			{"name", r.GetName()}, {"of", r.GetOf()}, {"land", r.GetLand()}, {"since", forPrograms(timeOf(r.GetSince()))},
			{"known_hours", r.GetKnownHours()}, {"withheld_hours", r.GetWithheldHours()},
			{"exhausted", objects(exhaustionColumns(), r.GetExhausted())}, {"hours", objects(forecastHourColumns(), r.GetHours())},
			{"weeks", objects(forecastWeekColumns(), r.GetWeeks())}, {"changes", objects(forecastChangeColumns(), r.GetChanges())},
			{"backtest", objects(backtestColumns(), scoresOf(r))},
		})
	}
	a.sayExhausted(r)
	a.say(words{})
	if err := list(a.printer, "", forecastDayColumns(r), daysOf(r.GetHours())); err != nil {
		return err
	}
	a.say(words{})
	if err := list(a.printer, "", forecastWeekColumns(), r.GetWeeks()); err != nil {
		return err
	}
	if !c.Explain {
		a.hint(words{"█ mit 95 %%, ▓ mit 50 %%, ░ mit 5 %% Wahrscheinlichkeit mindestens; │ alle. Wie gut die Vorhersage ist, sagt --explain.",
			"█ at least so many with 95 %%, ▓ with 50 %%, ░ with 5 %% probability; │ all. How good the forecast is, --explain says."})
		return nil
	}
	return a.explainForecast(r)
}

// sayExhausted says when there is not enough.
func (a *app) sayExhausted(r *heimdrahtv1.GetForecastResponse) {
	if r.GetOf() == 0 {
		return
	}
	if len(r.GetExhausted()) == 0 {
		a.say(words{"%d reichen, so weit die Vorhersage sieht.", "%d suffice, as far as the forecast sees."}, r.GetOf())
		return
	}
	for _, v := range r.GetExhausted() {
		if v.Of != nil && v.GetOf() != r.GetOf() {
			a.say(words{"Ab %s reichen mit %.0f %% Wahrscheinlichkeit die %d nicht mehr, die es dann gibt: Vorher endet oder beginnt ein Vertrag (heimdraht licences).",
				"From %s on, with a probability of %.0f %%, the %d that there are then no longer suffice: a contract ends or begins before (heimdraht licences)."},
				a.time(timeOf(v.GetAt())), 100*v.GetProbability(), v.GetOf())
			continue
		}
		a.say(words{"%d reichen ab %s mit %.0f %% Wahrscheinlichkeit nicht mehr.", "%d no longer suffice from %s on, with a probability of %.0f %%."},
			r.GetOf(), a.time(timeOf(v.GetAt())), 100*v.GetProbability())
	}
	last := r.GetExhausted()[len(r.GetExhausted())-1].GetProbability()
	for _, probable := range []float64{.5, .95} { // the lowest that is not reached
		if last < probable {
			a.say(words{"Mit %.0f %% Wahrscheinlichkeit: nicht in den Tagen dieser Vorhersage.", "With a probability of %.0f %%: not within the days of this forecast."}, 100*probable)
			return
		}
	}
}

// explainForecast says what the forecast is made from, and how good it was on this series.
func (a *app) explainForecast(r *heimdrahtv1.GetForecastResponse) error {
	a.say(words{})
	a.say(words{"Gemessen seit %s: %d Stunden; verdeckt, und damit unbekannt: %d.", "Measured since %s: %d hours; withheld, and so not known: %d."},
		a.time(timeOf(r.GetSince())), r.GetKnownHours(), r.GetWithheldHours())
	if r.GetLand() == "" {
		a.say(words{"Feiertage gelten keine: Es ist kein Land angegeben (land).", "No public holidays count: no Land is declared (land)."})
	} else {
		a.say(words{"Es gelten die Feiertage von %s.", "The public holidays of %s count."}, r.GetLand())
	}
	for _, v := range r.GetChanges() {
		a.say(words{"Seit %s ist es auf Dauer anders: im Mittel %.0f statt %.0f. Was davor war, zählt nur für die Form der Woche.",
			"Since %s it is another for good: %.0f on average instead of %.0f. What was before counts for the shape of the week only."}, a.time(timeOf(v.GetAt())), v.GetAfter(), v.GetBefore())
	}
	if len(r.GetBacktest()) == 0 {
		a.say(words{"Wie gut das Verfahren hier ist, lässt sich erst nach gut zehn Wochen sagen.", "How good the method is here can be told after ten weeks only."})
		return nil
	}
	a.say(words{"So weit lag es auf diesen Zahlen daneben, hätte man jede Woche vorhergesagt (weniger ist besser; MASE unter 1 ist besser als »wie vor einer Woche«):",
		"So far off it was on these numbers, had one forecast each week (less is better; a MASE below 1 is better than \"as a week before\"):"})
	a.say(words{})
	return list(a.printer, "", backtestColumns(), scoresOf(r))
}

func forecastHourColumns() []column[*heimdrahtv1.ForecastHour] {
	type hour = *heimdrahtv1.ForecastHour
	return []column[hour]{
		{"at", words{}, func(h hour) any { return timeOf(h.GetAt()) }},
		{"low_5", words{}, func(h hour) any { return decimal(h.GetLow()) }},
		{"median", words{}, func(h hour) any { return decimal(h.GetMedian()) }},
		{"high_95", words{}, func(h hour) any { return decimal(h.GetHigh()) }},
		{"method", words{}, func(h hour) any { return methodName(h.GetMethod()).program }},
	}
}

// forecastDay is the highest hour of a day in the local zone.
type forecastDay struct {
	at                time.Time
	low, median, high float64
}

func daysOf(hours []*heimdrahtv1.ForecastHour) (days []forecastDay) {
	for _, h := range hours {
		at := timeOf(h.GetAt()).Local()
		begins := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.Local)
		if len(days) == 0 || !days[len(days)-1].at.Equal(begins) {
			days = append(days, forecastDay{at: begins})
		}
		d := &days[len(days)-1]
		d.low, d.median, d.high = max(d.low, h.GetLow()), max(d.median, h.GetMedian()), max(d.high, h.GetHigh())
	}
	return days
}

func forecastDayColumns(r *heimdrahtv1.GetForecastResponse) []column[forecastDay] {
	scale := float64(r.GetOf())
	for _, h := range r.GetHours() {
		scale = max(scale, h.GetHigh())
	}
	return []column[forecastDay]{
		{"day", words{"Tag", "day"}, func(d forecastDay) any {
			return shown{"", words{germanWeekday(d.at) + d.at.Format(" 02.01."), d.at.Format("Mon 2 Jan")}}
		}},
		{"low", words{"wenigstens", "at least"}, func(d forecastDay) any { return int64(math.Round(d.low)) }},
		{"median", words{"höchstens etwa", "highest"}, func(d forecastDay) any { return int64(math.Round(d.median)) }},
		{"high", words{"mit 5 % mehr als", "with 5 % above"}, func(d forecastDay) any { return int64(math.Round(d.high)) }},
		{"course", words{"Verlauf", "course"}, func(d forecastDay) any { return d.bar(scale, float64(r.GetOf())) }},
	}
}

func germanWeekday(t time.Time) string {
	return [...]string{"So", "Mo", "Di", "Mi", "Do", "Fr", "Sa"}[t.Weekday()]
}

// bar draws a day and where there is no more.
func (d forecastDay) bar(scale, of float64) string {
	const width = 32
	place := func(v float64) int { return int(math.Round(v / max(scale, 1) * width)) }
	var b strings.Builder
	for i := range width + 1 {
		switch {
		case of > 0 && i == place(of):
			b.WriteRune('│')
		case i < place(d.low):
			b.WriteRune('█')
		case i < place(d.median):
			b.WriteRune('▓')
		case i < place(d.high):
			b.WriteRune('░')
		default:
			b.WriteRune(' ')
		}
	}
	return strings.TrimRight(b.String(), " ")
}

func forecastWeekColumns() []column[*heimdrahtv1.ForecastPeak] {
	type peak = *heimdrahtv1.ForecastPeak
	return []column[peak]{
		{"from", words{"Woche ab", "week from"}, func(p peak) any { return timeOf(p.GetFrom()) }},
		{"until", words{"bis", "until"}, func(p peak) any { return timeOf(p.GetUntil()) }},
		{"median", words{"höchstens etwa", "highest"}, func(p peak) any { return decimal(math.Round(p.GetMedian())) }},
		{"high_95", words{"mit 5 % mehr als", "with 5 % above"}, func(p peak) any { return decimal(math.Round(p.GetHigh())) }},
		{"method", words{"Verfahren", "method"}, func(p peak) any { return methodName(p.GetMethod()) }},
	}
}

func methodName(m heimdrahtv1.ForecastMethod) shown {
	if m == heimdrahtv1.ForecastMethod_FORECAST_METHOD_PROFILE {
		return shown{"profile", words{"Wochenform und Verlauf", "shape and level"}}
	}
	return shown{"seasonal_naive", words{"wie vor einer Woche", "as a week before"}}
}

func exhaustionColumns() []column[*heimdrahtv1.ForecastExhaustion] {
	type exhaustion = *heimdrahtv1.ForecastExhaustion
	return []column[exhaustion]{
		{"probability", words{}, func(v exhaustion) any { return decimal(v.GetProbability()) }},
		{"at", words{}, func(v exhaustion) any { return timeOf(v.GetAt()) }},
		{"of", words{}, func(v exhaustion) any {
			if v.Of == nil {
				return nil
			}
			return v.GetOf()
		}},
	}
}

func forecastChangeColumns() []column[*heimdrahtv1.ForecastChange] {
	type change = *heimdrahtv1.ForecastChange
	return []column[change]{
		{"at", words{}, func(v change) any { return timeOf(v.GetAt()) }},
		{"before", words{}, func(v change) any { return decimal(v.GetBefore()) }},
		{"after", words{}, func(v change) any { return decimal(v.GetAfter()) }},
	}
}

// score is how good a method was at a horizon.
type score struct {
	*heimdrahtv1.ForecastScore
	of                *heimdrahtv1.ForecastComparison
	method            heimdrahtv1.ForecastMethod
	used, usedAtPeaks bool
}

func scoresOf(r *heimdrahtv1.GetForecastResponse) (all []score) {
	for _, c := range r.GetBacktest() {
		for _, m := range []struct {
			method heimdrahtv1.ForecastMethod
			score  *heimdrahtv1.ForecastScore
		}{
			{heimdrahtv1.ForecastMethod_FORECAST_METHOD_PROFILE, c.GetProfile()}, {heimdrahtv1.ForecastMethod_FORECAST_METHOD_NAIVE, c.GetNaive()},
		} {
			all = append(all, score{m.score, c, m.method, c.GetBetter() == m.method, c.GetBetterAtPeaks() == m.method})
		}
	}
	return all
}

func backtestColumns() []column[score] {
	optional := func(v *float64) any {
		if v == nil {
			return nil
		}
		return decimal(*v)
	}
	return []column[score]{
		{"hours", words{"Stunden voraus", "hours ahead"}, func(s score) any { return s.of.GetHours() }},
		{"origins", words{"Wochen", "weeks"}, func(s score) any { return s.of.GetOrigins() }},
		{"method", words{"Verfahren", "method"}, func(s score) any { return methodName(s.method) }},
		{"used", words{"gilt", "used"}, func(s score) any { return s.used }},
		{"mase", words{"MASE", "MASE"}, func(s score) any { return optional(s.ForecastScore.Mase) }},
		{"error", words{"Fehler", "error"}, func(s score) any { return decimal(s.GetError()) }},
		{"pinball_95", words{"Pinball 95 %", "pinball 95 %"}, func(s score) any { return decimal(s.GetPinball()) }},
		{"covered", words{"im Band", "covered"}, func(s score) any {
			percent := fmt.Sprintf("%.0f %%", 100*s.GetCovered())
			return shown{fmt.Sprintf("%.3f", s.GetCovered()), words{percent, percent}}
		}},
		{"peak_error", words{"Fehler der Spitze", "error of peaks"}, func(s score) any { return optional(s.ForecastScore.PeakError) }},
		{"used_at_peaks", words{}, func(s score) any { return s.usedAtPeaks }},
	}
}
