package capacity

import (
	"math"
	"testing"
	"time"
)

// The hours of German weeks, by the zone database, over both changes of the
// clock, a leap day and the end of a year.
func TestHoursOfTheWeek(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, start := range []time.Time{
		time.Date(2024, 2, 26, 5, 0, 0, 0, time.UTC),
		time.Date(1999, 12, 30, 22, 0, 0, 0, time.UTC),
		time.Date(2025, 10, 26, 0, 0, 0, 0, time.UTC), // within the hour that comes twice
		time.Date(2025, 10, 26, 1, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC), // the hour that is missing
	} {
		const hours = 400 * 24
		c, err := newCalendar(start, hours, "HE")
		if err != nil {
			t.Fatal(err)
		}
		day, before := -1, -1
		for i := range hours {
			at := start.Add(time.Duration(i) * time.Hour).In(berlin)
			if at.YearDay() != before {
				day, before = day+1, at.YearDay()
			}
			want := (int(at.Weekday())+6)%7*24 + at.Hour()
			if int(c.hourOfWeek[i]) != want || int(c.day[i]) != day {
				t.Fatalf("%v: hour %d of day %d, want %d of %d", at, c.hourOfWeek[i], c.day[i], want, day)
			}
		}
	}
}

func TestKindsOfDays(t *testing.T) {
	for _, c := range []struct {
		land, day string
		want      kind
	}{
		{"HE", "2024-06-03", usual},
		{"HE", "2024-05-30", off},
		{"BE", "2024-05-30", usual},
		{"TH", "2024-05-30", between}, // in some municipalities
		{"HE", "2024-02-29", usual},
		{"HE", "2024-12-24", off},
		{"HE", "2024-12-27", between},
		{"HE", "2024-12-31", off},
		{"", "2024-12-25", usual},
	} {
		noon, err := time.Parse("2006-01-02 15", c.day+" 12")
		if err != nil {
			t.Fatal(err)
		}
		cal, err := newCalendar(noon, 1, c.land)
		if err != nil || cal.kinds[0] != c.want {
			t.Errorf("%s in %q is %v, %v, want %v", c.day, c.land, cal.kinds, err, c.want)
		}
	}
}

// What is said at an origin does not depend on what came after it: else the
// backtest would praise hindsight.
func TestNothingIsKnownBeforehand(t *testing.T) {
	const hours, origin = 20 * week, 16 * week
	values := make([]float64, hours)
	for i := range values {
		values[i] = 100 + 50*math.Sin(float64(i)/24*2*math.Pi) + float64(i*7919%31)
	}
	said := func(values []float64) *look {
		c, err := newCalendar(time.Date(2025, 1, 6, 0, 0, 0, 0, time.UTC), hours+judged, "HE")
		if err != nil {
			t.Fatal(err)
		}
		r := newRolling(values, c)
		for o := firstOrigin; o < origin; o += week {
			r.judge(r.look(o, judged))
		}
		return r.look(origin, judged)
	}
	one := said(values)
	other := append([]float64(nil), values...)
	for i := origin; i < hours; i++ {
		other[i] *= 9
	}
	two := said(other)
	for m := range one.said {
		for i := range one.said[m].path {
			a, b := one.said[m].quantile(i, one.paths.scale[i], .95), two.said[m].quantile(i, two.paths.scale[i], .95)
			if one.said[m].path[i] != two.said[m].path[i] || a != b {
				t.Fatalf("method %d, hour %d: %v and %v, quantiles %v and %v", m, i, one.said[m].path[i], two.said[m].path[i], a, b)
			}
		}
		for k := range one.said[m].peaks {
			if one.said[m].peaks[k] != two.said[m].peaks[k] {
				t.Fatalf("method %d, peak %d: %v and %v", m, k, one.said[m].peaks, two.said[m].peaks)
			}
		}
	}
}
