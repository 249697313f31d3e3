package capacity_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// Sunday, 1 December 2024, 23:00 UTC: a Monday begins in Germany.
func monday() time.Time { return time.Date(2024, 12, 1, 23, 0, 0, 0, time.UTC) }

// Measured on a real series: what the method is worth, against what it has to
// beat. The figures themselves stand in docs/capacity.md.
func TestForecastsOfThePublicVPN(t *testing.T) {
	f := forecast(t, publicVPN(t), "", 28*24)
	if len(f.Backtest) != 3 {
		t.Fatalf("judged at %d horizons", len(f.Backtest))
	}
	// The naive one's pinball loss does not depend on how the method is: about as in the document.
	for i, most := range []struct{ mase, ofNaive, peaks, pinball, naivePinball float64 }{{.60, .70, .75, 2.35, 2.93}, {.73, .88, .90, 2.95, 2.68}, {.85, .93, 1.05, 3.2, 2.94}} {
		c := f.Backtest[i]
		t.Logf("%d h, %d origins\nprofile %+v\nnaive   %+v", c.Hours, c.Origins, c.Profile, c.Naive)
		if c.Profile.MASE > most.mase || c.Profile.MASE > most.ofNaive*c.Naive.MASE || c.Profile.PeakError > most.peaks*c.Naive.PeakError {
			t.Errorf("%d h: worse than it was: %+v, naive %+v", c.Hours, c.Profile, c.Naive)
		}
		if c.Profile.Pinball > most.pinball || math.Abs(c.Naive.Pinball-most.naivePinball) > .01 {
			t.Errorf("%d h: pinball loss %v, naive %v", c.Hours, c.Profile.Pinball, c.Naive.Pinball)
		}
		if c.Profile.Covered < .87 || c.Profile.Covered > .94 {
			t.Errorf("%d h: %v of the hours within the band, want about .9", c.Hours, c.Profile.Covered)
		}
		if c.Origins != []int{42, 41, 38}[i] {
			// Week 52 has nothing after it, and 51 no month.
			t.Errorf("%d h: %d origins", c.Hours, c.Origins)
		}
	}
}

func TestForecastOfAnOffice(t *testing.T) {
	s := office{land: "HE", jitter: .05, seed: 1}.series(t, monday(), 36*7)
	f := forecast(t, s, "HE", capacity.Furthest)
	for _, c := range f.Backtest {
		t.Logf("%d h\nprofile %+v\nnaive   %+v", c.Hours, c.Profile, c.Naive)
		if c.Profile.MASE > .5*c.Naive.MASE || c.Profile.Covered < .85 || c.Profile.Covered > .97 {
			t.Errorf("%d h: %+v, naive %+v", c.Hours, c.Profile, c.Naive)
		}
	}
	if len(f.Changes) != 0 {
		t.Errorf("changes where there are none: %v", f.Changes)
	}
	// Three months ahead, over the end of summer time: people come at eight by
	// their clocks.
	for _, c := range []struct {
		at        string
		low, high float64
	}{
		{"2025-10-24T06:00:00Z", 450, 550}, // Friday, 08:00
		{"2025-10-24T05:00:00Z", 150, 250},
		{"2025-10-27T07:00:00Z", 450, 550}, // Monday, 08:00, in winter
		{"2025-10-27T06:00:00Z", 150, 250},
		{"2025-10-03T09:00:00Z", 0, 30}, // German Unity Day, a Friday
		{"2025-10-31T09:00:00Z", 450, 550},
	} {
		if h := hour(t, f, c.at); h.Median < c.low || h.Median > c.high {
			t.Errorf("%s: %v, want from %v to %v", c.at, h.Median, c.low, c.high)
		}
	}
	for _, w := range f.Weeks {
		if w.Median < 520 || w.Median > 620 || w.High < w.Median || w.High > 700 {
			t.Errorf("peak of a week: %+v", w)
		}
	}
	if n := len(f.Weeks); n != 13 || f.Weeks[n-1].Until.Sub(f.Weeks[n-1].From) != 6*24*time.Hour {
		t.Errorf("%d weeks, the last %+v", n, f.Weeks[n-1])
	}
}

