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
	Provider       bool // all together
}

// Tell decides which totals of tenants and of pools may be told together, given all
// parts that make them up: those of tenants that could hold seats of a pool and do not
// are parts too, of zero, which tells that nobody works. A total below Smallest is
// withheld, and so many others that it cannot be computed: beside a tenant that is
// withheld, so is the smallest one of Smallest or more in the same pool if another one
// remains, else the pool. How many the small ones are makes no difference to what is
// withheld besides them, so it does not tell that either.
//
// It takes less away than Withheld, where tenants and pools that share seats stand or
// fall together: with 500 tenants in a pool there is always one that is small.
func Tell(parts []Part) Tellings {
	told := Tellings{Tenants: make(map[string]bool), Pools: make(map[string]bool)}
	inPool, ofTenant := make(map[string][]Part), make(map[string]int64)
	small := make(map[string]bool)
	for _, p := range parts {
		inPool[p.Pool] = append(inPool[p.Pool], p)
		ofTenant[p.Tenant] += p.Least
		// Of a tenant of which a few hold seats of one pool and others of another, the few
		// could be computed from the pools.
		small[p.Tenant] = small[p.Tenant] || p.Most > 0 && p.Least < Smallest
	}
	for tenant, n := range ofTenant {
		told.Tenants[tenant] = n >= Smallest && !small[tenant]
	}
	for _, pool := range slices.Sorted(maps.Keys(inPool)) {
		n := int64(0)
		for _, p := range inPool[pool] {
			n += p.Least
		}
		told.Pools[pool] = n >= Smallest
	}
	for told.hideMore(inPool) {
	}
	return told
}

// hideMore withholds one tenant or pool more, if one is needed.
func (t Tellings) hideMore(inPool map[string][]Part) bool {
	for _, pool := range slices.Sorted(maps.Keys(inPool)) {
		if !t.Pools[pool] {
			continue
		}
		withheld, hidden := false, false
		var large []Part
		for _, p := range inPool[pool] {
			switch {
			case t.Tenants[p.Tenant] && p.Least >= Smallest:
				large = append(large, p)
			case !t.Tenants[p.Tenant]:
				withheld = true
				hidden = hidden || p.Least >= Smallest
			}
		}
		switch {
		case !withheld || hidden:
			continue
		case len(large) < 2:
			t.Pools[pool] = false
		default:
			t.Tenants[slices.MinFunc(large, func(a, b Part) int {
				return cmp.Or(cmp.Compare(a.Least, b.Least), strings.Compare(a.Tenant, b.Tenant))
			}).Tenant] = false
		}
		return true
	}
	return false
}
