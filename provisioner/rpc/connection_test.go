package rpc

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

// stuck is a stream whose other side reads only until the connection ends.
type stuck struct {
	grpc.ServerStream
	gone chan struct{}
}

func (s stuck) SendMsg(any) error {
	<-s.gone
	return net.ErrClosed
}

type closing struct {
	net.Conn
	gone chan struct{}
}

func (c closing) Close() error {
	close(c.gone)
	return nil
}

// Who leaves unread what it is sent is named and ended, so that nobody waits
// for it in our memory.
func TestWhoDoesNotReadIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		gone := make(chan struct{})
		ctx := peer.NewContext(t.Context(), &peer.Peer{AuthInfo: &connection{raw: closing{gone: gone}}})
		ctx = context.WithValue(ctx, actorKey{}, provisioner.Actor{ID: "gw1", Grants: []provisioner.Grant{{Role: provisioner.RoleGateway}}})
		start := time.Now()
		a := &admitted{ServerStream: stuck{gone: gone}, ctx: ctx, log: slog.New(slog.NewTextHandler(&log, nil))}
		if err := a.SendMsg(nil); !errors.Is(err, net.ErrClosed) || time.Since(start) != readWithin {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if !strings.Contains(log.String(), "gateway=gw1") {
			t.Errorf("logged %q", log.String())
		}
	})
}

// Calls without end wait, on their own connection; streams sooner than calls.
func TestCallsWithoutEndArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := peer.NewContext(t.Context(), &peer.Peer{AuthInfo: &connection{calls: rate.NewLimiter(callRate, callBurst), in: newIntake()}})
		for method, most := range map[string]int{
			heimdrahtv1.AuthService_WhoAmI_FullMethodName:    callBurst + 60*callRate,
			heimdrahtv1.SessionService_Attach_FullMethodName: (callBurst + 60*callRate) / streamCounts,
		} {
			start, n := time.Now(), 0
			for ; time.Since(start) < time.Minute; n++ {
				call, end := context.WithCancel(ctx)
				if _, err := pace(call, &tap.Info{FullMethodName: method}); err != nil {
					t.Fatal(err)
				}
				end()
			}
			if n > most+1 || n < most/2 {
				t.Errorf("%d calls of %s in a minute, at most %d", n, method, most)
			}
		}
	})
}

// What a certificate was found to be in the handshake does not hold for ever.
func TestWhatWasShownHoldsForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := certificatesOf(func() (provisioner.Actor, error) { return provisioner.Actor{}, errors.New("no more") })
		c := &connection{chain: make([]*x509.Certificate, 1), actor: provisioner.Actor{ID: "d1"}, at: time.Now()}
		if a, err := c.identify(authority); err != nil || a.ID != "d1" {
			t.Errorf("at first: %v, %v", a, err)
		}
		<-time.After(shownFor)
		if _, err := c.identify(authority); err == nil {
			t.Error("after a minute nobody looks again")
		}
	})
}

type certificatesOf func() (provisioner.Actor, error)

func (c certificatesOf) Identify([]*x509.Certificate, time.Time) (provisioner.Actor, error) {
	return c()
}
