package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// A removal of another epoch, or an earlier one, takes nothing from what is
// known already.
func TestTombstoneKeepsTheWordOfEachEpoch(t *testing.T) {
	w := newWanted()
	w.at = place{"e1", 1}
	for _, order := range []*heimdrahtv1.SyncResponse{removalOrder("e1", 3, "s3"), removalOrder("e2", 9, "s3"), removalOrder("e1", 2, "s3")} {
		if _, _, err := w.receive(order); err != nil {
			t.Fatal(err)
		}
	}
	for revision := int64(1); revision <= 3; revision++ {
		delta := &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: &heimdrahtv1.Delta{
			Epoch: "e1", After: revision, Upto: revision + 1, Peers: []*heimdrahtv1.Peer{peer(3, 0)}}}}
		if _, _, err := w.receive(delta); err != nil {
			t.Fatal(err)
		}
		if w.sessions["s3"] != nil {
			t.Errorf("closed at 3 in one epoch and at 9 in another, the session is back at %d", revision+1)
		}
	}
}

// Peers beyond what WireGuard takes are left out and named. Whoever is there stays, whoever goes makes room, and what is
// told of those who are there counts.
func TestPeersOverTheLimit(t *testing.T) {
	numbered := func(n int) *session {
		s := &session{id: fmt.Sprint("s", n)}
		binary.BigEndian.PutUint64(s.peer.PublicKey[:], uint64(n))
		return s
	}
	many := func(from, to int) (list []*session) {
		for n := from; n < to; n++ {
			list = append(list, numbered(n))
		}
		return list
	}
	holds := func(w *wanted, over []badPeer, names ...string) {
		t.Helper()
		if len(w.sessions) != maxSessions || len(w.byKey) != maxSessions || w.sessions["s0"] == nil || len(over) != len(names) {
			t.Fatalf("%d sessions, %d keys, %v left out, want %q", len(w.sessions), len(w.byKey), over, names)
		}
		for i, name := range names {
			if over[i].session != name || !errors.Is(over[i].why, errOver) {
				t.Errorf("%v is left out, want %s", over[i], name)
			}
		}
	}
	w := newWanted()
	w.begin(place{"e", 1})
	var over []badPeer
	for list := range slices.Chunk(many(0, maxSessions+2), maxPage) {
		some, err := w.page(list, len(list))
		if err != nil {
			t.Fatal(err)
		}
		over = append(over, some...)
	}
	if _, err := w.end(place{"e", 1}, maxSessions+2); err != nil {
		t.Fatal(err)
	}
	holds(w, over, fmt.Sprint("s", maxSessions), fmt.Sprint("s", maxSessions+1))
	changed := numbered(0)
	changed.notAfter = time.Unix(1, 0)
	d := delta{epoch: "e", after: 1, upto: place{"e", 2}, removed: []string{"s7"}, added: append([]*session{changed}, many(100_000, 100_002)...)}
	touched, over, err := w.applyDelta(d)
	if err != nil || len(touched) < 3 || w.sessions["s100000"] == nil || !w.sessions["s0"].notAfter.Equal(changed.notAfter) {
		t.Errorf("touched %d, %v", len(touched), err)
	}
	holds(w, over, "s100001")
}
