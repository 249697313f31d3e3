package wireguard

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// model is a device as WireGuard's documentation describes it, except that it notices theft.
type model struct {
	t     interface{ Fatalf(string, ...any) }
	peers map[Key]Peer
}

func newModel(t interface{ Fatalf(string, ...any) }, have []Peer) *model {
	m := &model{t: t, peers: map[Key]Peer{}}
	for _, peer := range have {
		m.peers[peer.PublicKey] = peer
	}
	return m
}

func (m *model) apply(changes []Change) {
	for _, change := range changes {
		key := change.Peer.PublicKey
		if change.Remove {
			delete(m.peers, key)
			continue
		}
		peer := change.Peer
		before, known := m.peers[key]
		if known && !peer.Endpoint.IsValid() {
			peer.Endpoint = before.Endpoint
		}
		if change.KeepAllowedIPs {
			peer.AllowedIPs = before.AllowedIPs
		}
		for other, holder := range m.peers {
			for _, prefix := range holder.AllowedIPs {
				if other != key && slices.Contains(peer.AllowedIPs, prefix) {
					m.t.Fatalf("%v was stolen from %v by %v", prefix, other, key)
				}
			}
		}
		m.peers[key] = peer
	}
}

func (m *model) list() []Peer {
	var out []Peer
	for _, peer := range m.peers {
		out = append(out, peer)
	}
	return out
}

// key makes a public key from a number.
func key(n int) (k Key) {
	k[0], k[31] = byte(n), 1
	return k
}

func psk(n int) (k PresharedKey) {
	k[0] = byte(n)
	return k
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// universe is so small that peers fight for the addresses.
func universe() []netip.Prefix {
	return prefixes("10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32", "10.0.0.0/24", "fd00::1/128", "fd00::2/128")
}

// drawPeers draws peers that do not contradict each other, as a device holds them.
func drawPeers(t *rapid.T, label string) []Peer {
	owner := rapid.SliceOfN(rapid.IntRange(0, 6), len(universe()), len(universe())).Draw(t, label+" owners")
	present := rapid.SliceOfN(rapid.Bool(), 6, 6).Draw(t, label+" present")
	var out []Peer
	for n, ok := range present {
		if !ok {
			continue
		}
		peer := Peer{
			PublicKey: key(n), PresharedKey: psk(rapid.IntRange(0, 2).Draw(t, "preshared key")),
			Keepalive: time.Duration(rapid.IntRange(0, 1).Draw(t, "keepalive")) * 25 * time.Second,
		}
		if rapid.Bool().Draw(t, "endpoint") {
			peer.Endpoint = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), uint16(rapid.IntRange(1, 3).Draw(t, "port")))
		}
		for i, prefix := range universe() {
			if owner[i] == n {
				peer.AllowedIPs = append(peer.AllowedIPs, prefix)
			}
		}
		out = append(out, peer)
	}
	return out
}

var asSets = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmpopts.SortSlices(func(a, b netip.Prefix) bool { return a.String() < b.String() }),
	cmpopts.SortSlices(func(a, b Peer) bool { return a.PublicKey.String() < b.PublicKey.String() }),
}

func withoutEndpoints(peers []Peer) []Peer {
	out := slices.Clone(peers)
	for i := range out {
		out[i].Endpoint = netip.AddrPort{}
	}
	return out
}

func TestPlanReachesWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have, want := drawPeers(t, "have"), drawPeers(t, "want")
		changes := Plan(want, have)
		m := newModel(t, have)
		m.apply(changes)
		if diff := cmp.Diff(withoutEndpoints(want), withoutEndpoints(m.list()), asSets); diff != "" {
			t.Fatalf("the plan does not lead to what is wanted (-want +got):\n%s", diff)
		}
		if again := Plan(want, m.list()); len(again) != 0 {
			t.Fatalf("a second plan is not empty: %v", again)
		}

		// Removals first; nobody who is as wanted is touched; a known endpoint is never set.
		removing, known := true, map[Key]Peer{}
		for _, peer := range have {
			known[peer.PublicKey] = peer
		}
		wanted := map[Key]Peer{}
		for _, peer := range want {
			wanted[peer.PublicKey] = peer
		}
		for _, change := range changes {
			if change.Remove && !removing {
				t.Fatalf("a removal after an addition: %v", changes)
			}
			removing = removing && change.Remove
			before, existed := known[change.Peer.PublicKey]
			if existed && !change.Remove && change.Peer.Endpoint.IsValid() {
				t.Fatalf("the endpoint of a peer that is there was set")
			}
			after, stays := wanted[change.Peer.PublicKey]
			if existed && stays && cmp.Equal(withoutEndpoints([]Peer{before}), withoutEndpoints([]Peer{after}), asSets) {
				t.Fatalf("a peer that is as wanted was touched: %v", change)
			}
		}
	})
}

// TestPlanSurvivesContradictions gives it states that no control plane should send.
func TestPlanSurvivesContradictions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have := drawPeers(t, "have")
		want := append(drawPeers(t, "want"), drawPeers(t, "and also")...)
		m := newModel(t, have)
		m.apply(Plan(want, have))
		if again := Plan(want, m.list()); len(again) != 0 {
			t.Fatalf("a second plan is not empty: %v", again)
		}
		contradicts := false
		seen, taken := map[Key]bool{}, map[netip.Prefix]bool{}
		for _, peer := range want {
			contradicts = contradicts || seen[peer.PublicKey]
			seen[peer.PublicKey] = true
			for _, prefix := range peer.AllowedIPs {
				contradicts = contradicts || taken[prefix]
				taken[prefix] = true
			}
		}
		if problems := Check(want); contradicts != (len(problems) > 0) {
			t.Fatalf("contradictions %v, but problems %v", contradicts, problems)
		}
	})
}

