package capacity

import (
	"math"
	"slices"
)

// memory is how far back a profile looks, in hours: half a year. What was before
// has hardly any weight, and holidays of the other half come again.
const memory = 26 * week

// profile is what a history says of the weeks behind an origin: its shape, and
// how high it stood on each day. Level times shape is what an hour should be.
type profile struct {
	shape  [week]float64 // of an hour of the week; 1 on average
	spread [week]float64 // how far values are off it, as a mean, with level 1

	// offShare is how much of the way from a usual day to a Sunday a day off
	// goes: 1 is a Sunday.
	offShare float64

	first  int       // the first day looked at, as the calendar counts
	level  []float64 // of each day since; NaN where none could be learnt
	weight []float64 // of that level: 1 for a day of average volume without gaps
	breaks []int     // days, counted as in level, on which another level begins
	off    []float64 // how far off hours were, in units of level and spread
}

// learn looks at the hours before origin, and gives a profile for each half-life:
// the age, in weeks, at which a week counts half for the shape.
func learn(values []float64, c calendar, origin int, halfLives []float64) []*profile {
	from := max(0, origin-memory)
	first := int(c.day[from])
	h := history{values: values[from:origin], hourOfWeek: c.hourOfWeek[from:origin], day: make([]int, origin-from), kinds: c.kinds[first:]}
	for i := range h.day {
		h.day[i] = int(c.day[from+i]) - first
	}
	crude, around := profile{first: first}, h.movingMean()
	h.shapeByMedian(&crude, around)
	h.follow(&crude, around)

	var out []*profile
	for _, halfLife := range halfLives {
		p, norm := crude, slices.Clone(around)
		h.shapeByMean(&p, norm, halfLife)
		h.follow(&p, norm)
		h.shapeByMean(&p, norm, halfLife)
		h.follow(&p, norm)
		h.learnOff(&p, norm)
		p.off = h.residuals(&p, norm)
		out = append(out, &p)
	}
	return out
}

// follow finds the level of each day by the shape so far, where it changed, and
// writes what it was around each hour into norm.
func (h *history) follow(p *profile, norm []float64) {
	h.levels(p)
	p.breaks = levelBreaks(p.level, p.weight)
	smooth := smoothed(p.level, p.weight, p.breaks)
	for i, d := range h.day {
		norm[i] = smooth[d]
	}
}

// history is the part of a series that a profile looks at.
type history struct {
	values     []float64
	hourOfWeek []uint8
	day        []int
	kinds      []kind
}

// usual tells if hour i is one from which usual weeks are learnt.
func (h *history) usual(i int) bool {
	return h.kinds[h.day[i]] == usual && !math.IsNaN(h.values[i])
}

// movingMean is the level before anything is known of the shape: the mean of
// the week around each hour.
func (h *history) movingMean() []float64 {
	sum := make([]float64, len(h.values)+1)
	count := make([]float64, len(h.values)+1)
	for i := range h.values {
		sum[i+1], count[i+1] = sum[i], count[i]
		if h.usual(i) {
			sum[i+1] += h.values[i]
			count[i+1]++
		}
	}
	mean := make([]float64, len(h.values))
	for i := range mean {
		// At the ends the week lies to one side, so that it is a whole one.
		low := max(0, min(i-week/2, len(h.values)-week))
		high := min(len(h.values), low+week)
		mean[i] = (sum[high] - sum[low]) / (count[high] - count[low]) // NaN without any
	}
	return mean
}

// shapeByMedian is a first shape that no spike can bend.
func (h *history) shapeByMedian(p *profile, norm []float64) {
	var cells [week][]float64
	for i := range h.values {
		if h.usual(i) && norm[i] > 0 {
			cells[h.hourOfWeek[i]] = append(cells[h.hourOfWeek[i]], h.values[i]/norm[i])
		}
	}
	for k, cell := range cells {
		p.shape[k] = middle(cell)
		for i := range cell {
			cell[i] = math.Abs(cell[i] - p.shape[k])
		}
		p.spread[k] = middle(cell)
	}
	p.complete()
}

// shapeByMean is the mean of what hours were relative to their level, the more
// recent counting more, with what is far off cut.
func (h *history) shapeByMean(p *profile, norm []float64, halfLife float64) {
	const far = 5 // times the usual distance
	var sum, off, weights [week]float64
	decay := math.Exp2(-1 / (halfLife * week))
	weight := 1.0
	for i := len(h.values) - 1; i >= 0; i-- {
		weight *= decay
		if !h.usual(i) || !(norm[i] > 0) {
			continue
		}
		k := h.hourOfWeek[i]
		distance := h.values[i]/norm[i] - p.shape[k]
		distance = max(-far*p.spread[k], min(far*p.spread[k], distance))
		sum[k] += weight * distance
		off[k] += weight * math.Abs(distance)
		weights[k] += weight
	}
	for k := range week {
		if weights[k] == 0 {
			p.shape[k], p.spread[k] = math.NaN(), math.NaN()
			continue
		}
		p.shape[k] = max(0, p.shape[k]+sum[k]/weights[k])
		p.spread[k] = off[k] / weights[k]
	}
	p.complete()
}

