package enrolment

import "sync"

// asking is the laptops that ask just now whether they are approved, by user
// code: one call of each, so that who waits costs one look each time. The zero
// value is nobody.
type asking struct {
	mu sync.Mutex
	of map[string]chan struct{}
}

// enter lets a laptop ask; leave is nil if it asks already. decided is told of a
// decision on this replica.
func (a *asking) enter(code string) (decided <-chan struct{}, leave func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, there := a.of[code]; there {
		return nil, nil
	}
	if a.of == nil {
		a.of = make(map[string]chan struct{})
	}
	c := make(chan struct{}, 1)
	a.of[code] = c
	return c, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.of, code)
	}
}

// tell wakes the laptop that was decided on, if it asks.
func (a *asking) tell(code string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case a.of[code] <- struct{}{}:
	default: // nobody asks, or it is told already
	}
}
