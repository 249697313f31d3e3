package replay

import (
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// hesse2020 is by how many per cent fewer or more people than before were at workplaces in Hesse, by
// day: region Hesse of the COVID-19 Community Mobility Reports (Google), against the same day of the
// week from 3 January to 6 February 2020.
//
//go:embed hesse2020.csv
var hesse2020 string

// BreakLand is the Land whose days Break plays.
const BreakLand = "HE"

// breakDays is how much of it is played: from before until it was over.
const breakDays = 120

// Office is the people of an administration. Shares are in millionths.
type Office struct {
	People int64
	Home   int64 // who were at home before
	Online int64 // of those at home, who are connected at the same time
}

// shapeOfDay is the part of those at home who are connected in each hour of a day of work: made
// up, as is restOfWeek, the part on other days.
func shapeOfDay(hour int) float64 {
	shape := [24]float64{
		6: .15, 7: .55, 8: .95, 9: 1, 10: 1, 11: .95, 12: .8, 13: .9, 14: .9, 15: .75, 16: .45, 17: .2, 18: .1, 19: .06, 20: .04, 21: .02,
	}
	return shape[hour]
}

const restOfWeek = .05

// Break is how many people would have been connected in each hour of spring 2020, had this
// office been in Hesse: who was not at work was at home.
func (o Office) Break() (capacity.Series, error) {
	if o.People < 1 || o.People > capacity.MostSeats || o.Home < 0 || o.Home > 1e6 || o.Online < 1 || o.Online > 1e6 {
		return capacity.Series{}, fmt.Errorf("%w: %d people, %d millionths at home and %d of them connected", ErrBad, o.People, o.Home, o.Online)
	}
	var values []float64
	var start time.Time
	for i, line := range strings.Split(strings.TrimSpace(hesse2020), "\n")[1:] {
		if i == breakDays {
			break
		}
		date, number, _ := strings.Cut(strings.TrimSpace(line), ",")
		day, err := time.Parse(time.DateOnly, date)
		if err != nil {
			return capacity.Series{}, fmt.Errorf("reading the days of 2020: %w", err)
		}
		presence, err := strconv.Atoi(number)
		if err != nil {
			return capacity.Series{}, fmt.Errorf("reading the days of 2020: %w", err)
		}
		begins, ends := provisioner.DayBegins(day.Year(), day.Month(), day.Day()), provisioner.DayBegins(day.Year(), day.Month(), day.Day()+1)
		if i == 0 {
			start = begins
		}
		works, err := works(begins, BreakLand)
		if err != nil {
			return capacity.Series{}, err
		}
		for at := begins; at.Before(ends); at = at.Add(time.Hour) {
			values = append(values, o.connected(at, presence, works))
		}
	}
	return capacity.Hours(start, values...), nil
}

// connected is how many people are, in an hour of a day with so many per cent fewer at work.
func (o Office) connected(at time.Time, presence int, works bool) float64 {
	home := float64(o.Home) / 1e6
	if works {
		home += (1 - home) * float64(max(0, -presence)) / 100
	}
	_, _, day := provisioner.DayOf(at)
	y, m, _ := provisioner.DayOf(at)
	hour := int(at.Sub(provisioner.DayBegins(y, m, day)) / time.Hour)
	n := float64(o.People) * home * float64(o.Online) / 1e6 * shapeOfDay(min(hour, 23))
	if !works {
		n *= restOfWeek
	}
	return math.Round(n)
}