// complete fills in the hours of the week of which nothing is known from the
// same hour on similar days, makes the shape 1 on average, and the spread of
// each hour like that of the same hour on other days, of which it has too few.
func (p *profile) complete() {
	fill(&p.shape)
	fill(&p.spread)
	mean := 0.0
	for _, v := range p.shape {
		mean += v / week
	}
	if mean <= 0 { // nothing but zeros
		for k := range p.shape {
			p.shape[k] = 1
		}
		mean = 1
	}
	var byHour [24]float64
	for k := range week {
		p.shape[k] /= mean
		p.spread[k] /= mean
		byHour[k%24] += p.spread[k] / 7
	}
	// A floor, so that an hour that never varied is not taken for certain.
	const least = .01
	for k := range week {
		p.spread[k] = max(least, (p.spread[k]+byHour[k%24])/2)
	}
}

func fill(cells *[week]float64) {
	known := *cells
	mean := func(same func(k int) bool) float64 {
		sum, count := 0.0, 0.0
		for k, v := range known {
			if !math.IsNaN(v) && same(k) {
				sum += v
				count++
			}
		}
		return sum / count // NaN without any
	}
	weekend := func(k int) bool { return k >= 5*24 }
	for k := range cells {
		for _, same := range []func(other int) bool{
			func(o int) bool { return o%24 == k%24 && weekend(o) == weekend(k) },
			func(o int) bool { return o%24 == k%24 },
			func(int) bool { return true },
		} {
			if !math.IsNaN(cells[k]) {
				break
			}
			cells[k] = mean(same)
		}
		if math.IsNaN(cells[k]) {
			cells[k] = 0
		}
	}
}

// levels finds how high each day stood: the median of what its hours say, so
// that no spike of some hours lifts a day.
func (h *history) levels(p *profile) {
	days := h.day[len(h.day)-1] + 1
	p.level, p.weight = make([]float64, days), make([]float64, days)
	var says []said
	for i := 0; i < len(h.values); {
		d := h.day[i]
		says = says[:0]
		volume := 0.0
		for ; i < len(h.values) && h.day[i] == d; i++ {
			if s := p.shape[h.hourOfWeek[i]]; h.usual(i) && s > 0 {
				says = append(says, said{h.values[i] / s, s})
				volume += s
			}
		}
		p.level[d], p.weight[d] = weightedMedian(says), volume/24
	}
	// The first hours of the night say little of a day that has just begun, and
	// weekends little of an office.
	const little = .15
	if slices.Max(p.weight) < little {
		return
	}
	for d, w := range p.weight {
		if w < little {
			p.level[d], p.weight[d] = math.NaN(), 0
		}
	}
}

// residuals are how far hours were off level and shape.
func (h *history) residuals(p *profile, norm []float64) []float64 {
	var off []float64
	for i, v := range h.values {
		if k := h.hourOfWeek[i]; h.usual(i) && norm[i] > 0 {
			off = append(off, (v/norm[i]-p.shape[k])/p.spread[k])
		}
	}
	return off
}

// learnOff finds how days off were, leaning to Sundays while few have been seen.
func (h *history) learnOff(p *profile, norm []float64) {
	reach := func(k int) float64 { return p.shape[k] - p.sunday(k) }
	// One day off that was like a Sunday is believed from the beginning.
	prior := 0.0
	for k := range 5 * 24 {
		prior += reach(k) * reach(k) / 5
	}
	went, could := prior, prior
	for i, v := range h.values {
		if h.kinds[h.day[i]] == off && !math.IsNaN(v) && norm[i] > 0 {
			k := int(h.hourOfWeek[i])
			went += (p.shape[k] - v/norm[i]) * reach(k)
			could += reach(k) * reach(k)
		}
	}
	p.offShare = 1
	if could > 0 {
		p.offShare = max(0, min(1.2, went/could))
	}
}

func (p *profile) sunday(k int) float64 { return p.shape[6*24+k%24] }

// weekly is a shape to draw with, on usual days and on days off.
type weekly struct{ usual, off [week]float64 }

// weekly gives the shape. With pooled days from Monday, 5 or 7, those share one
// shape, with a height for each: it follows a change as many times as fast.
func (p *profile) weekly(pooled int) *weekly {
	out := &weekly{usual: p.shape}
	var byDay [7]float64
	var byHour [24]float64
	all := 0.0
	for k, s := range p.shape[:pooled*24] {
		byDay[k/24] += s
		byHour[k%24] += s
		all += s
	}
	for k := range pooled * 24 {
		if all > 0 {
			out.usual[k] = byDay[k/24] * byHour[k%24] / all
		}
	}
	for k := range week {
		out.off[k] = max(0, out.usual[k]+p.offShare*(p.sunday(k)-out.usual[k]))
	}
	return out
}

func (w *weekly) at(hourOfWeek uint8, of kind) float64 {
	if of == off {
		return w.off[hourOfWeek]
	}
	return w.usual[hourOfWeek]
}

// said is a value and how much it counts.
type said struct{ value, weight float64 }

// weightedMedian is the value that half of the weight lies below; NaN of none.
// It sorts what it is given.
func weightedMedian(all []said) float64 {
	total := 0.0
	for _, s := range all {
		total += s.weight
	}
	slices.SortFunc(all, func(a, b said) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	sum := 0.0
	for _, s := range all {
		if sum += s.weight; sum >= total/2 {
			return s.value
		}
	}
	return math.NaN()
}

// middle is the median; NaN of none. It sorts what it is given.
func middle(all []float64) float64 {
	if len(all) == 0 {
		return math.NaN()
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}
