package hostnet

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRulesFor(t *testing.T) {
	servers := []netip.Addr{netip.MustParseAddr("10.1.0.53"), netip.MustParseAddr("fd00:1::53")}
	split := rulesFor(DNS{Servers: servers, Domains: []string{"stadt.example", "kreis.example"}})
	if len(split) != 1 || !cmp.Equal(split[0].names, []string{".stadt.example", ".kreis.example"}) || split[0].servers != "10.1.0.53;fd00:1::53" {
		t.Errorf("two domains: %+v", split)
	}
	full := rulesFor(DNS{Servers: servers[:1]})
	if len(full) != 1 || !cmp.Equal(full[0].names, []string{"."}) || full[0].servers != "10.1.0.53" {
		t.Errorf("all names: %+v", full)
	}
	if none := rulesFor(DNS{}); none != nil {
		t.Errorf("no servers: %+v", none)
	}
	var many []string
	for i := range 120 {
		many = append(many, fmt.Sprintf("d%d.example", i))
	}
	if rules := rulesFor(DNS{Servers: servers, Domains: many}); len(rules) != 3 || len(rules[2].names) != 20 || rules[0].key == rules[1].key {
		t.Errorf("120 domains make %d rules", len(rules))
	}
	if key := ruleKey(0); !regexp.MustCompile(`^\{[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}\}$`).MatchString(key) || key != ruleKey(0) {
		t.Errorf("the key %s", key)
	}
}

// TestRulesAreKnownAgain: what is read back is what was written, so that nothing is written twice; and of others' rules
// nothing is.
func TestRulesAreKnownAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := DNS{Servers: []netip.Addr{netip.MustParseAddr("10.1.0.53")}}
		for i := range rapid.IntRange(0, 120).Draw(t, "domains") {
			want.Domains = append(want.Domains, fmt.Sprintf("d%d.example", i))
		}
		others := []rule{{key: "DA-1", names: []string{".other.example"}, servers: "192.0.2.1", options: 8, version: 1}}
		got, there := namesOf(slices.Concat(others, rulesFor(want)))
		if !there || !got.equal(want) {
			t.Fatalf("%v (%v), want %v", got, there, want)
		}
		if got, there := namesOf(others); there || len(got.Servers) > 0 {
			t.Fatalf("somebody else's rule is taken for ours: %v", got)
		}
	})
}

// TestSpoiltRules say nothing, so that they are written anew, but are known as ours.
func TestSpoiltRules(t *testing.T) {
	for what, spoil := range map[string]func(*rule){
		"begun, not finished": func(r *rule) { *r = rule{key: r.key, comment: ruleMark} },
		"another server":      func(r *rule) { r.servers = "10.1.0.54" },
		"no server":           func(r *rule) { r.servers = "dc1" },
		"switched off":        func(r *rule) { r.options = 0 },
		"an older kind":       func(r *rule) { r.version = 1 },
	} {
		rules := rulesFor(DNS{Servers: []netip.Addr{netip.MustParseAddr("10.1.0.53")}, Domains: make([]string, 60)})
		spoil(&rules[1])
		if got, there := namesOf(rules); !there || len(got.Servers) > 0 {
			t.Errorf("%s: %v, %v", what, got, there)
		}
	}
}

func TestStores(t *testing.T) {
	ours, others := rule{comment: ruleMark}, rule{key: "{1}", names: []string{".ad.example"}}
	for _, test := range []struct {
		world  string
		policy []rule
		want   []string
	}{
		{"no group policy", nil, []string{rulesLocal}},
		{"a group policy with rules: they would switch the machine's own off", []rule{others}, []string{rulesLocal, rulesPolicy}},
		{"the group policy has none any more", []rule{ours}, []string{rulesLocal}},
		{"both", []rule{ours, others}, []string{rulesLocal, rulesPolicy}},
	} {
		if got := stores(test.policy); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v", test.world, got)
		}
	}
}
