package capacity

import (
	"math"
	"slices"
	"time"
)

const (
	// firstOrigin is where errors begin to be learnt from, in hours.
	firstOrigin = 3 * week

	// firstJudged is where they begin to be told.
	firstJudged = 10 * week
)

// Comparison is how good both methods were at a horizon, from origins a week
// apart, the first after ten weeks. Each forecast knew only what was before its
// origin, also for the choice of its parameters and for its quantiles.
type Comparison struct {
	Hours   int // 24, 168 or 672: all hours up to it are judged
	Origins int

	// Unscaled is the number of origins before which each week was exactly like
	// the one before, so that errors have no scale: they are not in the MASE.
	Unscaled int

	Profile, Naive Score
}

// Better is the method with the smaller MASE.
func (c Comparison) Better() Method {
	if c.Naive.MASE < c.Profile.MASE || (c.Unscaled == c.Origins && c.Naive.Error < c.Profile.Error) {
		return ByNaive
	}
	return ByProfile
}

// BetterAtPeaks is the method with the smaller error of peaks.
func (c Comparison) BetterAtPeaks() Method {
	if c.Naive.PeakError < c.Profile.PeakError {
		return ByNaive
	}
	return ByProfile
}

// Score is how good a method was, as means over origins. Less is better, but
// for Covered.
type Score struct {
	Error   float64 // mean absolute error, in the unit of the series
	MASE    float64 // Error over that of "as a week before" before the origin (Hyndman and Koehler 2006)
	Pinball float64 // loss at the quantile .95, in the unit of the series
	Covered float64 // part of the hours between the quantiles .05 and .95: should be .9

	// PeakError is the mean absolute error of the highest hour of each week (of
	// the day where the horizon is one), of those of which at least four fifths
	// were measured; PeakWeeks is how many.
	PeakError float64
	PeakWeeks int
}

// look is what both methods say at an origin.
type look struct {
	origin  int
	paths   paths
	profile *profile
	said    [2]saying
	learnt  int // bands
}

// saying is what a method says of the hours after an origin.
type saying struct {
	path  []float64
	bands [horizons]forBand
	peaks []float64 // of each week
}

// The methods as indices.
const (
	byProfile = iota
	byNaive
)

// rolling walks through a series from origin to origin. What it knows at each
// is what was before.
type rolling struct {
	values []float64
	cal    calendar
	record *record
	past   []*look // the windows of which are not over yet
	off    [2][horizons][]float64
	rise   []float64    // peaks of weeks over those of the profile's path
	rises  [2][]float64 // and over those that were said
	sums   [horizons]sums
}

// sums make a Comparison.
type sums struct {
	origins, unscaled int
	of                [2]total
}

type total struct {
	err, mase, pinball, covered, peak float64
	peaks                             int
}

func newRolling(values []float64, c calendar) *rolling {
	return &rolling{values: values, cal: c, record: newRecord(len(ways()))}
}

// look asks both methods at an origin.
func (r *rolling) look(origin, hours int) *look {
	r.settle(origin)
	l := &look{origin: origin}
	l.paths, l.profile = draw(r.values, r.cal, origin, hours)
	l.said[byProfile].path = r.record.path(l.paths)
	l.said[byNaive].path = naive(r.values, r.cal, origin, hours)
	for m := range l.said {
		for b := range horizons {
			l.said[m].bands[b] = r.band(m, b, l.profile)
		}
	}
	l.said[byProfile].peaks = l.profile.peaks(r.values[:origin], l.said[byProfile].path, r.rise)
	l.said[byNaive].peaks = naivePeaks(r.values[:origin], l.said[byNaive].path)
	return l
}

// settle takes in what has become known until an hour.
func (r *rolling) settle(until int) {
	for _, l := range r.past {
		for ; l.learnt < horizons && l.origin+bands()[l.learnt].to <= until; l.learnt++ {
			r.learn(l, l.learnt)
		}
	}
	r.past = slices.DeleteFunc(r.past, func(l *look) bool { return l.learnt == horizons })
}

