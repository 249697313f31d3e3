// Package replay plays days that were against the seats of today: who would have been
// refused, when, and how early a warning would have come.
//
// What always holds here: it is pure, and knows of no person. A warning of the past knows
// only what was before it, and comes by the same rule as today's (warn). What cannot be
// played is an error that says why.
//
// Not its business: where the seats come from.
package replay

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/capacity/warn"
)

// ErrBad is wrapped by the error for what cannot be played.
var ErrBad = errors.New("not what can be played")

// Result is what would have been.
type Result struct {
	Hours, Gaps int
	Highest     int64     // connected or refused, in an hour
	HighestAt   time.Time // zero: nothing was measured
	// Exhausted is the first hour in which somebody would have been refused; zero: in none.
	Exhausted time.Time
	Days      []Day // on which somebody would have been
	Warnings  []Warning
	// Unforeseen is set where seats ran out, and too little was known before for any forecast.
	Unforeseen bool
}

// Day is one on which people would have been refused.
type Day struct {
	From    time.Time // the first hour
	Hours   int
	Refused int64 // people, in the worst hour
	WorstAt time.Time
}

// Seats are those against which is played.
type Seats struct {
	Owned int64 // of which a warning is told
	Burst int64 // and may be held beyond them, before somebody is refused
}

// Most is how many may be held.
func (s Seats) Most() int64 { return s.Owned + s.Burst }

// Thresholds are at which is warned, rising.
type Thresholds struct {
	Held     []int64 // of the seats owned, in percent
	Probable []int64 // that they run out, by forecast, in percent
}

// Warning is when one would have come, the last before seats ran out; what ended before does
// not count if they did. Of those before seats ran out, WorkingDays is how many
// days of work there were to do something, from that day on and without the one on which they
// ran out.
type Warning struct {
	Percent     int64     // of the seats in use: it would have come by a threshold; zero: by forecast
	Probable    int64     // by forecast: that those owned run out within 28 days, in percent
	At          time.Time // zero: none would have come
	WorkingDays int
}

// Refused adds up the people that each day would have refused in its worst hour.
func (r Result) Refused() (sum int64) {
	for _, d := range r.Days {
		sum += d.Refused
	}
	return sum
}

// Replay plays hours against seats; land gives the public holidays, as in capacity.Holidays.
func Replay(s capacity.Series, seats Seats, thresholds Thresholds, land string) (Result, error) {
	r := Result{Hours: len(s.Values)}
	switch {
	case seats.Owned < 0 || seats.Burst < 0 || seats.Owned > 1e9 || seats.Burst > 1e9-seats.Owned:
		return r, fmt.Errorf("%w: %d seats and %d beyond them, must be from 0 to 1000000000 together", ErrBad, seats.Owned, seats.Burst)
	case s.Step != time.Hour || len(s.Values) == 0:
		return r, fmt.Errorf("%w: a series of %d values, one each %v; must be hours", ErrBad, len(s.Values), s.Step)
	}
	if _, err := capacity.Holidays(land, s.Start.Year()); land != "" && err != nil {
		return r, fmt.Errorf("%w: %w", ErrBad, err)
	}
	tracks := make([]track, len(thresholds.Held))
	for _, percent := range thresholds.Held {
		r.Warnings = append(r.Warnings, Warning{Percent: percent})
	}
	for i, v := range s.Values {
		at := s.Start.Add(time.Duration(i) * time.Hour)
		switch {
		case math.IsNaN(v):
			r.Gaps++
			continue
		case v < 0 || v > 1e9:
			return r, fmt.Errorf("%w: %v at %s, must be from 0 to 1000000000", ErrBad, v, at.UTC().Format(time.RFC3339))
		}
		n := int64(math.Round(v))
		for k := range r.Warnings {
			if w := &r.Warnings[k]; r.Exhausted.IsZero() && tracks[k].judge(at, time.Hour, warn.Share(n, seats.Owned, w.Percent)) == warn.Raised {
				w.At = at.Add(time.Hour) // it comes when the hour is over
			}
		}
		r.count(at, n, seats.Most())
	}
	if err := r.forecasts(s, seats, thresholds.Probable, land); err != nil {
		return r, err
	}
	return r, r.lead(land)
}

