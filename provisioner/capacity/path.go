package capacity

import (
	"cmp"
	"math"
	"slices"
)

// way is one way to draw a profile on. Which of them suit a series is not ours
// to know: it is judged by their errors on this series, before the origin.
type way struct {
	shape  float64 // half-life of the shape, in weeks
	pooled int     // days from Monday that have one shape, and each its height
	level  float64 // half-life of the level, in days
	trend  bool    // what rose goes on rising
}

func ways() []way {
	var all []way
	for _, shape := range shapeHalfLives() {
		for _, pooled := range []int{0, 5, 7} {
			for _, level := range []float64{1, 3, 9, 27} {
				all = append(all, way{shape, pooled, level, false}, way{shape, pooled, level, true})
			}
		}
	}
	return all
}

func shapeHalfLives() []float64 { return []float64{.5, 1, 3, 9} }

// bands part the hours after an origin: tomorrow, next week and next month are
// different questions, and different ways suit them.
func bands() [horizons]band { return [3]band{{0, 24}, {24, week}, {week, judged}} }

// judged is how far ahead errors are measured, in hours.
const judged = 4 * week

type band struct{ from, to int }

const horizons = 3

func bandOf(hour int) int {
	switch {
	case hour < 24:
		return 0
	case hour < week:
		return 1
	default:
		return 2
	}
}

// paths are the hours after an origin, drawn by each way, and of each hour how far
// off values usually are, before anything is known of horizons.
type paths struct {
	by    [][]float64
	scale []float64
}

func draw(values []float64, c calendar, origin, hours int) (paths, *profile) {
	var out paths
	profiles := learn(values, c, origin, shapeHalfLives())
	for _, w := range ways() {
		p := profiles[slices.Index(shapeHalfLives(), w.shape)]
		out.by = append(out.by, p.draw(c, origin, hours, w))
	}
	p := profiles[1]
	// Not less than the last four weeks: a level that has just fallen may rise
	// again. And some level even where nobody is: the band is never of no width.
	level := max(p.present(9), 1e-3)
	if month := meanLevel(p.level, p.weight, max(0, len(p.level)-28), len(p.level)); month > level {
		level = month
	}
	out.scale = make([]float64, hours)
	for i := range out.scale {
		out.scale[i] = level * p.spread[c.hourOfWeek[origin+i]]
	}
	return out, p
}

func (p *profile) draw(c calendar, origin, hours int, w way) []float64 {
	shape := p.weekly(w.pooled)
	level, trend := p.present(w.level), 0.0
	if w.trend {
		trend = p.trend()
	}
	path := make([]float64, hours)
	for i := range path {
		t := origin + i
		path[i] = shape.at(c.hourOfWeek[t], c.kinds[c.day[t]]) * max(0, level+trend*damped(float64(i/24)))
	}
	return path
}

// damped is how many days' worth of trend have come after so many days: a trend
// that goes on for ever is seldom one. It loses half of itself every eight weeks.
func damped(days float64) float64 {
	const halfLife = 56
	rate := math.Ln2 / halfLife
	return (1 - math.Exp(-rate*days)) / rate
}

// record is how wrong each way has been so far in each band; recent errors count
// more.
type record [horizons][]tally

type tally struct{ sum, weight float64 }

func newRecord(ways int) *record {
	var r record
	for b := range r {
		r[b] = make([]tally, ways)
	}
	return &r
}

func (t *tally) add(err float64) {
	const kept = .9 // of an error's weight, an origin later
	t.sum, t.weight = t.sum*kept+err, t.weight*kept+1
}

// best is the quarter of the ways with the smallest errors so far: its mean is
// seldom worse than the best one, and nobody knows which that will be. All of
// them where nothing is known.
func best(tallies []tally) []int {
	order := make([]int, len(tallies))
	for i := range order {
		order[i] = i
	}
	if tallies[0].weight == 0 {
		return order
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(tallies[a].sum/tallies[a].weight, tallies[b].sum/tallies[b].weight)
	})
	return order[:len(order)/4]
}

// path is the mean of the ways that were best in each band.
func (r *record) path(p paths) []float64 {
	path := make([]float64, len(p.scale))
	for b, span := range bands() {
		chosen := best(r[b])
		to := min(span.to, len(path))
		if b == horizons-1 {
			to = len(path)
		}
		for i := span.from; i < to; i++ {
			for _, w := range chosen {
				path[i] += p.by[w][i] / float64(len(chosen))
			}
		}
	}
	return path
}

// learn takes in how the paths of an origin turned out in a band.
func (r *record) learn(b int, p paths, actual []float64) {
	span := bands()[b]
	for w, path := range p.by {
		if e, n := meanError(path[span.from:span.to], actual[span.from:span.to]); n > 0 {
			r[b][w].add(e)
		}
	}
}

// meanError is the mean distance where something was measured, and of how many.
func meanError(path, actual []float64) (mean float64, n int) {
	sum := 0.0
	for i, v := range actual {
		if !math.IsNaN(v) {
			sum += math.Abs(v - path[i])
			n++
		}
	}
	if n == 0 {
		return 0, 0
	}
	return sum / float64(n), n
}
