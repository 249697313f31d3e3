package rpc_test

import (
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// next renews until an order comes that is no answer to that.
func next(t *testing.T, stream heimdrahtv1.SessionService_AttachClient, id string, most int) *heimdrahtv1.AttachResponse {
	t.Helper()
	for range most {
		if err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Renew{Renew: &heimdrahtv1.RenewSession{SessionId: id}}}); err != nil {
			t.Fatal(err)
		}
		for renewed := false; !renewed; {
			order, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if renewed = order.GetRenewed() != nil; !renewed {
				return order
			}
		}
	}
	return nil
}

// A session that ends because nothing is transferred is announced, on each stream and once, by an
// order that older laptops do not know; work withdraws it.
func TestAnIdleEndIsAnnouncedAndWithdrawn(t *testing.T) {
	s := provisionertest.Start(t, nil)
	gateway := s.JoinGateway("gw1")
	gateway.Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	id := open(t, s.Attach(t.Context(), laptop)).GetSessionId()
	gateway.Stop()
	s.IdleUntil(laptop.ID, time.Now().Add(5*time.Minute))
	gateway.Run()

	var stream heimdrahtv1.SessionService_AttachClient
	for _, name := range []string{"first", "after it broke"} {
		stream = s.Attach(t.Context(), laptop)
		if order, err := provisionertest.Open(stream, id); err != nil || !order.GetOpened().GetResumed() {
			t.Fatal(order, err)
		}
		order := next(t, stream, id, 1)
		idle := order.GetIdle()
		if idle.GetSessionId() != id || idle.GetWhy().GetCode() != "session-idle" {
			t.Fatalf("%s: told %v", name, order)
		}
		if within := time.Duration(idle.GetWithinMs()) * time.Millisecond; within < 3*time.Minute || within > 5*time.Minute {
			t.Errorf("%s: ends within %v", name, within)
		}
		// The answer to the renewal that was asked with is on its way.
		if order, err := stream.Recv(); err != nil || order.GetRenewed() == nil {
			t.Fatal(order, err)
		}
		if again := next(t, stream, id, 2); again != nil {
			t.Errorf("%s: told again: %v", name, again)
		}
	}
	gateway.Observe(&heimdrahtv1.PeerObservation{SessionId: id, ReceivedBytes: 100_000})
	order := next(t, stream, id, 100)
	if order.GetIdle() == nil || order.GetIdle().GetWhy() != nil {
		t.Errorf("when she works: %v", order)
	}
}
