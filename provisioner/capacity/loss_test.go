package capacity_test

import (
	"encoding/csv"
	"errors"
	"math"
	"math/big"
	"os"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

// Published values, to 1e-9.
func TestLossFormulasGiveThePublishedValues(t *testing.T) {
	for _, row := range lossRows(t) {
		seats, _ := strconv.Atoi(row[1])
		sources, _ := strconv.Atoi(row[2])
		load, want := fraction(t, row[3]), fraction(t, row[4])
		var got float64
		var err error
		switch row[0] {
		case "erlang-b":
			got, err = capacity.ErlangB(seats, capacity.Erlangs(load))
		case "erlang-c":
			got, err = capacity.ErlangC(seats, capacity.Erlangs(load))
		case "engset-call":
			got, err = plain(capacity.EngsetCall(seats, sources, capacity.IdleLoad(load)))
		case "engset-time":
			got, err = plain(capacity.EngsetTime(seats, sources, capacity.IdleLoad(load)))
		case "engset-call-per-source":
			var idle capacity.IdleLoad
			if idle, err = capacity.SourceLoad(load).Idle(seats, sources); err == nil {
				got, err = plain(capacity.EngsetCall(seats, sources, idle))
			}
		default:
			t.Fatalf("unknown formula %q", row[0])
		}
		if err != nil || !near(got, want, 1e-9) {
			t.Errorf("%v = %.15g, %v", row, got, err)
		}
	}
}

// Figures that people in this field know, from the share of staff online.
func TestSeatsForAdministrations(t *testing.T) {
	for _, c := range []struct {
		staff int
		share capacity.OnlineShare
		want  int
	}{
		{21, .6, 18}, {120, .5, 71}, {29_000, .4, 11_595}, {58, .4, 31},
	} {
		idle, err := c.share.Idle()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := capacity.EngsetCallSeats(c.staff, idle, .01); got != c.want || err != nil {
			t.Errorf("%d staff, %v online: %d seats, %v, want %d", c.staff, c.share, got, err, c.want)
		}
	}
	// The cliff: 12,500 tunnels for 28,000 laptops.
	for _, c := range []struct {
		share capacity.OnlineShare
		want  float64
	}{{.44, .0005}, {.46, .056}, {.5, .19}} {
		idle, _ := c.share.Idle()
		if got, err := capacity.EngsetCall(12_500, 28_000, idle); err != nil || math.Abs(float64(got)/c.want-1) > .1 {
			t.Errorf("%v online: %v of attempts refused, %v, want %v", c.share, got, err, c.want)
		}
	}
}

// The same sums with 200 bits, from the other end.
func TestErlangBOfManySeats(t *testing.T) {
	for _, c := range []struct {
		seats int
		load  float64
	}{
		{1, 1e-9}, {3, 1e-5}, {50, 1e6}, {10_000, 9_500}, {10_000, 7_000}, {100_000, 90_000}, {100_000, 99_000}, {100_000, 100_000}, {100_000, 101_000}, {100_000, 1e7},
	} {
		load := new(big.Float).SetPrec(200).SetFloat64(c.load)
		inverse := new(big.Float).SetPrec(200).SetInt64(1)
		for n := 1; n <= c.seats; n++ {
			inverse.Mul(inverse, new(big.Float).SetInt64(int64(n)))
			inverse.Quo(inverse, load)
			inverse.Add(inverse, new(big.Float).SetInt64(1))
		}
		want, _ := inverse.Quo(new(big.Float).SetInt64(1), inverse).Float64()
		if got, err := capacity.ErlangB(c.seats, capacity.Erlangs(c.load)); err != nil || !near(got, want, 1e-10) {
			t.Errorf("B(%d, %v) = %.15g, %v, want %.15g", c.seats, c.load, got, err, want)
		}
	}
}

// Exact binomial coefficients as fractions.
func TestEngsetAgainstItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sources := rapid.IntRange(1, 300).Draw(t, "sources")
		seats := rapid.IntRange(1, sources).Draw(t, "seats")
		load := rapid.Float64Range(.01, 20).Draw(t, "load")
		definition := func(sources int) float64 {
			sum, power := new(big.Rat), new(big.Rat).SetInt64(1)
			beta := new(big.Rat).SetFrac64(int64(load*1000)+1, 1000)
			var last *big.Rat
			for n := range seats + 1 {
				last = new(big.Rat).Mul(new(big.Rat).SetInt(new(big.Int).Binomial(int64(sources), int64(n))), power)
				sum.Add(sum, last)
				power.Mul(power, beta)
			}
			f, _ := last.Quo(last, sum).Float64()
			return f
		}
		idle := capacity.IdleLoad(float64(int64(load*1000)+1) / 1000)
		inTime, err := capacity.EngsetTime(seats, sources, idle)
		if err != nil || !near(float64(inTime), definition(sources), 1e-11) {
			t.Fatalf("time congestion %v, %v, want %v", inTime, err, definition(sources))
		}
		ofCalls, err := capacity.EngsetCall(seats, sources, idle)
		if err != nil || !near(float64(ofCalls), definition(sources-1), 1e-11) {
			t.Fatalf("call congestion %v, %v, want %v", ofCalls, err, definition(sources-1))
		}
		if float64(ofCalls) > float64(inTime) {
			t.Fatalf("those who hold seats attempt: %v of calls, %v of time", ofCalls, inTime)
		}
	})
}

