package rpc_test

import (
	"context"
	"testing"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// told reads orders until one is as wanted.
func told(t *testing.T, stream heimdrahtv1.SessionService_AttachClient, what string, is func(*heimdrahtv1.AttachResponse) bool) *heimdrahtv1.AttachResponse {
	t.Helper()
	for {
		order, err := stream.Recv()
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if is(order) {
			return order
		}
		if order.GetWaiting() == nil {
			t.Fatalf("waiting for %s: told %v", what, order)
		}
	}
}

func isOpened(m *heimdrahtv1.AttachResponse) bool { return m.GetOpened() != nil }

func at(position int64) func(*heimdrahtv1.AttachResponse) bool {
	return func(m *heimdrahtv1.AttachResponse) bool { return m.GetWaiting().GetPosition() == position }
}

// inQueue is the stream of a laptop that was told to wait. Its first order is read a second time: the place may stand in
// it already, and is then told once.
type inQueue struct {
	heimdrahtv1.SessionService_AttachClient
	first *heimdrahtv1.AttachResponse
}

func (q *inQueue) Recv() (*heimdrahtv1.AttachResponse, error) {
	if first := q.first; first != nil {
		q.first = nil
		return first, nil
	}
	return q.SessionService_AttachClient.Recv()
}

// waits asks for a session, and is told to wait.
func waits(ctx context.Context, t *testing.T, s *provisionertest.Server, l provisionertest.Laptop) *inQueue {
	t.Helper()
	stream := s.Attach(ctx, l)
	answer, err := provisionertest.Open(stream, "")
	if err != nil || answer.GetWaiting() == nil {
		t.Fatalf("asking: %v, %v", answer, err)
	}
	if kept := answer.GetWaiting().GetKeptForMs(); kept != 180_000 {
		t.Errorf("the place is kept for %d ms", kept)
	}
	return &inQueue{stream, answer}
}

// A laptop that finds no seat waits on its stream and is told its place; one that
// comes back has the same; the session is opened on the stream when it is its turn.
func TestALaptopWaitsForASeat(t *testing.T) {
	d := provisionertest.Declaration()
	d.LicencePools[0].Contracts[0].Seats = 1
	s := provisionertest.StartWith(t, provisionertest.Options{Declaration: d, People: 3})
	s.JoinGateway("gw1").Run()
	has, first, second := s.Enrol(provisionertest.Login(0), "SN1"), s.Enrol(provisionertest.Login(1), "SN2"), s.Enrol(provisionertest.Login(2), "SN3")
	holder := s.Attach(t.Context(), has)
	id := open(t, holder).GetSessionId()

	breaks, cut := context.WithCancel(t.Context())
	firsts := waits(breaks, t, s, first)
	told(t, firsts, "the first place", at(1))
	seconds := waits(t.Context(), t, s, second)
	told(t, seconds, "the second place", at(2))
	cut()
	told(t, seconds, "the first place, while the other one is away", at(1))
	firsts = waits(t.Context(), t, s, first)
	told(t, seconds, "the second place again", at(2))

	if err := holder.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: id}}}); err != nil {
		t.Fatal(err)
	}
	opened := told(t, firsts, "the session", isOpened).GetOpened()
	told(t, seconds, "the first place", at(1))
	if err := firsts.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: opened.GetSessionId()}}}); err != nil {
		t.Fatal(err)
	}
	told(t, seconds, "the session", isOpened)

	// Who may not go on while she waits hears that, and her place goes.
	firsts = waits(t.Context(), t, s, first)
	if !revoke(t, s, first.ID, 10_000) {
		t.Error("the revocation was not confirmed")
	}
	for {
		if _, err := firsts.Recv(); err != nil {
			expect(t, "the stream", err, "device-revoked")
			break
		}
	}
}

// Who waits while a crisis begins that is closed to her is told so at once, also when she
// asks again, and of her place when it is over.
func TestACrisisIsToldToWhoWaits(t *testing.T) {
	d := provisionertest.Declaration()
	d.LicencePools[0].Contracts[0].Seats = 1
	d.Tenants[0].Priority = &heimdrahtv1.PriorityGroups{Crisis: provisionertest.GroupDN("Helpdesk")}
	d.Tenants[0].Crisis = &heimdrahtv1.CrisisPlan{CloseOrdinary: true}
	s := provisionertest.StartWith(t, provisionertest.Options{Declaration: d, People: 2})
	s.JoinGateway("gw1").Run()
	has, second := s.Enrol(provisionertest.Login(0), "SN1"), s.Enrol(provisionertest.Login(1), "SN2")
	open(t, s.Attach(t.Context(), has))
	breaks, cut := context.WithCancel(t.Context())
	seconds := waits(breaks, t, s, second)
	told(t, seconds, "the place", at(1))

	admin := provisionertest.As(t.Context(), s.Login(provisionertest.Tenant, provisionertest.Admin))
	crisis := func(begin bool) {
		t.Helper()
		if _, err := heimdrahtv1.NewAdminServiceClient(s.Dial(nil)).SwitchCrisis(admin, &heimdrahtv1.SwitchCrisisRequest{Tenant: provisionertest.Tenant, On: begin, Reason: "flood"}); err != nil {
			t.Fatal(err)
		}
	}
	rests := func(m *heimdrahtv1.AttachResponse) bool {
		w := m.GetWaiting()
		return w.GetRests() && w.GetPosition() == 0 && w.ExpectedWaitMs == nil
	}
	crisis(true)
	told(t, seconds, "that the place rests", rests)
	cut()
	again := waits(t.Context(), t, s, second)
	if answer := again.first; !rests(answer) {
		t.Errorf("who comes back is told %v", answer)
	}
	crisis(false)
	told(t, again, "the place again", at(1))
}
