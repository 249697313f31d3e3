package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const (
	// lifeSign is how often we say where we are, and so that we live.
	lifeSign = 2 * time.Second
	// askAgain is how soon a snapshot that did not come is asked for again.
	askAgain = 30 * time.Second
	// snapshotTime is how long one may take to arrive.
	snapshotTime = 2 * time.Minute
	// codeReplaced is the control plane's word that this gateway is none any
	// more: no grace time is due to what nobody authorises.
	codeReplaced = "gateway-replaced"
	// A control plane that was restarted is missed by those who wait to have somebody's
	// access taken away, and gateways are few: for hurryFor after it was lost they
	// ask again after hurry at the most.
	hurry    = 300 * time.Millisecond
	hurryFor = time.Minute
	// sameProblem is how often a lasting problem is logged.
	sameProblem = 10 * time.Minute
	maxConfirm  = 1_000
)

// outbox is what the sender has to say. Guarded by Gateway.mu.
type outbox struct {
	acked  place // installed and on disk
	ackDue bool
	gone   []string // removed ahead of their revision, not yet said
	// confirmed are removed sessions that still have a tombstone: they are
	// said again on a new stream.
	confirmed map[string]struct{}

	// needSnapshot is why we need one. Empty: we do not.
	needSnapshot    string
	askedAt         time.Time // on this stream; zero: not asked
	collectingSince time.Time

	readings map[string]reading // by session
	passDone bool               // the readings are those of a whole pass
	reportBy bool               // send the readings at once: sessions ended

	load *heimdrahtv1.GatewayLoad // nil: not measured yet
}

// link is the connection's state. Guarded by Gateway.mu.
type link struct {
	connected    bool // a configuration came on the present stream
	server       string
	problem      *control.Problem // why not; nil while connected
	contactNoted time.Time
}

func (g *Gateway) connect(ctx context.Context) (*control.Conn, error) {
	g.mu.Lock()
	servers := g.o.Servers
	g.mu.Unlock()
	return control.Connect(ctx, control.Options{
		Servers: servers, Identity: g.identity, First: true, Agent: "heimdraht-gateway/" + g.o.Version,
		Language: g.o.Language, Dial: g.o.Dial, Logger: g.log,
	})
}

// stayConnected holds a stream until the context ends.
func (g *Gateway) stayConnected(ctx context.Context) error {
	var backoff control.Backoff
	hurryUntil := time.Now().Add(hurryFor)
	var logged *control.Problem
	var loggedAt time.Time
	for {
		held, err := g.attach(ctx, &backoff)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if held >= hurryFor { // else it may be falling over us
			hurryUntil = time.Now().Add(hurryFor)
		}
		problem := asProblem(err)
		g.mu.Lock()
		g.problem = problem
		if problem.Code == codeReplaced && !g.suspended {
			g.log.Warn("another machine has joined in this gateway's name: all peers are removed")
			g.suspend()
			wake(g.wakeInstaller)
		}
		g.mu.Unlock()
		if logged == nil || logged.Code != problem.Code || time.Since(loggedAt) >= sameProblem {
			g.log.Warn("not connected to the control plane; tunnels stay for the grace time", "error", problem)
			logged, loggedAt = problem, time.Now()
		}
		backoff.Max = 0
		if time.Now().Before(hurryUntil) {
			backoff.Max = hurry
		}
		if err := backoff.Wait(ctx, problem.RetryAfter); err != nil {
			return err
		}
	}
}

func asProblem(err error) *control.Problem {
	err = control.FromStatus(err)
	if p, ok := control.AsProblem(err); ok {
		return p
	}
	return streamEnded(err)
}

