package hostnet

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// office is a split tunnel for both families.
func office() Config {
	return Config{
		Interface: "hd0", MTU: 1380, Addresses: prefixes("10.80.0.5/32", "fd80:1::5/128"),
		Routes: prefixes("10.1.0.0/16", "fd00:1::/48"),
		DNS:    DNS{Servers: []netip.Addr{netip.MustParseAddr("10.1.0.53")}, Domains: []string{"Stadt.Example."}},
	}
}

// officeV4 lacks an address of IPv6.
func officeV4(full bool) Config {
	c := office()
	c.Addresses, c.FullTunnel = c.Addresses[:1], full
	if full {
		c.DNS.Domains = nil
	}
	return c
}

// atHome is a laptop in a Wi-Fi at home.
func atHome() []path {
	return []path{
		{to: netip.MustParsePrefix("0.0.0.0/0"), by: "wifi", index: 7, up: true, made: true, cost: 35},
		{to: netip.MustParsePrefix("192.168.178.0/24"), by: "wifi", index: 7, up: true, cost: 291},
		{to: netip.MustParsePrefix("127.0.0.0/8"), by: "lo", index: 1, up: true, cost: 306},
	}
}

func through(by string, made bool, networks ...string) []path {
	var ways []path
	for _, network := range networks {
		ways = append(ways, path{to: netip.MustParsePrefix(network), by: by, index: 21, up: true, made: made, cost: 9})
	}
	return ways
}

func refused(networks ...string) []path {
	var ways []path
	for _, network := range networks {
		ways = append(ways, path{to: netip.MustParsePrefix(network), by: "lo", index: 1, up: true, made: true, refuses: true})
	}
	return ways
}

func steps(all []step) []string {
	var list []string
	for _, s := range all {
		text := string(s.verb)
		switch {
		case s.prefix.IsValid():
			text += " " + s.prefix.String()
		case s.verb == adjustLink && s.first:
			text += ": first"
		case s.verb == setNames && len(s.names.Domains) == 0:
			text += ": all names"
		case s.verb == setNames:
			text += ": " + s.names.Domains[0]
		}
		list = append(list, text)
	}
	return list
}

func withoutLocal(c Config) Config {
	c.LocalDenied = true
	return c
}

