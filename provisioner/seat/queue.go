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

// Next names who of those that wait gets a seat now, and of which pool; nil if there
// is none for any of them. First come people of tenants that hold less than is
// guaranteed to them: what was lent goes back. Then the order of Compare decides. Who
// is first and gets none is passed by those for whom there is one: seats that are
// guaranteed to a tenant, or reserved for a class, are no use to others.
func Next(list []Waiting) (who *Waiting, pool string) {
	var first *Offer
	for i := range list {
		w := &list[i]
		o := w.best()
		if o == nil {
			continue
		}
		if who == nil || o.Within() && !first.Within() || o.Within() == first.Within() && w.Compare(who.Entry) < 0 {
			who, first = w, o
		}
	}
	if who == nil {
		return nil, ""
	}
	return who, first.Pool
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

// Positions numbers those that wait for seats of one pool, by device, from 1. within
// reports whether a tenant holds less of it than is guaranteed to it.
func Positions(list []Entry, within func(tenant string) bool) map[string]int64 {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Entry) int {
		if wa, wb := within(a.Tenant), within(b.Tenant); wa != wb {
			if wa {
				return -1
			}
			return 1
		}
		return a.Compare(b)
	})
	positions := make(map[string]int64, len(list))
	for i, e := range list {
		positions[e.Device] = int64(i) + 1
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
