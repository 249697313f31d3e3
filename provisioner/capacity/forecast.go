package capacity

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Furthest is how many hours ahead a forecast goes at the most: 90 days.
const Furthest = 90 * 24

// Method is how a part of a forecast was made.
type Method string

// The methods.
const (
	ByProfile Method = "profile"        // the shape of the week, level, trend and holidays
	ByNaive   Method = "seasonal naive" // each hour as it was a week before
)

// Forecast is what a series is expected to be.
type Forecast struct {
	Hours []Hour
	Weeks []Peak // the last one may be shorter than a week

	// Changes are the days on which the level changed for good, within the last
	// half year, the oldest first. What was before the last one does not count
	// for the level.
	Changes []Change

	// Backtest is how good the methods were on this series, at each horizon;
	// empty where it is not longer than ten weeks and a day.
	Backtest []Comparison

	bands [horizons]forBand
	scale []float64
}

// Hour is an hour of a forecast, in the unit of the series: the value in the
// middle, and those that 5 and 95 % are below.
type Hour struct {
	At                time.Time
	Low, Median, High float64
	Method            Method
}

// Peak is the highest hour of a week: in the middle, and what 95 % are below.
type Peak struct {
	From, Until  time.Time // Until is not in it
	Median, High float64
	Method       Method
}

// Change is a level that changed for good: the mean of the days before and
// after, over all hours of the week.
type Change struct {
	At            time.Time // when the first day of it began
	Before, After float64
}

// forBand is how far off forecasts were in a band, in units of scale, sorted.
type forBand struct{ off []float64 }

// Forecast says what is to be expected in the next hours, up to Furthest. land
// gives the public holidays, as in Holidays; empty: there are none, and 24 and
// 31 December are usual days.
//
// It needs two weeks from the first measured hour to the end, a week's worth of
// them measured, and one within the last four weeks; ErrTooShort says what is
// missing.
func (s Series) Forecast(land string, hours int) (*Forecast, error) {
	if hours < 1 || hours > Furthest {
		return nil, fmt.Errorf("a forecast for %d hours: must be from 1 to %d", hours, Furthest)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	s = s.trimmed()
	if err := s.enough(); err != nil {
		return nil, err
	}
	ahead := max(hours, judged)
	c, err := newCalendar(s.Start, len(s.Values)+ahead, land)
	if err != nil {
		return nil, err
	}
	r := newRolling(s.Values, c)
	for origin := firstOrigin; origin < len(s.Values); origin += week {
		r.judge(r.look(origin, judged))
	}
	return r.forecast(s, hours), nil
}

// LookBack is how many hours of the past a forecast looks at.
const LookBack = 78 * week

// trimmed is the series without what was before it began, and without what is
// so old that it tells nothing.
func (s Series) trimmed() Series {
	if n := len(s.Values); n > LookBack {
		s = Series{Start: s.at(n - LookBack), Step: s.Step, Values: s.Values[n-LookBack:]}
	}
	first := slices.IndexFunc(s.Values, func(v float64) bool { return !math.IsNaN(v) })
	if first < 0 {
		first = len(s.Values)
	}
	return Series{Start: s.at(first), Step: s.Step, Values: s.Values[first:]}
}

func (s Series) enough() error {
	const silent = 4 * week
	measured, last := 0, 0
	for i, v := range s.Values {
		if !math.IsNaN(v) {
			measured, last = measured+1, i
		}
	}
	switch n := len(s.Values); {
	case measured == 0:
		return fmt.Errorf("%w: no hour was measured", ErrTooShort)
	case n < 2*week:
		return fmt.Errorf("%w: it began %d hours before the end, must be two weeks (%d)", ErrTooShort, n, 2*week)
	case measured < week:
		return fmt.Errorf("%w: %d hours were measured, must be a week (%d)", ErrTooShort, measured, week)
	case n-last > silent:
		return fmt.Errorf("%w: nothing was measured since %s, must be within four weeks", ErrTooShort, s.at(last).Format(time.RFC3339))
	}
	return nil
}

// Quantile is the value that the given part lies below, of hour i. p is above 0
// and below 1.
func (f *Forecast) Quantile(i int, p float64) (float64, error) {
	if i < 0 || i >= len(f.Hours) {
		return 0, fmt.Errorf("no hour %d in a forecast of %d", i, len(f.Hours))
	}
	if err := probability(p); err != nil {
		return 0, err
	}
	return f.quantile(i, p), nil
}

func (f *Forecast) quantile(i int, p float64) float64 {
	return max(0, f.Hours[i].Median+f.scale[i]*f.bands[bandOf(i)].at(p)*widening(i))
}

// Exhausted is the first hour in which more than capacity is used with at
// least the given probability; false: in none of the forecast. With .5 it is
// the date on which it will be more likely than not, with .95 the date on
// which there is hardly a doubt, and with .05 the one to be warned of. Each
// hour is judged by itself: that it happens in one of many hours is likelier.
func (f *Forecast) Exhausted(capacity, probable float64) (time.Time, bool, error) {
	return f.ExhaustedOf(func(time.Time) float64 { return capacity }, probable)
}

// ExhaustedOf is Exhausted where there is another capacity at other times, as where a contract
// ends.
func (f *Forecast) ExhaustedOf(capacity func(time.Time) float64, probable float64) (time.Time, bool, error) {
	if err := probability(probable); err != nil {
		return time.Time{}, false, err
	}
	for i, h := range f.Hours {
		most := capacity(h.At)
		if !(most >= 0) || most > largest {
			return time.Time{}, false, fmt.Errorf("%w: capacity %v, must be from 0 to %v", ErrBadLoad, most, float64(largest))
		}
		if f.quantile(i, 1-probable) > most {
			return h.At, true, nil
		}
	}
	return time.Time{}, false, nil
}

// widening is how much further off hours beyond what is judged are: as a random
// walk is.
func widening(hour int) float64 {
	return math.Sqrt(max(1, float64(hour)/judged))
}

// at is a quantile of how far off; the median is the forecast itself.
func (b forBand) at(p float64) float64 {
	v := quantileOf(b.off, p)
	switch {
	case p > .5:
		return max(0, v)
	case p < .5:
		return min(0, v)
	}
	return 0
}

// quantileOf sorted numbers, between neighbours; 0 of none.
func quantileOf(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := p * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// changes are the breaks of a profile as dates.
func (p *profile) changes(s Series, c calendar) []Change {
	var out []Change
	smooth := smoothed(p.level, p.weight, p.breaks)
	for _, d := range p.breaks {
		hour := slices.Index(c.day, int32(p.first+d))
		year, month, day := provisioner.DayOf(s.at(hour))
		out = append(out, Change{At: provisioner.DayBegins(year, month, day), Before: smooth[d-1], After: smooth[d]})
	}
	return out
}
