package capacity

import (
	"errors"
	"fmt"
	"math"
)

// Three numbers are called load per source, and formulas are wrong by tens of
// per cent where they are mixed up. They have types of their own.

// IdleLoad is the load an idle source offers: attempts an hour of a person who
// is not connected, times mean hours a session.
type IdleLoad float64

// OnlineShare is the part of the time that a source would be connected if it
// were never refused: above 0 and below 1. It is what people can tell.
type OnlineShare float64

// SourceLoad is the load a source offers over all its time, connected or not:
// attempts an hour times mean hours a session, the refused attempts included.
// It is what logs of attempts tell. It exceeds 1 where people are refused and
// come back again and again.
type SourceLoad float64

// TimeCongestion is the part of the time in which all seats are held.
type TimeCongestion float64

// CallCongestion is the part of the attempts that find all seats held: the part
// of people's attempts that is refused. It is less than the time congestion
// because those who hold the seats do not attempt.
type CallCongestion float64

// EngsetTime is the part of the time in which all seats are held by some of
// a limited number of sources: of S sources and β erlangs an idle one on N seats
//
//	E(N, S, β) = C(S, N)·β^N / (1 + C(S, 1)·β + … + C(S, N)·β^N)
//
// (Engset 1915 and 1918; ITU-D Teletraffic Engineering Handbook, chapter 8).
// It is 0 where there are more seats than sources.
func EngsetTime(seats, sources int, load IdleLoad) (TimeCongestion, error) {
	if err := errors.Join(inRange(seats, "seats"), checked(sources, "sources", float64(load))); err != nil {
		return 0, err
	}
	return TimeCongestion(engset(seats, sources, float64(load))), nil
}

// EngsetCall is the part of attempts that is refused: what one source sees,
// the time congestion that the others make among themselves, E(N, S − 1, β).
// It is 0 where every source can have a seat.
func EngsetCall(seats, sources int, load IdleLoad) (CallCongestion, error) {
	if err := errors.Join(inRange(seats, "seats"), checked(sources, "sources", float64(load))); err != nil {
		return 0, err
	}
	return CallCongestion(engset(seats, sources-1, float64(load))), nil
}

// EngsetTimeSeats is the smallest number of seats that are all held at most the
// given part of the time. most is above 0 and below 1.
func EngsetTimeSeats(sources int, load IdleLoad, most TimeCongestion) (int, error) {
	if err := errors.Join(checked(sources, "sources", float64(load)), probability(float64(most))); err != nil {
		return 0, err
	}
	return engsetSeats(sources, float64(load), float64(most)), nil
}

// EngsetCallSeats is the smallest number of seats with which at most the given
// part of attempts is refused. refused is above 0 and below 1.
func EngsetCallSeats(sources int, load IdleLoad, refused CallCongestion) (int, error) {
	if err := errors.Join(checked(sources, "sources", float64(load)), probability(float64(refused))); err != nil {
		return 0, err
	}
	return engsetSeats(sources-1, float64(load), float64(refused)), nil
}

// EngsetTimeLoad is the load of an idle source with which all seats are held
// the given part of the time. It is an error if there are more seats than
// sources: then they never are.
func EngsetTimeLoad(seats, sources int, held TimeCongestion) (IdleLoad, error) {
	if err := errors.Join(inRange(seats, "seats"), inRange(sources, "sources"), probability(float64(held))); err != nil {
		return 0, err
	}
	if seats > sources {
		return 0, fmt.Errorf("%w: %d sources never hold all of %d seats", ErrBadLoad, sources, seats)
	}
	return engsetLoad(seats, sources, float64(held))
}

// EngsetCallLoad is the load of an idle source with which the given part of
// attempts is refused. It is an error if there is a seat for every source:
// then none is.
func EngsetCallLoad(seats, sources int, refused CallCongestion) (IdleLoad, error) {
	if err := errors.Join(inRange(seats, "seats"), inRange(sources, "sources"), probability(float64(refused))); err != nil {
		return 0, err
	}
	if seats >= sources {
		return 0, fmt.Errorf("%w: of %d sources none is refused one of %d seats", ErrBadLoad, sources, seats)
	}
	return engsetLoad(seats, sources-1, float64(refused))
}

// Idle is the same load for each idle source.
func (s OnlineShare) Idle() (IdleLoad, error) {
	if err := probability(float64(s)); err != nil {
		return 0, fmt.Errorf("share online: %w", err)
	}
	return IdleLoad(s / (1 - s)), nil
}

// Online is the part of the time that a source with this load would be
// connected if it were never refused.
func (l IdleLoad) Online() (OnlineShare, error) {
	if err := usable(float64(l)); err != nil {
		return 0, err
	}
	return OnlineShare(1 / (1 + 1/float64(l))), nil
}

// PerSource is what each source offers over all its time if an idle one offers
// l: a source is idle for less of it the fewer are refused.
func (l IdleLoad) PerSource(seats, sources int) (SourceLoad, error) {
	if err := errors.Join(inRange(seats, "seats"), checked(sources, "sources", float64(l))); err != nil {
		return 0, err
	}
	return SourceLoad(perSource(seats, sources, float64(l))), nil
}

// Idle is what an idle source offers if each offers a over all its time. With
// a seat for every source nobody can offer as much as 1: that is an error.
func (a SourceLoad) Idle(seats, sources int) (IdleLoad, error) {
	if err := errors.Join(inRange(seats, "seats"), checked(sources, "sources", float64(a))); err != nil {
		return 0, err
	}
	// Sources are idle all the time at most, and at least while they have no
	// seat to hold.
	high := math.Inf(1)
	if a < 1 {
		high = float64(a / (1 - a))
	}
	if seats < sources {
		high = min(high, float64(a)/(1-float64(seats)/float64(sources)))
	}
	if math.IsInf(high, 1) {
		return 0, fmt.Errorf("%w: %v erlangs a source, but with a seat for each it is below 1", ErrBadLoad, float64(a))
	}
	return IdleLoad(rising(float64(a), high, float64(a), func(l float64) float64 { return perSource(seats, sources, l) })), nil
}

func perSource(seats, sources int, load float64) float64 {
	// 1 − E loses its digits where nearly everybody is refused; this does not.
	accepted := 1 / (1 + 1/free(seats, sources-1, load))
	return 1 / (1/load + accepted)
}

func engset(seats, sources int, load float64) float64 {
	return 1 / (1 + free(seats, sources, load))
}

func free(seats, sources int, load float64) float64 {
	if seats > sources {
		return math.Inf(1)
	}
	return freeToFull(seats, func(held int) float64 { return float64(held) / (float64(sources-held+1) * load) })
}

func engsetSeats(sources int, load, most float64) int {
	return fewest(sources+1, func(seats int) bool { return engset(seats, sources, load) <= most })
}

func engsetLoad(seats, sources int, want float64) (IdleLoad, error) {
	n, s := float64(seats), float64(sources)
	// E is below C(S, N)·β^N, and above 1 − N/((S − N + 1)·β).
	low := math.Exp((math.Log(want) - logFactorial(s) + logFactorial(n) + logFactorial(s-n)) / n)
	high := n / ((s - n + 1) * (1 - want))
	return IdleLoad(rising(low, high, want, func(l float64) float64 { return engset(seats, sources, l) })), nil
}
