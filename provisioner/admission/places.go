package admission

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// places are a bounded number of places for connections of one kind.
type places struct {
	most int
	// earned: a place is worth more the longer somebody has had it. Else who has
	// been there longest goes first: who is honest moves on.
	earned  bool
	list    []*Conn // in no order; each knows its index
	sources map[netip.Addr]int
}

func (p *places) add(c *Conn) {
	if c.place != nil {
		c.place.remove(c)
	}
	c.place, c.index, c.since = p, len(p.list), time.Now()
	p.list = append(p.list, c)
	if p.sources == nil {
		p.sources = make(map[netip.Addr]int)
	}
	p.sources[c.source]++
}

func (p *places) remove(c *Conn) {
	last := p.list[len(p.list)-1]
	p.list[c.index], last.index = last, c.index
	p.list[len(p.list)-1] = nil
	p.list = p.list[:len(p.list)-1]
	if p.sources[c.source]--; p.sources[c.source] == 0 {
		delete(p.sources, c.source)
	}
	c.place = nil
}

// any is one of the connections. There must be one.
func (p *places) any() *Conn { return p.list[rand.IntN(len(p.list))] }

// lookAt is how many connections are looked at to find one to put out. A
// source that holds half of the places is missed once in 65,536 times.
const lookAt = 16

// crowding finds a connection of a source that holds many places, and of those
// the one whose place is worth least. There must be one.
func (p *places) crowding() *Conn {
	worst := p.any()
	for range lookAt - 1 {
		c := p.any()
		more := p.sources[c.source] - p.sources[worst.source]
		if more > 0 || more == 0 && c.since.Before(worst.since) != p.earned {
			worst = c
		}
	}
	return worst
}

// yields says whether one connection must leave its place to a new one.
func (p *places) yields(has, wants *Conn) bool {
	if p.earned {
		return p.sources[has.source] > p.sources[wants.source]+1
	}
	return p.sources[has.source] >= p.sources[wants.source]
}

// line is a line that goes around by source: one of each, in the order in which
// they came.
type line struct {
	*places
	ring    []*queue // sources with somebody waiting, the next one first
	waiting map[netip.Addr]*queue
}

type queue struct{ conns []*Conn }

func newLine(most int) *line {
	return &line{places: &places{most: most, earned: true}, waiting: make(map[netip.Addr]*queue)}
}

// join puts a connection that has its place into the order.
func (l *line) join(c *Conn) {
	q := l.waiting[c.source]
	if q == nil {
		q = &queue{}
		l.waiting[c.source] = q
		l.ring = append(l.ring, q)
	}
	q.conns = append(q.conns, c)
}

// next takes out who is next, with its place; nil: nobody waits. Who has left
// meanwhile is passed over.
func (l *line) next() *Conn {
	for len(l.ring) > 0 {
		q := l.ring[0]
		l.ring = l.ring[1:]
		c := q.conns[0]
		q.conns[0] = nil
		if q.conns = q.conns[1:]; len(q.conns) > 0 {
			l.ring = append(l.ring, q)
		} else {
			delete(l.waiting, c.source)
		}
		if c.place == l.places {
			l.remove(c)
			return c
		}
	}
	return nil
}