// More load, more refused; more seats, fewer.
func TestLossFormulasAreMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seats := rapid.IntRange(1, 100_000).Draw(t, "seats")
		sources := rapid.IntRange(1, 200_000).Draw(t, "sources")
		load := rapid.Float64Range(.1, 3).Draw(t, "load of a seat") * float64(seats)
		more := rapid.Float64Range(1.0001, 1.5).Draw(t, "more")
		for name, f := range map[string]func(seats int, load float64) (float64, error){
			"B": func(n int, a float64) (float64, error) { return capacity.ErlangB(n, capacity.Erlangs(a)) },
			"C": func(n int, a float64) (float64, error) { return capacity.ErlangC(n, capacity.Erlangs(a)) },
			"time": func(n int, a float64) (float64, error) {
				return plain(capacity.EngsetTime(n, sources, capacity.IdleLoad(a/float64(sources))))
			},
			"call": func(n int, a float64) (float64, error) {
				return plain(capacity.EngsetCall(n, sources, capacity.IdleLoad(a/float64(sources))))
			},
			"per source": func(n int, a float64) (float64, error) {
				// Rises in load; turned round in seats, as idle time is.
				s, err := capacity.IdleLoad(a/float64(sources)).PerSource(n, sources)
				return 1 - 1/(1+float64(s)), err
			},
		} {
			here, err1 := f(seats, load)
			loaded, err2 := f(seats, load*more)
			roomier, err3 := f(seats+1, load)
			if err := errors.Join(err1, err2, err3); err != nil {
				t.Fatal(err)
			}
			const slack = 1 + 1e-10
			if !(here >= 0 && here <= 1) || here > loaded*slack || roomier > here*slack {
				t.Fatalf("%s(%d, %v) = %v, with load %v, with a seat more %v", name, seats, load, here, loaded, roomier)
			}
		}
	})
}

