package capacity

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Part is how many people of a tenant a pool has, within some time.
type Part struct {
	Tenant, Pool string
	Least, Most  int64
}

// Tellings is what of an hour may be told.
type Tellings struct {
	Tenants, Pools map[string]bool
	Provider       bool
}

// Tell decides which totals of tenants, of pools and of all may be told together, given
// all parts that make them up: those of tenants that could hold seats of a pool and do
// not are parts too, of zero. A total below Smallest is withheld, and so many of the next
// ones that nothing below it can be computed: whoever takes what he is told of tenants
// from what he is told of pools, or of all, is left with Smallest people or more, or with
// nobody that is withheld.
//
// It takes less away than Withheld: totals that share seats with a small one can be told
// beside it as long as others hide it. zeroTells says that even zero must not be
// known, as with sessions: it tells that nobody works.
func Tell(parts []Part, zeroTells bool) Tellings {
	t := telling{zeroTells: zeroTells, parts: parts, inPool: make(map[string][]Part), ofTenant: make(map[string][]Part), hidden: make(map[string]bool), closed: make(map[string]bool)}
	for _, p := range parts {
		t.inPool[p.Pool] = append(t.inPool[p.Pool], p)
		t.ofTenant[p.Tenant] = append(t.ofTenant[p.Tenant], p)
	}
	t.begin()
	t.all = true
	for t.more() {
	}
	told := Tellings{Tenants: make(map[string]bool), Pools: make(map[string]bool), Provider: t.all}
	for tenant := range t.ofTenant {
		told.Tenants[tenant] = !t.hidden[tenant]
	}
	for pool := range t.inPool {
		told.Pools[pool] = !t.closed[pool]
	}
	return told
}

type telling struct {
	zeroTells        bool
	parts            []Part
	inPool, ofTenant map[string][]Part
	hidden           map[string]bool // tenants that are withheld
	closed           map[string]bool // pools that are
	all              bool            // the total of all is told
}

// begin hides what is small by itself. A tenant of which a few hold seats of one pool and
// others of another is hidden whole: the few could be computed from the pools.
func (t *telling) begin() {
	for tenant, parts := range t.ofTenant {
		for _, p := range parts {
			if p.Most > 0 && p.Least < Smallest {
				t.hidden[tenant] = true
			}
		}
		if least(parts) < Smallest {
			t.hidden[tenant] = true
		}
	}
	for pool, parts := range t.inPool {
		if least(parts) < Smallest {
			t.closed[pool] = true
		}
	}
	t.all = least(t.parts) >= Smallest
}

// more hides one more total if what is left of others would be small; false: it need not.
func (t *telling) more() bool {
	if least(t.parts) < Smallest {
		if !t.all {
			return false
		}
		t.all = false
		return true
	}
	for _, pool := range slices.Sorted(maps.Keys(t.inPool)) {
		if t.closed[pool] || !t.leaves(t.inPool[pool]) {
			continue
		}
		if !t.hideOne(t.inPool[pool]) {
			t.closed[pool] = true
		}
		return true
	}
	var shut []Part
	for pool := range t.closed {
		shut = append(shut, t.inPool[pool]...)
	}
	switch {
	case !t.all:
		return false
	case t.few(shut):
		if !t.closeOne() {
			t.all = false
		}
		return true
	case t.leaves(t.parts):
		if !t.hideOne(t.parts) {
			t.all = false
		}
		return true
	case t.leaves(shut):
		if !t.hideOne(shut) && !t.closeOne() {
			t.all = false
		}
		return true
	}
	return false
}

// leaves reports whether few are left of parts once those of tenants are taken off that
// are told.
func (t *telling) leaves(parts []Part) bool {
	var rest []Part
	for _, p := range parts {
		if t.hidden[p.Tenant] {
			rest = append(rest, p)
		}
	}
	return t.few(rest)
}

// few reports whether what some parts make up must not be known.
func (t *telling) few(parts []Part) bool {
	if !t.zeroTells {
		parts = slices.DeleteFunc(slices.Clone(parts), func(p Part) bool { return p.Most == 0 })
	}
	return len(parts) > 0 && least(parts) < Smallest
}

// hideOne hides the smallest tenant that is told and has people among parts.
func (t *telling) hideOne(parts []Part) bool {
	var told []Part
	for _, p := range parts {
		if !t.hidden[p.Tenant] && p.Least > 0 {
			told = append(told, p)
		}
	}
	if len(told) == 0 {
		return false
	}
	t.hidden[slices.MinFunc(told, func(a, b Part) int {
		return cmp.Or(cmp.Compare(a.Least, b.Least), strings.Compare(a.Tenant, b.Tenant))
	}).Tenant] = true
	return true
}

// closeOne closes the smallest pool that is told.
func (t *telling) closeOne() bool {
	var open []string
	for pool := range t.inPool {
		if !t.closed[pool] {
			open = append(open, pool)
		}
	}
	if len(open) == 0 {
		return false
	}
	t.closed[slices.MinFunc(open, func(a, b string) int {
		return cmp.Or(cmp.Compare(least(t.inPool[a]), least(t.inPool[b])), strings.Compare(a, b))
	})] = true
	return true
}

func least(parts []Part) (sum int64) {
	for _, p := range parts {
		sum += p.Least
	}
	return sum
}
