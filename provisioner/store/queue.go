package store

import (
	"context"
	"sync"
	"time"
)

// update is one waiting request.
type update struct {
	ctx    context.Context
	do     func(*Writer) error
	urgent bool
	until  time.Time  // not zero: it can wait for others until then
	about  string     // the device; empty: something else
	done   chan error // buffered: the writer never waits for a caller
}

// queue holds what waits; urgent goes first, patient last.
type queue struct {
	mu      sync.Mutex
	urgent  []*update
	normal  []*update
	patient []*update
	closed  bool
	wake    chan struct{} // buffered by one
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) put(u *update) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	switch {
	case u.urgent:
		q.urgent = append(q.urgent, u)
	case !u.until.IsZero():
		q.patient = append(q.patient, u)
	default:
		q.normal = append(q.normal, u)
	}
	ring(q.wake)
	return nil
}

// takeAbout gives further requests about devices that are next in line, at most
// limit.
func (q *queue) takeAbout(limit int) (list []*update) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.urgent) == 0 && len(q.normal) > 0 && len(list) < limit && q.normal[0].about != "" {
		list = append(list, q.normal[0])
		q.normal[0] = nil
		q.normal = q.normal[1:]
	}
	return list
}

// take gives the next request, or nil.
func (q *queue) take() *update {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, line := range []*[]*update{&q.urgent, &q.normal, &q.patient} {
		if len(*line) > 0 {
			u := (*line)[0]
			(*line)[0] = nil
			*line = (*line)[1:]
			return u
		}
	}
	return nil
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.urgent) + len(q.normal) + len(q.patient)
}

// rest is how long everything that waits can go on waiting: zero if something
// cannot, or if so much has gathered that waiting gains nothing more. It is
// negative if nothing waits.
func (q *queue) rest() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.urgent)+len(q.normal) > 0 || len(q.patient) >= batchSize || len(q.patient) > 0 && q.closed:
		return 0
	case len(q.patient) > 0:
		return max(0, time.Until(q.patient[0].until))
	}
	return -1
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}
