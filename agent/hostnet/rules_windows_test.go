package hostnet

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/windows/registry"
)

// TestRulesInRegistry writes rules into a key of the tests' own, beside somebody else's.
func TestRulesInRegistry(t *testing.T) {
	const path = `SOFTWARE\Heimdraht-Test\DnsPolicyConfig`
	root := registry.CURRENT_USER
	t.Cleanup(func() {
		for _, key := range []string{path + `\DA-1`, path, `SOFTWARE\Heimdraht-Test`} {
			check(t, registry.DeleteKey(root, key))
		}
	})
	check(t, writeRule(root, path+`\DA-1`, rule{names: []string{".other.example"}, servers: "192.0.2.1", options: 8, version: 1}))

	want := DNS{Servers: []netip.Addr{netip.MustParseAddr("10.1.0.53"), netip.MustParseAddr("fd00:1::53")}, Domains: make([]string, 0, 60)}
	for range 60 {
		want.Domains = append(want.Domains, "stadt.example")
	}
	for _, names := range []DNS{want, {Servers: want.Servers[:1]}, {}} {
		have, err := readStore(root, path)
		check(t, err)
		check(t, replaceRules(root, path, rulesFor(names), have))
		have, err = readStore(root, path)
		check(t, err)
		got, there := namesOf(have)
		if there != (len(names.Servers) > 0) || !got.equal(names) {
			t.Errorf("%v (%v), want %v", got, there, names)
		}
		if len(have) != len(rulesFor(names))+1 {
			t.Errorf("%d rules with somebody else's one", len(have))
		}
	}
	if none, err := readStore(root, `SOFTWARE\Heimdraht-Test\None`); err != nil || none != nil {
		t.Errorf("a store that is not there: %v, %v", none, err)
	}
}
