package mirror

import (
	"slices"

	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// put takes in an entry. Whoever is in a group that changed is looked at as swept, whatever the cause.
func (m *Mirror) put(e directory.Entry, cause Cause) {
	n := m.nodes[e.StableID]
	if n != nil && (n.person == nil) != (e.Person == nil) { // a person became a group: somebody else
		m.remove(n, cause)
		n = nil
	}
	if n == nil {
		n = &node{id: e.StableID}
		m.nodes[n.id] = n
		if e.Person == nil {
			m.groups++
		}
	}
	m.name(n, m.key(e.DN), m.keysOf(e.Names))
	in := m.keysOf(e.In)
	moved := !slices.Equal(n.in, in)
	n.in = in
	if e.Person == nil {
		m.list(n, m.membersOf(e))
		if moved {
			m.markBelow(n)
		}
		return
	}
	before := n.person
	person := *e.Person
	n.person = &person
	_, waits := m.dirty[n.id]
	// A full read may have seen a change before it is told: then she waits already, and it is her own all the same.
	if moved || before == nil || !same(*before, person) || waits && cause == Own {
		m.mark(n, cause)
	}
}

// same compares what an entry itself says of a person.
func same(a, b directory.Person) bool {
	return a.DN == b.DN && a.Login == b.Login && a.DisplayName == b.DisplayName && a.Mail == b.Mail && a.Status == b.Status
}

// remove takes an entry out. Groups go on listing it: whoever gets its name is in them, as the directory has it.
func (m *Mirror) remove(n *node, cause Cause) {
	m.mark(n, cause)
	m.unname(n, n.dn)
	for _, name := range n.names {
		m.unname(n, name)
	}
	delete(m.nodes, n.id)
	if n.person == nil {
		m.groups--
		m.list(n, nil)
	}
}

func (m *Mirror) unname(n *node, key string) {
	if m.named[key] == n {
		delete(m.named, key)
	}
}

// name gives an entry its keys. Groups that listed it by its former DN list it by the new one.
func (m *Mirror) name(n *node, dn string, names []string) {
	former := n.dn
	for _, name := range n.names {
		m.unname(n, name)
	}
	n.dn, n.names = dn, names
	for _, name := range names {
		m.named[name] = n
	}
	if former == dn {
		m.named[dn] = n
		return
	}
	if m.named[former] == n {
		delete(m.named, former)
		m.follow(former, dn)
		m.moved = true
	}
	m.named[dn] = n
	delete(m.renamed, dn)
}

// follow rewrites the lists of members behind a renaming.
func (m *Mirror) follow(former, dn string) {
	for _, g := range m.listing[former] {
		if slices.Contains(g.members, dn) {
			g.members = slices.DeleteFunc(g.members, func(key string) bool { return key == former })
			continue
		}
		g.members[slices.Index(g.members, former)] = dn
		m.listing[dn] = append(m.listing[dn], g)
	}
	delete(m.listing, former)
	for key, r := range m.renamed {
		if r.to == former {
			m.renamed[key] = renaming{to: dn, pass: m.begun}
		}
	}
	m.renamed[former] = renaming{to: dn, pass: m.begun}
}

// list gives a group its members.
func (m *Mirror) list(n *node, members []string) {
	left, joined := difference(n.members, members)
	n.members = members
	for _, key := range left {
		others := slices.DeleteFunc(m.listing[key], func(g *node) bool { return g == n })
		if m.listing[key] = others; len(others) == 0 {
			delete(m.listing, key)
		}
	}
	for _, key := range joined {
		m.listing[key] = append(m.listing[key], n)
	}
	for _, keys := range [][]string{left, joined} {
		for _, key := range keys {
			if member := m.named[key]; member != nil {
				m.markBelow(member)
			}
		}
	}
}

// difference compares two lists without repetitions. Servers keep the order of members, so what is equal in front and
// behind, which is nearly everything, is left out first.
func difference(before, after []string) (left, joined []string) {
	for len(before) > 0 && len(after) > 0 && before[0] == after[0] {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && before[len(before)-1] == after[len(after)-1] {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	old := make(map[string]struct{}, len(before))
	for _, key := range before {
		old[key] = struct{}{}
	}
	for _, key := range after {
		if _, stays := old[key]; stays {
			delete(old, key)
			continue
		}
		joined = append(joined, key)
	}
	for key := range old {
		left = append(left, key)
	}
	return left, joined
}

// mark notes that somebody is to be looked at again.
func (m *Mirror) mark(n *node, cause Cause) {
	if n.person == nil || !m.whole { // after the first full read everybody is looked at
		return
	}
	if before, marked := m.dirty[n.id]; !marked || before < cause {
		m.dirty[n.id] = cause
	}
}

// markBelow marks an entry, and whoever is in it if it is a group.
func (m *Mirror) markBelow(n *node) {
	if !m.whole {
		return
	}
	seen := map[*node]struct{}{n: {}}
	for level := []*node{n}; len(level) > 0; {
		var below []*node
		for _, n := range level {
			m.mark(n, Swept)
			for _, key := range n.members {
				member := m.named[key]
				if _, twice := seen[member]; member != nil && !twice {
					seen[member] = struct{}{}
					below = append(below, member)
				}
			}
		}
		level = below
	}
}

// membersOf gives the keys of a group's members, each once.
func (m *Mirror) membersOf(e directory.Entry) []string {
	keys := make([]string, 0, len(e.Members))
	twice := make(map[string]struct{}, len(e.Members))
	for _, raw := range e.Members {
		key := m.key(raw)
		if r, moved := m.renamed[key]; moved && m.named[key] == nil {
			key = r.to
		}
		if _, there := twice[key]; !there {
			twice[key] = struct{}{}
			keys = append(keys, key)
		}
	}
	return keys
}

func (m *Mirror) keysOf(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = m.key(name)
	}
	return keys
}

// key is the form in which DNs are compared. What is none is compared as it is.
func (m *Mirror) key(raw string) string {
	if key, known := m.folded[raw]; known {
		return key
	}
	key, err := directory.FoldDN(norm.NFC.String(raw))
	if err != nil {
		key = raw
	}
	if key == raw {
		key = raw // one text for both
	}
	m.folded[raw] = key
	return key
}