// learn takes in how a look turned out in a band.
func (r *rolling) learn(l *look, b int) {
	span, actual := bands()[b], r.values[l.origin:]
	r.record.learn(b, l.paths, actual)
	high, enough := peakOf(actual[:min(week, span.to)])
	if of := slices.Max(l.said[byProfile].path[:week]); b == 1 && enough && of > 0 {
		r.rise = append(r.rise, high/of)
	}
	for m, said := range l.said {
		for i := span.from; i < span.to; i++ {
			if !math.IsNaN(actual[i]) {
				r.off[m][b] = append(r.off[m][b], (actual[i]-said.path[i])/l.paths.scale[i])
			}
		}
		// Half a year is enough to know, and long enough to forget.
		r.off[m][b] = last(r.off[m][b], memory/week*(span.to-span.from))
		if b == 1 && enough && said.peaks[0] > 0 {
			r.rises[m] = last(append(r.rises[m], high/said.peaks[0]), memory/week)
		}
	}
}

func last(all []float64, n int) []float64 { return all[max(0, len(all)-n):] }

// band is how far off a method was in a band. Before there are errors of three
// origins, those of the nearer band are stretched, and before there are any,
// those of the shape of the week.
func (r *rolling) band(m, b int, p *profile) forBand {
	const origins, stretch = 3, 1.5
	span := bands()[b]
	if off := r.off[m][b]; len(off) >= origins*(span.to-span.from)/2 {
		off = slices.Clone(off)
		slices.Sort(off)
		return forBand{off}
	}
	var near []float64
	if b > 0 {
		near = slices.Clone(r.band(m, b-1, p).off)
	} else {
		near = slices.Clone(p.off)
		slices.Sort(near)
	}
	for i := range near {
		near[i] *= stretch
	}
	return forBand{near}
}

// judge compares a look with what came, and keeps it to be learnt from.
func (r *rolling) judge(l *look) {
	r.past = append(r.past, l)
	if l.origin < firstJudged {
		return
	}
	scale := weekBefore(r.values[:l.origin])
	for i, span := range bands() {
		if l.origin+span.to > len(r.values) {
			break
		}
		actual := r.values[l.origin : l.origin+span.to]
		if _, n := meanError(l.said[byNaive].path, actual); n == 0 {
			continue
		}
		r.sums[i].add(l, actual, scale)
	}
}

func (s *sums) add(l *look, actual []float64, scale float64) {
	s.origins++
	if scale == 0 {
		s.unscaled++
	}
	for m, said := range l.said {
		of := &s.of[m]
		err, n := meanError(said.path, actual)
		of.err += err
		if scale > 0 {
			of.mase += err / scale
		}
		pinball, covered := 0.0, 0.0
		for i, v := range actual {
			if math.IsNaN(v) {
				continue
			}
			low, high := said.quantile(i, l.paths.scale[i], .05), said.quantile(i, l.paths.scale[i], .95)
			pinball += max(.95*(v-high), .05*(high-v))
			if low <= v && v <= high {
				covered++
			}
		}
		of.pinball += pinball / float64(n)
		of.covered += covered / float64(n)
		of.addPeaks(said, actual)
	}
}

func (t *total) addPeaks(said saying, actual []float64) {
	if len(actual) < week { // the peak of a day, of what was measured
		of := 0.0
		for i, v := range actual {
			if !math.IsNaN(v) {
				of = max(of, said.path[i])
			}
		}
		if high, enough := peakOf(actual); enough {
			t.peak += math.Abs(of - high)
			t.peaks++
		}
		return
	}
	for i := 0; i*week < len(actual); i++ {
		if high, enough := peakOf(actual[i*week : (i+1)*week]); enough {
			t.peak += math.Abs(said.peaks[i] - high)
			t.peaks++
		}
	}
}

func (s saying) quantile(i int, scale, p float64) float64 {
	return max(0, s.path[i]+scale*s.bands[bandOf(i)].at(p)*widening(i))
}

