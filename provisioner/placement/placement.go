// Package placement decides which gateway a session goes to: a pure rule over what
// is declared of the gateways and what was measured.
//
// What always holds here:
//   - A gateway that has not joined, cannot be reached, is full or is being left takes
//     nobody, whatever else is to be had: that is a refusal, before anything collapses.
//   - Among the others it is spread by what is free, each as its weight says.
//   - Who was on a gateway that is nearly as good stays there, so that addresses stay
//     and nobody wanders with each measurement.
//
// Not its business: addresses, seats, and how anybody gets from one to another.
package placement

import (
	"cmp"
	"slices"
)

// Candidate is a gateway that serves the tenant.
type Candidate struct {
	Name string
	Site string
	// Weight is how much of what is free it gets, compared with the others'. Above zero.
	Weight int64
	// Open sessions, and how many there may be.
	Open, Sessions int64
	// Rate is what it carries and Throughput what it may, in bits a second. Throughput
	// zero: whatever it can.
	Rate, Throughput int64
	// CPU is how busy its processors are, in thousandths. Zero: not known.
	CPU int64

	Joined    bool
	Reachable bool // its stream is up, and it gives signs of life
	Heard     bool // as often as it should
	Leaving   bool // it is drained, or under maintenance
}

// Asker is for whom a gateway is wanted.
type Asker struct {
	Site   string   // where its tenant is; empty: anywhere
	Former string   // the gateway where it was last; empty: none
	Avoid  []string // gateways that have just failed it
}

// Verdict is in which order gateways are tried, and what was against the others.
type Verdict struct {
	Order []string // the best first
	// Full: one that could be reached had no room. Leaving: one is being left.
	Full, Leaving bool
}

const (
	// tight is how much of a gateway may be left for it to come behind the others,
	// those of other sites too: the last places are for who can go nowhere else.
	tight = 0.05
	// nearly is how good the former gateway must be, compared with the best, for
	// somebody to stay there.
	nearly = 0.75
)

// Choose ranks the gateways for somebody.
func Choose(list []Candidate, a Asker) (v Verdict) {
	var usable []Candidate
	for _, c := range list {
		switch {
		case !c.Joined || !c.Reachable || slices.Contains(a.Avoid, c.Name):
		case c.Leaving:
			v.Leaving = true
		case c.full():
			v.Full = true
		default:
			usable = append(usable, c)
		}
	}
	slices.SortStableFunc(usable, func(x, y Candidate) int {
		return cmp.Or(cmp.Compare(x.class(a), y.class(a)), cmp.Compare(y.score(), x.score()), cmp.Compare(x.Name, y.Name))
	})
	if i := slices.IndexFunc(usable, func(c Candidate) bool { return c.Name == a.Former }); i > 0 && usable[i].nearlyAsGood(usable[0], a) {
		former := usable[i]
		usable = slices.Insert(slices.Delete(usable, i, i+1), 0, former)
	}
	for _, c := range usable {
		v.Order = append(v.Order, c.Name)
	}
	return v
}

// Away reports whether somebody would be so much better off elsewhere that it is
// worth a move in a moment in which nobody works.
func Away(list []Candidate, a Asker) bool {
	here := slices.IndexFunc(list, func(c Candidate) bool { return c.Name == a.Former })
	if here < 0 || list[here].Leaving || !list[here].Heard {
		return false // others see to that
	}
	v := Choose(list, a)
	if len(v.Order) == 0 || v.Order[0] == a.Former {
		return false
	}
	best := slices.IndexFunc(list, func(c Candidate) bool { return c.Name == v.Order[0] })
	// A move pays when the other is much emptier, or is the one of the own site.
	return list[best].class(a) < list[here].class(a) || list[best].score()*worth >= list[here].score()
}

// worth: the present gateway must be no better than this part of the best one.
const worth = 0.5

// full reports whether a declared limit is reached.
func (c Candidate) full() bool {
	return c.Open >= c.Sessions || c.Throughput > 0 && c.Rate >= c.Throughput
}

// free is the share that is left of what is scarcest.
func (c Candidate) free() float64 {
	used := float64(c.Open) / float64(max(c.Sessions, 1))
	if c.Throughput > 0 {
		used = max(used, float64(c.Rate)/float64(c.Throughput))
	}
	return max(0, 1-max(used, float64(c.CPU)/1000))
}

func (c Candidate) score() float64 { return float64(max(c.Weight, 1)) * c.free() }

// class is what counts before the score: lower is better.
func (c Candidate) class(a Asker) int {
	class := 0
	if !c.Heard {
		class += 4
	}
	if c.free() < tight {
		class += 2
	}
	if a.Site != "" && c.Site != a.Site {
		class++
	}
	return class
}

func (c Candidate) nearlyAsGood(best Candidate, a Asker) bool {
	return c.class(a) == best.class(a) && c.score() >= nearly*best.score()
}
