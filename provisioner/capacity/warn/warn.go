// Package warn says when a warning of capacity is raised and when it ends, step by step of
// what was measured or expected.
//
// What always holds here: it is pure. A warning is raised once and ended once; what is not
// known does neither. What comes back within two weeks, as Mondays do, is the same warning:
// an office is empty each night, and nobody is to be told each morning.
//
// Not its business: where numbers come from, what may be told of them, and whom.
package warn

import (
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

const (
	// QuietDays is how many days in a row have to be quiet before a warning ends. With a week
	// the Monday after a Monday off would raise it anew.
	QuietDays = 14
	// leastOfDay is how much of a day must be known for it to have been quiet: of a pool whose
	// nights are withheld there are the working hours.
	leastOfDay = 6 * time.Hour

	// Ahead is how near the end of the seats must be for a forecast to warn.
	Ahead = 28 * 24 * time.Hour
	// QuietAhead is how far it must be for the day to be quiet: a forecast that moves by a
	// week changes nothing.
	QuietAhead = 42 * 24 * time.Hour
)

// Sign is what a step says about a warning.
type Sign int

// The signs.
const (
	Unknown Sign = iota // nothing is known
	Quiet
	Between // it neither raises a warning nor lets one end
	Loud
)

// Share is the sign of a number, against a threshold in percent of what there is. Quiet is
// what stays below nine tenths of the threshold. Of nothing there is no share.
func Share(n, of, percent int64) Sign {
	switch {
	case of <= 0:
		return Unknown
	case n*100 >= percent*of:
		return Loud
	case n*1000 < 9*percent*of:
		return Quiet
	default:
		return Between
	}
}

// Few is the sign of a number of people who could not work: five or more are loud.
func Few(n int64) Sign {
	if n >= capacity.Smallest {
		return Loud
	}
	return Quiet
}

// Expected is the sign of a forecast that was made at a time, and when the seats that there are
// then are no longer enough with a probability in percent; zero: not within the forecast, which
// must reach for QuietAhead. A pool that has none at the time of the forecast has no sign.
func Expected(f *capacity.Forecast, seats func(time.Time) int64, percent int64, at time.Time) (Sign, time.Time, error) {
	if seats(at) <= 0 {
		return Unknown, time.Time{}, nil
	}
	end, found, err := f.ExhaustedOf(func(t time.Time) float64 { return float64(seats(t)) }, float64(percent)/100)
	switch {
	case err != nil:
		return Unknown, end, fmt.Errorf("looking for the time at which all seats are held: %w", err)
	case !found || end.Sub(at) > QuietAhead:
		return Quiet, time.Time{}, nil
	case end.Sub(at) > Ahead:
		return Between, end, nil
	default:
		return Loud, end, nil
	}
}

// Track is what is remembered of a warning. The zero Track is not raised.
type Track struct {
	Open  bool
	Until time.Time // up to which it was judged
	Quiet int64     // quiet days in a row that are over
	// Of the day of Until: how much is known to have been quiet, and whether something was not.
	Known  time.Duration
	Spoilt bool
}

// Change is what a step does to a warning.
type Change int

// The changes.
const (
	Nothing Change = iota
	Raised
	Ended
)

// Next judges a step that begins at a time and lasts for some. Steps come in order; judging
// one again changes nothing while the warning is open.
func (t Track) Next(begins time.Time, lasts time.Duration, s Sign) (Track, Change) {
	ends := begins.Add(lasts)
	switch {
	case !t.Open && s == Loud:
		return Track{Open: true, Until: ends, Spoilt: true}, Raised
	case !t.Open:
		return t, Nothing
	case begins.Before(t.Until):
		return t, Nothing
	}
	if !sameDay(t.Until.Add(-time.Millisecond), begins) {
		if !t.Spoilt && t.Known >= leastOfDay {
			t.Quiet++
		}
		t.Spoilt, t.Known = false, 0
	}
	t.Until = ends
	switch s {
	case Loud, Between:
		t.Quiet, t.Spoilt, t.Known = 0, true, 0
	case Quiet:
		if t.Quiet >= QuietDays {
			return Track{}, Ended
		}
		t.Known += lasts
	}
	return t, Nothing
}

// sameDay goes by the calendar in Germany.
func sameDay(a, b time.Time) bool {
	y, m, d := provisioner.DayOf(a)
	v, n, e := provisioner.DayOf(b)
	return y == v && m == n && d == e
}
