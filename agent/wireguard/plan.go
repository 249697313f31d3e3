package wireguard

import (
	"fmt"
	"net/netip"
)

// Change is one step that Device.Apply takes with one peer.
type Change struct {
	// Remove takes the peer away; of Peer, only PublicKey counts. That the peer is absent is no error.
	Remove bool
	// Peer is installed as it stands here: a peer that is there already loses the allowed IPs, preshared key
	// and keepalive that are not named. Without an Endpoint, a known one stays.
	Peer Peer
	// KeepAllowedIPs leaves the allowed IPs of a peer that is there already as they are, so that not a single
	// packet is lost while its preshared key or keepalive changes.
	KeepAllowedIPs bool
}

// Readd returns the changes that remove the peer and add it anew in one call. After a gateway has lost the
// peer of a laptop, the laptop is back in 6 ms so; if it only updated its peer, or waited, it would take
// 15 s to 112 s. The peer's counters begin at zero.
func Readd(peer Peer) []Change {
	return []Change{{Remove: true, Peer: Peer{PublicKey: peer.PublicKey}}, {Peer: peer}}
}

// Plan returns the changes that make the peers of have the peers of want; if they are that already, none.
// It is pure.
//
// Removals come first. Then come the peers that give up an address which another peer gets: they give it
// up before the other one takes it, so that no address is ever stolen. Then all the rest, in want's order.
// Peers in which nothing changes are not touched.
//
// An Endpoint in want is where a peer that is added starts. It is never compared: peers roam, and to drag
// one back to where it once was would interrupt it. To change it on purpose, use Readd.
//
// What want says twice, it says once: the first peer with a key or an address keeps it, and Check names the
// others. An invalid prefix counts as absent.
func Plan(want, have []Peer) []Change {
	wanted := disentangle(want)
	byKey := make(map[Key]int, len(wanted))
	owner := make(map[netip.Prefix]Key, len(wanted))
	for i, peer := range wanted {
		byKey[peer.PublicKey] = i
		for _, prefix := range peer.AllowedIPs {
			owner[prefix] = peer.PublicKey
		}
	}

	var removals, releases, rest []Change
	held := make(map[Key]Peer, len(have))
	for _, peer := range have {
		if _, again := held[peer.PublicKey]; again {
			continue
		}
		peer.AllowedIPs = normalPrefixes(peer.AllowedIPs)
		held[peer.PublicKey] = peer
		i, ok := byKey[peer.PublicKey]
		if !ok {
			removals = append(removals, Change{Remove: true, Peer: Peer{PublicKey: peer.PublicKey}})
			continue
		}
		if kept, gives := keeps(peer, owner); gives {
			release := wanted[i]
			release.Endpoint = netip.AddrPort{}
			release.AllowedIPs = kept
			releases = append(releases, Change{Peer: release})
			// From here on the rest is compared with what the release has left.
			held[peer.PublicKey] = release
		}
	}
	for _, peer := range wanted {
		before, ok := held[peer.PublicKey]
		if !ok {
			rest = append(rest, Change{Peer: peer})
			continue
		}
		sameIPs := samePrefixes(before.AllowedIPs, peer.AllowedIPs)
		if sameIPs && before.PresharedKey == peer.PresharedKey && before.Keepalive == peer.Keepalive {
			continue
		}
		peer.Endpoint = netip.AddrPort{}
		rest = append(rest, Change{Peer: peer, KeepAllowedIPs: sameIPs})
	}
	return append(append(removals, releases...), rest...)
}

// keeps returns those of the peer's addresses that it keeps, and whether it gives one to another peer.
func keeps(peer Peer, owner map[netip.Prefix]Key) (kept []netip.Prefix, gives bool) {
	for _, prefix := range peer.AllowedIPs {
		switch next, ok := owner[prefix]; {
		case ok && next == peer.PublicKey:
			kept = append(kept, prefix)
		case ok:
			gives = true
		}
	}
	return kept, gives
}

// Problem is a peer of a wanted state that cannot be installed as it is written.
type Problem struct {
	PublicKey Key
	// Reason is a clause for a log line. It contains no secret.
	Reason string
}

// Check names what is wrong with a wanted state: invalid peers, keys and addresses given twice. Plan goes on
// without them, because a removal must not wait for somebody to repair the peer of somebody else.
func Check(want []Peer) []Problem {
	var problems []Problem
	add := func(key Key, format string, args ...any) {
		problems = append(problems, Problem{PublicKey: key, Reason: fmt.Sprintf(format, args...)})
	}
	seen := make(map[Key]bool, len(want))
	owner := make(map[netip.Prefix]Key, len(want))
	for _, peer := range want {
		if err := peer.validate(); err != nil {
			add(peer.PublicKey, "%v", err)
		}
		if seen[peer.PublicKey] {
			add(peer.PublicKey, "the peer is wanted twice")
			continue
		}
		seen[peer.PublicKey] = true
		for _, prefix := range normalPrefixes(peer.AllowedIPs) {
			if first, ok := owner[prefix]; ok {
				add(peer.PublicKey, "%v belongs to %v", prefix, first)
				continue
			}
			owner[prefix] = peer.PublicKey
		}
	}
	return problems
}

// disentangle returns want with normal prefixes, each key and each address once.
func disentangle(want []Peer) []Peer {
	out := make([]Peer, 0, len(want))
	seen := make(map[Key]bool, len(want))
	taken := make(map[netip.Prefix]bool, len(want))
	for _, peer := range want {
		if peer.PublicKey.IsZero() || seen[peer.PublicKey] {
			continue
		}
		seen[peer.PublicKey] = true
		prefixes := normalPrefixes(peer.AllowedIPs)
		free := prefixes[:0]
		for _, prefix := range prefixes {
			if taken[prefix] {
				continue
			}
			taken[prefix] = true
			free = append(free, prefix)
		}
		peer.AllowedIPs = free
		out = append(out, peer)
	}
	return out
}

// samePrefixes compares as sets. Both lists are normal, that is without repetition.
func samePrefixes(a, b []netip.Prefix) bool {
	if len(a) != len(b) {
		return false
	}
	for _, prefix := range a {
		if !contains(b, prefix) {
			return false
		}
	}
	return true
}
