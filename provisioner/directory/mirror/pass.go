package mirror

import "github.com/heimdraht/heimdraht/provisioner/directory"

// Pass is a full read under way; it takes nothing away before it is Whole.
type Pass struct {
	m      *Mirror
	number int
	seen   map[string]struct{}
	// touched is what was told beside the read: it is newer than what the read says.
	touched map[string]struct{}
	// groups wait for the end: only then all renamings are known.
	groups []directory.Entry
}

// Pass begins a full read. Abandon must follow, if Whole does not.
func (m *Mirror) Pass() *Pass {
	m.begun++
	p := &Pass{m: m, number: m.begun, seen: map[string]struct{}{}, touched: map[string]struct{}{}}
	m.passes[p] = struct{}{}
	return p
}

// Read takes in an entry that is there.
func (p *Pass) Read(e directory.Entry) {
	p.seen[e.StableID] = struct{}{}
	if _, newer := p.touched[e.StableID]; newer {
		return
	}
	if e.Person == nil {
		p.groups = append(p.groups, e)
		return
	}
	p.m.put(e, Swept)
}

// Unchanged takes in that entries are there as they were.
func (p *Pass) Unchanged(stableIDs ...string) {
	for _, id := range stableIDs {
		p.seen[id] = struct{}{}
	}
}

// Abandon ends a read that broke off.
func (p *Pass) Abandon() { delete(p.m.passes, p) }

// Whole ends the read: who was not seen is gone.
func (p *Pass) Whole() {
	m := p.m
	p.Abandon()
	for _, e := range p.groups {
		if n := m.nodes[e.StableID]; n != nil && n.person == nil && !p.isTouched(e.StableID) {
			m.name(n, m.key(e.DN), m.keysOf(e.Names))
		}
	}
	for _, e := range p.groups {
		if !p.isTouched(e.StableID) {
			m.put(e, Swept)
		}
	}
	for id, n := range m.nodes {
		if _, seen := p.seen[id]; !seen && !p.isTouched(id) {
			m.remove(n, Swept)
		}
	}
	for key, r := range m.renamed {
		if r.pass < p.number {
			delete(m.renamed, key)
		}
	}
	if len(m.folded) > 8*len(m.nodes) { // names that nobody has any more
		m.folded = map[string]string{}
	}
	m.whole, m.moved = true, false
}

func (p *Pass) isTouched(id string) bool {
	_, touched := p.touched[id]
	return touched
}