func TestEngsetBecomesErlangBWithManySources(t *testing.T) {
	const seats, load = 100, 84.0
	want, err := capacity.ErlangB(seats, load)
	if err != nil {
		t.Fatal(err)
	}
	before := math.Inf(1)
	for _, sources := range []int{200, 1_000, 10_000, 100_000, 1_000_000} {
		got, err := capacity.EngsetCall(seats, sources, capacity.IdleLoad(load/float64(sources)))
		if err != nil {
			t.Fatal(err)
		}
		off := math.Abs(float64(got) - want)
		if off >= before {
			t.Errorf("%d sources are further off than fewer: %v", sources, off)
		}
		before = off
	}
	// An idle source is counted for the time in which it is idle only: 84 of a
	// million are not, and B grows as the 17th power of its load here.
	if before > 2e-3*want {
		t.Errorf("a million sources are off by %v", before)
	}
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		got  func() (float64, error)
		want float64
	}{
		{"hardly any load", func() (float64, error) { return capacity.ErlangB(1, 1e-300) }, 1e-300},
		{"too small for a number", func() (float64, error) { return capacity.ErlangB(100_000, 1) }, 0},
		{"overwhelmed", func() (float64, error) { return capacity.ErlangB(100_000, 1e300) }, 1},
		{"a queue without end", func() (float64, error) { return capacity.ErlangC(10, 10) }, 1},
		{"a seat for each is never refused", func() (float64, error) { return plain(capacity.EngsetCall(7, 7, 3)) }, 0},
		{"but all seats are held at times", func() (float64, error) { return plain(capacity.EngsetTime(2, 2, 1)) }, .25},
		{"a single source", func() (float64, error) { return plain(capacity.EngsetCall(1, 1, 5)) }, 0},
		{"more seats than sources", func() (float64, error) { return plain(capacity.EngsetTime(8, 7, 3)) }, 0},
	} {
		if got, err := c.got(); err != nil || !near(got, c.want, 1e-12) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

// What an inverse finds is the load or the number of seats that gives the
// probability asked for.
func TestInverses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seats := rapid.IntRange(1, 100_000).Draw(t, "seats")
		sources := seats + rapid.IntRange(1, 100_000).Draw(t, "sources more")
		p := math.Pow(10, -rapid.Float64Range(.05, 12).Draw(t, "digits"))

		load, err := capacity.ErlangBLoad(seats, p)
		got, err2 := capacity.ErlangB(seats, load)
		mustBe(t, "B", got, p, errors.Join(err, err2))
		n, err := capacity.ErlangBSeats(load*(1-1e-9), p)
		mustBe(t, "seats by B", float64(n), float64(seats), err)

		load, err = capacity.ErlangCLoad(seats, p)
		got, err2 = capacity.ErlangC(seats, load)
		mustBe(t, "C", got, p, errors.Join(err, err2))
		n, err = capacity.ErlangCSeats(load*(1-1e-9), p)
		mustBe(t, "seats by C", float64(n), float64(seats), err)

		idle, err := capacity.EngsetTimeLoad(seats, sources, capacity.TimeCongestion(p))
		inTime, err2 := capacity.EngsetTime(seats, sources, idle)
		mustBe(t, "time", float64(inTime), p, errors.Join(err, err2))
		n, err = capacity.EngsetTimeSeats(sources, idle*(1-1e-9), capacity.TimeCongestion(p))
		mustBe(t, "seats by time", float64(n), float64(seats), err)

		idle, err = capacity.EngsetCallLoad(seats, sources, capacity.CallCongestion(p))
		ofCalls, err2 := capacity.EngsetCall(seats, sources, idle)
		mustBe(t, "calls", float64(ofCalls), p, errors.Join(err, err2))
		n, err = capacity.EngsetCallSeats(sources, idle*(1-1e-9), capacity.CallCongestion(p))
		mustBe(t, "seats by calls", float64(n), float64(seats), err)

		each, err := idle.PerSource(seats, sources)
		again, err2 := each.Idle(seats, sources)
		mustBe(t, "load per source", float64(again), float64(idle), errors.Join(err, err2))
		online, err := idle.Online()
		again, err2 = online.Idle()
		mustBe(t, "share online", float64(again), float64(idle), errors.Join(err, err2))
	})
}

