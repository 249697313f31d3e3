package capacity_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

func TestTell(t *testing.T) {
	part := func(tenant, pool string, n int64) capacity.Part {
		return capacity.Part{Tenant: tenant, Pool: pool, Least: n, Most: n}
	}
	for _, c := range []struct {
		name  string
		parts []capacity.Part
		told  string
	}{
		{"nobody", nil, ""},
		{"one large", []capacity.Part{part("a", "p", 50)}, "a p"},
		{"one small", []capacity.Part{part("a", "p", 4)}, ""},
		{"a small one beside a large one hides the pool", []capacity.Part{part("a", "p", 50), part("b", "p", 2)}, "a"},
		{"beside two large ones it hides one of them", []capacity.Part{part("a", "p", 50), part("b", "p", 2), part("c", "p", 6)}, "a p"},
		{"two small ones do not hide each other", []capacity.Part{part("a", "p", 50), part("b", "p", 3), part("c", "p", 4)}, "a"},
		{"nobody is a small number", []capacity.Part{part("a", "p", 50), part("b", "p", 0)}, "a"},
		{"few of a city in another pool", []capacity.Part{part("a", "p", 50), part("a", "q", 3), part("b", "q", 60)}, "b p"},
		{"a city that could and does not", []capacity.Part{part("a", "p", 50), part("a", "q", 0), part("b", "q", 60)}, "a b p q"},
		{"a small pool", []capacity.Part{part("a", "p", 50), part("b", "q", 2), part("c", "r", 9)}, "a c p r"},
		{"some of the time", []capacity.Part{{Tenant: "a", Pool: "p", Least: 4, Most: 90}}, ""},
	} {
		told, text := capacity.Tell(c.parts), ""
		for _, tenant := range []string{"a", "b", "c"} {
			if told.Tenants[tenant] {
				text += tenant + " "
			}
		}
		for _, pool := range []string{"p", "q", "r"} {
			if told.Pools[pool] {
				text += pool + " "
			}
		}
		if text != c.told && text != c.told+" " {
			t.Errorf("%s: told %q, want %q", c.name, text, c.told)
		}
	}
}

// Who takes what is told of tenants from what is told of pools, added up in any way, never
// gets a number of people below five.
func TestNothingSmallIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parts []capacity.Part
		for tenant := range rapid.IntRange(1, 6).Draw(t, "tenants") {
			for pool := range 3 {
				if !rapid.Bool().Draw(t, "entitled") {
					continue
				}
				n := rapid.SampledFrom([]int64{0, 0, 1, 2, 3, 4, 5, 6, 7, 9, 20, 100}).Draw(t, "people")
				parts = append(parts, capacity.Part{Tenant: fmt.Sprint(tenant), Pool: fmt.Sprint("p", pool), Least: n, Most: n + rapid.Int64Range(0, n).Draw(t, "more")})
			}
		}
		told := capacity.Tell(parts)
		for tenant, is := range told.Tenants {
			sum := int64(0)
			for _, p := range parts {
				if p.Tenant == tenant {
					if sum += p.Least; is && p.Most > 0 && p.Least < capacity.Smallest {
						t.Errorf("told of %s, of which %d are in %s: %v", tenant, p.Least, p.Pool, parts)
					}
				}
			}
			if is && sum < capacity.Smallest {
				t.Errorf("told of %s with %d: %v", tenant, sum, parts)
			}
		}
		// Of each sum of told pools, what told tenants have there is known.
		for set := 1; set < 1<<3; set++ {
			rest, of, known := int64(0), 0, true
			for pool := range 3 {
				known = known && (set>>pool&1 == 0 || told.Pools[fmt.Sprint("p", pool)])
			}
			for _, p := range parts {
				if set>>int(p.Pool[1]-'0')&1 == 1 && !told.Tenants[p.Tenant] {
					rest += p.Least
					of++
				}
			}
			if known && of > 0 && rest < capacity.Smallest {
				t.Errorf("pools %b leave %d of %d withheld parts: %v, told %+v", set, rest, of, parts, told)
			}
		}
	})
}

// What is told beside a small tenant is the same however many it has, up to four.
func TestWithholdingTellsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := []capacity.Part{{Tenant: "small", Pool: "p"}, {Tenant: "large", Pool: "p", Least: 5, Most: 5}}
		for i := range rapid.IntRange(0, 5).Draw(t, "others") {
			n := rapid.Int64Range(0, 9).Draw(t, "people")
			parts = append(parts, capacity.Part{Tenant: fmt.Sprint(i), Pool: "p", Least: n, Most: n})
		}
		before := capacity.Tell(parts)
		parts[0].Least = rapid.Int64Range(0, 4).Draw(t, "of them")
		parts[0].Most = parts[0].Least
		if diff := cmp.Diff(before, capacity.Tell(parts)); diff != "" {
			t.Error(diff)
		}
	})
}