// track is one that keeps itself.
type track struct{ warn.Track }

func (t *track) judge(at time.Time, lasts time.Duration, s warn.Sign) (change warn.Change) {
	t.Track, change = t.Next(at, lasts, s)
	return change
}

func (r *Result) count(at time.Time, n, seats int64) {
	if r.HighestAt.IsZero() || n > r.Highest {
		r.Highest, r.HighestAt = n, at
	}
	if n <= seats {
		return
	}
	if r.Exhausted.IsZero() {
		r.Exhausted = at
	}
	if last := len(r.Days) - 1; last < 0 || !sameDay(r.Days[last].From, at) {
		r.Days = append(r.Days, Day{From: at})
	}
	d := &r.Days[len(r.Days)-1]
	if d.Hours++; n-seats > d.Refused {
		d.Refused, d.WorstAt = n-seats, at
	}
}

func sameDay(a, b time.Time) bool {
	y, m, d := provisioner.DayOf(a)
	v, n, e := provisioner.DayOf(b)
	return y == v && m == n && d == e
}

// forecasts are made each midnight before seats ran out, as a control plane would have.
func (r *Result) forecasts(s capacity.Series, seats Seats, probable []int64, land string) error {
	if r.Exhausted.IsZero() {
		return nil
	}
	tracks, warnings := make([]track, len(probable)), make([]Warning, len(probable))
	for i, percent := range probable {
		warnings[i].Probable = percent
	}
	r.Unforeseen = true
	first := r.Exhausted.Add(-warn.Ahead)
	if first.Before(s.Start) {
		first = s.Start
	}
	y, m, d := provisioner.DayOf(first)
	for ; ; d++ {
		midnight := provisioner.DayBegins(y, m, d)
		if midnight.After(r.Exhausted) {
			break
		}
		n := int(midnight.Sub(s.Start) / time.Hour)
		if n < 1 {
			continue
		}
		from := max(0, n-capacity.LookBack)
		past := capacity.Hours(s.Start.Add(time.Duration(from)*time.Hour), s.Values[from:n]...)
		f, err := past.Forecast(land, int(warn.QuietAhead/time.Hour))
		if errors.Is(err, capacity.ErrTooShort) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBad, err)
		}
		r.Unforeseen = false
		for i, percent := range probable {
			sign, _, err := warn.Expected(f, func(time.Time) int64 { return seats.Owned }, percent, midnight)
			if err != nil {
				return err
			}
			switch tracks[i].judge(midnight, provisioner.DayBegins(y, m, d+1).Sub(midnight), sign) {
			case warn.Raised:
				warnings[i].At = midnight
			case warn.Ended:
				warnings[i].At = time.Time{}
			}
		}
	}
	r.Warnings = append(r.Warnings, warnings...)
	return nil
}

// lead counts the days of work between warnings and the hour in which seats ran out.
func (r *Result) lead(land string) error {
	for i, w := range r.Warnings {
		if w.At.IsZero() || r.Exhausted.IsZero() {
			continue
		}
		n, err := WorkingDays(w.At, r.Exhausted, land)
		if err != nil {
			return err
		}
		r.Warnings[i].WorkingDays = n
	}
	return nil
}

// WorkingDays counts days from Monday to Friday that are no public holidays of a Land, from the
// day of one time to the day before that of another. A holiday of a part of the Land is a day of
// work.
func WorkingDays(from, until time.Time, land string) (n int, err error) {
	y, m, d := provisioner.DayOf(from)
	for ; ; d++ {
		begins := provisioner.DayBegins(y, m, d)
		if sameDay(begins, until) || begins.After(until) {
			return n, nil
		}
		works, err := works(begins, land)
		if err != nil {
			return 0, err
		}
		if works {
			n++
		}
	}
}

// works reports whether people work on a day.
func works(t time.Time, land string) (bool, error) {
	y, m, d := provisioner.DayOf(t)
	if w := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Weekday(); w == time.Saturday || w == time.Sunday {
		return false, nil
	}
	if land == "" {
		return true, nil
	}
	holidays, err := capacity.Holidays(land, y)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrBad, err)
	}
	for _, h := range holidays {
		if h.Month == m && h.Day == d && !h.Partly {
			return false, nil
		}
	}
	return true, nil
}