// A holiday of one Land is a day of work in another.
func TestHolidaysInForecasts(t *testing.T) {
	corpusChristi := "2025-06-19T09:00:00Z"
	for land, want := range map[string]float64{"HE": 10, "BE": 500} {
		s := office{land: land, jitter: .02, seed: 2}.series(t, monday(), 28*7)
		if got := hour(t, forecast(t, s, land, 14*24), corpusChristi).Median; math.Abs(got-want) > 40 {
			t.Errorf("%s: %v on Corpus Christi, want about %v", land, got, want)
		}
	}
}

// From a Monday on twice as many work at home. On Tuesday evening it is
// noticed; an average would take weeks.
func TestAMandateFromMonday(t *testing.T) {
	mandate := time.Date(2025, 3, 31, 0, 0, 0, 0, time.UTC)
	s := office{land: "HE", jitter: .05, seed: 3, level: func(day time.Time) float64 {
		if day.Before(mandate) {
			return 500
		}
		return 1000
	}}.series(t, monday(), 17*7+2)
	f := forecast(t, s, "HE", 28*24)
	want := []capacity.Change{{At: mandate.Add(-2 * time.Hour)}}
	if diff := cmp.Diff(want, f.Changes, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Before" || p.Last().String() == ".After" }, cmp.Ignore())); diff != "" {
		t.Errorf("changes: %s", diff)
	}
	if c := f.Changes[0]; c.After < 1.6*c.Before || c.After > 2.4*c.Before {
		t.Errorf("twice as many: %+v", c)
	}
	for _, at := range []string{"2025-04-02T09:00:00Z", "2025-04-10T09:00:00Z", "2025-04-23T09:00:00Z"} {
		if h := hour(t, f, at); h.Median < 900 || h.Median > 1100 || h.Method != capacity.ByProfile {
			t.Errorf("%s: %+v, want about 1,000 by the profile", at, h)
		}
	}
	if peak := f.Weeks[1].Median; peak < 950 || peak > 1250 {
		t.Errorf("peak of the second week %v", peak)
	}
}

// One day is no change, nor are some hours.
func TestSpikes(t *testing.T) {
	plain := office{land: "HE", jitter: .05, seed: 4}.series(t, monday(), 17*7)
	spiked := capacity.Series{Start: plain.Start, Step: plain.Step, Values: slices.Clone(plain.Values)}
	for i := range 24 {
		spiked.Values[100*24+i] *= 5 // a Tuesday
	}
	spiked.Values[50*24+10] = 1e6
	spiked.Values[113*24+3] = 1e6
	a, b := forecast(t, plain, "HE", 7*24), forecast(t, spiked, "HE", 7*24)
	if len(b.Changes) != 0 {
		t.Errorf("changes: %v", b.Changes)
	}
	for i := range a.Hours {
		if x, y := a.Hours[i].Median, b.Hours[i].Median; math.Abs(x-y) > .15*x+15 {
			t.Errorf("%v: %v with spikes, %v without", a.Hours[i].At, y, x)
		}
	}
}

// A gap says nothing: neither that nobody was there, nor anything else.
func TestGaps(t *testing.T) {
	whole := office{land: "HE", jitter: .05, seed: 5}.series(t, monday(), 20*7)
	holes := capacity.Series{Start: whole.Start, Step: whole.Step, Values: slices.Clone(whole.Values)}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range holes.Values {
		day := i / 24
		switch {
		case day < 3, day >= 60 && day < 70, day >= 138, rnd.IntN(8) == 0, i%24 == 15 && day > 70:
			holes.Values[i] = math.NaN()
		}
	}
	a, b := forecast(t, whole, "HE", 14*24), forecast(t, holes, "HE", 14*24)
	if !a.Hours[0].At.Equal(b.Hours[0].At) {
		t.Errorf("begins at %v, want at %v", b.Hours[0].At, a.Hours[0].At)
	}
	if len(b.Changes) != 0 {
		t.Errorf("changes: %v", b.Changes)
	}
	for i := range a.Hours {
		if x, y := a.Hours[i].Median, b.Hours[i].Median; math.Abs(x-y) > .1*x+10 {
			t.Errorf("%v: %v with gaps, %v without", a.Hours[i].At, y, x)
		}
	}
}

// Where each hour wanders by itself from week to week, no average is better
// than the last week.
func TestTheNaiveOneIsUsedWhereItIsBetter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	s := capacity.Hours(monday())
	for i := range 40 * 7 * 24 {
		v := 5000 + 1000*rnd.NormFloat64()
		if i >= 7*24 {
			v = s.Values[i-7*24] + 150*rnd.NormFloat64()
		}
		s.Values = append(s.Values, max(0, v))
	}
	f := forecast(t, s, "", 28*24)
	c := f.Backtest[1]
	if c.Better() != capacity.ByNaive || f.Hours[100].Method != capacity.ByNaive || f.Hours[100].Median != s.Values[len(s.Values)-7*24+100] {
		t.Errorf("%+v, hour 100: %+v", c, f.Hours[100])
	}
}

