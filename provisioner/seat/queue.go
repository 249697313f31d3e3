package seat

import (
	"slices"
	"strings"
	"time"
)

// Entry is somebody's place in the queue.
type Entry struct {
	Claim
	Device string
	Since  time.Time // she waits
}

// Compare orders who waits: by class, then by how long, then by device, so that no
// two are equal. It is negative if e goes first.
func (e Entry) Compare(other Entry) int {
	if by := e.Class.Rank() - other.Class.Rank(); by != 0 {
		return by
	}
	if by := e.Since.Compare(other.Since); by != 0 {
		return by
	}
	return strings.Compare(e.Device, other.Device)
}

// Waiting is somebody in the queue with the pools that she is entitled to.
type Waiting struct {
	Entry
	Offers []Offer
}

// Turn is where somebody stands among those for whom there is a seat. First come people
// of tenants that hold less than is guaranteed to them: what was lent goes back. Then the
// order of Compare decides.
type Turn struct {
	Within bool
	Entry
}

// Compare is negative if t goes first.
func (t Turn) Compare(other Turn) int {
	if t.Within != other.Within {
		if t.Within {
			return -1
		}
		return 1
	}
	return t.Entry.Compare(other.Entry)
}

// turn is hers, with the pool; ok is false if there is no seat for her.
func (w *Waiting) turn() (t Turn, pool string, ok bool) {
	o := w.best()
	if o == nil {
		return t, "", false
	}
	return Turn{o.Within(), w.Entry}, o.Pool, true
}

// Next names who of those that wait gets a seat now, and of which pool; nil if there
// is none for any of them. Who is first and gets none is passed by those for whom there
// is one: seats that are guaranteed to a tenant, or reserved for a class, are no use to
// others. With a last turn nobody behind it gets one.
func Next(list []Waiting, last *Turn) (who *Waiting, pool string) {
	var first Turn
	for i := range list {
		w := &list[i]
		t, of, ok := w.turn()
		if ok && (last == nil || t.Compare(*last) <= 0) && (who == nil || t.Compare(first) < 0) {
			who, first, pool = w, t, of
		}
	}
	return who, pool
}

// First lists those for whom there is a seat, in the order in which they get one, at most
// n. Last is the turn behind which are all that are left out; nil: none are. As seats are
// given, no turn comes forward: so those left out need not be looked at until the others
// have had theirs.
func First(list []Waiting, n int) (first []Entry, last *Turn) {
	var turns []Turn
	for i := range list {
		if t, _, ok := list[i].turn(); ok {
			turns = append(turns, t)
		}
	}
	slices.SortFunc(turns, Turn.Compare)
	if len(turns) > n {
		turns = turns[:n]
		last = &turns[n-1]
	}
	for _, t := range turns {
		first = append(first, t.Entry)
	}
	return first, last
}

// best is the pool that gives a seat; nil if none does.
func (w *Waiting) best() (best *Offer) {
	for i := range w.Offers {
		o := &w.Offers[i]
		if o.Quantity.Running == 0 || !o.counted() && o.Free() == 0 {
			continue
		}
		if best == nil || o.Within() && !best.Within() || o.Within() == best.Within() && better(o, best) {
			best = o
		}
	}
	return best
}

// Hopeless reports whether there is nothing to wait for: no contract runs of any pool
// that she is entitled to.
func (w *Waiting) Hopeless() bool {
	return !slices.ContainsFunc(w.Offers, func(o Offer) bool { return o.Quantity.Running > 0 })
}

// Entitled is a pool of which people of a tenant may have seats.
type Entitled struct {
	Pool   string
	Within bool // the tenant holds less of it than is guaranteed to it
}

// Positions numbers those that wait, by pool and device, from 1. pools are those of each
// tenant.
func Positions(list []Entry, pools map[string][]Entitled) map[string]map[string]int64 {
	list = slices.Clone(list)
	slices.SortFunc(list, Entry.Compare)
	positions := make(map[string]map[string]int64)
	for _, within := range []bool{true, false} {
		for i := range list {
			for _, p := range pools[list[i].Tenant] {
				if p.Within != within {
					continue
				}
				of := positions[p.Pool]
				if of == nil {
					of = make(map[string]int64)
					positions[p.Pool] = of
				}
				of[list[i].Device] = int64(len(of)) + 1
			}
		}
	}
	return positions
}

const (
	// freedAtLeast is how many seats must have come free within an hour for a rate to
	// be one.
	freedAtLeast = 5
	// RateOver is over which time the rate is reckoned by which a wait is estimated.
	RateOver = 30 * time.Minute
	// RateKnown is in which time freedAtLeast must have come free.
	RateKnown = time.Hour
)

// Freed is how many seats of a pool came free lately.
type Freed struct {
	Lately int64 // within RateOver
	Known  int64 // within RateKnown
}

// Wait estimates after which time whoever stands at a position gets a seat, from how
// many really came free; zero if too few did to say anything.
func (f Freed) Wait(position int64) time.Duration {
	if f.Known < freedAtLeast || f.Lately <= 0 {
		return 0
	}
	return time.Duration(position) * RateOver / time.Duration(f.Lately)
}
