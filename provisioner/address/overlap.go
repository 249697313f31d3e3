package address

import (
	"net/netip"
	"slices"
)

// Overlapping finds two prefixes that share an address and gives their places
// in the list, the smaller one first; false if all are apart. Invalid prefixes
// are passed over. Bits beyond a prefix's length do not matter.
func Overlapping(prefixes ...netip.Prefix) (i, j int, found bool) {
	order := make([]int, 0, len(prefixes))
	for n, p := range prefixes {
		if p.IsValid() {
			order = append(order, n)
		}
	}
	// Prefixes lie either apart or one within the other. In order of address,
	// wider ones first, whatever stands between a prefix and one within it lies
	// within it too: so it is enough to look at neighbours.
	slices.SortStableFunc(order, func(a, b int) int {
		return prefixes[a].Masked().Compare(prefixes[b].Masked())
	})
	for n := 1; n < len(order); n++ {
		a, b := order[n-1], order[n]
		if prefixes[a].Overlaps(prefixes[b]) {
			return min(a, b), max(a, b), true
		}
	}
	return 0, 0, false
}
