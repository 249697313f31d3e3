package capacity_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// What of somebody's day could be hidden from a man who knows of every other person of her
// tenant, for each quarter of an hour, whether that one was connected; who knows how numbers
// are made unclear, and of that only not what was drawn. He guesses whether she was there from
// eight to four or not at all, with even odds before, as well as anybody can. docs/capacity.md
// has this table.
func TestWhatCouldHideOnePerson(t *testing.T) {
	doc, err := os.ReadFile("../../docs/capacity.md")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 7))
	sizes := []int{40, 60, 1200} // people of a village, a town and a city
	days := make([][][]int, len(sizes))
	for i, people := range sizes {
		for range 400 {
			days[i] = append(days[i], othersOf(people, random))
		}
	}
	for _, m := range []struct {
		name string
		hit  func(day [][]int, from, quarters int) float64 // that he is sure, of a day or a part of it
	}{
		{"exact", func([][]int, int, int) float64 { return 1 }},
		{"rounded to 5", func(all [][]int, from, quarters int) float64 { return differs(all, from, quarters, roundedTo5) }},
		{"to 5, and changed only once it is 5 off", func(all [][]int, from, quarters int) float64 { return differs(all, from, quarters, sticky) }},
		{"to 5, at borders drawn for each quarter", func(all [][]int, _, quarters int) float64 {
			return 1 - math.Pow(4./5, float64(quarters)) // one of five borders lies between with her and without
		}},
		{"up to 2.5 % off, drawn for each quarter", func(all [][]int, from, quarters int) float64 {
			sum := 0.0
			for _, day := range all {
				both := 1.0 // that what he sees could be either
				for _, n := range day[from : from+quarters] {
					w := math.Max(1, math.Round(.025*float64(n)))
					both *= 2 * w / (2*w + 1)
				}
				sum += 1 - both
			}
			return sum / float64(len(all))
		}},
	} {
		cells := []string{m.name}
		for i := range sizes {
			quarter, day := m.hit(days[i], 12, 1), m.hit(days[i], 4, 32)
			cells = append(cells, percentOf(.5+quarter/2), percentOf(.5+day/2), percentOf(.5+(1-math.Pow(1-day, 20))/2))
		}
		if row := "| " + strings.Join(cells, " | ") + " |"; !strings.Contains(string(doc), row) {
			t.Errorf("docs/capacity.md lacks %s", row)
		}
	}
	// How far off normal noise must be, drawn anew each quarter, for no more than six guesses of
	// ten to be right.
	var cells []string
	for _, quarters := range []float64{1, 32, 20 * 32, 220 * 32} {
		cells = append(cells, fmt.Sprintf("%.0f", math.Sqrt(quarters)/(2*.2533))) // Φ(.2533) = .6
	}
	if row := "| " + strings.Join(cells, " | ") + " |"; !strings.Contains(string(doc), row) {
		t.Errorf("docs/capacity.md lacks %s", row)
	}
}

func percentOf(p float64) string { return fmt.Sprintf("%.0f %%", 100*p) }

// othersOf is how many of the others are connected in the quarters from seven to five.
func othersOf(people int, random *rand.Rand) []int {
	day := make([]int, 40)
	for range people - 1 {
		if random.Float64() > .6 {
			continue // not at home today
		}
		comes, goes := 4+3*random.NormFloat64(), 36+4*random.NormFloat64()
		for q := range day {
			if comes <= float64(q) && float64(q) < goes {
				day[q]++
			}
		}
	}
	return day
}

// differs is on what part of days it makes a difference whether she was there.
func differs(all [][]int, from, quarters int, told func([]int) []int) float64 {
	n := 0
	for _, others := range all {
		with := append([]int(nil), others...)
		for q := from; q < from+quarters; q++ {
			with[q]++
		}
		if fmt.Sprint(told(others)) != fmt.Sprint(told(with)) {
			n++
		}
	}
	return float64(n) / float64(len(all))
}

func roundedTo5(day []int) []int {
	told := make([]int, len(day))
	for q, n := range day {
		told[q] = (n + 2) / 5 * 5
	}
	return told
}

func sticky(day []int) []int {
	told := roundedTo5(day)
	for q := 1; q < len(day); q++ {
		if d := day[q] - told[q-1]; -5 < d && d < 5 {
			told[q] = told[q-1]
		}
	}
	return told
}
