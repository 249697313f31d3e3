package rpc

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/admission"
)

const (
	// shownFor is how long what was found out about a certificate in the
	// handshake holds: the first call comes at once, and need not pay again.
	shownFor = time.Minute
	// readWithin is how long a stream's other side may leave unread what it is
	// sent, beyond what the transport takes in (64 KB).
	readWithin = 30 * time.Second
	// A connection may begin so many calls in a row, and so many a second; more
	// wait, and with them all else on this connection. A stream, which is opened
	// once and held, counts as many. Agents need one, commands a handful.
	callBurst, callRate = 1000, 500
	streamCounts        = 50
)

// connection is what a call knows of the connection it came over.
type connection struct {
	credentials.CommonAuthInfo

	raw   net.Conn
	chain []*x509.Certificate
	actor provisioner.Actor // by certificate, as found out at
	err   error             // why the certificate is no good
	at    time.Time
	calls *rate.Limiter
	in    *intake
}

// AuthType implements credentials.AuthInfo.
func (*connection) AuthType() string { return "tls" }

// connectionOf finds the connection of a call.
func connectionOf(ctx context.Context) (*connection, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if c, ok := p.AuthInfo.(*connection); ok {
			return c, nil
		}
	}
	return nil, errors.New("a call over a connection that did not come through the door")
}

// identify tells who holds the connection's certificate.
func (c *connection) identify(certificates Certificates) (provisioner.Actor, error) {
	if len(c.chain) == 0 || time.Since(c.at) < shownFor {
		return c.actor, c.err
	}
	return certificates.Identify(c.chain, time.Now())
}

// entrance is gRPC's view of the door.
type entrance struct {
	door         *admission.Door
	certificates Certificates
}

// ServerHandshake implements credentials.TransportCredentials.
func (e entrance) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c := &connection{
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		raw:            raw, calls: rate.NewLimiter(callRate, callBurst), in: newIntake(),
	}
	conn, err := e.door.Handshake(raw, func(chain []*x509.Certificate) string {
		c.chain, c.at = chain, time.Now()
		c.actor, c.err = e.certificates.Identify(chain, c.at)
		if c.err != nil {
			return ""
		}
		// With its generation: a former installation must not push out the present one.
		return string(c.actor.MainRole()) + " " + c.actor.ID + " " + strconv.FormatInt(c.actor.Generation, 10)
	})
	if err != nil {
		return nil, nil, err
	}
	c.in.Conn = conn
	if c.err == nil {
		c.in.room = mayHold(c.actor)
	}
	return c.in, c, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (entrance) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a server's")
}

// Info implements credentials.TransportCredentials.
func (entrance) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements credentials.TransportCredentials. There is one door.
func (e entrance) Clone() credentials.TransportCredentials { return e }

// OverrideServerName implements credentials.TransportCredentials. A server has
// its names in its certificate.
func (entrance) OverrideServerName(string) error { return nil }

// pace enters a call with its connection, and holds that up if it begins too
// many. It runs where the connection is read, so that nobody else waits.
func pace(ctx context.Context, info *tap.Info) (context.Context, error) {
	c, err := connectionOf(ctx)
	if err != nil {
		return ctx, err
	}
	n := 1
	if info.FullMethodName == heimdrahtv1.SessionService_Attach_FullMethodName || info.FullMethodName == heimdrahtv1.GatewayService_Sync_FullMethodName {
		n = streamCounts
	}
	if err := c.calls.WaitN(ctx, n); err != nil {
		return ctx, err
	}
	return c.in.begin(ctx), nil
}

// SendMsg sends, and ends the connection if its other side does not read. What
// was to be sent waits in our memory until then, and whoever sends it hears of
// nothing else.
func (a *admitted) SendMsg(message any) error {
	c, err := connectionOf(a.ctx)
	if err != nil {
		return err
	}
	timer := time.AfterFunc(readWithin, func() {
		actor := actorOf(a.ctx)
		level, who := slog.LevelDebug, slog.Attr{}
		if actor.Has(provisioner.RoleGateway) {
			level, who = slog.LevelWarn, slog.String("gateway", actor.ID)
		}
		a.log.LogAttrs(a.ctx, level, "a connection is ended: its other side does not read what it is sent", slog.String("role", string(actor.MainRole())), who)
		_ = c.raw.Close() // this is how SendMsg returns
	})
	defer timer.Stop()
	return a.ServerStream.SendMsg(message)
}

// admitted is a stream whose context knows the Actor.
type admitted struct {
	grpc.ServerStream
	ctx      context.Context
	call     *call
	log      *slog.Logger
	asksOnce bool // the caller sends one message
}

func (a *admitted) Context() context.Context { return a.ctx }
