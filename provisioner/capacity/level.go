package capacity

import "math"

// A mandate changes the level from one day to the next, and an average over
// before and after is wrong for weeks. So a level that has changed for good is
// noticed, and what was before no longer counts for the level; for the shape
// of the week it does.

const (
	// behind is how many days a day is compared with.
	behind = 21

	// confirmed is how many days in a row have to say the same: one may be an
	// outage, or the day the circus came.
	confirmed = 2
)

// levelBreaks finds the days on which another level begins. A day that stood
// alone loses its weight. Days of hardly any volume (weekends of an office, days
// with gaps) are not asked.
func levelBreaks(level, weight []float64) []int {
	const asked = .3
	var breaks, days []int
	highest := 0.0
	for d := range level {
		if weight[d] >= asked {
			days = append(days, d)
			highest = max(highest, level[d])
		}
	}
	if highest == 0 {
		return nil
	}
	logs := make([]float64, len(level))
	for d := range level {
		logs[d] = math.Log(max(level[d]/highest, 1e-3)) // nobody is few
	}
	begin := 0 // of the present level, in days
	for i := 1; i+confirmed <= len(days); i++ {
		before := days[max(begin, i-behind):i]
		if len(before) < 3 {
			continue
		}
		low, high := within(logs, before)
		switch {
		case shifted(logs, days[i:i+confirmed], low, high):
			breaks = append(breaks, days[i])
			begin = i
		case shifted(logs, days[i:i+1], low, high):
			weight[days[i]] = 0
		}
	}
	return breaks
}

// within is where levels like those before lie, as logarithms.
func within(logs []float64, before []int) (low, high float64) {
	const (
		least = .25 // 28 % more or 22 % less
		times = 6   // of the median distance from the median; 4 standard deviations of a normal distribution
	)
	of := make([]float64, len(before))
	for i, d := range before {
		of[i] = logs[d]
	}
	centre := middle(of)
	for i := range of {
		of[i] = math.Abs(of[i] - centre)
	}
	threshold := max(least, times*middle(of))
	return centre - threshold, centre + threshold
}

// shifted tells if all days lie to one side of low and high.
func shifted(logs []float64, days []int, low, high float64) bool {
	up, down := true, true
	for _, d := range days {
		up = up && logs[d] > high
		down = down && logs[d] < low
	}
	return up || down
}

// smoothed is the level around each day, from three days before to three
// after, but never across a break. Days of which nothing is known take the
// nearest earlier one, or the first.
func smoothed(level, weight []float64, breaks []int) []float64 {
	out := make([]float64, len(level))
	last := math.NaN()
	begin, next := 0, 0
	for d := range level {
		if next < len(breaks) && d == breaks[next] {
			begin, next = d, next+1
		}
		end := len(level)
		if next < len(breaks) {
			end = breaks[next]
		}
		if v := meanLevel(level, weight, max(begin, d-3), min(end, d+4)); !math.IsNaN(v) {
			last = v
		}
		out[d] = last
	}
	for d := len(out) - 2; d >= 0; d-- {
		if math.IsNaN(out[d]) {
			out[d] = out[d+1]
		}
	}
	return out
}

// meanLevel is the mean of some days, without the highest and the lowest where
// there are enough; NaN of none.
func meanLevel(level, weight []float64, from, to int) float64 {
	sum, weights, count := 0.0, 0.0, 0
	low, high := -1, -1
	for d := from; d < to; d++ {
		if weight[d] == 0 {
			continue
		}
		sum += weight[d] * level[d]
		weights += weight[d]
		count++
		if low < 0 || level[d] < level[low] {
			low = d
		}
		if high < 0 || level[d] > level[high] {
			high = d
		}
	}
	if count >= 5 && low != high {
		sum -= weight[low]*level[low] + weight[high]*level[high]
		weights -= weight[low] + weight[high]
	}
	return sum / weights
}

// present is the level at the end of a profile. A day counts half after
// halfLife days; days before the last break do not count.
func (p *profile) present(halfLife float64) float64 {
	sum, weights := 0.0, 0.0
	for d := len(p.level) - 1; d >= p.since(); d-- {
		if p.weight[d] > 0 {
			w := p.weight[d] * math.Exp2(-float64(len(p.level)-1-d)/halfLife)
			sum += w * p.level[d]
			weights += w
		}
	}
	if weights == 0 {
		return 0
	}
	return sum / weights
}

// since is the day on which the present level began, counted as in level.
func (p *profile) since() int {
	if len(p.breaks) == 0 {
		return 0
	}
	return p.breaks[len(p.breaks)-1]
}

// trend is by how much the level rises a day, by the last eight weeks; 0 within
// four weeks of a break, and less than was seen where it may be chance.
func (p *profile) trend() float64 {
	const longest, shortest = 56, 28
	n := len(p.level)
	from := max(p.since(), n-longest)
	if n-from < shortest {
		return 0
	}
	var w, x, y, xx, xy, yy float64
	for d := from; d < n; d++ {
		if p.weight[d] == 0 {
			continue
		}
		at := float64(d - n)
		w += p.weight[d]
		x += p.weight[d] * at
		y += p.weight[d] * p.level[d]
		xx += p.weight[d] * at * at
		xy += p.weight[d] * at * p.level[d]
		yy += p.weight[d] * p.level[d] * p.level[d]
	}
	sxx, sxy, syy := xx-x*x/w, xy-x*y/w, yy-y*y/w
	if !(sxx > 0) || !(syy > 0) {
		return 0
	}
	// Levels of neighbouring days are alike: 56 days say no more than some weeks.
	const independent = 8
	explained := sxy * sxy / (sxx * syy)
	chance := (1 - explained) / independent
	return sxy / sxx * max(0, 1-chance/max(explained, 1e-9))
}
