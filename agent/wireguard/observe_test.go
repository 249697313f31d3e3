package wireguard

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestObserver(t *testing.T) {
	shaken := time.Unix(1_800_000_000, 0)
	home, roamed := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:2")
	status := func(n int, rx, tx uint64, endpoint netip.AddrPort) PeerStatus {
		return PeerStatus{Peer: Peer{PublicKey: key(n), Endpoint: endpoint}, Rx: rx, Tx: tx, LastHandshake: shaken}
	}
	var o Observer
	for _, step := range []struct {
		name   string
		forget Key
		dump   []PeerStatus
		want   []Difference
	}{
		{name: "a peer that never spoke", dump: []PeerStatus{{Peer: Peer{PublicKey: key(1)}}}},
		{
			name: "it counts from zero", dump: []PeerStatus{status(1, 100, 50, home)},
			want: []Difference{{PublicKey: key(1), Rx: 100, Tx: 50, LastHandshake: shaken, Endpoint: home}},
		},
		{name: "nothing changed", dump: []PeerStatus{status(1, 100, 50, home)}},
		{
			name: "growth, and another peer", dump: []PeerStatus{status(1, 130, 50, home), status(2, 7, 8, home)},
			want: []Difference{
				{PublicKey: key(1), Rx: 30, LastHandshake: shaken, Endpoint: home},
				{PublicKey: key(2), Rx: 7, Tx: 8, LastHandshake: shaken, Endpoint: home},
			},
		},
		{
			name: "roaming alone is news", dump: []PeerStatus{status(1, 130, 50, roamed), status(2, 7, 8, home)},
			want: []Difference{{PublicKey: key(1), LastHandshake: shaken, Endpoint: roamed}},
		},
		{name: "a dump came back short", dump: []PeerStatus{status(2, 7, 8, home)}},
		{
			name: "and nothing counts twice", dump: []PeerStatus{status(1, 131, 50, roamed), status(2, 7, 8, home)},
			want: []Difference{{PublicKey: key(1), Rx: 1, LastHandshake: shaken, Endpoint: roamed}},
		},
		{
			name: "a fall of one counter resets both", dump: []PeerStatus{status(1, 140, 5, roamed)},
			want: []Difference{{PublicKey: key(1), Rx: 140, Tx: 5, LastHandshake: shaken, Endpoint: roamed}},
		},
		{
			name: "removed and added again, and already further than before", forget: key(1), dump: []PeerStatus{status(1, 150, 9, home)},
			want: []Difference{{PublicKey: key(1), Rx: 150, Tx: 9, LastHandshake: shaken, Endpoint: home}},
		},
	} {
		if !step.forget.IsZero() {
			o.Forget(step.forget)
		}
		if diff := cmp.Diff(step.want, o.Observe(step.dump), asSets); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestPrimedObserverDoesNotCountThePast(t *testing.T) {
	var o Observer
	dump := []PeerStatus{{Peer: Peer{PublicKey: key(1)}, Rx: 1 << 40}}
	o.Prime(dump)
	dump[0].Rx += 5
	if got := o.Observe(dump); len(got) != 1 || got[0].Rx != 5 {
		t.Errorf("differences %v, want 5 bytes", got)
	}
}

// TestObserverCountsEveryByte: whatever the dumps leave out, the sum of the differences is what was counted.
func TestObserverCountsEveryByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o Observer
		var sent, counted, counter uint64
		for range rapid.IntRange(1, 20).Draw(t, "dumps") {
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0: // observed, removed, added again
				counted += total(o.Observe([]PeerStatus{{Peer: Peer{PublicKey: key(1)}, Rx: counter}}))
				o.Forget(key(1))
				counter = 0
			case 1: // the dump came back short
				counted += total(o.Observe(nil))
				continue
			}
			bytes := uint64(rapid.IntRange(0, 1000).Draw(t, "bytes"))
			counter, sent = counter+bytes, sent+bytes
			counted += total(o.Observe([]PeerStatus{{Peer: Peer{PublicKey: key(1)}, Rx: counter}}))
		}
		if sent != counted {
			t.Fatalf("%d bytes sent, %d counted", sent, counted)
		}
	})
}

func total(differences []Difference) (sum uint64) {
	for _, d := range differences {
		sum += d.Rx
	}
	return sum
}
