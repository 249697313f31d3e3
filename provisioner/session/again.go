package session

import (
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// How often a laptop may take its place in the queue again within a time before it has
// to wait for the next: each time is written down, and so is that it went. One in a
// train, which comes back each few seconds, stays far below.
const (
	placesAllowed = 30
	placesWithin  = time.Minute
)

// again counts how often laptops take their places at this replica: not in the
// database, which a laptop that comes and goes in a loop would be written to for just
// that. The zero value is ready.
type again struct {
	mu     sync.Mutex
	counts map[string]*taken // by device
	swept  time.Time
}

// taken is how often one did since a time.
type taken struct {
	since time.Time
	times int
}

// refuse says that a device has to wait before it takes its place again, and for how
// long; nil: it need not.
func (a *again) refuse(device string, now time.Time) *provisioner.Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.counts[device]
	if t == nil || t.times < placesAllowed || t.over(now) {
		return nil
	}
	return provisioner.Refuse(provisioner.CodeTryLater).After(placesWithin - now.Sub(t.since))
}

// note counts one time more.
func (a *again) note(device string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts == nil {
		a.counts = make(map[string]*taken)
	}
	if now.Sub(a.swept) >= placesWithin {
		a.swept = now
		for d, t := range a.counts {
			if t.over(now) {
				delete(a.counts, d)
			}
		}
	}
	t := a.counts[device]
	if t == nil || t.over(now) {
		t = &taken{since: now}
		a.counts[device] = t
	}
	t.times++
}

// over: the count begins anew.
func (t *taken) over(now time.Time) bool { return now.Sub(t.since) >= placesWithin }
