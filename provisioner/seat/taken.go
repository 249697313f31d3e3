package seat

import "time"

// How often a laptop may take its place in the queue again within a time before it has to
// wait for the next: each time is written down, and so is that it went. One in a train,
// which comes back each few seconds, stays far below.
const (
	placesAllowed = 30
	placesWithin  = time.Minute
)

// Taken is how often a laptop took its place since a time. It stands with the place, so it
// counts at all control planes together. The zero value: it never did.
type Taken struct {
	Since time.Time
	Times int64
}

// Again is with one time more.
func (t Taken) Again(now time.Time) Taken {
	if t.over(now) {
		t = Taken{Since: now}
	}
	t.Times++
	return t
}

// Wait is how long it has to wait before it takes its place again; zero: it need not.
func (t Taken) Wait(now time.Time) time.Duration {
	if t.Times < placesAllowed || t.over(now) {
		return 0
	}
	return placesWithin - max(0, now.Sub(t.Since))
}

// over: the count begins anew. So it does where a clock was set back by more than the time.
func (t Taken) over(now time.Time) bool {
	since := now.Sub(t.Since)
	return since >= placesWithin || since < -placesWithin
}