// No input, however bad, gives anything but a number or an error.
func FuzzLossFormulas(f *testing.F) {
	for _, load := range []float64{0, -1, 1, 1e308, 5e-324, math.Inf(1), math.Inf(-1), math.NaN()} {
		for _, p := range []float64{0, 1, .01, 1 - 1e-16, 5e-324, math.NaN()} {
			f.Add(10, 21, load, p)
			f.Add(-1, 0, load, p)
			f.Add(capacity.MostSeats, capacity.MostSeats, load, p)
		}
	}
	f.Fuzz(func(t *testing.T, seats, sources int, load, p float64) {
		for name, result := range allFormulas(seats, sources, load, p) {
			got, err := result()
			if math.IsNaN(got) || math.IsInf(got, 0) || got < 0 {
				t.Errorf("%s(%d, %d, %v, %v) = %v, %v", name, seats, sources, load, p, got, err)
			}
			if err != nil && !errors.Is(err, capacity.ErrBadLoad) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestBadLoadsAreErrors(t *testing.T) {
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		for name, result := range allFormulas(10, 21, bad, bad) {
			if got, err := result(); !errors.Is(err, capacity.ErrBadLoad) || got != 0 {
				t.Errorf("%s of %v: %v, %v", name, bad, got, err)
			}
		}
	}
	for _, bad := range []int{0, -1, capacity.MostSeats + 1, math.MinInt, math.MaxInt} {
		for name, result := range allFormulas(bad, bad, .5, .5) {
			if name == "BSeats" || name == "CSeats" || name == "idle of share" || name == "share of idle" {
				continue // take no number of seats
			}
			if got, err := result(); !errors.Is(err, capacity.ErrBadLoad) || got != 0 {
				t.Errorf("%s of %d: %v, %v", name, bad, got, err)
			}
		}
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"load":        {second(capacity.ErlangB(10, -1)), "not a load that can be computed with: load -1, must be from 1e-300 to 1e+300"},
		"seats":       {second(capacity.ErlangB(0, 1)), "not a load that can be computed with: 0 seats, must be from 1 to 1000000"},
		"probability": {second(capacity.ErlangBSeats(1, 1)), "not a load that can be computed with: probability 1, must be above 0 and below 1"},
		"too much":    {second(capacity.ErlangBSeats(2e6, .01)), "not a load that can be computed with: 2e+06 erlangs take more than 1000000 seats"},
		"a seat each": {second(capacity.EngsetCallLoad(21, 21, .01)), "not a load that can be computed with: of 21 sources none is refused one of 21 seats"},
		"held never":  {second(capacity.EngsetTimeLoad(22, 21, .01)), "not a load that can be computed with: 21 sources never hold all of 22 seats"},
		"above one":   {second(capacity.SourceLoad(1).Idle(21, 21)), "not a load that can be computed with: 1 erlangs a source, but with a seat for each it is below 1"},
	} {
		if c.err == nil || c.err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, c.err, c.want)
		}
	}
}

func allFormulas(seats, sources int, load, p float64) map[string]func() (float64, error) {
	idle := capacity.IdleLoad(load)
	return map[string]func() (float64, error){
		"B":      func() (float64, error) { return capacity.ErlangB(seats, capacity.Erlangs(load)) },
		"C":      func() (float64, error) { return capacity.ErlangC(seats, capacity.Erlangs(load)) },
		"BSeats": func() (float64, error) { return plain(capacity.ErlangBSeats(capacity.Erlangs(load), p)) },
		"CSeats": func() (float64, error) { return plain(capacity.ErlangCSeats(capacity.Erlangs(load), p)) },
		"BLoad":  func() (float64, error) { return plain(capacity.ErlangBLoad(seats, p)) },
		"CLoad":  func() (float64, error) { return plain(capacity.ErlangCLoad(seats, p)) },
		"time":   func() (float64, error) { return plain(capacity.EngsetTime(seats, sources, idle)) },
		"call":   func() (float64, error) { return plain(capacity.EngsetCall(seats, sources, idle)) },
		"timeSeats": func() (float64, error) {
			return plain(capacity.EngsetTimeSeats(sources, idle, capacity.TimeCongestion(p)))
		},
		"callSeats": func() (float64, error) {
			return plain(capacity.EngsetCallSeats(sources, idle, capacity.CallCongestion(p)))
		},
		"timeLoad": func() (float64, error) {
			return plain(capacity.EngsetTimeLoad(seats, sources, capacity.TimeCongestion(p)))
		},
		"callLoad": func() (float64, error) {
			return plain(capacity.EngsetCallLoad(seats, sources, capacity.CallCongestion(p)))
		},
		"per source":    func() (float64, error) { return plain(idle.PerSource(seats, sources)) },
		"idle":          func() (float64, error) { return plain(capacity.SourceLoad(load).Idle(seats, sources)) },
		"idle of share": func() (float64, error) { return plain(capacity.OnlineShare(load).Idle()) },
		"share of idle": func() (float64, error) { return plain(idle.Online()) },
	}
}

func BenchmarkErlangB(b *testing.B) {
	for b.Loop() {
		if _, err := capacity.ErlangB(100_000, 99_000); err != nil {
			b.Fatal(err)
		}
	}
}

// The most terms that a probability above the smallest number can have.
func BenchmarkErlangBWorst(b *testing.B) {
	for b.Loop() {
		if _, err := capacity.ErlangB(100_000, 88_700); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEngsetCallSeats(b *testing.B) {
	for b.Loop() {
		if _, err := capacity.EngsetCallSeats(200_000, .9, .001); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkErlangBLoad(b *testing.B) {
	for b.Loop() {
		if _, err := capacity.ErlangBLoad(100_000, .001); err != nil {
			b.Fatal(err)
		}
	}
}

func lossRows(t *testing.T) [][]string {
	t.Helper()
	f, err := os.Open("testdata/loss.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	return rows
}

func fraction(t *testing.T, s string) float64 {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	f, _ := r.Float64()
	return f
}

// near passes over what is below the smallest normal number: it has fewer digits, or none.
func near(got, want, relative float64) bool {
	return math.Abs(got-want) <= relative*math.Abs(want)+0x1p-1022
}

func mustBe(t *rapid.T, what string, got, want float64, err error) {
	t.Helper()
	if err != nil || !near(got, want, 1e-8) {
		t.Fatalf("%s: %v, %v, want %v", what, got, err, want)
	}
}

func plain[N ~int | ~float64](n N, err error) (float64, error) { return float64(n), err }

func second[N any](_ N, err error) error { return err }
