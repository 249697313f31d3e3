package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/capacity/plan"
	"github.com/heimdraht/heimdraht/provisioner/capacity/replay"
)

type capacitySimulateCommand struct {
	Series          string `placeholder:"FILE" help:"${simulate_series}"`
	People          int64  `placeholder:"N" help:"${simulate_people}"`
	HomeOfficeShare string `placeholder:"10%" help:"${simulate_home}"`
	OnlineAtPeak    string `placeholder:"80%" help:"${simulate_online}"`
	Pool            string `placeholder:"NAME" help:"${simulate_pool}"`
	Seats           int64  `default:"-1" placeholder:"N" help:"${simulate_seats}"`
	Land            string `default:"HE" placeholder:"HE" help:"${simulate_land}"`
}

const simulateCommand = "heimdraht capacity simulate"

// Run plays days against the seats of today.
func (c *capacitySimulateCommand) Run(ctx context.Context, a *app) error {
	series, err := c.series(a)
	if err != nil {
		return err
	}
	seats, warn, err := c.seats(ctx, a)
	if err != nil {
		return err
	}
	r, err := replay.Replay(series, seats, warn, c.Land)
	if errors.Is(err, replay.ErrBad) {
		return c.wrong(a, "das lässt sich nicht durchspielen: "+err.Error(), err.Error())
	}
	if err != nil {
		return err
	}
	return a.showReplay(r, seats)
}

func (c *capacitySimulateCommand) wrong(a *app, german, english string) error {
	return usageError{words{german, english}.in(a.language), simulateCommand}
}

// series is the days of a file, or those of 2020.
func (c *capacitySimulateCommand) series(a *app) (s capacity.Series, err error) {
	if _, err := capacity.Holidays(c.Land, 2020); err != nil {
		return s, c.wrong(a, "--land: "+strconv.Quote(c.Land)+" ist kein Land; so geht es: HE", "--land: "+strconv.Quote(c.Land)+" is no Land; write it as HE")
	}
	if c.Series == "" {
		return c.breakOf2020(a)
	}
	if c.People != 0 || c.HomeOfficeShare != "" || c.OnlineAtPeak != "" {
		return s, c.wrong(a, "--series nennt die Verbindungen selbst: ohne --people, --home-office-share und --online-at-peak", "--series tells the sessions themselves: without --people, --home-office-share and --online-at-peak")
	}
	f, err := os.Open(c.Series)
	if err != nil {
		return s, unreadable(c.Series, err)
	}
	defer f.Close()
	s, err = replay.Read(f)
	var wrong *replay.Unreadable
	switch {
	case errors.As(err, &wrong):
		return s, fileUnusable(c.Series, fmt.Sprintf("Zeile %d: %s", wrong.Line, wrong.German), fmt.Sprintf("line %d: %s", wrong.Line, wrong.English))
	case err != nil:
		return s, unreadable(c.Series, err)
	}
	return s, nil
}

func (c *capacitySimulateCommand) breakOf2020(a *app) (s capacity.Series, err error) {
	o := replay.Office{People: c.People, Home: 100_000, Online: 1_000_000}
	if c.People < 1 || c.People > capacity.MostSeats {
		return s, c.wrong(a, "--people: wie viele Menschen? Von 1 bis 1000000 (oder --series)", "--people: how many? From 1 to 1000000 (or --series)")
	}
	for _, share := range []struct {
		flag, text string
		into       *int64
	}{{"--home-office-share", c.HomeOfficeShare, &o.Home}, {"--online-at-peak", c.OnlineAtPeak, &o.Online}} {
		if share.text == "" {
			continue
		}
		if *share.into, err = plan.ParseShare(share.text); err != nil {
			return s, c.wrong(a, share.flag+": "+strconv.Quote(share.text)+" passt hier nicht; so geht es: 10%, höchstens 100%", share.flag+": "+err.Error())
		}
	}
	if o.Online == 0 {
		return s, c.wrong(a, "--online-at-peak: der Anteil muss über null liegen", "--online-at-peak: the share must be above zero")
	}
	return o.Break()
}

// seats is how many may be held today, of one pool or of all, and when somebody is warned.
func (c *capacitySimulateCommand) seats(ctx context.Context, a *app) (seats replay.Seats, warn replay.Thresholds, err error) {
	warn = replay.Thresholds{Held: provisioner.DefaultWarnings(), Probable: provisioner.DefaultForecastWarnings()}
	switch {
	case c.Seats != -1 && c.Pool != "":
		return seats, warn, c.wrong(a, "--pool oder --seats, nicht beides", "--pool or --seats, not both")
	case c.Seats < -1 || c.Seats > 10_000_000:
		return seats, warn, c.wrong(a, "--seats: von 0 bis 10000000", "--seats: from 0 to 10000000")
	case c.Seats >= 0:
		return replay.Seats{Owned: c.Seats}, warn, nil
	}
	found := false
	err = a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.licence.ListSeats(ctx, &heimdrahtv1.ListSeatsRequest{})
		if err != nil {
			return err
		}
		for _, p := range r.GetPools() {
			if p.GetModel() == string(provisioner.PoolConcurrent) && !p.GetOfProduct() && (c.Pool == "" || c.Pool == p.GetPool()) {
				seats.Owned, seats.Burst, found = seats.Owned+p.GetSeats(), seats.Burst+p.GetBurst(), true
				if c.Pool != "" && len(p.GetWarnAt()) > 0 {
					warn.Held = p.GetWarnAt()
				}
				if c.Pool != "" && len(p.GetWarnForecast()) > 0 {
					warn.Probable = p.GetWarnForecast()
				}
			}
		}
		return nil
	})
	if err == nil && !found {
		err = problem("not-found", words{"Solche Plätze für Verbindungen gibt es nicht, oder Sie sehen sie nicht.", "There are no such seats for sessions, or you do not see them."},
			words{"Prüfen Sie --pool; heimdraht seats zeigt, was es gibt.", "Check --pool; heimdraht seats shows what there is."})
	}
	return seats, warn, err
}

