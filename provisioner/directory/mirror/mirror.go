package mirror

import (
	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Mirror is the copy. It is not safe for concurrent use.
type Mirror struct {
	nodes map[string]*node // by stable id
	named map[string]*node // by key
	// listing holds, by the key of a member, the groups that list it, also where nobody has that key.
	listing map[string][]*node
	// renamed leads from a key that nobody has any more to the one that its owner has now, until a full read that
	// began after the renaming has come to its end.
	renamed map[string]renaming
	folded  map[string]string // keys of members, by how the server spells them
	passes  map[*Pass]struct{}
	begun   int // full reads
	whole   bool
	dirty   map[string]Cause // people to be looked at again
	groups  int
	moved   bool // somebody has been renamed
}

// node is a person or a group.
type node struct {
	id      string
	dn      string   // its key
	names   []string // further keys
	person  *directory.Person
	members []string // a group's: keys, in the order of the server
	in      []string // keys of groups that do not list it
}

type renaming struct {
	to   string
	pass int // full reads begun before
}

// Cause is how it came that somebody is to be looked at again.
type Cause int

const (
	// Swept tells that a group changed, or that a full read found it.
	Swept Cause = iota
	// Own tells that the person's own entry changed.
	Own
)

// New makes an empty copy.
func New() *Mirror {
	return &Mirror{
		nodes: map[string]*node{}, named: map[string]*node{}, listing: map[string][]*node{}, renamed: map[string]renaming{},
		folded: map[string]string{}, passes: map[*Pass]struct{}{}, dirty: map[string]Cause{},
	}
}

// Whole reports whether a full read has come to its end, so that the copy says something.
func (m *Mirror) Whole() bool { return m.whole }

// Size counts people and groups.
func (m *Mirror) Size() (people, groups int) { return len(m.nodes) - m.groups, m.groups }

// Person is what the directory says of a person, without groups; false: she is not there.
func (m *Mirror) Person(stableID string) (directory.Person, bool) {
	n := m.nodes[stableID]
	if n == nil || n.person == nil {
		return directory.Person{}, false
	}
	return *n.person, true
}

// FoldedDN is where an entry is (directory.FoldDN); empty: it is not there.
func (m *Mirror) FoldedDN(stableID string) string {
	if n := m.nodes[stableID]; n != nil {
		return n.dn
	}
	return ""
}

// People lists the stable ids of all people, in no order.
func (m *Mirror) People() []string {
	ids := make([]string, 0, len(m.nodes))
	for id, n := range m.nodes {
		if n.person != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// HasGroup reports whether there is a group of that DN.
func (m *Mirror) HasGroup(dn string) bool {
	n := m.named[m.key(dn)]
	return n != nil && n.person == nil
}

// Memberships are the folded DNs of the groups that a person is in, directly or through other groups, each once, in no
// order. Circles end.
func (m *Mirror) Memberships(stableID string) map[string]struct{} {
	start := m.nodes[stableID]
	if start == nil {
		return nil
	}
	seen := map[string]struct{}{}
	for level := []*node{start}; len(level) > 0; {
		var above []*node
		for _, n := range level {
			for g := range m.above(n) {
				if _, twice := seen[g.dn]; !twice {
					seen[g.dn] = struct{}{}
					above = append(above, g)
				}
			}
		}
		level = above
	}
	return seen
}

// above yields the groups that an entry is directly in.
func (m *Mirror) above(n *node) func(func(*node) bool) {
	return func(yield func(*node) bool) {
		for key := range n.keys {
			for _, g := range m.listing[key] {
				if !yield(g) {
					return
				}
			}
		}
		for _, key := range n.in {
			if g := m.named[key]; g != nil && g.person == nil && !yield(g) {
				return
			}
		}
	}
}

// keys yields the names by which others refer to the entry.
func (n *node) keys(yield func(string) bool) {
	if !yield(n.dn) {
		return
	}
	for _, name := range n.names {
		if !yield(name) {
			return
		}
	}
}

// Changed takes in what a feed tells of an entry.
func (m *Mirror) Changed(e directory.Entry) {
	m.touch(e.StableID)
	m.put(e, Own)
}

// Gone takes in that an entry is not there any more.
func (m *Mirror) Gone(stableID string) {
	m.touch(stableID)
	if n := m.nodes[stableID]; n != nil {
		m.remove(n, Own)
	}
}

// touch keeps full reads under way from undoing what was told while they read.
func (m *Mirror) touch(stableID string) {
	for p := range m.passes {
		p.touched[stableID] = struct{}{}
	}
}

// Renamed reports whether anybody has been renamed or moved since it was asked last.
func (m *Mirror) Renamed() bool {
	moved := m.moved
	m.moved = false
	return moved
}

// Waiting reports whether anybody waits to be looked at.
func (m *Mirror) Waiting() bool { return len(m.dirty) > 0 }

// Take gives whom to look at again, and forgets them: nobody before the first full read has come to its end, and while
// another one is under way only those whose own entry changed, because groups are in between then.
func (m *Mirror) Take() map[string]Cause {
	if !m.whole || len(m.dirty) == 0 {
		return nil
	}
	taken := m.dirty
	m.dirty = map[string]Cause{}
	if len(m.passes) == 0 {
		return taken
	}
	for id, cause := range taken {
		if cause != Own {
			delete(taken, id)
			m.dirty[id] = cause
		}
	}
	return taken
}
