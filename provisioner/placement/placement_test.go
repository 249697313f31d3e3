package placement_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/placement"
)

func fine(name string, change func(*placement.Candidate)) placement.Candidate {
	c := placement.Candidate{Name: name, Weight: 100, Sessions: 1000, Joined: true, Reachable: true, Heard: true}
	if change != nil {
		change(&c)
	}
	return c
}

func TestChoose(t *testing.T) {
	open := func(n int64) func(*placement.Candidate) {
		return func(c *placement.Candidate) { c.Open = n }
	}
	for _, c := range []struct {
		name string
		list []placement.Candidate
		a    placement.Asker
		want placement.Verdict
	}{
		{"nobody", nil, placement.Asker{}, placement.Verdict{}},
		{"the emptier one", []placement.Candidate{fine("a", open(500)), fine("b", open(499))}, placement.Asker{}, placement.Verdict{Order: []string{"b", "a"}}},
		{"the heavier one", []placement.Candidate{fine("a", nil), fine("b", func(c *placement.Candidate) { c.Weight, c.Open = 300, 600 })},
			placement.Asker{}, placement.Verdict{Order: []string{"b", "a"}}},
		{"the one with the quieter line", []placement.Candidate{
			fine("a", func(c *placement.Candidate) { c.Throughput, c.Rate = 1000, 900 }), fine("b", open(800)),
		}, placement.Asker{}, placement.Verdict{Order: []string{"b", "a"}}},
		{"the one whose processors rest", []placement.Candidate{fine("a", func(c *placement.Candidate) { c.CPU = 900 }), fine("b", open(800))},
			placement.Asker{}, placement.Verdict{Order: []string{"b", "a"}}},
		{"the own site, although it is fuller", []placement.Candidate{fine("a", nil), fine("b", func(c *placement.Candidate) { c.Site, c.Open = "mitte", 900 })},
			placement.Asker{Site: "mitte"}, placement.Verdict{Order: []string{"b", "a"}}},
		{"another site before the last places of the own", []placement.Candidate{fine("a", nil), fine("b", func(c *placement.Candidate) { c.Site, c.Open = "mitte", 960 })},
			placement.Asker{Site: "mitte"}, placement.Verdict{Order: []string{"a", "b"}}},
		{"where it was, nearly as good", []placement.Candidate{fine("a", nil), fine("b", open(200))}, placement.Asker{Former: "b"}, placement.Verdict{Order: []string{"b", "a"}}},
		{"not where it was, much worse", []placement.Candidate{fine("a", nil), fine("b", open(300))}, placement.Asker{Former: "b"}, placement.Verdict{Order: []string{"a", "b"}}},
		{"one that is heard before one that is late", []placement.Candidate{fine("a", func(c *placement.Candidate) { c.Heard = false }), fine("b", open(999))},
			placement.Asker{Former: "a"}, placement.Verdict{Order: []string{"b", "a"}}},
		{"all are full", []placement.Candidate{fine("a", open(1000)), fine("b", func(c *placement.Candidate) { c.Throughput, c.Rate = 10, 10 })},
			placement.Asker{Former: "a"}, placement.Verdict{Full: true}},
		{"all are left", []placement.Candidate{fine("a", func(c *placement.Candidate) { c.Leaving = true })}, placement.Asker{Former: "a"}, placement.Verdict{Leaving: true}},
		{"none is there", []placement.Candidate{
			fine("a", func(c *placement.Candidate) { c.Reachable = false }), fine("b", func(c *placement.Candidate) { c.Joined = false }), fine("c", nil),
		}, placement.Asker{Avoid: []string{"c"}}, placement.Verdict{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, placement.Choose(c.list, c.a)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAway(t *testing.T) {
	for _, c := range []struct {
		name string
		list []placement.Candidate
		a    placement.Asker
		want bool
	}{
		{"all alike", []placement.Candidate{fine("a", nil), fine("b", nil)}, placement.Asker{Former: "a"}, false},
		{"home is back, and empty", []placement.Candidate{fine("a", func(c *placement.Candidate) { c.Open = 800 }), fine("b", nil)}, placement.Asker{Former: "a"}, true},
		{"home is half full again", []placement.Candidate{fine("a", func(c *placement.Candidate) { c.Open = 600 }), fine("b", func(c *placement.Candidate) { c.Open = 400 })}, placement.Asker{Former: "a"}, false},
		{"the own site is back", []placement.Candidate{fine("a", nil), fine("b", func(c *placement.Candidate) { c.Site = "mitte" })}, placement.Asker{Former: "a", Site: "mitte"}, true},
		{"it is left anyway", []placement.Candidate{fine("a", func(c *placement.Candidate) { c.Leaving, c.Open = true, 900 }), fine("b", nil)}, placement.Asker{Former: "a"}, false},
		{"nobody hears it", []placement.Candidate{fine("a", func(c *placement.Candidate) { c.Heard = false }), fine("b", nil)}, placement.Asker{Former: "a"}, false},
		{"nowhere to go", []placement.Candidate{fine("a", func(c *placement.Candidate) { c.Open = 1000 })}, placement.Asker{Former: "a"}, false},
	} {
		if got := placement.Away(c.list, c.a); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func candidates(t *rapid.T) []placement.Candidate {
	sites := []string{"", "mitte", "nord"}
	n := rapid.IntRange(0, 6).Draw(t, "gateways")
	list := make([]placement.Candidate, n)
	for i := range list {
		list[i] = placement.Candidate{
			Name: fmt.Sprint("gw", i), Site: rapid.SampledFrom(sites).Draw(t, "site"), Weight: rapid.Int64Range(1, 1000).Draw(t, "weight"),
			Sessions: rapid.Int64Range(1, 2000).Draw(t, "sessions"), Open: rapid.Int64Range(0, 2100).Draw(t, "open"),
			Throughput: rapid.Int64Range(0, 10).Draw(t, "throughput"), Rate: rapid.Int64Range(0, 12).Draw(t, "rate"), CPU: rapid.Int64Range(0, 1000).Draw(t, "cpu"),
			Joined: rapid.IntRange(0, 9).Draw(t, "joined") > 0, Reachable: rapid.IntRange(0, 4).Draw(t, "reachable") > 0,
			Heard: rapid.Bool().Draw(t, "heard"), Leaving: rapid.IntRange(0, 4).Draw(t, "leaving") == 0,
		}
	}
	return list
}

// Whoever may take a session is in the order, nobody else is, and who is not heard
// comes behind everybody who is. What is asked again is answered the same.
func TestNobodyGoesWhereNobodyShould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := candidates(t)
		a := placement.Asker{
			Site: rapid.SampledFrom([]string{"", "mitte"}).Draw(t, "asker's site"), Former: fmt.Sprint("gw", rapid.IntRange(0, 7).Draw(t, "former")),
			Avoid: rapid.SampledFrom([][]string{nil, {"gw0"}}).Draw(t, "avoid"),
		}
		v := placement.Choose(list, a)
		late := false
		for _, name := range v.Order {
			c := list[slices.IndexFunc(list, func(c placement.Candidate) bool { return c.Name == name })]
			if !c.Joined || !c.Reachable || c.Leaving || c.Open >= c.Sessions || c.Throughput > 0 && c.Rate >= c.Throughput || slices.Contains(a.Avoid, name) {
				t.Fatalf("%+v is in the order", c)
			}
			if c.Heard && late {
				t.Fatalf("%+v comes behind one that nobody hears", c)
			}
			late = late || !c.Heard
		}
		for _, c := range list {
			good := c.Joined && c.Reachable && !c.Leaving && c.Open < c.Sessions && (c.Throughput == 0 || c.Rate < c.Throughput) && !slices.Contains(a.Avoid, c.Name)
			if good != slices.Contains(v.Order, c.Name) {
				t.Fatalf("%+v: in the order %v", c, !good)
			}
		}
		slices.Reverse(list)
		if again := placement.Choose(list, a); !cmp.Equal(v, again) {
			t.Fatalf("%+v, and in another order %+v", v, again)
		}
	})
}

// Who goes to the best one, and asks again from there, stays.
func TestWhoIsWellPlacedStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := candidates(t)
		v := placement.Choose(list, placement.Asker{})
		if len(v.Order) == 0 {
			return
		}
		a := placement.Asker{Former: v.Order[0]}
		if again := placement.Choose(list, a); again.Order[0] != a.Former || placement.Away(list, a) {
			t.Fatalf("from %s to %s", a.Former, again.Order[0])
		}
	})
}

// Sessions that come one after the other fill gateways in the same share, each as its weight says.
func TestSpread(t *testing.T) {
	list := []placement.Candidate{fine("a", nil), fine("b", func(c *placement.Candidate) { c.Sessions = 500 }), fine("c", func(c *placement.Candidate) { c.Weight = 50 })}
	for range 1000 {
		v := placement.Choose(list, placement.Asker{})
		list[slices.IndexFunc(list, func(c placement.Candidate) bool { return c.Name == v.Order[0] })].Open++
	}
	free := func(i int) int64 { return list[i].Weight * (1000 - list[i].Open*1000/list[i].Sessions) }
	if d := free(0) - free(1); d > 300 || d < -300 {
		t.Errorf("%+v", list)
	}
	if list[2].Open >= list[0].Open {
		t.Errorf("half the weight, and more sessions: %+v", list)
	}
}
