package capacity_test

import (
	"fmt"
	"testing"

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
		zero  bool // tells
		told  string
	}{
		{"nobody", nil, true, ""},
		{"one large", []capacity.Part{part("a", "p", 50)}, true, "a p all"},
		{"one small", []capacity.Part{part("a", "p", 4)}, true, ""},
		{"a small one beside a large one hides it", []capacity.Part{part("a", "p", 50), part("b", "p", 2)}, true, "p all"},
		{"a small one hides in two others", []capacity.Part{part("a", "p", 50), part("b", "p", 2), part("c", "p", 6)}, true, "a p all"},
		{"two small ones hide each other", []capacity.Part{part("a", "p", 50), part("b", "p", 3), part("c", "p", 4)}, true, "a p all"},
		{"nobody is a small number", []capacity.Part{part("a", "p", 50), part("b", "p", 0)}, true, "p all"},
		{"but not of events", []capacity.Part{part("a", "p", 50), part("b", "p", 0)}, false, "a p all"},
		{"few of a city in another pool", []capacity.Part{part("a", "p", 50), part("a", "q", 3), part("b", "q", 60)}, true, "p q all"},
		{"a city that could and does not", []capacity.Part{part("a", "p", 50), part("a", "q", 0), part("b", "q", 60)}, true, "a b p q all"},
		{"a small pool", []capacity.Part{part("a", "p", 50), part("b", "q", 2), part("c", "r", 9)}, true, "a p all"},
	} {
		told, text := capacity.Tell(c.parts, c.zero), ""
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
		if told.Provider {
			text += "all "
		}
		if text != c.told && text != c.told+" " {
			t.Errorf("%s: told %q, want %q", c.name, text, c.told)
		}
	}
}

// Who takes told totals from each other, in every way that adds and subtracts each once,
// never gets a number of withheld people below five; told tenants' parts he knows besides.
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
		told := capacity.Tell(parts, true)
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
		// Each set of told pools, and all of them or all without some of them, less what told tenants have there.
		for set := range 1 << 3 {
			for _, whole := range []bool{false, true} {
				rest, of, fits := int64(0), 0, true
				for pool := range 3 {
					name := fmt.Sprint("p", pool)
					if in := set>>pool&1 == 1; in && !told.Pools[name] {
						fits = false
					}
				}
				if !fits || whole && !told.Provider {
					continue
				}
				for _, p := range parts {
					in := set>>int(p.Pool[1]-'0')&1 == 1
					if in != whole && !told.Tenants[p.Tenant] {
						rest += p.Least
						of++
					}
				}
				if of > 0 && rest < capacity.Smallest {
					t.Errorf("pools %b (whole %v) leave %d of %d withheld parts: %v, told %+v", set, whole, rest, of, parts, told)
				}
			}
		}
	})
}
