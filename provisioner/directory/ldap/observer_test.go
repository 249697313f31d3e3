package ldap_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// observer keeps what a feed tells, and how it told it.
type observer struct {
	mu      sync.Mutex
	news    chan struct{} // closed when something is told
	entries map[string]directory.Entry
	log     []string // without single entries of full reads, and without Heard
	sources []directory.Source
	read    int
	passes  int
	heard   int
}

func newObserver() *observer {
	return &observer{news: make(chan struct{}), entries: map[string]directory.Entry{}}
}

func (o *observer) told(do func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	do()
	close(o.news)
	o.news = make(chan struct{})
}

func (o *observer) note(format string, args ...any) {
	o.log = append(o.log, fmt.Sprintf(format, args...))
}

func (o *observer) Pass() directory.Pass {
	o.told(func() { o.passes++ })
	return &observedPass{o: o, seen: map[string]bool{}}
}

func (o *observer) Changed(e directory.Entry) {
	o.told(func() {
		o.entries[e.StableID] = e
		o.note("changed %s", shortName(e))
	})
}

func (o *observer) Gone(id string) {
	o.told(func() {
		o.note("gone %s", shortName(o.entries[id]))
		delete(o.entries, id)
	})
}

func (o *observer) Live(s directory.Source) {
	o.told(func() {
		o.sources = append(o.sources, s)
		o.note("live %s%s", s.Way, map[bool]string{true: " resumed"}[s.Resumed])
	})
}

func (o *observer) Heard() { o.told(func() { o.heard++ }) }

type observedPass struct {
	o         *observer
	seen      map[string]bool
	unchanged int
}

func (p *observedPass) Read(e directory.Entry) {
	p.o.told(func() {
		p.o.entries[e.StableID] = e
		p.o.read++
		p.seen[e.StableID] = true
	})
}

func (p *observedPass) Unchanged(ids ...string) {
	p.o.told(func() {
		for _, id := range ids {
			p.seen[id] = true
			p.unchanged++
		}
	})
}

func (p *observedPass) Whole() {
	p.o.told(func() {
		var gone []string
		for id, e := range p.o.entries {
			if !p.seen[id] {
				gone = append(gone, "absent "+shortName(e))
				delete(p.o.entries, id)
			}
		}
		slices.Sort(gone)
		p.o.log = append(p.o.log, gone...)
		p.o.note("whole: %d read, %d unchanged", len(p.seen)-p.unchanged, p.unchanged)
	})
}

// shortName is the value of the first part of a DN.
func shortName(e directory.Entry) string {
	first, _, _ := strings.Cut(e.DN, ",")
	_, value, _ := strings.Cut(first, "=")
	return value
}

// named returns the one entry with that first part of its DN.
func (o *observer) named(t testing.TB, name string) directory.Entry {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.entries {
		if shortName(e) == name {
			return e
		}
	}
	t.Errorf("%s has not been told", name)
	return directory.Entry{}
}

// until waits for something to become true, and fails the test if it does not.
func (o *observer) until(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		o.mu.Lock()
		done, news := is(), o.news
		o.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-deadline:
			o.mu.Lock()
			defer o.mu.Unlock()
			t.Fatalf("%s did not come; told so far:\n%s", what, strings.Join(o.log, "\n"))
		}
	}
}

// next waits until something has been told, and for one more heartbeat after that, so that nothing else is on its way. It
// returns what was told since it was last called, and forgets it.
func (o *observer) next(t testing.TB, what string) []string {
	t.Helper()
	o.until(t, what, func() bool { return len(o.log) > 0 })
	heard := -1
	o.until(t, "a heartbeat", func() bool {
		if heard < 0 {
			heard = o.heard
		}
		return o.heard > heard+1 // the first one may have been on its way already
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	log := o.log
	o.log = nil
	return log
}

// following is a feed that is followed.
type following struct {
	directory.Feed
	*observer
	end func() error // ends it, or waits until it ends by itself, and returns what Follow returned
	err chan error
}

// interest is everybody, and the groups that most tests ask about.
func interest() directory.Interest {
	return directory.Interest{Bases: []string{slapdtest.PeopleBase}, Groups: []string{slapdtest.StaffGroup, slapdtest.Helpdesk}}
}

const (
	quick  = 20 * time.Millisecond  // how often a feed in a test looks after its server
	settle = 250 * time.Millisecond // OpenLDAP's refint takes a few milliseconds
)

func follow(t testing.TB, d *ldap.Directory, i directory.Interest) *following {
	t.Helper()
	f := d.Feed(i)
	ldap.Hurry(f, quick, settle)
	return followOn(t, f, newObserver())
}

// followOn follows, also again, until it is live.
func followOn(t testing.TB, f directory.Feed, o *observer) *following {
	t.Helper()
	r := start(t, f, o)
	before := len(o.sources)
	o.until(t, "becoming live", func() bool {
		select {
		case err := <-r.err:
			t.Fatalf("following ended: %v", err)
		default:
		}
		return len(o.sources) > before
	})
	return r
}

// start begins to follow.
func start(t testing.TB, f directory.Feed, o *observer) *following {
	ctx, cancel := context.WithCancel(t.Context())
	r := &following{Feed: f, observer: o, err: make(chan error, 1)}
	go func() {
		err := f.Follow(ctx, o)
		o.told(func() { r.err <- err })
	}()
	r.end = func() error {
		cancel()
		return <-r.err
	}
	return r
}

// lost waits until the feed ends by itself.
func (r *following) lost(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.err:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("the feed goes on though its server is lost")
		return nil
	}
}
