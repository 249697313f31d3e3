package capacity

import (
	"cmp"
	"maps"
	"slices"
)

// Gauge is a number over an interval.
type Gauge struct {
	Max  int64 // exact, also between samples, where openings and closings make it up
	Mean int64 // by time, in hundredths
	P95  int64 // the 95th percentile, by time or of the intervals that make it up
}

// Reason is why openings were refused, as far as planners tell reasons apart.
type Reason int

// The reasons.
const (
	NoSeat    Reason = iota // all seats that she may have are held, or nobody bought any
	NoGateway               // no gateway has a place, or none answers
	NotNow                  // a rule says no at this time: crisis mode
	Otherwise               // access that rests, a sign-in that is due, faults
	Reasons   = iota
)

// Disclosure says which numbers of an hour may be told to people. It is decided once,
// when the hour is over, for every query that there will ever be.
type Disclosure int64

// What may be told. DiscloseSessions covers bytes, too.
const (
	DiscloseSessions Disclosure = 1 << iota
	DiscloseOpened
	DiscloseQueue
	// Rounded: numbers are told rounded to Smallest.
	Rounded
	discloseRefused // and the next bits, one a reason
)

// DiscloseRefused is that openings refused for a reason may be told.
func DiscloseRefused(r Reason) Disclosure { return discloseRefused << r }

// Interval is what was measured of a tenant, a pool, a gateway or all in a minute or
// more of them. The zero Interval is a gap: nothing is known.
type Interval struct {
	Minutes  int64 // of which something is known
	Complete int64 // of them, those in which every gateway that carries it was heard: else bytes are missing
	Sessions Gauge // of a pool: seats held by sessions
	Queue    Gauge // laptops that waited for a seat
	Opened   int64 // sessions that began
	Received int64 // bytes, as gateways count them
	Sent     int64
	Refused  [Reasons]int64 // openings, by reason
	// Disclosed is what of an hour may be told; of anything else it says nothing.
	Disclosed Disclosure
}

// width is how many columns an interval has.
const width = 12 + Reasons

// columns lists the numbers in the order in which they are packed.
func (v *Interval) columns() (list [width]*int64) {
	list = [width]*int64{
		&v.Minutes, &v.Complete, &v.Sessions.Max, &v.Sessions.Mean, &v.Sessions.P95, &v.Queue.Max, &v.Queue.Mean, &v.Queue.P95,
		&v.Opened, &v.Received, &v.Sent, (*int64)(&v.Disclosed),
	}
	for i := range v.Refused {
		list[width-Reasons+i] = &v.Refused[i]
	}
	return list
}

// Merge puts intervals of one length together that follow each other: sums are added,
// maxima are the highest, means go by the minutes known, and percentiles are those of
// the parts. Gaps count for nothing; of gaps alone it gives one.
func Merge(parts []Interval) (v Interval) {
	var mean [2]int64
	for i := range parts {
		p := &parts[i]
		if p.Minutes == 0 {
			continue
		}
		v.Minutes += p.Minutes
		v.Complete += p.Complete
		v.Opened += p.Opened
		v.Received += p.Received
		v.Sent += p.Sent
		for i, n := range p.Refused {
			v.Refused[i] += n
		}
		v.Sessions.Max, v.Queue.Max = max(v.Sessions.Max, p.Sessions.Max), max(v.Queue.Max, p.Queue.Max)
		mean[0] += p.Sessions.Mean * p.Minutes
		mean[1] += p.Queue.Mean * p.Minutes
	}
	if v.Minutes == 0 {
		return v
	}
	v.Sessions.Mean, v.Queue.Mean = rounded(mean[0], v.Minutes), rounded(mean[1], v.Minutes)
	v.Sessions.P95 = percentile(parts, func(p *Interval) int64 { return p.Sessions.P95 })
	v.Queue.P95 = percentile(parts, func(p *Interval) int64 { return p.Queue.P95 })
	return v
}

// percentile is the 95th of those of parts that are known, of which there must be one: of
// shorter ones than minutes nothing is known.
func percentile(parts []Interval, of func(*Interval) int64) int64 {
	var room [64]int64 // for the minutes of an hour and the hours of a day
	list := room[:0]
	for i := range parts {
		if parts[i].Minutes > 0 {
			list = append(list, of(&parts[i]))
		}
	}
	slices.Sort(list)
	return list[(len(list)*95+99)/100-1]
}

func rounded(sum, by int64) int64 { return (sum + by/2) / by }

// Move is by how much a number changed at a time, in milliseconds since the interval
// began.
type Move struct{ At, By int64 }

// Follow is the gauge of a number over an interval of some milliseconds that it began
// with, given its moves in order of time. Of moves at one instant those down come
// first: a laptop that opens its next session has one at a time. Fewer than none is none:
// a replica of an older version may have moved it without saying so.
func Follow(begin int64, moves []Move, length int64) (g Gauge) {
	slices.SortStableFunc(moves, func(a, b Move) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.By, b.By)) })
	lasted := make(map[int64]int64, len(moves)+1)
	n, at, area := begin, int64(0), int64(0)
	g.Max = max(begin, 0)
	stay := func(until int64) {
		if until > at {
			lasted[max(n, 0)] += until - at
			area += max(n, 0) * (until - at)
			at = until
		}
	}
	for _, m := range moves {
		stay(min(max(m.At, 0), length))
		n += m.By
		g.Max = max(g.Max, n)
	}
	stay(length)
	g.Mean = rounded(area*100, length)
	known := int64(0)
	for _, v := range slices.Sorted(maps.Keys(lasted)) {
		if known += lasted[v]; known*100 >= length*95 {
			g.P95 = v
			break
		}
	}
	return g
}

// Coarse leaves of an interval what may be kept for long: numbers below Smallest are
// zero, and so are the bytes of so few.
func (v Interval) Coarse() Interval {
	for _, g := range []*Gauge{&v.Sessions, &v.Queue} {
		if g.Max < Smallest {
			*g = Gauge{}
		}
		if g.Mean < 100*Smallest {
			g.Mean = 0
		}
		g.P95 = unlessSmall(g.P95)
	}
	v.Opened = unlessSmall(v.Opened)
	for i := range v.Refused {
		v.Refused[i] = unlessSmall(v.Refused[i])
	}
	if v.Sessions.Max == 0 {
		v.Received, v.Sent = 0, 0
	}
	return v
}

func unlessSmall(n int64) int64 {
	if n < Smallest {
		return 0
	}
	return n
}

// Round gives an interval whose numbers of sessions are rounded to Smallest, as those of
// few people are told.
func (v Interval) Round() Interval {
	for _, g := range []*Gauge{&v.Sessions, &v.Queue} {
		g.Max, g.P95, g.Mean = toSmallest(g.Max, Smallest), toSmallest(g.P95, Smallest), toSmallest(g.Mean, 100*Smallest)
	}
	v.Opened = toSmallest(v.Opened, Smallest)
	for i := range v.Refused {
		v.Refused[i] = toSmallest(v.Refused[i], Smallest)
	}
	return v
}

func toSmallest(n, to int64) int64 { return (n + to/2) / to * to }
