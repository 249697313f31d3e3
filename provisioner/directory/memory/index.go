package memory

import (
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// index rebuilds which entries have a value. The write lock is held. A search in 29,000 people that looked at each of
// them would take milliseconds, and a directory that a load test leans on has to answer at once.
func (d *Directory) index() {
	d.having = map[assertion][]*entry{}
	for i, e := range d.order {
		e.place = i
		for attribute, values := range e.matched {
			for _, v := range values {
				key := assertion{attribute, v}
				if list := d.having[key]; len(list) == 0 || list[len(list)-1] != e {
					d.having[key] = append(list, e)
				}
			}
		}
	}
}

// assertion is a value of an attribute, its name in lower case, the value as it is compared.
type assertion struct{ attribute, value string }

// query is a compiled filter.
type query struct {
	// match tells whether an entry matches.
	match func(*entry) bool
	// among, if bounded, holds every entry that can match, in the order of the directory.
	among   []*entry
	bounded bool
	// check is what entries of among are still to be asked; nil: all of them match.
	check func(*entry) bool
}

func (d *Directory) equality(a assertion) query {
	return query{match: func(e *entry) bool { return e.equals(a.attribute, a.value) }, among: d.having[a], bounded: true}
}

func unbounded(match func(*entry) bool) query { return query{match: match} }

// passes tells whether an entry of among matches.
func (q query) passes(e *entry) bool { return q.check == nil || q.check(e) }

// allOf is "and". The part with the fewest entries bounds it, and only the other parts are asked of them.
func allOf(parts []query) query {
	q := unbounded(every(parts))
	best := -1
	for i, p := range parts {
		if p.bounded && (best < 0 || len(p.among) < len(parts[best].among)) {
			best = i
		}
	}
	if best < 0 {
		return q
	}
	base := parts[best]
	others := every(slices.Delete(slices.Clone(parts), best, best+1))
	q.among, q.bounded = base.among, true
	q.check = func(e *entry) bool { return base.passes(e) && others(e) }
	return q
}

func every(parts []query) func(*entry) bool {
	return func(e *entry) bool {
		for _, p := range parts {
			if !p.match(e) {
				return false
			}
		}
		return true
	}
}

// anyOf is "or". It is bounded if all its parts are.
func anyOf(parts []query) query {
	q := query{bounded: true, match: func(e *entry) bool {
		return slices.ContainsFunc(parts, func(p query) bool { return p.match(e) })
	}}
	for _, p := range parts {
		if !p.bounded {
			return unbounded(q.match)
		}
		for _, e := range p.among {
			if p.passes(e) {
				q.among = append(q.among, e)
			}
		}
	}
	q.among = inOrder(q.among)
	return q
}

// inOrder sorts entries as the directory has them, each once.
func inOrder(list []*entry) []*entry {
	slices.SortFunc(list, func(a, b *entry) int { return a.place - b.place })
	return slices.Compact(list)
}

// answers are the entries that match, in a scope: 0 is the base itself, 1 its children, 2 the whole subtree.
func (d *Directory) answers(q query, base string, scope int64) []*entry {
	if scope == 0 {
		if e := d.entries[base]; e != nil && q.match(e) {
			return []*entry{e}
		}
		return nil
	}
	candidates, check := q.among, q.passes
	if !q.bounded {
		candidates, check = d.order, q.match
	}
	var list []*entry
	for _, e := range candidates {
		if inScope(e, base, scope) && check(e) {
			list = append(list, e)
		}
	}
	return list
}

func inScope(e *entry, base string, scope int64) bool {
	if !directory.Under(e.folded, base) {
		return false
	}
	if scope != 1 {
		return true
	}
	_, parent, _ := strings.Cut(e.folded, ",") // in a folded DN a comma is always a separator
	return e.folded != base && parent == base
}
