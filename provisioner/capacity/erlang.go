package capacity

import (
	"errors"
	"fmt"
	"math"
)

// The formulas below answer how often somebody finds all seats taken. All of
// them suppose that people come independently of each other and that the load
// stays as it is. Where everybody comes at eight on Monday, they promise too
// much: see docs/capacity.md.

// MostSeats is how many seats and sources the formulas take.
const MostSeats = 1_000_000

// ErrBadLoad is wrapped by the error for a number with which no formula can
// work: not a number, negative, zero, infinite, or too large.
var ErrBadLoad = errors.New("not a load that can be computed with")

// Erlangs is an offered load: attempts an hour times mean hours a session, the
// refused attempts included. One seat held all the time carries one erlang.
type Erlangs float64

// ErlangB is the probability that an attempt is refused (and not repeated)
// when load comes from very many people: of A erlangs on N seats
//
//	B(N, A) = (A^N / N!) / (1 + A + A²/2! + … + A^N / N!)
//
// (Erlang 1917; ITU-D Teletraffic Engineering Handbook, chapter 7; ITU-T
// E.501). A probability too small for a float64 is 0. Its relative error is
// below 1e-10 up to 100,000 seats.
func ErlangB(seats int, load Erlangs) (float64, error) {
	if err := checked(seats, "seats", float64(load)); err != nil {
		return 0, err
	}
	return erlangB(seats, float64(load)), nil
}

// ErlangC is the probability that an attempt has to wait when nobody is
// refused and nobody gives up: of A erlangs on N seats
//
//	C(N, A) = N·B / (N − A·(1 − B)), with B = B(N, A)
//
// (Erlang 1917; ITU-D Teletraffic Engineering Handbook, chapter 12). With as
// much load as seats, or more, the queue grows without end and everybody
// waits: the answer is 1.
func ErlangC(seats int, load Erlangs) (float64, error) {
	if err := checked(seats, "seats", float64(load)); err != nil {
		return 0, err
	}
	return erlangC(seats, float64(load)), nil
}

// ErlangBSeats is the smallest number of seats with which at most the given
// part of attempts is refused. refused is above 0 and below 1.
func ErlangBSeats(load Erlangs, refused float64) (int, error) {
	return erlangSeats(erlangB, load, refused)
}

// ErlangCSeats is the smallest number of seats with which at most the given
// part of attempts waits. waits is above 0 and below 1.
func ErlangCSeats(load Erlangs, waits float64) (int, error) {
	return erlangSeats(erlangC, load, waits)
}

// ErlangBLoad is the load of which the given part is refused. refused is above
// 0 and below 1.
func ErlangBLoad(seats int, refused float64) (Erlangs, error) {
	if err := errors.Join(inRange(seats, "seats"), probability(refused)); err != nil {
		return 0, err
	}
	n := float64(seats)
	return Erlangs(rising(
		// B is below A^N/N!, and above 1 − N/A.
		math.Exp((math.Log(refused)+logFactorial(n))/n), n/(1-refused), refused,
		func(load float64) float64 { return erlangB(seats, load) })), nil
}

// ErlangCLoad is the load of which the given part waits. waits is above 0 and
// below 1.
func ErlangCLoad(seats int, waits float64) (Erlangs, error) {
	if err := errors.Join(inRange(seats, "seats"), probability(waits)); err != nil {
		return 0, err
	}
	return Erlangs(rising(0, float64(seats), waits, func(load float64) float64 { return erlangC(seats, load) })), nil
}

func erlangB(seats int, load float64) float64 {
	return 1 / (1 + freeToFull(seats, func(held int) float64 { return float64(held) / load }))
}

func erlangC(seats int, load float64) float64 {
	n := float64(seats)
	if load >= n {
		return 1
	}
	b := erlangB(seats, load)
	return n * b / (n - load + load*b)
}

func erlangSeats(formula func(int, float64) float64, load Erlangs, most float64) (int, error) {
	if err := errors.Join(usable(float64(load)), probability(most)); err != nil {
		return 0, err
	}
	if formula(MostSeats, float64(load)) > most {
		return 0, fmt.Errorf("%w: %v erlangs take more than %d seats", ErrBadLoad, float64(load), MostSeats)
	}
	return fewest(MostSeats, func(seats int) bool { return formula(seats, float64(load)) <= most }), nil
}

// freeToFull is the probability that a seat is free over that of all seats being
// held. down(n) is the probability of n−1 seats being held over that of n; it
// must fall as n falls.
//
// All terms are positive, so nothing is lost to cancellation, and all that
// matter lie near the mean: some thousands for 100,000 seats. The recursion
// that textbooks give is the same sum from the other end, term for term.
func freeToFull(seats int, down func(held int) float64) float64 {
	// What is left out is at most MostSeats terms below this, each.
	const nothing = 1e-22
	sum, term := 0.0, 1.0
	for held := seats; held > 0; held-- {
		ratio := down(held)
		term *= ratio
		sum += term
		if math.IsInf(sum, 1) || (ratio < 1 && term < sum*nothing) {
			break
		}
	}
	return sum
}

// rising finds x between low and high with f(x) = want, of a function that
// grows with x, to the last bits.
func rising(low, high, want float64, f func(float64) float64) float64 {
	low, high = max(low, math.SmallestNonzeroFloat64), min(high, math.MaxFloat64)
	for range 2000 { // ends long before; loads of all sizes are at most 2,100 halvings apart
		middle := low + (high-low)/2
		if high > 4*low {
			middle = math.Sqrt(low) * math.Sqrt(high)
		}
		if middle <= low || middle >= high {
			break
		}
		if f(middle) < want {
			low = middle
		} else {
			high = middle
		}
	}
	return low + (high-low)/2
}

// fewest is the smallest number from 1 to most that is enough; most is taken
// to be.
func fewest(most int, enough func(int) bool) int {
	low, high := 0, most // low is not enough, high is
	for high-low > 1 {
		if middle := low + (high-low)/2; enough(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

func logFactorial(n float64) float64 {
	v, _ := math.Lgamma(n + 1)
	return v
}

func checked(n int, what string, load float64) error {
	return errors.Join(inRange(n, what), usable(load))
}

func inRange(n int, what string) error {
	if n < 1 || n > MostSeats {
		return fmt.Errorf("%w: %d %s, must be from 1 to %d", ErrBadLoad, n, what, MostSeats)
	}
	return nil
}

func usable(load float64) error {
	// Beyond these, reciprocals leave the range of a float64.
	const least, most = 1e-300, 1e300
	if !(load >= least && load <= most) {
		return fmt.Errorf("%w: load %v, must be from %v to %v", ErrBadLoad, load, least, most)
	}
	return nil
}

func probability(p float64) error {
	if !(p > 0 && p < 1) {
		return fmt.Errorf("%w: probability %v, must be above 0 and below 1", ErrBadLoad, p)
	}
	return nil
}
