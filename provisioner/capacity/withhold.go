// Package capacity works with numbers about how much is used: which of them are
// withheld from planners, how often all seats are taken (Erlang, Engset), and
// what a series of hours will be.
//
// What always holds here: it is pure, and knows of no person. Bad input gives an
// error, never a number that is none.
//
// Not its business: who may ask (the root package), and where numbers come
// from (store).
package capacity

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Smallest is the smallest number of people that planners are told. Below it a
// number speaks of individuals.
const Smallest = 5

// FewPeople is below how many people of a tenant its numbers are rounded to Smallest.
const FewPeople = 50

// Round rounds a number to Smallest, as those of few people are told.
func Round(n int64) int64 { return toSmallest(n, Smallest) }

// RoundUp rounds a number up to Smallest, as one of few people is told from which it follows how
// much of something can be given up.
func RoundUp(n int64) int64 { return (n + Smallest - 1) / Smallest * Smallest }

// Count is a number that may be withheld; then Value is zero.
type Count struct {
	Value    int64
	Withheld bool
}

// Told is a number that stands alone, as those are told it whom small ones are
// withheld from.
func Told(n int64) Count {
	if n < Smallest {
		return Count{Withheld: true}
	}
	return Count{Value: n}
}

// Tellable lists the parts of a total that can be told beside it. Parts below
// Smallest are left out, and so many of the smallest other ones that what is left
// out adds up to nothing, or to Smallest and more. Of a total that is withheld no
// part is told.
func Tellable(total int64, parts map[string]int64) map[string]int64 {
	if total < Smallest {
		return nil
	}
	names := slices.SortedFunc(maps.Keys(parts), func(a, b string) int { return cmp.Or(cmp.Compare(parts[b], parts[a]), strings.Compare(a, b)) })
	told, rest := make(map[string]int64), total
	for _, name := range names {
		if parts[name] >= Smallest {
			told[name], rest = parts[name], rest-parts[name]
		}
	}
	for _, name := range slices.Backward(names) {
		if _, is := told[name]; is && rest > 0 && rest < Smallest {
			rest += told[name]
			delete(told, name)
		}
	}
	return told
}

// Held is how many seats of a pool a tenant holds.
type Held struct {
	Pool   string
	Tenant string
	Seats  int64
}

// Withheld decides which tenants' and pools' totals a planner is not told,
// given everything that makes them up. A total below Smallest is withheld, and
// so is every other one from which it, or one of the parts, could be computed:
// tenants and pools that share seats stand or fall together. Zero is a small
// number too: it tells that nobody works.
func Withheld(tenants []string, parts []Held) (withheldTenants, withheldPools map[string]bool) {
	groups := newGroups()
	totals := make(map[node]int64)
	for _, t := range tenants {
		groups.find(node{tenant: t})
		totals[node{tenant: t}] = 0
	}
	small := make(map[node]bool) // by any member of a group
	for _, p := range parts {
		t, q := node{tenant: p.Tenant}, node{pool: p.Pool}
		groups.join(t, q)
		totals[t] += p.Seats
		totals[q] += p.Seats
		if p.Seats < Smallest {
			small[t] = true
		}
	}
	for n, total := range totals {
		if total < Smallest {
			small[n] = true
		}
	}
	smallGroups := make(map[node]bool)
	for n := range small {
		smallGroups[groups.find(n)] = true
	}
	withheldTenants, withheldPools = make(map[string]bool), make(map[string]bool)
	for n := range totals {
		switch {
		case !smallGroups[groups.find(n)]:
		case n.tenant != "":
			withheldTenants[n.tenant] = true
		default:
			withheldPools[n.pool] = true
		}
	}
	return withheldTenants, withheldPools
}

// node is a tenant or a pool.
type node struct{ tenant, pool string }

// groups is a union-find forest over tenants and pools.
type groups map[node]node

func newGroups() groups { return make(groups) }

func (g groups) find(n node) node {
	up, known := g[n]
	if !known {
		g[n] = n
		return n
	}
	if up == n {
		return n
	}
	root := g.find(up)
	g[n] = root
	return root
}

func (g groups) join(a, b node) { g[g.find(a)] = g.find(b) }
