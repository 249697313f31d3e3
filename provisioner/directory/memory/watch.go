package memory

import (
	"maps"
	"slices"
	"sync"
)

// Kinds of change (draft-ietf-ldapext-psearch-03, section 4).
const (
	changeAdd    = 1
	changeDelete = 2
	changeModify = 4
	changeModDN  = 8
)

// change is what has happened to an entry.
type change struct {
	kind   int64
	entry  *entry // a copy: as it is now, or was when it was deleted
	former string // its DN before, with changeModDN
}

// watcher gets each change, in order, from when it was made. Whoever changes the directory never waits for it.
type watcher struct {
	news chan struct{} // holds one thing when there is something in the queue, or the directory is up or down

	mu    sync.Mutex
	queue []change
}

// take returns what has happened since the last time.
func (w *watcher) take() []change {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queue
	w.queue = nil
	return q
}

func (w *watcher) wake() {
	select {
	case w.news <- struct{}{}:
	default: // it knows already
	}
}

// watchers are all watchers of a directory.
type watchers struct {
	mu  sync.Mutex
	all map[*watcher]bool
}

// watch begins to watch. While one of the directory's locks is held nothing is missed and nothing comes twice.
func (ws *watchers) watch() *watcher {
	w := &watcher{news: make(chan struct{}, 1)}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.all == nil {
		ws.all = map[*watcher]bool{}
	}
	ws.all[w] = true
	return w
}

func (ws *watchers) unwatch(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.all, w)
}

// wakeAll has everybody look whether the directory is still up.
func (ws *watchers) wakeAll() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.wake()
	}
}

// tell tells everybody of a change. The directory's write lock is held.
func (ws *watchers) tell(kind int64, e *entry, former string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.all) == 0 {
		return
	}
	c := change{kind: kind, entry: e.clone(), former: former}
	for w := range ws.all {
		w.mu.Lock()
		w.queue = append(w.queue, c)
		w.mu.Unlock()
		w.wake()
	}
}

// clone copies an entry. Values are replaced when they change, never written to, so they are shared.
func (e *entry) clone() *entry {
	c := *e
	c.names = slices.Clone(e.names)
	c.attributes = maps.Clone(e.attributes)
	c.matched = maps.Clone(e.matched)
	return &c
}
