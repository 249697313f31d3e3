package rpc_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// following is somebody who watches a taking that does not end, for its gateway
// says nothing.
func following(t *testing.T, s *provisionertest.Server, token string) <-chan error {
	t.Helper()
	gateway := s.JoinGateway("gw1")
	gateway.Run()
	laptop := s.Enrol(provisionertest.Staff, "SN1")
	open(t, s.Attach(t.Context(), laptop))
	gateway.Mute(true)
	desk, ctx := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)), provisionertest.As(t.Context(), token)
	taking, err := desk.Take(ctx, &heimdrahtv1.TakeRequest{Action: takeSuspend, PersonId: staffOf(t, s, provisionertest.Staff), Reason: "x"})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := desk.FollowTaking(ctx, &heimdrahtv1.FollowTakingRequest{TakingId: taking.GetTakingId(), WaitMs: time.Minute.Milliseconds()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for err == nil {
			_, err = stream.Recv()
		}
		ended <- err
	}()
	return ended
}

// A stream ends with the token that it was opened with: when she signs out, and when
// the directory takes the role away.
func TestAStreamEndsWithItsToken(t *testing.T) {
	for _, c := range []struct {
		name string
		ends func(t *testing.T, s *provisionertest.Server, token string) error
		want string
	}{
		{"she signs out", func(t *testing.T, s *provisionertest.Server, token string) error {
			_, err := heimdrahtv1.NewAuthServiceClient(s.Dial(nil)).Logout(provisionertest.As(t.Context(), token), &heimdrahtv1.LogoutRequest{})
			return err
		}, "not-signed-in"},
		{"the role goes, another stays", func(_ *testing.T, s *provisionertest.Server, _ string) error {
			return s.Directory.Leave(provisionertest.GroupDN("Helpdesk"), provisionertest.DN(provisionertest.Helpdesk))
		}, "not-allowed"},
		{"the account ends", func(_ *testing.T, s *provisionertest.Server, _ string) error {
			return s.Directory.Disable(provisionertest.DN(provisionertest.Helpdesk))
		}, "not-signed-in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := provisionertest.Start(t, nil)
			token := s.Login(provisionertest.Tenant, provisionertest.Helpdesk)
			ended := following(t, s, token)
			if err := c.ends(t, s, token); err != nil {
				t.Fatal(err)
			}
			expect(t, "the stream", <-ended, c.want)
		})
	}
}

// Who follows a taking that is done is told so at once, before every gateway has
// confirmed it.
func TestWhatIsDoneIsToldBeforeItIsConfirmed(t *testing.T) {
	s := provisionertest.Start(t, nil)
	token := s.Login(provisionertest.Tenant, provisionertest.Helpdesk)
	following(t, s, token) // until its laptop is taken
	desk, ctx := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil)), provisionertest.As(t.Context(), token)
	again, err := desk.Take(ctx, &heimdrahtv1.TakeRequest{Action: takeRevoke, PersonId: staffOf(t, s, provisionertest.Staff), Reason: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is done, as the first has been told
		told, stop := context.WithTimeout(ctx, 30*time.Second) // of the minute that it waits for the gateway
		defer stop()
		stream, err := desk.FollowTaking(told, &heimdrahtv1.FollowTakingRequest{TakingId: again.GetTakingId(), WaitMs: time.Minute.Milliseconds()})
		if err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			r, err := stream.Recv()
			if err != nil {
				t.Fatal("before it was told to be done: ", err)
			}
			if r.GetFinished() {
				t.Fatalf("a gateway that says nothing has confirmed: %v", r)
			}
			done = r.GetDone() == r.GetDevices()
		}
	}
}

// What shows a token that was never one, or of a role that the call does not take,
// is told nothing: on a stream as on any call.
func TestStreamsOfNobody(t *testing.T) {
	s := provisionertest.Start(t, nil)
	audit := heimdrahtv1.NewAuditServiceClient(s.Dial(nil))
	desk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	staff := s.Login(provisionertest.Tenant, provisionertest.Staff)
	for name, c := range map[string]struct{ token, want string }{
		"no token":      {"", "not-signed-in"},
		"a forged one":  {strings.Repeat("a", 52), "not-signed-in"},
		"one of staff":  {staff, "not-allowed"},
		"a signed one+": {staff + "x", "not-signed-in"},
	} {
		ctx := provisionertest.As(t.Context(), c.token)
		export, err := audit.Export(ctx, &heimdrahtv1.ExportRequest{Reason: "x"})
		expect(t, name+" exports", firstOf(export, err), c.want)
		follow, err := desk.FollowTaking(ctx, &heimdrahtv1.FollowTakingRequest{TakingId: "x"})
		expect(t, name+" follows", firstOf(follow, err), c.want)
	}
}

// firstOf is the error with which a stream ends at once.
func firstOf[T any](stream interface{ Recv() (T, error) }, err error) error {
	if err != nil {
		return err
	}
	if _, err = stream.Recv(); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
