package session

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/seat"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// countEvery is how often positions are counted, for all who wait at a replica at once.
	countEvery = 2 * time.Second
	// rateEvery is how often it is counted how many seats came free.
	rateEvery = 30 * time.Second
)

// Place is where somebody stands in the queue.
type Place struct {
	Position int64         // from 1; zero: not counted yet
	Wait     time.Duration // until her turn, as seats came free lately; zero: nobody can tell
	Rests    bool          // a crisis is closed to her: she goes on when it is over, and has no position until then
}

// line is the streams of this replica that wait for a seat.
type line struct {
	mu      sync.Mutex
	waiters map[string]*Waiter // by device
	came    chan struct{}      // somebody has come
}

func newLine() line { return line{waiters: make(map[string]*Waiter), came: make(chan struct{}, 1)} }

// Waiter is one of them. C says that her place has moved, or that it is her turn. Its
// owner closes it.
type Waiter struct {
	C <-chan struct{}

	c      chan struct{}
	line   *line
	device string
	place  Place
}

// Await begins to follow the place of a device, from where it stands as far as is known. Of
// several of one device the last one is told.
func (s *Service) Await(device string, place Place) *Waiter {
	c := make(chan struct{}, 1)
	w := &Waiter{C: c, c: c, line: &s.line, device: device, place: place}
	s.line.mu.Lock()
	s.line.waiters[device] = w
	s.line.mu.Unlock()
	ring(s.line.came)
	return w
}

// Place is where the device stands, as last counted.
func (w *Waiter) Place() Place {
	w.line.mu.Lock()
	defer w.line.mu.Unlock()
	return w.place
}

// Close ends following. Idempotent.
func (w *Waiter) Close() {
	w.line.mu.Lock()
	defer w.line.mu.Unlock()
	if w.line.waiters[w.device] == w {
		delete(w.line.waiters, w.device)
	}
}

func ring(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// devices lists who waits here.
func (l *line) devices() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.waiters))
}

// tell tells those whose place has moved, and those who have none.
func (l *line) tell(places map[string]Place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for device, w := range l.waiters {
		place, waits := places[device]
		if waits && place == w.place {
			continue
		}
		w.place = place
		ring(w.c)
	}
}

// RunLine counts the places of those who wait at this replica, until ctx ends.
func (s *Service) RunLine(ctx context.Context) error {
	counter := counter{store: s.Store}
	timer := time.NewTimer(countEvery)
	defer timer.Stop()
	var heard time.Time
	for {
		devices := s.line.devices()
		if len(devices) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-s.line.came:
				continue
			}
		}
		places, err := counter.places(ctx, time.Now())
		switch {
		case err == nil:
			s.line.tell(places)
		case ctx.Err() == nil:
			s.Logger.Error("counting who waits for a seat", "error", err)
		}
		if time.Since(heard) > hearEvery {
			if err := s.hear(ctx, devices); err != nil && ctx.Err() == nil {
				s.Logger.Error("noting who waits for a seat", "error", err)
			}
			heard = time.Now()
		}
		timer.Reset(countEvery)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
	}
}

// hear says that these laptops are connected here, in slices.
func (s *Service) hear(ctx context.Context, devices []string) error {
	for part := range slices.Chunk(devices, slice) {
		if err := s.Store.UpdatePatiently(ctx, func(tx *store.Writer) error { return tx.HearQueued(part) }); err != nil {
			return err
		}
	}
	return nil
}

// counter counts places.
type counter struct {
	store *store.Store
	freed map[string]seat.Freed // by pool
	at    time.Time             // it was counted
}

// places gives everybody's place who waits, by device: of several pools the one that
// comes round first.
func (c *counter) places(ctx context.Context, now time.Time) (map[string]Place, error) {
	places := make(map[string]Place)
	err := c.store.View(ctx, func(tx *store.Reader) error {
		if c.freed == nil || now.Sub(c.at) >= rateEvery {
			freed, err := tx.SeatsFreed(now)
			if err != nil {
				return fmt.Errorf("counting the seats that came free: %w", err)
			}
			c.freed, c.at = freed, now
		}
		positions, err := tx.QueuePositions()
		if err != nil {
			return fmt.Errorf("reading the queue: %w", err)
		}
		for pool, list := range positions {
			for device, position := range list {
				places[device] = places[device].sooner(Place{Position: position, Wait: c.freed[pool].Wait(position)})
			}
		}
		resting, err := tx.QueueResting()
		if err != nil {
			return fmt.Errorf("reading whose place rests: %w", err)
		}
		for _, device := range resting {
			places[device] = Place{Rests: true}
		}
		return nil
	})
	return places, err
}

// sooner is the place at the pool whose turn comes first, of two.
func (p Place) sooner(other Place) Place {
	switch {
	case p.Position == 0:
		return other
	case p.Wait > 0 && other.Wait > 0:
		if other.Wait < p.Wait {
			return other
		}
	case other.Position < p.Position:
		return other
	}
	return p
}
