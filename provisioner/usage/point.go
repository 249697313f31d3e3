package usage

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// points puts a series together in the steps that were asked for. Planners are told of
// each hour, or of its quarters, what was decided on it, and nothing else.
func (r *reading) points(known, decided intervals) []Point {
	var list []Point
	var parts []capacity.Interval
	base := r.base()
	for begins := r.From; begins.Before(r.To); begins = next(begins, r.Step) {
		ends := next(begins, r.Step)
		parts = parts[:0]
		for at := begins.UnixMilli(); at < ends.UnixMilli(); at += base.Milliseconds() {
			parts = append(parts, known[at])
		}
		switch {
		case r.exact:
			list = append(list, exactly(begins, capacity.Merge(parts)))
		case r.Step < Hour:
			quarter := capacity.Merge(parts)
			// What came and went is told by the hour: in a quarter it is few people's.
			quarter.Disclosed = decided[begins.Truncate(Hour).UnixMilli()].Disclosed & (capacity.DiscloseSessions | capacity.Rounded)
			list = append(list, asDecided(begins, []capacity.Interval{quarter}))
		default:
			list = append(list, asDecided(begins, parts))
		}
	}
	return list
}

// exactly tells all of an interval.
func exactly(at time.Time, v capacity.Interval) Point {
	p := Point{
		At: at, Minutes: v.Minutes, Incomplete: v.Complete < v.Minutes, Sessions: Figures{Gauge: v.Sessions}, Queue: Figures{Gauge: v.Queue},
		Opened: capacity.Count{Value: v.Opened}, Received: capacity.Count{Value: v.Received}, Sent: capacity.Count{Value: v.Sent},
	}
	for i, n := range v.Refused {
		p.Refused[i] = capacity.Count{Value: n}
	}
	return p
}

// asDecided tells of some hours, or of a quarter of one, what may be told: it is put
// together of nothing else, so that no difference of two answers tells more.
func asDecided(at time.Time, hours []capacity.Interval) Point {
	p := Point{At: at, Queue: Figures{OnlyMax: true}}
	var sessions, bytes, opened, queue []capacity.Interval
	var refused [capacity.Reasons][]capacity.Interval
	for _, v := range hours {
		if v.Minutes == 0 {
			continue
		}
		p.Minutes += v.Minutes
		may := func(what capacity.Disclosure) bool {
			if v.Disclosed&what == 0 {
				p.Partly = true
				return false
			}
			return true
		}
		rounded := v.Disclosed&capacity.Rounded != 0
		if rounded {
			v = v.Round()
		}
		if may(capacity.DiscloseSessions) {
			sessions = append(sessions, v)
			if !rounded { // bytes would tell of one more
				bytes = append(bytes, v)
			}
			p.Incomplete = p.Incomplete || v.Complete < v.Minutes
		}
		if v.Disclosed&capacity.DiscloseOpened != 0 {
			opened = append(opened, v)
		}
		if v.Disclosed&capacity.DiscloseQueue != 0 {
			queue = append(queue, v)
		}
		for i := range refused {
			if v.Disclosed&capacity.DiscloseRefused(capacity.Reason(i)) != 0 {
				refused[i] = append(refused[i], v)
			}
		}
	}
	if p.Minutes == 0 {
		return p
	}
	told := capacity.Merge(sessions)
	p.Sessions = Figures{Gauge: told.Sessions, Withheld: len(sessions) == 0}
	carried := capacity.Merge(bytes)
	p.Received, p.Sent = count(carried.Received, bytes), count(carried.Sent, bytes)
	p.Opened = count(capacity.Merge(opened).Opened, opened)
	p.Queue.Max, p.Queue.Withheld = capacity.Merge(queue).Queue.Max, len(queue) == 0
	for i, of := range refused {
		p.Refused[i] = count(capacity.Merge(of).Refused[i], of)
	}
	p.Partly = p.Partly && len(sessions) > 0
	return p
}

func count(n int64, of []capacity.Interval) capacity.Count {
	if len(of) == 0 {
		return capacity.Count{Withheld: true}
	}
	return capacity.Count{Value: n}
}
