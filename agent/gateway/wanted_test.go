package gateway

import (
	"testing"

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