func (r *rolling) comparisons() []Comparison {
	var out []Comparison
	for i, span := range bands() {
		s := r.sums[i]
		if s.origins == 0 {
			break
		}
		score := func(m int) Score {
			of, n := s.of[m], float64(s.origins)
			out := Score{Error: of.err / n, Pinball: of.pinball / n, Covered: of.covered / n, PeakWeeks: of.peaks}
			if s.origins > s.unscaled {
				out.MASE = of.mase / float64(s.origins-s.unscaled)
			}
			if of.peaks > 0 {
				out.PeakError = of.peak / float64(of.peaks)
			}
			return out
		}
		out = append(out, Comparison{Hours: span.to, Origins: s.origins, Unscaled: s.unscaled, Profile: score(byProfile), Naive: score(byNaive)})
	}
	return out
}

// forecast looks ahead from the end, and uses the method that was better.
func (r *rolling) forecast(s Series, hours int) *Forecast {
	l := r.look(len(r.values), max(hours, judged))
	f := &Forecast{Backtest: r.comparisons(), Changes: l.profile.changes(s, r.cal), scale: l.paths.scale[:hours]}
	var method, atPeaks [horizons]int
	for i := range method {
		// Where a horizon has not been judged, the longest that has decides. A
		// week in which the level changed is no example for the next.
		if n := min(i, len(f.Backtest)-1); n >= 0 && !l.profile.broken(len(l.profile.level)-8, len(l.profile.level)) {
			method[i], atPeaks[i] = index(f.Backtest[n].Better()), index(f.Backtest[n].BetterAtPeaks())
		}
		f.bands[i] = l.said[method[i]].bands[i]
	}
	for i := range hours {
		m := method[bandOf(i)]
		f.Hours = append(f.Hours, Hour{At: s.at(len(r.values) + i), Median: l.said[m].path[i], Method: named(m)})
		h := &f.Hours[i]
		h.Low, h.High = f.quantile(i, .05), f.quantile(i, .95)
	}
	for from := 0; from < hours; from += week {
		until := min(from+week, hours)
		m := atPeaks[bandOf(max(from, 24))] // the first week is judged as a week
		rises := slices.Clone(r.rises[m])
		slices.Sort(rises)
		peak := Peak{From: f.Hours[from].At, Until: f.Hours[until-1].At.Add(time.Hour), Median: l.said[m].peaks[from/week], Method: named(m)}
		peak.High = peak.Median * max(1, quantileOf(rises, .95))
		for i := from; i < until; i++ {
			peak.High = max(peak.High, f.Hours[i].High)
		}
		f.Weeks = append(f.Weeks, peak)
	}
	return f
}

func named(m int) Method {
	if m == byNaive {
		return ByNaive
	}
	return ByProfile
}

func index(m Method) int {
	if m == ByNaive {
		return byNaive
	}
	return byProfile
}

// naive says each hour will be as the same hour of the week was when it was last
// measured, by clocks in Germany; if it never was, as the same hour of a day.
func naive(values []float64, c calendar, origin, hours int) []float64 {
	var ofWeek [week]float64
	var ofDay [24]float64
	for k := range ofWeek {
		ofWeek[k] = math.NaN()
	}
	for i, v := range values[:origin] {
		if !math.IsNaN(v) {
			k := c.hourOfWeek[i]
			ofWeek[k], ofDay[k%24] = v, v
		}
	}
	path := make([]float64, hours)
	for i := range path {
		k := c.hourOfWeek[origin+i]
		if path[i] = ofWeek[k]; math.IsNaN(path[i]) {
			path[i] = ofDay[k%24]
		}
	}
	return path
}

// naivePeaks are the highest hour of the week before an origin, for each of the
// weeks after it; where too little of that week was measured, those of the path.
func naivePeaks(before, path []float64) []float64 {
	var out []float64
	high, enough := peakOf(before[len(before)-week:])
	for from := 0; from < len(path); from += week {
		if !enough {
			high = slices.Max(path[from:min(from+week, len(path))])
		}
		out = append(out, high)
	}
	return out
}

// weekBefore is the mean distance of each hour from that a week before; 0 if
// nothing can be compared.
func weekBefore(values []float64) float64 {
	sum, n := 0.0, 0
	for i := week; i < len(values); i++ {
		if d := math.Abs(values[i] - values[i-week]); !math.IsNaN(d) {
			sum += d
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}