func TestPlan(t *testing.T) {
	bare := sight{there: true, mtu: 1420, ways: atHome()}
	stands := sight{
		there: true, mtu: 1380, addresses: prefixes("10.80.0.5/32", "fd80:1::5/128"),
		ways:  slices.Concat(atHome(), through("hd0", true, "10.1.0.0/16", "fd00:1::/48"), through("hd0", false, "10.80.0.5/32", "224.0.0.0/4")),
		named: true, names: DNS{Servers: office().DNS.Servers, Domains: []string{"stadt.example"}},
	}
	for _, test := range []struct {
		world     string
		traits    traits
		want      Config
		have      sight
		left      laid
		steps     []string
		conflicts []string
	}{
		{
			world: "Windows, an interface that was just made", traits: windowsTraits(), want: office(), have: bare,
			steps: []string{"set MTU and rank", "add address 10.80.0.5/32", "add address fd80:1::5/128",
				"add route 10.1.0.0/16", "add route fd00:1::/48", "set name servers: stadt.example"},
		},
		{
			world: "macOS, the same", traits: macosTraits(), want: office(), have: bare,
			steps: []string{"set MTU and rank", "add address 10.80.0.5/32", "add address fd80:1::5/128",
				"add route 10.1.0.0/16", "add route fd00:1::/48", "set name servers: stadt.example"},
		},
		{
			world: "all is as it should be; what the system made of the addresses is left alone", traits: windowsTraits(), want: office(), have: stands,
			left: laid{Interface: "hd0"},
		},
		{
			world: "Windows, a full tunnel leads all interfaces; IPv6 goes into the tunnel, which lets nothing of it through", traits: windowsTraits(),
			want: officeV4(true), have: bare,
			steps: []string{"set MTU and rank: first", "add address 10.80.0.5/32", "add route 0.0.0.0/0", "add route 10.1.0.0/16",
				"add route ::/0", "add route fd00:1::/48", "set name servers: all names"},
		},
		{
			world: "macOS, a full tunnel in halves; IPv6 refuses", traits: macosTraits(), want: officeV4(true), have: bare,
			steps: []string{"set MTU and rank", "add address 10.80.0.5/32", "refuse ::/1", "refuse 8000::/1", "refuse fd00:1::/48",
				"add route 0.0.0.0/1", "add route 10.1.0.0/16", "add route 128.0.0.0/1", "set name servers: all names"},
		},
		{
			world: "Windows, a full tunnel becomes a split one: the rank is given back", traits: windowsTraits(), want: officeV4(false),
			have: sight{there: true, mtu: 1380, first: true, addresses: prefixes("10.80.0.5/32"),
				ways:  slices.Concat(atHome(), through("hd0", true, "0.0.0.0/0", "10.1.0.0/16", "::/0", "fd00:1::/48")),
				named: true, names: DNS{Servers: office().DNS.Servers}},
			left:  laid{Interface: "hd0"},
			steps: []string{"set MTU and rank", "remove route 0.0.0.0/0", "remove route ::/0", "set name servers: stadt.example"},
		},
		{
			world: "Windows, local networks are denied: that at home goes through the tunnel in halves, though the office has the same", traits: windowsTraits(),
			want: withoutLocal(officeV4(true)), have: sight{there: true, ways: slices.Concat(atHome(), through("wifi", false, "10.1.0.0/16", "224.0.0.0/4", "192.168.178.255/32"))},
			steps: []string{"set MTU and rank: first", "add address 10.80.0.5/32", "add route 0.0.0.0/0", "add route 10.1.0.0/16", "add route 10.1.0.0/17", "add route 10.1.128.0/17",
				"add route 192.168.178.0/25", "add route 192.168.178.128/25", "add route ::/0", "add route fd00:1::/48", "set name servers: all names"},
		},
		{
			world: "macOS, the same; an IPv6 network at home refuses", traits: macosTraits(),
			want: withoutLocal(officeV4(true)), have: sight{there: true, ways: slices.Concat(atHome(), through("en0", false, "2001:db8::/64"))},
			steps: []string{"set MTU and rank", "add address 10.80.0.5/32", "refuse ::/1", "refuse 2001:db8::/65", "refuse 2001:db8:0:0:8000::/65", "refuse 8000::/1", "refuse fd00:1::/48",
				"add route 0.0.0.0/1", "add route 10.1.0.0/16", "add route 128.0.0.0/1", "add route 192.168.178.0/25", "add route 192.168.178.128/25", "set name servers: all names"},
		},
		{
			world: "Windows, at home they use the addresses of the office: theirs goes before", traits: windowsTraits(), want: office(),
			have: sight{there: true, mtu: 1380, addresses: office().Addresses, ways: slices.Concat(atHome(), through("wifi", false, "10.1.0.0/16")),
				named: true, names: office().DNS},
			left:      laid{Interface: "hd0"},
			steps:     []string{"add route 10.1.0.0/16", "add route fd00:1::/48"},
			conflicts: []string{"the network 10.1.0.0/16 is already reached over wifi"},
		},
		{
			world: "macOS, the same: there is room for one", traits: macosTraits(), want: office(),
			have: sight{there: true, mtu: 1380, addresses: office().Addresses, ways: slices.Concat(atHome(), through("en0", false, "10.1.0.0/16")),
				named: true, names: office().DNS},
			left:      laid{Interface: "hd0"},
			steps:     []string{"add route fd00:1::/48"},
			conflicts: []string{"the network 10.1.0.0/16 is already reached over en0"},
		},
		{
			world: "the network at home is a cable that was pulled: it is none", traits: macosTraits(), want: office(),
			have: sight{there: true, mtu: 1380, addresses: office().Addresses, named: true, names: office().DNS,
				ways: append(atHome(), path{to: netip.MustParsePrefix("10.1.0.0/16"), by: "en5"})},
			left:  laid{Interface: "hd0"},
			steps: []string{"add route 10.1.0.0/16", "add route fd00:1::/48"},
		},
		{
			world: "another address: the new one and its ways first", traits: macosTraits(), want: office(),
			have: sight{there: true, mtu: 1380, addresses: prefixes("10.80.0.9/32", "fd80:1::5/128"), ways: slices.Concat(atHome(), through("hd0", true, "10.2.0.0/16", "fd00:1::/48")),
				named: true, names: office().DNS},
			left:  laid{Interface: "hd0"},
			steps: []string{"add address 10.80.0.5/32", "add route 10.1.0.0/16", "remove route 10.2.0.0/16", "remove address 10.80.0.9/32"},
		},
		{
			world: "a system that shows the address with another mask", traits: macosTraits(), want: officeV4(false),
			have: sight{there: true, mtu: 1380, addresses: prefixes("10.80.0.5/8"), ways: slices.Concat(atHome(), through("hd0", true, "10.1.0.0/16"), refused("fd00:1::/48")),
				named: true, names: office().DNS},
			left: laid{Interface: "hd0", Refused: prefixes("fd00:1::/48")},
		},
		{
			world: "taking it all back: names go before the way to their servers", traits: windowsTraits(), want: Config{Interface: "hd0"}, have: stands,
			left: laid{Interface: "hd0"},
			steps: []string{"clear name servers", "remove route 10.1.0.0/16", "remove route fd00:1::/48",
				"remove address 10.80.0.5/32", "remove address fd80:1::5/128"},
		},
		{
			world: "killed in a full tunnel: the interface went with the process, what refuses stayed", traits: macosTraits(), want: Config{Interface: "utun4"},
			have:  sight{ways: slices.Concat(atHome(), refused("::/1", "8000::/1")), named: true, names: office().DNS},
			left:  laid{Interface: "utun4", Refused: prefixes("::/1", "8000::/1")},
			steps: []string{"clear name servers", "refuse no more ::/1", "refuse no more 8000::/1"},
		},
		{
			world: "somebody else refuses a network too, and is left alone", traits: macosTraits(), want: Config{Interface: "utun4"},
			have: sight{ways: slices.Concat(atHome(), refused("10.9.0.0/16"))}, left: laid{Interface: "utun4", Refused: prefixes("::/1")},
		},
		{
			world: "no journal, but our mark", traits: windowsTraits(), want: Config{}, have: sight{ways: atHome(), named: true},
			steps: []string{"clear name servers"},
		},
		{
			world: "our mark on rules that somebody changed", traits: windowsTraits(), want: office(),
			have: func() sight { s := stands; s.names = DNS{}; return s }(), left: laid{Interface: "hd0"},
			steps: []string{"set name servers: stadt.example"},
		},
	} {
		t.Run(test.world, func(t *testing.T) {
			got, conflicts := plan(test.traits, test.want, test.have, test.left)
			if diff := cmp.Diff(test.steps, steps(got), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			var said []string
			for _, c := range conflicts {
				said = append(said, c.Error())
			}
			if diff := cmp.Diff(test.conflicts, said, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("conflicts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLeave(t *testing.T) {
	cable := []path{
		{to: netip.MustParsePrefix("0.0.0.0/0"), by: "cable", index: 4, up: true, cost: 25},
		{to: netip.MustParsePrefix("198.51.100.0/24"), by: "cable", index: 4, up: true, cost: 281},
	}
	tunnel := through("hd0", true, "0.0.0.0/0", "0.0.0.0/1", "198.51.100.7/32")
	for _, test := range []struct {
		world string
		ways  []path
		to    string
		want  uint32 // zero: none
	}{
		{"Wi-Fi alone", slices.Concat(atHome(), tunnel), "198.51.100.7", 7},
		{"cable and Wi-Fi: the cheaper one", slices.Concat(atHome(), cable, tunnel), "203.0.113.1", 4},
		{"the server stands in the network at home", slices.Concat(cable, atHome(), tunnel), "192.168.178.20", 7},
		{"the tunnel alone", tunnel, "198.51.100.7", 0},
		{"IPv6 where there is none", slices.Concat(atHome(), tunnel), "2001:db8::1", 0},
		{"IPv6 that our own tunnel refuses", append(refused("::/1"), path{to: netip.MustParsePrefix("::/0"), by: "wifi", index: 7, up: true}), "2001:db8::1", 7},
		{"a cable that was pulled", append(atHome(), path{to: netip.MustParsePrefix("0.0.0.0/0"), by: "cable", index: 4}), "203.0.113.1", 7},
	} {
		w, ok := leave(test.ways, netip.MustParseAddr(test.to), "hd0")
		if ok != (test.want != 0) || w.index != test.want {
			t.Errorf("%s: to %s by %d, want %d", test.world, test.to, w.index, test.want)
		}
	}
}