// As staff stayed at home in Hesse in spring 2020, week by week.
func TestHesse2020(t *testing.T) {
	// 12 weeks before 15 February, and until the morning of 18 March: schools
	// had closed on Monday.
	f := forecast(t, hesse(t, 12*7+32), "HE", 7*24)
	if len(f.Changes) == 0 {
		t.Fatal("no change was noticed")
	}
	noon := hour(t, f, "2020-03-19T10:00:00Z")
	t.Logf("changes %v, Thursday 19 March at eleven: %+v", f.Changes, noon)
	if noon.Median < 200 { // 40 before, 400 on that day
		t.Errorf("%+v", noon)
	}
	for _, c := range forecast(t, hesse(t, 400), "HE", 7*24).Backtest {
		t.Logf("%d h, %d origins\nprofile %+v\nnaive   %+v", c.Hours, c.Origins, c.Profile, c.Naive)
		if c.Better() != capacity.ByProfile {
			t.Errorf("%d h: %+v", c.Hours, c)
		}
	}
}

func TestExhausted(t *testing.T) {
	// From 300 to 493 in 28 weeks, a Monday each: 1 more a day, and it goes on.
	s := office{jitter: .02, seed: 8, level: func(day time.Time) float64 { return 300 + day.Sub(monday()).Hours()/24 }}.series(t, monday(), 28*7)
	f := forecast(t, s, "", capacity.Furthest)
	date := func(capacityNow, probable float64) time.Time {
		at, is, err := f.Exhausted(capacityNow, probable)
		if err != nil || !is {
			t.Fatalf("more than %v with %v: %v, %v", capacityNow, probable, is, err)
		}
		return at
	}
	warned, likely, certain := date(510, .05), date(510, .5), date(510, .95)
	t.Logf("510 seats: %v, %v, %v", warned, likely, certain)
	if warned.After(likely) || likely.After(certain) {
		t.Errorf("%v, %v, %v are not in order", warned, likely, certain)
	}
	truly := monday().AddDate(0, 0, 210)
	if off := likely.Sub(truly).Abs(); off > 14*24*time.Hour {
		t.Errorf("more likely than not at %v, want about %v", likely, truly)
	}
	if at := date(0, .5); !at.Equal(f.Hours[0].At) {
		t.Errorf("no seats are exhausted at %v", at)
	}
	if at, is, err := f.Exhausted(1e6, .05); is || err != nil {
		t.Errorf("a million seats: %v, %v", at, err)
	}
	for _, bad := range [][2]float64{{-1, .5}, {math.NaN(), .5}, {math.Inf(1), .5}, {10, 0}, {10, 1}, {10, math.NaN()}} {
		if _, _, err := f.Exhausted(bad[0], bad[1]); !errors.Is(err, capacity.ErrBadLoad) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	before := -1.0
	for _, p := range []float64{.001, .05, .3, .5, .7, .95, .999} {
		q, err := f.Quantile(200, p)
		if err != nil || q < before {
			t.Errorf("quantile %v is %v after %v, %v", p, q, before, err)
		}
		before = q
	}
	for _, bad := range []struct {
		i int
		p float64
	}{{-1, .5}, {capacity.Furthest, .5}, {0, 0}, {0, math.NaN()}} {
		if _, err := f.Quantile(bad.i, bad.p); err == nil {
			t.Errorf("quantile %v has no error", bad)
		}
	}
}

func TestSeriesThatNeverChange(t *testing.T) {
	for _, v := range []float64{0, 1e-9, 7, 1e12} {
		for _, weeks := range []int{2, 5, 30} {
			values := slices.Repeat([]float64{v}, weeks*7*24)
			f := forecast(t, capacity.Hours(monday(), values...), "HE", 28*24)
			for _, h := range f.Hours {
				if math.Abs(h.Median-v) > 1e-6*v || h.Low > v*(1+1e-9) || h.High < v*(1-1e-9) || h.High > v*1.01+1e-3 {
					t.Fatalf("always %v for %d weeks: %+v", v, weeks, h)
				}
			}
			for _, c := range f.Backtest {
				if c.Unscaled != c.Origins || c.Profile.MASE != 0 || c.Profile.Error > 1e-6*v {
					t.Errorf("always %v: %+v", v, c)
				}
			}
		}
	}
}

// A tenant that came lately, and one that has left.
func TestTenantsThatComeAndGo(t *testing.T) {
	s := office{jitter: .05, seed: 9}.series(t, monday(), 20*7)
	late := capacity.Series{Start: s.Start, Step: s.Step, Values: slices.Clone(s.Values)}
	gone := capacity.Series{Start: s.Start, Step: s.Step, Values: slices.Clone(s.Values)}
	for i := range 16 * 7 * 24 {
		late.Values[i] = 0
	}
	for i := 18 * 7 * 24; i < len(gone.Values); i++ {
		gone.Values[i] = 0
	}
	if h := hour(t, forecast(t, late, "", 7*24), "2025-04-22T09:00:00Z"); h.Median < 400 || h.Median > 600 {
		t.Errorf("there for four weeks: %+v", h)
	}
	if h := hour(t, forecast(t, gone, "", 7*24), "2025-04-22T09:00:00Z"); h.Median > 20 {
		t.Errorf("gone for two weeks: %+v", h)
	}
}

func TestBadSeries(t *testing.T) {
	day := func(hours int, v float64) []float64 { return slices.Repeat([]float64{v}, hours) }
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		series capacity.Series
		land   string
		hours  int
		is     error
		want   string
	}{
		{"empty", capacity.Hours(monday()), "", 24, capacity.ErrTooShort, "too little history for a forecast: no hour was measured"},
		{"all gaps", capacity.Hours(monday(), day(5000, nan)...), "", 24, capacity.ErrTooShort, "too little history for a forecast: no hour was measured"},
		{"one day", capacity.Hours(monday(), day(24, 5)...), "", 24, capacity.ErrTooShort, "too little history for a forecast: it began 24 hours before the end, must be two weeks (336)"},
		{"one day after gaps", capacity.Hours(monday(), append(day(5000, nan), day(24, 5)...)...), "", 24, capacity.ErrTooShort, "too little history for a forecast: it began 24 hours before the end, must be two weeks (336)"},
		{"mostly gaps", capacity.Hours(monday(), append(append(day(100, 5), day(400, nan)...), 1)...), "", 24, capacity.ErrTooShort, "too little history for a forecast: 101 hours were measured, must be a week (168)"},
		{"silent", capacity.Hours(monday(), append(day(500, 5), day(700, nan)...)...), "", 24, capacity.ErrTooShort, "too little history for a forecast: nothing was measured since 2024-12-22T18:00:00Z, must be within four weeks"},
		{"negative", capacity.Hours(monday(), 1, -1), "", 24, capacity.ErrBadSeries, "not a series that can be forecast: -1 at 2024-12-02T00:00:00Z, must be from 0 to 1e+12"},
		{"infinite", capacity.Hours(monday(), math.Inf(1)), "", 24, capacity.ErrBadSeries, "not a series that can be forecast: +Inf at 2024-12-01T23:00:00Z, must be from 0 to 1e+12"},
		{"huge", capacity.Hours(monday(), 1e13), "", 24, capacity.ErrBadSeries, "not a series that can be forecast: 1e+13 at 2024-12-01T23:00:00Z, must be from 0 to 1e+12"},
		{"no step", capacity.Series{Start: monday()}, "", 24, capacity.ErrBadSeries, "not a series that can be forecast: its step is 0s, must be 1h"},
		{"half hours", capacity.Series{Start: monday(), Step: 30 * time.Minute}, "", 24, capacity.ErrBadSeries, "not a series that can be forecast: its step is 30m0s, must be 1h"},
		{"between hours", capacity.Hours(monday().Add(time.Minute)), "", 24, capacity.ErrBadSeries, "not a series that can be forecast: it starts at 2024-12-01T23:01:00Z, must start at a full hour"},
		{"no time", capacity.Hours(time.Time{}), "", 24, capacity.ErrBadSeries, "not a series that can be forecast: it starts in 1, must be from 1996 to 2194"},
		{"too long", capacity.Hours(monday(), day(100_000, 5)...), "", 24, capacity.ErrBadSeries, "not a series that can be forecast: it has 100000 hours, at most 26520 are looked at"},
		{"no Land", capacity.Hours(monday(), day(500, 5)...), "XX", 24, nil, `no Land "XX" in Germany: must be one of [BB BE BW BY HB HE HH MV NI NW RP SH SL SN ST TH]`},
		{"nothing asked", capacity.Hours(monday(), day(500, 5)...), "", 0, nil, "a forecast for 0 hours: must be from 1 to 2160"},
		{"too far", capacity.Hours(monday(), day(500, 5)...), "", 2161, nil, "a forecast for 2161 hours: must be from 1 to 2160"},
	} {
		_, err := c.series.Forecast(c.land, c.hours)
		if err == nil || err.Error() != c.want || (c.is != nil && !errors.Is(err, c.is)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Whatever is measured, a forecast is numbers or an error.
func FuzzForecast(f *testing.F) {
	f.Add([]byte{10, 20, 30, 255, 0}, uint16(900), uint8(3), uint64(1), int64(1_733_094_000))
	f.Add([]byte{255}, uint16(900), uint8(0), uint64(0), int64(1_733_094_000))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, uint16(2500), uint8(7), uint64(9), int64(1_700_000_000))
	f.Add([]byte{254}, uint16(337), uint8(200), uint64(3), int64(946_684_800))
	f.Fuzz(func(t *testing.T, pattern []byte, hours uint16, gaps uint8, seed uint64, start int64) {
		if len(pattern) == 0 || hours > 3000 {
			return
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		s := capacity.Hours(time.Unix(start, 0).Truncate(time.Hour))
		for i := range int(hours) {
			v := float64(pattern[i%len(pattern)])
			switch {
			case v == 255 || rnd.IntN(256) < int(gaps):
				v = math.NaN()
			case v == 254:
				v = 1e12 * rnd.Float64()
			case v == 253:
				v = 5e-324
			}
			s.Values = append(s.Values, v)
		}
		land := append(capacity.Laender(), "")[seed%17]
		f, err := s.Forecast(land, 1+int(seed%capacity.Furthest))
		if err == nil {
			sane(t, f)
		}
	})
}

func BenchmarkForecast(b *testing.B) {
	s := publicVPN(b)
	for b.Loop() {
		if _, err := s.Forecast("HE", capacity.Furthest); err != nil {
			b.Fatal(err)
		}
	}
}

// As many hours as rollups keep.
func BenchmarkForecastOfThreeYears(b *testing.B) {
	s := publicVPN(b)
	s.Values = slices.Repeat(s.Values, 3)
	for b.Loop() {
		if _, err := s.Forecast("HE", capacity.Furthest); err != nil {
			b.Fatal(err)
		}
	}
}

func forecast(t *testing.T, s capacity.Series, land string, hours int) *capacity.Forecast {
	t.Helper()
	f, err := s.Forecast(land, hours)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Hours) != hours || len(f.Weeks) != (hours+7*24-1)/(7*24) {
		t.Fatalf("%d hours and %d weeks of %d hours", len(f.Hours), len(f.Weeks), hours)
	}
	sane(t, f)
	return f
}

// sane holds that all figures are numbers, and in order.
func sane(t *testing.T, f *capacity.Forecast) {
	t.Helper()
	number := func(what string, all ...float64) {
		for _, v := range all {
			if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
				t.Fatalf("%s: %v", what, all)
			}
		}
	}
	for i, h := range f.Hours {
		number("hour", h.Low, h.Median, h.High)
		if h.Low > h.Median || h.Median > h.High || (i > 0 && h.At.Sub(f.Hours[i-1].At) != time.Hour) {
			t.Fatalf("%+v", h)
		}
	}
	for _, w := range f.Weeks {
		number("week", w.Median, w.High)
		if w.High < w.Median || !w.From.Before(w.Until) {
			t.Fatalf("%+v", w)
		}
	}
	for _, c := range f.Changes {
		number("change", c.Before, c.After)
	}
	for _, c := range f.Backtest {
		for _, s := range []capacity.Score{c.Profile, c.Naive} {
			number("score", s.Error, s.MASE, s.Pinball, s.Covered, s.PeakError)
		}
	}
}

func hour(t *testing.T, f *capacity.Forecast, at string) capacity.Hour {
	t.Helper()
	want, err := time.Parse(time.RFC3339, at)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range f.Hours {
		if h.At.Equal(want) {
			return h
		}
	}
	t.Fatalf("%s is not in the forecast from %v", at, f.Hours[0].At)
	return capacity.Hour{}
}
