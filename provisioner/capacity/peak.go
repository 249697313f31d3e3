package capacity

import (
	"math"
	"slices"
)

// Seats are bought for the highest hour of a week, and the highest of many hours
// that vary is above the highest of what each should be. So peaks are forecast
// by what peaks were, as the mean of three simple views, none of which is
// always right: the curve's own peak, raised by as much as peaks were above it;
// the last week's; and the level, times what peaks were of their level.

// peaks are what the highest hours of the weeks after an origin should be. rises
// are former peaks over those of the curve that was forecast, the oldest first.
func (p *profile) peaks(values, path, rises []float64) []float64 {
	rise := 1.0
	if len(rises) > 0 {
		rise = middle(slices.Clone(last(rises, 8)))
	}
	ofLevel, latest := p.formerPeaks(values)
	var out []float64
	for from := 0; from < len(path); from += week {
		of := slices.Max(path[from:min(from+week, len(path))])
		sum, n := of*rise, 1.0
		if !math.IsNaN(ofLevel) {
			sum, n = sum+ofLevel*p.present(3), n+1
		}
		if !math.IsNaN(latest) {
			sum, n = sum+latest, n+1
		}
		out = append(out, sum/n)
	}
	return out
}

// formerPeaks gives the peaks of the last eight weeks as part of their level,
// where a week counts half after three, and the last one itself; NaN for what
// is not known. Weeks in which the level changed do not count, and of what was
// before it changed only the part.
func (p *profile) formerPeaks(values []float64) (ofLevel, latest float64) {
	const weeks, halfLife = 8, 3
	smooth := smoothed(p.level, p.weight, p.breaks)
	sum, weights := 0.0, 0.0
	latest = math.NaN()
	for k := 1; k <= weeks && k*week <= len(values); k++ {
		from := len(values) - k*week
		high, enough := peakOf(values[from : from+week])
		begins, ends := len(smooth)-7*k, len(smooth)-7*(k-1)
		if !enough || begins < 0 || p.broken(begins, ends) {
			continue
		}
		if k == 1 {
			latest = high
		}
		if level := middle(slices.Clone(smooth[begins:ends])); level > 0 {
			w := math.Exp2(-float64(k-1) / halfLife)
			sum += w * high / level
			weights += w
		}
	}
	return sum / weights, latest
}

// broken tells if the level changed within some days.
func (p *profile) broken(from, to int) bool {
	return slices.ContainsFunc(p.breaks, func(d int) bool { return d > from && d < to })
}

// peakOf is the highest of what was measured, if enough was.
func peakOf(actual []float64) (high float64, enough bool) {
	n := 0
	for _, v := range actual {
		if !math.IsNaN(v) {
			high = max(high, v)
			n++
		}
	}
	return high, n*5 >= len(actual)*4
}
