package capacity

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Series is what was measured, step after step. An hour that was not measured
// is a gap: NaN, never zero.
type Series struct {
	Start  time.Time // of the first value, at a full hour
	Step   time.Duration
	Values []float64 // sessions, seats: anything from 0 to 1e12; NaN where nothing is known
}

// Hours is a series of hours.
func Hours(start time.Time, values ...float64) Series {
	return Series{Start: start, Step: time.Hour, Values: values}
}

// ErrBadSeries is wrapped by the error for values with which nothing can be
// done.
var ErrBadSeries = errors.New("not a series that can be forecast")

// ErrTooShort is wrapped by the error for a history that is sound but says too
// little as yet.
var ErrTooShort = errors.New("too little history for a forecast")

const (
	week = 7 * 24

	// longest is three years, which is how long rollups are kept, with room for a
	// leap day.
	longest = 3*366*24 + week

	// largest is more sessions than there are people, with room for bytes.
	largest = 1e12
)

// check says what is wrong with a series; nil if nothing is. Whether it is long
// enough is another question.
func (s Series) check() error {
	switch {
	case s.Step != time.Hour:
		return fmt.Errorf("%w: its step is %v, must be 1h", ErrBadSeries, s.Step)
	case !s.Start.Equal(s.Start.Truncate(time.Hour)):
		return fmt.Errorf("%w: it starts at %v, must start at a full hour", ErrBadSeries, s.Start.UTC().Format(time.RFC3339Nano))
	case len(s.Values) > longest:
		return fmt.Errorf("%w: it has %d hours, at most %d are looked at", ErrBadSeries, len(s.Values), longest)
	case s.Start.UTC().Year() < FirstYear || s.Start.UTC().Year() > LastYear-5:
		return fmt.Errorf("%w: it starts in %d, must be from %d to %d", ErrBadSeries, s.Start.UTC().Year(), FirstYear, LastYear-5)
	}
	for i, v := range s.Values {
		if math.IsInf(v, 0) || v < 0 || v > largest {
			return fmt.Errorf("%w: %v at %s, must be from 0 to %v", ErrBadSeries, v, s.at(i).Format(time.RFC3339), float64(largest))
		}
	}
	return nil
}

func (s Series) at(i int) time.Time { return s.Start.UTC().Add(time.Duration(i) * s.Step) }

// kind of a day.
type kind uint8

const (
	usual   kind = iota
	off          // nobody has to work: public holidays, and 24 and 31 December (TVöD § 6)
	between      // neither off nor usual: nothing is learnt from it
)

// calendar is where each hour of a series and its forecast lies in people's
// weeks. Hours are those of clocks in Germany: who starts at eight does so in
// summer too. The hour that clocks show twice is in the same place twice, and
// the one that they skip is missing.
type calendar struct {
	hourOfWeek []uint8 // 0 is Monday, 00:00
	day        []int32 // counted from the first one
	kinds      []kind  // of a day
}

func newCalendar(start time.Time, hours int, land string) (calendar, error) {
	c := calendar{hourOfWeek: make([]uint8, hours), day: make([]int32, hours)}
	holidays := make(map[int]kind)
	known := 0
	for i := 0; i < hours; {
		year, month, day := provisioner.DayOf(start.Add(time.Duration(i) * time.Hour))
		if land != "" && year != known {
			all, err := Holidays(land, year)
			if err != nil {
				return calendar{}, err
			}
			for _, h := range all {
				holidays[h.key()] = off
				if h.Partly {
					holidays[h.key()] = between
				}
			}
			known = year
		}
		begins, ends := provisioner.DayBegins(year, month, day), provisioner.DayBegins(year, month, day+1)
		weekday := (int(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday()) + 6) % 7
		for ; i < hours; i++ {
			at := start.Add(time.Duration(i) * time.Hour)
			if !at.Before(ends) {
				break
			}
			c.hourOfWeek[i] = uint8(weekday*24 + onTheClock(at.Sub(begins), ends.Sub(begins)))
			c.day[i] = int32(len(c.kinds))
		}
		c.kinds = append(c.kinds, kindOf(land, month, day, holidays[dayKey(year, month, day)]))
	}
	return c, nil
}

func kindOf(land string, month time.Month, day int, holiday kind) kind {
	switch {
	case land == "" || holiday != usual || month != time.December || day < 24:
		return holiday
	case day == 24 || day == 31:
		return off
	default: // many administrations close
		return between
	}
}

// onTheClock is the hour that clocks show so long after midnight, on a day of
// that length. They are put forward at two and back at three.
func onTheClock(since, length time.Duration) int {
	hour := int(since / time.Hour)
	switch {
	case length < 24*time.Hour && hour >= 2:
		hour++
	case length > 24*time.Hour && hour >= 3:
		hour--
	}
	return hour
}
