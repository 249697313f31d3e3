package gateway

import (
	"container/list"
	"slices"

	"github.com/heimdraht/heimdraht/agent/wireguard"
)

// maxBatches bounds how finely we can say how far we are: beyond it, batches
// are acknowledged together.
const maxBatches = 1_000

// pending is what the device lacks of the wanted state: the keys to look at
// again, those that lose a peer first. A key stands there once, however often
// it changes, so that there are never more entries than peers.
type pending struct {
	urgent, rest *list.List // of *entry
	entries      map[wireguard.Key]*entry

	deltas   []*batch // in the order of their places
	removals []*batch // oldest first; none waits for another
	batches  int64    // how many there were
}

// entry is a key to look at again.
type entry struct {
	key     wireguard.Key
	urgent  bool
	element *list.Element
	batches []*batch // at most one delta, and the removals
}

// batch is one message's worth of keys, to be acknowledged when all are done.
type batch struct {
	left    int
	number  int64 // batches are numbered as they come
	journal int64 // its record's number in the journal
	removal bool
	// upto is a delta's or a snapshot's. A removal's is the place that says the same as its sessions, if one does: what goes
	// together with that place need not be said by session.
	upto     place
	sessions []string
}

func newPending() *pending {
	return &pending{urgent: list.New(), rest: list.New(), entries: make(map[wireguard.Key]*entry)}
}

// addDelta notes that the keys of a delta or snapshot have to be looked at.
func (p *pending) addDelta(upto place, journal int64, keys []wireguard.Key, loses func(wireguard.Key) bool) {
	var b *batch
	p.batches++
	if n := len(p.deltas); n >= maxBatches {
		b = p.deltas[n-1]
		b.upto, b.journal, b.number = upto, journal, p.batches
	} else {
		b = &batch{upto: upto, journal: journal, number: p.batches}
		p.deltas = append(p.deltas, b)
	}
	p.add(b, keys, loses)
}

// addRemoval notes the keys of sessions that were removed. sessions are
// acknowledged one by one, unless the place upto is acknowledged no later; zero:
// they were removed ahead of their revision.
func (p *pending) addRemoval(sessions []string, upto place, journal int64, keys []wireguard.Key, loses func(wireguard.Key) bool) {
	var b *batch
	p.batches++
	if n := len(p.removals); n >= maxBatches {
		b = p.removals[n-1]
		b.sessions, b.journal, b.upto = append(b.sessions, sessions...), journal, place{}
	} else {
		b = &batch{removal: true, upto: upto, sessions: append([]string(nil), sessions...), journal: journal, number: p.batches}
		p.removals = append(p.removals, b)
	}
	p.add(b, keys, loses)
}

// touch looks at keys again for a reason of our own; nothing waits for it.
func (p *pending) touch(keys []wireguard.Key, loses func(wireguard.Key) bool) {
	p.add(nil, keys, loses)
}

func (p *pending) add(b *batch, keys []wireguard.Key, loses func(wireguard.Key) bool) {
	for _, key := range keys {
		e := p.entries[key]
		if e == nil {
			e = &entry{key: key}
			p.entries[key] = e
		}
		e.join(b)
		urgent := loses(key)
		switch {
		case e.element == nil && urgent:
			e.urgent, e.element = true, p.urgent.PushBack(e)
		case e.element == nil:
			e.element = p.rest.PushBack(e)
		case urgent && !e.urgent:
			p.rest.Remove(e.element)
			e.urgent, e.element = true, p.urgent.PushBack(e)
		}
	}
}

// join makes the batch wait for the entry. Deltas are acknowledged in order,
// so that the earliest one is enough: the later ones wait for it.
func (e *entry) join(b *batch) {
	if b == nil {
		return
	}
	for _, other := range e.batches {
		if other == b || !b.removal && !other.removal {
			return
		}
	}
	b.left++
	e.batches = append(e.batches, b)
}

// take returns up to most entries, urgent ones first; they stay pending until
// they are done or put back.
func (p *pending) take(most int) []*entry {
	var out []*entry
	for _, queue := range []*list.List{p.urgent, p.rest} {
		for queue.Len() > 0 && len(out) < most {
			e := queue.Remove(queue.Front()).(*entry)
			e.element = nil
			delete(p.entries, e.key)
			out = append(out, e)
		}
	}
	return out
}

// takeKey takes one key out of its turn, or returns nil if it is not pending.
func (p *pending) takeKey(key wireguard.Key) *entry {
	e := p.entries[key]
	if e == nil {
		return nil
	}
	if e.urgent {
		p.urgent.Remove(e.element)
	} else {
		p.rest.Remove(e.element)
	}
	e.element = nil
	delete(p.entries, key)
	return e
}

// putBack makes an entry wait again, because it could not be done.
func (p *pending) putBack(e *entry) {
	if now := p.entries[e.key]; now != nil {
		// It changed meanwhile: what waited for it waits for the newer entry.
		for _, b := range e.batches {
			if slices.Contains(now.batches, b) {
				b.left--
				continue
			}
			now.batches = append(now.batches, b)
		}
		return
	}
	p.entries[e.key] = e
	if e.urgent {
		e.element = p.urgent.PushBack(e)
	} else {
		e.element = p.rest.PushBack(e)
	}
}

// done ends an entry that was taken.
func (p *pending) done(e *entry) {
	for _, b := range e.batches {
		b.left--
	}
	e.batches = nil
}

// lost ends what an entry that was taken had to lose. What it is to get waits on, behind what others lose.
func (p *pending) lost(e *entry) {
	e.urgent = false
	e.batches = slices.DeleteFunc(e.batches, func(b *batch) bool {
		if b.removal {
			b.left--
		}
		return b.removal
	})
}

// forgetPlaces takes the places from all batches: when they are done, it is no
// longer true that everything before them is installed.
func (p *pending) forgetPlaces() {
	for _, b := range slices.Concat(p.deltas, p.removals) {
		b.upto = place{}
	}
}

// reap takes the batches that are installed, and in the journal up to record
// `journaled`. upto is the place reached; ok is false if none was. sessions are
// those to be said besides.
func (p *pending) reap(journaled int64) (upto place, ok bool, sessions []string) {
	var removals []*batch
	waiting := p.removals[:0]
	for _, b := range p.removals {
		if b.left == 0 && b.journal <= journaled {
			removals = append(removals, b)
			continue
		}
		waiting = append(waiting, b)
	}
	clear(p.removals[len(waiting):])
	p.removals = waiting
	for len(p.deltas) > 0 && p.complete(p.deltas[0], journaled) {
		if p.deltas[0].upto.epoch != "" {
			upto, ok = p.deltas[0].upto, true
		}
		p.deltas[0] = nil
		p.deltas = p.deltas[1:]
	}
	for _, b := range removals {
		if b.upto == (place{}) || !ok || !upto.reached(b.upto) {
			sessions = append(sessions, b.sessions...)
		}
	}
	return upto, ok, sessions
}

// complete says whether a delta's place is reached. A removal that came before
// it has taken its sessions out of the wanted state already, so that the delta
// itself has nothing left to wait for: it waits for the removal.
func (p *pending) complete(b *batch, journaled int64) bool {
	removed := len(p.removals) == 0 || p.removals[0].number > b.number
	return b.left == 0 && b.journal <= journaled && removed
}