// showReplay says what would have been.
func (a *app) showReplay(r replay.Result, seats replay.Seats) error {
	switch a.form {
	case formCSV:
		return writeCSV(a.out, refusedColumns(), r.Days)
	case formJSON:
		return a.json(orderedObject{
			{"seats", seats.Most()}, {"seats_owned", seats.Owned}, {"hours", int64(r.Hours)}, {"gaps", int64(r.Gaps)}, {"highest", r.Highest}, {"highest_at", forPrograms(r.HighestAt)},
			{"exhausted_at", forPrograms(r.Exhausted)}, {"refused", r.Refused()}, {"days", objects(refusedColumns(), r.Days)}, {"warnings", objects(warningColumns()[1:], r.Warnings)},
		})
	}
	a.say(words{"Plätze: %d. Höchstens gebraucht: %d, am %s.", "Seats: %d. Needed at the most: %d, at %s."}, seats.Most(), r.Highest, a.time(r.HighestAt))
	if seats.Burst > 0 {
		a.say(words{"Davon sind %d gekauft; auf sie beziehen sich die Warnungen.", "Of them %d are owned; the warnings are of those."}, seats.Owned)
	}
	if r.Gaps > 0 {
		a.say(words{"Von %d der %d Stunden ist nichts bekannt.", "Of %d of the %d hours nothing is known."}, r.Gaps, r.Hours)
	}
	if r.Exhausted.IsZero() {
		a.say(words{"Niemand wäre abgewiesen worden.", "Nobody would have been refused."})
	} else {
		a.say(words{"Erschöpft: %s. Tage mit Abweisungen: %d; Menschen, in der schlimmsten Stunde jedes Tages: zusammen %d.", "Exhausted: %s. Days with refusals: %d; people, in the worst hour of each day: %d in all."}, a.time(r.Exhausted), len(r.Days), r.Refused())
	}
	a.say(words{})
	if err := list(a.printer, "", warningColumns(), r.Warnings); err != nil {
		return err
	}
	if r.Unforeseen {
		a.hint(words{"Vorhersagen gab es nicht: Bis dahin war zu wenig bekannt; sie brauchen zwei Wochen, von denen zusammen eine gemessen ist.",
			"There were no forecasts: too little was known by then; they need two weeks, of which one is measured in all."})
	}
	if len(r.Days) == 0 {
		return nil
	}
	a.say(words{})
	return list(a.printer, "", refusedColumns(), r.Days)
}

func refusedColumns() []column[replay.Day] {
	return []column[replay.Day]{
		{"from", words{"ab", "from"}, func(d replay.Day) any { return d.From }},
		{"hours", words{"Stunden", "hours"}, func(d replay.Day) any { return int64(d.Hours) }},
		{"refused", words{"abgewiesen", "refused"}, func(d replay.Day) any { return d.Refused }},
		{"worst_at", words{"am meisten um", "most at"}, func(d replay.Day) any { return d.WorstAt }},
	}
}

// warningColumns begin with one that is for people alone.
func warningColumns() []column[replay.Warning] {
	orNil := func(n int64) any {
		if n == 0 {
			return nil
		}
		return n
	}
	return []column[replay.Warning]{
		{"", words{"Warnung", "warning"}, func(w replay.Warning) any {
			if w.Percent > 0 {
				return shown{"", words{fmt.Sprintf("Schwelle %d %%", w.Percent), fmt.Sprintf("threshold %d%%", w.Percent)}}
			}
			return shown{"", words{fmt.Sprintf("Vorhersage, zu %d %% wahrscheinlich", w.Probable), fmt.Sprintf("forecast, %d%% probable", w.Probable)}}
		}},
		{"threshold_percent", words{}, func(w replay.Warning) any { return orNil(w.Percent) }},
		{"forecast_percent", words{}, func(w replay.Warning) any { return orNil(w.Probable) }},
		{"at", words{"wäre gekommen", "would have come"}, func(w replay.Warning) any { return w.At }},
		{"working_days_before", words{"Arbeitstage vorher", "working days before"}, func(w replay.Warning) any {
			if w.At.IsZero() {
				return nil
			}
			return int64(w.WorkingDays)
		}},
	}
}
