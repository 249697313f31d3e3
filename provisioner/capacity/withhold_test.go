package capacity_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/capacity"
)

func TestWithheld(t *testing.T) {
	type set = map[string]bool
	for _, c := range []struct {
		name               string
		tenants            []string
		parts              []capacity.Held
		ofTenants, ofPools set
	}{
		{"nobody", []string{"a"}, nil, set{"a": true}, set{}},
		{"enough", []string{"a"}, []capacity.Held{{"vpn", "a", 5}}, set{}, set{}},
		{"too few", []string{"a"}, []capacity.Held{{"vpn", "a", 4}}, set{"a": true}, set{"vpn": true}},
		{"pool minus the other tenant", []string{"a", "b"}, []capacity.Held{{"vpn", "a", 4}, {"vpn", "b", 90}}, set{"a": true, "b": true}, set{"vpn": true}},
		{"tenant minus the other pool", []string{"a"}, []capacity.Held{{"x", "a", 2}, {"y", "a", 90}}, set{"a": true}, set{"x": true, "y": true}},
		{"another's small number does not matter", []string{"a", "b"}, []capacity.Held{{"x", "a", 50}, {"y", "b", 2}}, set{"b": true}, set{"y": true}},
	} {
		tenants, pools := capacity.Withheld(c.tenants, c.parts)
		if diff := cmp.Diff(c.ofTenants, tenants); diff != "" {
			t.Errorf("%s: tenants %s", c.name, diff)
		}
		if diff := cmp.Diff(c.ofPools, pools); diff != "" {
			t.Errorf("%s: pools %s", c.name, diff)
		}
	}
}

// Every part of a total that is told is itself large enough to be told, so
// nothing that is told leads to a small number.
func TestWhatIsToldHasNoSmallPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var parts []capacity.Held
		var tenants []string
		for i := range rapid.IntRange(1, 4).Draw(t, "tenants") {
			tenants = append(tenants, fmt.Sprint("t", i))
			for j := range 3 {
				if rapid.Bool().Draw(t, "shares") {
					parts = append(parts, capacity.Held{Pool: fmt.Sprint("p", j), Tenant: tenants[i], Seats: rapid.Int64Range(0, 20).Draw(t, "seats")})
				}
			}
		}
		ofTenants, ofPools := capacity.Withheld(tenants, parts)
		for _, p := range parts {
			if p.Seats < capacity.Smallest && (!ofTenants[p.Tenant] || !ofPools[p.Pool]) {
				t.Fatalf("%+v can be computed", p)
			}
		}
	})
}