func TestPlan(t *testing.T) {
	a, b, c := key(1), key(2), key(3)
	endpoint := netip.MustParseAddrPort("192.0.2.1:51820")
	for name, test := range map[string]struct {
		want, have, _ []Peer
		changes       []Change
	}{
		"nothing":     {},
		"one is new":  {want: []Peer{{PublicKey: a, Endpoint: endpoint, AllowedIPs: prefixes("10.0.0.1/32")}}, changes: []Change{{Peer: Peer{PublicKey: a, Endpoint: endpoint, AllowedIPs: prefixes("10.0.0.1/32")}}}},
		"one is gone": {have: []Peer{{PublicKey: a, PresharedKey: psk(1)}}, changes: []Change{{Remove: true, Peer: Peer{PublicKey: a}}}},
		"the spelling of a prefix is no change": {
			want: []Peer{{PublicKey: a, AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("::ffff:10.9.0.1/128"), netip.MustParsePrefix("10.1.0.0/16")}}},
			have: []Peer{{PublicKey: a, AllowedIPs: prefixes("10.9.0.1/32", "10.1.0.0/16")}},
		},
		"a new preshared key alone leaves the addresses in place": {
			want:    []Peer{{PublicKey: a, PresharedKey: psk(2), AllowedIPs: prefixes("10.0.0.1/32")}},
			have:    []Peer{{PublicKey: a, PresharedKey: psk(1), AllowedIPs: prefixes("10.0.0.1/32"), Endpoint: endpoint}},
			changes: []Change{{KeepAllowedIPs: true, Peer: Peer{PublicKey: a, PresharedKey: psk(2), AllowedIPs: prefixes("10.0.0.1/32")}}},
		},
		"an address moves on": {
			want: []Peer{{PublicKey: b, AllowedIPs: prefixes("10.0.0.1/32")}, {PublicKey: a, AllowedIPs: prefixes("10.0.0.2/32")}},
			have: []Peer{{PublicKey: a, AllowedIPs: prefixes("10.0.0.1/32", "10.0.0.2/32")}},
			changes: []Change{
				{Peer: Peer{PublicKey: a, AllowedIPs: prefixes("10.0.0.2/32")}},
				{Peer: Peer{PublicKey: b, AllowedIPs: prefixes("10.0.0.1/32")}},
			},
		},
		"three swap in a circle": {
			want: []Peer{{PublicKey: a, AllowedIPs: prefixes("10.0.0.2/32")}, {PublicKey: b, AllowedIPs: prefixes("10.0.0.3/32")}, {PublicKey: c, AllowedIPs: prefixes("10.0.0.1/32")}},
			have: []Peer{{PublicKey: a, AllowedIPs: prefixes("10.0.0.1/32")}, {PublicKey: b, AllowedIPs: prefixes("10.0.0.2/32")}, {PublicKey: c, AllowedIPs: prefixes("10.0.0.3/32")}},
			changes: []Change{
				{Peer: Peer{PublicKey: a}}, {Peer: Peer{PublicKey: b}}, {Peer: Peer{PublicKey: c}},
				{Peer: Peer{PublicKey: a, AllowedIPs: prefixes("10.0.0.2/32")}},
				{Peer: Peer{PublicKey: b, AllowedIPs: prefixes("10.0.0.3/32")}},
				{Peer: Peer{PublicKey: c, AllowedIPs: prefixes("10.0.0.1/32")}},
			},
		},
		"who is gone gives up the address first": {
			want:    []Peer{{PublicKey: b, AllowedIPs: prefixes("10.0.0.1/32")}},
			have:    []Peer{{PublicKey: a, AllowedIPs: prefixes("10.0.0.1/32")}},
			changes: []Change{{Remove: true, Peer: Peer{PublicKey: a}}, {Peer: Peer{PublicKey: b, AllowedIPs: prefixes("10.0.0.1/32")}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.changes, Plan(test.want, test.have), asSets); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	problems := Check([]Peer{
		{PublicKey: key(1), AllowedIPs: prefixes("10.0.0.1/32")},
		{AllowedIPs: prefixes("10.0.0.9/32")},
		{PublicKey: key(2), AllowedIPs: prefixes("10.0.0.1/32"), PresharedKey: psk(7)},
		{PublicKey: key(1)},
		{PublicKey: key(3), Keepalive: time.Millisecond},
		{PublicKey: key(4), AllowedIPs: []netip.Prefix{{}}},
		{PublicKey: key(5), Endpoint: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 0)},
		{PublicKey: key(6), Keepalive: 65535 * time.Second, Endpoint: netip.MustParseAddrPort("[2001:db8::1]:51820")},
	})
	var got []string
	for _, problem := range problems {
		got = append(got, problem.Reason)
	}
	want := []string{
		"the peer has no public key", "10.0.0.1/32 belongs to " + key(1).String(), "the peer is wanted twice",
		"a keepalive is 0 to 65,535 whole seconds", "an allowed address is no prefix", `the endpoint "192.0.2.1:0" is no address with a port`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if strings.Contains(strings.Join(got, " "), psk(7).Base64()) {
		t.Error("a problem shows a preshared key")
	}
}

func BenchmarkPlan29000(b *testing.B) {
	peers := make([]Peer, 29000)
	for i := range peers {
		var k Key
		k[0], k[1], k[2] = byte(i), byte(i>>8), 1
		peers[i] = Peer{PublicKey: k, AllowedIPs: []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 80, byte(i >> 8), byte(i)}), 32),
		}}
	}
	have := slices.Clone(peers[1:])
	for b.Loop() {
		if len(Plan(peers, have)) != 1 {
			b.Fatal("the plan is wrong")
		}
	}
}
