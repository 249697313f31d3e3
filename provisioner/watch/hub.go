// Package watch tells waiting streams that something moved, and waiting
// callers that gateways have confirmed it.
//
// What always holds here:
//   - A wake-up is only a hint: whoever is woken reads the database. One that
//     is lost is made up for by the poll behind it.
//   - Waking costs what changed, not how many listen: a change wakes the
//     gateway and the device it names, nobody else.
//   - Nothing waits for a slow listener: each has room for one wake-up, and
//     several become one.
//
// Not its business: what has changed (store), and what it means (session,
// rpc).
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// pollEvery is the backstop behind lost wake-ups.
	pollEvery = 1500 * time.Millisecond
	// readAtOnce is how many changes are read in one go.
	readAtOnce = 1000
)

// Topic is what a listener waits for.
type Topic struct{ kind, name string }

// Gateway is everything that a gateway must be told.
func Gateway(name string) Topic { return Topic{"gateway", name} }

// Device is everything that a connected laptop must be told.
func Device(id string) Topic { return Topic{"device", id} }

// Closings is the end of any session: a seat has come free.
func Closings() Topic { return Topic{kind: "closings"} }

// Hub follows the store's changes and wakes those whom they concern.
type Hub struct {
	log  *slog.Logger
	poke chan struct{}

	mu        sync.Mutex
	listeners map[Topic]map[*Listener]struct{}
}

// NewHub makes a hub; Run must be running for it to wake anybody. The store is
// given to Run, because it wants to be opened with Poke as its Committed.
func NewHub(log *slog.Logger) *Hub {
	return &Hub{log: log, poke: make(chan struct{}, 1), listeners: make(map[Topic]map[*Listener]struct{})}
}

// heard is the topic of those who wait for what gateways say to other replicas.
func heard() Topic { return Topic{kind: "heard"} }

// Poke says what was committed, by this replica or another one. It never blocks.
func (h *Hub) Poke(c store.Commit) {
	if c.Moved {
		select {
		case h.poke <- struct{}{}:
		default:
		}
	}
	if c.Heard {
		h.ring(heard())
	}
}

func (h *Hub) ring(t Topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners[t] {
		l.ring()
	}
}

// Run follows the changes until ctx ends.
func (h *Hub) Run(ctx context.Context, s *store.Store) error {
	// Read even if ctx has ended already: to be stopped early is no failure.
	position, err := store.Read(context.WithoutCancel(ctx), s, (*store.Reader).Position)
	if err != nil {
		return fmt.Errorf("finding where the changes stand: %w", err)
	}
	seen := position.Revision
	h.wakeAll() // whoever read before we began to follow may have missed something
	for {
		next, err := h.dispatch(ctx, s, seen)
		if err != nil && ctx.Err() == nil {
			h.log.Error("reading changes", "after", seen, "error", err)
		}
		seen = next
		timer := time.NewTimer(pollEvery/2 + rand.N(pollEvery))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-h.poke:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// dispatch wakes for everything after seen and gives the last revision read.
func (h *Hub) dispatch(ctx context.Context, s *store.Store, seen int64) (int64, error) {
	for {
		list, err := store.Read(ctx, s, func(tx *store.Reader) ([]provisioner.Change, error) { return tx.Changes(seen, readAtOnce) })
		if err != nil {
			return seen, err
		}
		if len(list) > 0 && list[0].Revision > seen+1 {
			h.wakeAll() // what lay between has been trimmed: it may have concerned anybody
		}
		h.wake(list)
		if len(list) > 0 {
			seen = list[len(list)-1].Revision
		}
		if len(list) < readAtOnce {
			return seen, nil
		}
	}
}

func (h *Hub) wake(list []provisioner.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range list {
		for l := range h.listeners[Gateway(c.Gateway)] {
			l.ring()
		}
		if c.Kind == provisioner.ChangeClosed {
			for l := range h.listeners[Closings()] {
				l.ring()
			}
		}
		for l := range h.listeners[Device(c.Device)] {
			l.ring()
		}
	}
}

func (h *Hub) wakeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, set := range h.listeners {
		for l := range set {
			l.ring()
		}
	}
}

// Listener is woken through C. Its owner closes it.
type Listener struct {
	C     <-chan struct{}
	c     chan struct{}
	hub   *Hub
	topic Topic
}

func (l *Listener) ring() {
	select {
	case l.c <- struct{}{}:
	default:
	}
}

// Again makes the listener ring once more, for an owner that took a wake-up
// and leaves part of it for later.
func (l *Listener) Again() { l.ring() }

// Listen starts to listen. Read the database after this, not before.
func (h *Hub) Listen(topic Topic) *Listener {
	c := make(chan struct{}, 1)
	l := &Listener{C: c, c: c, hub: h, topic: topic}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[topic] == nil {
		h.listeners[topic] = make(map[*Listener]struct{})
	}
	h.listeners[topic][l] = struct{}{}
	return l
}

// Close ends listening. Idempotent.
func (l *Listener) Close() {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	set := l.hub.listeners[l.topic]
	delete(set, l)
	if len(set) == 0 {
		delete(l.hub.listeners, l.topic)
	}
}
