package usage

import (
	"time"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// points puts a series together in the steps that were asked for. Planners are told of
// each hour, or of its quarters, what was decided on it, and nothing else.
func (r *reading) points(known, decided *intervals) []Point {
	list := make([]Point, 0, r.To.Sub(r.From)/r.Step+1)
	var t telling
	for begins := r.From; begins.Before(r.To); {
		ends := next(begins, r.Step)
		parts := known.between(begins, ends)
		switch {
		case r.exact:
			p := exactly(begins, capacity.Merge(parts))
			if r.Step >= Hour {
				p.ToMany = refusedToMany(parts)
			}
			list = append(list, p)
		case r.Step < Hour:
			quarter := capacity.Merge(parts)
			// What came and went is told by the hour: in a quarter it is few people's.
			quarter.Disclosed = decided.at(begins.Truncate(Hour)).Disclosed & (capacity.DiscloseSessions | capacity.Rounded)
			list = append(list, t.asDecided(begins, []capacity.Interval{quarter}))
		default:
			list = append(list, t.asDecided(begins, parts))
		}
		begins = ends
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

// refusedToMany adds up what was refused in hours to enough people.
func refusedToMany(hours []capacity.Interval) (n [capacity.Reasons]int64) {
	for i := range hours {
		for reason := range n {
			if hours[i].Disclosed&capacity.DiscloseRefused(capacity.Reason(reason)) != 0 {
				n[reason] += hours[i].Refused[reason]
			}
		}
	}
	return n
}

// telling is room for what a point is put together of, used again for the next one.
type telling struct{ sessions []capacity.Interval }

// asDecided tells of some hours, or of a quarter of one, what may be told: it is put
// together of nothing else, so that no difference of two answers tells more.
func (t *telling) asDecided(at time.Time, hours []capacity.Interval) Point {
	p := Point{At: at, Queue: Figures{OnlyMax: true, Withheld: true}}
	withhold(&p.Received, &p.Sent, &p.Opened)
	for i := range p.Refused {
		withhold(&p.Refused[i])
	}
	t.sessions = t.sessions[:0]
	for i := range hours {
		v := hours[i]
		if v.Minutes == 0 {
			continue
		}
		p.Minutes += v.Minutes
		rounded := v.Disclosed&capacity.Rounded != 0
		if rounded {
			v = v.Round()
		}
		if v.Disclosed&capacity.DiscloseSessions == 0 {
			p.Partly = true
		} else {
			t.sessions = append(t.sessions, v)
			p.Incomplete = p.Incomplete || v.Complete < v.Minutes
			if !rounded { // bytes would tell of one more
				tell(&p.Received, v.Received)
				tell(&p.Sent, v.Sent)
			}
		}
		if v.Disclosed&capacity.DiscloseOpened != 0 {
			tell(&p.Opened, v.Opened)
		}
		if v.Disclosed&capacity.DiscloseQueue != 0 {
			p.Queue.Max, p.Queue.Withheld = max(p.Queue.Max, v.Queue.Max), false
		}
		for i := range p.Refused {
			if v.Disclosed&capacity.DiscloseRefused(capacity.Reason(i)) != 0 {
				tell(&p.Refused[i], v.Refused[i])
			}
		}
	}
	if p.Minutes == 0 {
		return Point{At: at, Queue: Figures{OnlyMax: true}}
	}
	p.Sessions = Figures{Gauge: capacity.Merge(t.sessions).Sessions, Withheld: len(t.sessions) == 0}
	p.Partly = p.Partly && len(t.sessions) > 0
	return p
}

func withhold(counts ...*capacity.Count) {
	for _, c := range counts {
		c.Withheld = true
	}
}

// tell adds a number that may be told.
func tell(to *capacity.Count, n int64) {
	to.Value += n
	to.Withheld = false
}
