package rpc

import (
	"fmt"
	"testing"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
)

// sent keeps what a stream is to send.
type sent struct {
	syncStream
	deltas []*heimdrahtv1.Delta
}

func (s *sent) Send(m *heimdrahtv1.SyncResponse) error {
	s.deltas = append(s.deltas, m.GetDelta())
	return nil
}

// A delta that names a whole tenant's sessions goes in parts that a message can hold.
// Each names the lists of its own peers, removals come first, and the place is
// reached with the last one.
func TestLargeDeltasGoInParts(t *testing.T) {
	for _, n := range []int{0, 1, pageSize, pageSize + 1, 2*pageSize + 1} {
		d := session.Delta{Epoch: "e", After: 7, Upto: 9, Removed: []string{"gone"}}
		for i := range n {
			d.Peers = append(d.Peers, session.Peer{Session: fmt.Sprint(i), Access: &provisioner.AccessList{ID: fmt.Sprint("list-", i%3)}})
		}
		to := &sent{}
		if err := (&syncer{stream: to}).delta(d); err != nil {
			t.Fatal(err)
		}
		peers := 0
		for i, part := range to.deltas {
			peers += len(part.GetPeers())
			last := i == len(to.deltas)-1
			if len(part.GetPeers()) > pageSize || part.GetAfter() != 7 || (part.GetUpto() == 9) != last || (len(part.GetRemovedSessions()) > 0) != (i == 0) {
				t.Errorf("%d peers: part %d goes from %d to %d with %d peers and %d removals", n, i, part.GetAfter(), part.GetUpto(),
					len(part.GetPeers()), len(part.GetRemovedSessions()))
			}
			if want := min(3, len(part.GetPeers())); len(part.GetAccessLists()) != want {
				t.Errorf("%d peers: part %d has %d lists, want %d", n, i, len(part.GetAccessLists()), want)
			}
		}
		if peers != n {
			t.Errorf("%d peers of %d were sent", peers, n)
		}
	}
}