// attach holds one stream from its beginning to its end, and tells for how long.
func (g *Gateway) attach(ctx context.Context, backoff *control.Backoff) (held time.Duration, err error) {
	conn, err := g.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stream, err := heimdrahtv1.NewGatewayServiceClient(conn).Sync(ctx)
	if err != nil {
		return 0, fmt.Errorf("opening the stream: %w", control.FromStatus(err))
	}
	began := time.Now()
	g.attached(conn.Server.String())
	defer g.detached()
	backoff.Succeeded()

	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// io.EOF says only that the stream is over; Recv says why.
		if err := g.send(ctx, stream); !errors.Is(err, io.EOF) {
			cancel(err)
		}
	}()
	err = g.receiveAll(stream)
	cancel(err)
	<-sent
	return time.Since(began), context.Cause(ctx)
}

func (g *Gateway) receiveAll(stream heimdrahtv1.GatewayService_SyncClient) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return control.FromStatus(err)
		}
		if err := g.receive(m); err != nil {
			return err
		}
	}
}

// attached prepares what has to be said again on a new stream.
func (g *Gateway) attached(server string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.server = server
	g.askedAt, g.needSnapshot = time.Time{}, ""
	g.ackDue = true
	wake(g.wakeSender)
	g.gone = nil
	for id := range g.confirmed {
		if _, dead := g.wanted.tombstones[id]; !dead {
			delete(g.confirmed, id)
			continue
		}
		g.gone = append(g.gone, id)
	}
}

func (g *Gateway) detached() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wanted.collecting = nil
	g.gone = nil
	if !g.connected {
		return
	}
	g.connected = false
	g.cutOff = lostContact(time.Now())
	if err := g.noteContact(); err != nil {
		g.log.Error("the time of the last contact is not kept", "error", err)
	}
}

// wantSnapshot asks for a snapshot, once: while one is on its way, whatever
// else does not fit is no news.
func (g *Gateway) wantSnapshot(reason string) {
	if g.wanted.collecting != nil {
		return
	}
	g.needSnapshot = reason
	wake(g.wakeSender)
}

// send says hello, and then whatever there is to say.
func (g *Gateway) send(ctx context.Context, stream heimdrahtv1.GatewayService_SyncClient) error {
	if err := stream.Send(&heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_Hello{Hello: g.hello()}}); err != nil {
		return err
	}
	sign := time.NewTicker(lifeSign)
	defer sign.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.wakeSender:
		case <-sign.C:
			g.mu.Lock()
			g.ackDue = true
			late := g.wanted.collecting != nil && time.Since(g.collectingSince) > snapshotTime
			g.mu.Unlock()
			if late {
				return control.ConfigRefused(errors.New("a snapshot did not come to its end"))
			}
		}
		for _, m := range g.letters() {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
	}
}

func (g *Gateway) hello() *heimdrahtv1.SyncHello {
	g.mu.Lock()
	defer g.mu.Unlock()
	public := g.key.PublicKey()
	return &heimdrahtv1.SyncHello{
		Epoch: g.wanted.at.epoch, Revision: g.wanted.at.revision,
		WireguardPublicKey: public[:], AgentVersion: g.o.Version,
	}
}

// letters takes what there is to say, in the order in which it is said: the
// last bytes of a session before the word that it is gone.
func (g *Gateway) letters() []*heimdrahtv1.SyncRequest {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []*heimdrahtv1.SyncRequest
	if g.needSnapshot != "" && g.wanted.collecting == nil && (g.askedAt.IsZero() || time.Since(g.askedAt) >= askAgain) {
		g.askedAt = time.Now()
		out = append(out, &heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_SnapshotWanted{
			SnapshotWanted: &heimdrahtv1.SnapshotWanted{Reason: g.needSnapshot}}})
	}
	if g.passDone || g.reportBy {
		out = append(out, g.report(g.passDone)...)
		g.passDone, g.reportBy = false, false
	}
	for g.ackDue || len(g.gone) > 0 {
		n := min(len(g.gone), maxConfirm)
		out = append(out, &heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_Acknowledgement{
			Acknowledgement: &heimdrahtv1.SyncAcknowledgement{
				Epoch: g.acked.epoch, Revision: g.acked.revision, RemovedSessions: g.gone[:n:n], Load: g.load}}})
		g.gone = g.gone[n:]
		g.ackDue = false
	}
	return out
}
