package store

import (
	"context"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Commit is what may concern others in what was committed.
type Commit struct {
	Moved bool // the revision: there are changes to be read
	Heard bool // a gateway's words were written down
}

func (c Commit) or(d Commit) Commit { return Commit{c.Moved || d.Moved, c.Heard || d.Heard} }

// text is a commit as one replica tells it to the others.
func (c Commit) text(replica string) string {
	flags := ""
	if c.Moved {
		flags += "m"
	}
	if c.Heard {
		flags += "h"
	}
	return replica + " " + flags
}

// commitOf reads what a replica told.
func commitOf(text string) (replica string, c Commit) {
	replica, flags, _ := strings.Cut(text, " ")
	return replica, Commit{Moved: strings.Contains(flags, "m"), Heard: strings.Contains(flags, "h")}
}

const (
	// tellEvery is how often other replicas are told at the most: each telling
	// takes a lock that all of them share. What is urgent does not wait.
	tellEvery = 50 * time.Millisecond
	// tellTime is how long one telling may take.
	tellTime = 2 * time.Second
	// followAgain is after how long a broken connection to hear others is made
	// anew; polling finds what is missed meanwhile.
	followAgain = time.Second
)

// teller tells other replicas that something was committed. It only wakes: what
// was committed they read themselves.
type teller struct {
	store *Store
	wake  chan struct{} // buffered by one
	now   chan struct{} // buffered by one: does not wait for the next time

	mu     sync.Mutex
	untold Commit
}

func newTeller(s *Store) *teller {
	return &teller{store: s, wake: make(chan struct{}, 1), now: make(chan struct{}, 1)}
}

// committed notes what is to be told. It never blocks.
func (t *teller) committed(c Commit, urgent bool) {
	if c == (Commit{}) {
		return
	}
	t.store.changed(c)
	t.mu.Lock()
	t.untold = t.untold.or(c)
	t.mu.Unlock()
	ring(t.wake)
	if urgent {
		ring(t.now)
	}
}

func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (t *teller) take() Commit {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.untold
	t.untold = Commit{}
	return c
}

func (t *teller) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		if c := t.take(); c != (Commit{}) {
			t.tell(ctx, c)
		}
		pause.Reset(tellEvery)
		select {
		case <-ctx.Done():
			return
		case <-t.now:
		case <-pause.C:
		}
	}
}

func (t *teller) tell(ctx context.Context, c Commit) {
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	if err := t.store.engine.tell(ctx, c.text(t.store.replica)); err != nil && ctx.Err() == nil {
		t.store.log.Warn("telling other replicas that something changed; they will find it by themselves", "error", err)
	}
}

// follow hears what other replicas commit, until ctx ends.
func (s *Store) follow(ctx context.Context) {
	for {
		err := s.engine.follow(ctx, func(text string) {
			if from, c := commitOf(text); from != s.replica {
				s.changed(c)
			}
		})
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("hearing what other replicas change was interrupted; until it works again they are asked each second", "error", err)
		timer := time.NewTimer(followAgain + rand.N(followAgain))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// nameOf is a database as it may be shown: without what may be a password.
func nameOf(database string) string {
	if !isPostgres(database) {
		return database
	}
	u, err := url.Parse(database)
	if err != nil {
		return "postgres://…"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
