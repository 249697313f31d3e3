package capacity_test

import (
	"bufio"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// office is a made-up administration: people come at eight and go at five, on
// Fridays earlier, by German clocks; on holidays hardly anybody does.
type office struct {
	land   string
	level  func(day time.Time) float64 // of a day, by its midnight in UTC; nil: 500
	jitter float64                     // of a day and of an hour, as a part
	seed   uint64
}

func (o office) series(t testing.TB, start time.Time, days int) capacity.Series {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(o.seed, 1))
	ofDay := 1.0
	var values []float64
	for i := range days * 24 {
		at := start.Add(time.Duration(i) * time.Hour).In(berlin)
		if i%24 == 0 {
			ofDay = 1 + o.jitter*rnd.NormFloat64()
		}
		level := 500.0
		if o.level != nil {
			level = o.level(time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC))
		}
		v := level * ofDay * (1 + o.jitter*rnd.NormFloat64()) * present(at, o.holiday(t, at))
		values = append(values, max(0, math.Round(v)))
	}
	return capacity.Hours(start, values...)
}

// present is the part of the staff that is connected.
func present(at time.Time, holiday bool) float64 {
	const nobody = .02
	weekday, hour := at.Weekday(), at.Hour()
	switch {
	case holiday, weekday == time.Saturday, weekday == time.Sunday, hour < 6, hour > 19:
		return nobody
	case hour < 8, hour > 16, weekday == time.Friday && hour > 13:
		return .4
	case hour == 12:
		return .8
	}
	return 1
}

func (o office) holiday(t testing.TB, at time.Time) bool {
	if o.land == "" {
		return false
	}
	if at.Month() == time.December && (at.Day() == 24 || at.Day() == 31) {
		return true
	}
	all, err := capacity.Holidays(o.land, at.Year())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range all {
		if h.Month == at.Month() && h.Day == at.Day() && !h.Partly {
			return true
		}
	}
	return false
}

// publicVPN is a real series, though of no office: it tells of methods, not of
// working days.
func publicVPN(t testing.TB) capacity.Series {
	return capacity.Hours(time.Date(2024, 8, 7, 0, 0, 0, 0, time.UTC), numbers(t, "testdata/public_vpn.txt")...)
}

// hesse is an office whose people stay at home as they did in Hesse from 15
// February 2020: the fewer at workplaces, the more connected.
func hesse(t testing.TB, days int) capacity.Series {
	first := time.Date(2020, 2, 15, 0, 0, 0, 0, time.UTC)
	presence := numbers(t, "testdata/presence_hesse.txt")
	start := first.AddDate(0, 0, -12*7).Add(-time.Hour)
	return office{land: "HE", jitter: .05, seed: 7, level: func(day time.Time) float64 {
		const always, staff = 40, 1000
		i := int(day.Sub(first) / (24 * time.Hour))
		if i < 0 || i >= len(presence) || math.IsNaN(presence[i]) {
			return always
		}
		return always + staff*max(0, -presence[i])/100
	}}.series(t, start, days)
}

func numbers(t testing.TB, path string) []float64 {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []float64
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		for word := range strings.FieldsSeq(lines.Text()) {
			v := math.NaN()
			if word != "-" {
				if v, err = strconv.ParseFloat(word, 64); err != nil {
					t.Fatal(err)
				}
			}
			out = append(out, v)
		}
	}
	if err := lines.Err(); err != nil || len(out) == 0 {
		t.Fatalf("%d numbers, %v", len(out), err)
	}
	return out
}
