package main

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// TestDrain: at SIGTERM streams are told to go, a call under way ends with its
// answer, one that would take too long is cut off, and the program ends with
// status 0.
func TestDrain(t *testing.T) {
	for _, c := range []struct {
		name     string
		wait     time.Duration // of the call that is under way
		answered bool
		within   time.Duration // from the signal to the end
	}{
		{"a call that ends", 3 * time.Second, true, 9 * time.Second},
		{"a call that would not end", time.Minute, false, 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLoad(t, 10)
			l.start()
			l.signIn()
			l.gateway.Run()
			open := func(n int) (provisionertest.Laptop, heimdrahtv1.SessionService_AttachClient) {
				laptop := l.Enrol(provisionertest.Login(n), provisionertest.Login(n))
				stream := l.Attach(t.Context(), laptop)
				if answer, err := provisionertest.Open(stream, ""); err != nil || answer.GetOpened() == nil {
					t.Fatal(answer, err)
				}
				return laptop, stream
			}
			_, stays := open(1)
			lost, told := open(2)
			l.gateway.Mute(true) // it removes the peer, and does not say so
			type revoked struct {
				answer *heimdrahtv1.RevokeDeviceResponse
				err    error
			}
			answered := make(chan revoked, 1)
			conn := l.Dial(nil)
			go func() {
				answer, err := heimdrahtv1.NewHelpdeskServiceClient(conn).RevokeDevice(provisionertest.As(t.Context(), l.Operator),
					&heimdrahtv1.RevokeDeviceRequest{DeviceId: lost.ID, Reason: "lost", WaitMs: c.wait.Milliseconds()})
				answered <- revoked{answer, err}
			}()
			if answer, err := told.Recv(); err != nil || answer.GetClosed() == nil { // so the call is under way
				t.Fatal(answer, err)
			}
			began := time.Now()
			if err := l.process.terminate(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > c.within {
				t.Errorf("it took %v", took)
			}
			l.process = nil
			if answer, err := stays.Recv(); !strings.Contains(status.Convert(err).Message(), "shutting-down") {
				t.Errorf("a laptop's stream is told %v, %v", answer, err)
			}
			r := <-answered
			if c.answered && (r.err != nil || len(r.answer.GetConfirmations()) != 1) {
				t.Errorf("the call under way: %v, %v", r.answer, r.err)
			}
			if !c.answered && status.Code(r.err) != codes.Unavailable && status.Code(r.err) != codes.Canceled {
				t.Errorf("the call that would not end: %v, %v", r.answer, r.err)
			}
			l.gateway.Stop()
			l.audit("after the end")
		})
	}
}
