package seat

// Share is what is guaranteed to a tenant of a pool, and how many of its seats the tenant
// holds, those out of reserves not counted.
type Share struct{ Guarantee, Held int64 }

// Unused is what the tenant does not use of its guarantee.
func (s Share) Unused() int64 { return max(0, s.Guarantee-s.Held) }

// Borrowed is what it holds beyond its guarantee.
func (s Share) Borrowed() int64 { return max(0, s.Held-s.Guarantee) }

// Lent is how many of a pool's borrowed seats are guaranteed to others: those for which
// what is promised to nobody does not suffice. Of most seats, reserved are kept for classes
// or held out of their reserves; shares are all there are. It is never more than is borrowed,
// nor than is unused of guarantees. Whose of several lenders' a seat is nobody can say.
func Lent(most, reserved int64, shares []Share) int64 {
	promisedToNobody := most - reserved
	var unused, borrowed int64
	for _, s := range shares {
		promisedToNobody -= s.Guarantee
		unused += s.Unused()
		borrowed += s.Borrowed()
	}
	return min(unused, max(0, borrowed-max(0, promisedToNobody)))
}
