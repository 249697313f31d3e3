package endpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const (
	// slowly is the pause after a problem of this machine or its network that does not pass by itself: a
	// captive portal that answers in the server's place, a wrong clock.
	slowly = 15 * time.Second
	// farewellWithin is how long a session may take to be closed that has no stream any more.
	farewellWithin = 3 * time.Second
	// A tunnel is looked at often until the gateway has answered, and seldom afterwards.
	tendSoon, tendSeldom = time.Second, 20 * time.Second
	// settleAfter lets a burst of changes of the network (address, route, address) end first.
	settleAfter = 500 * time.Millisecond
	// restAfter keeps a network that changes all the time from becoming a storm.
	restAfter = 5 * time.Second
)

// plane is the control plane.
type plane interface {
	// attach opens the stream. wish ends the connecting; the stream itself lives until cancel is called, so
	// that a session can be closed on it after the wish has ended.
	attach(wish context.Context) (s stream, cancel context.CancelFunc, err error)
}

// grpcPlane is an Endpoint as a client of the real control plane.
type grpcPlane Endpoint

func (p *grpcPlane) attach(wish context.Context) (stream, context.CancelFunc, error) {
	conn, err := (*Endpoint)(p).connect(wish)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(wish))
	s, err := heimdrahtv1.NewSessionServiceClient(conn).Attach(ctx)
	if err != nil {
		cancel()
		return nil, nil, errors.Join(fmt.Errorf("opening the stream: %w", control.FromStatus(err)), conn.Close())
	}
	return s, func() {
		cancel()
		// The connection is of no more use, and there is nobody to tell.
		_ = conn.Close()
	}, nil
}

// connect opens a connection in the name of the present identity.
func (e *Endpoint) connect(ctx context.Context) (*control.Conn, error) { return e.connectIn(ctx, "") }

// connectIn has the control plane speak a language on it. Empty: the one that was chosen last.
func (e *Endpoint) connectIn(ctx context.Context, language string) (*control.Conn, error) {
	e.mu.Lock()
	o := control.Options{
		Servers: e.servers(), Identity: e.identity, Agent: "heimdraht-agent/" + e.options.Version,
		Language: cmp.Or(language, e.language), Dial: e.options.Dial, Logger: e.log,
	}
	e.mu.Unlock()
	if o.Identity == nil {
		return nil, notEnrolled()
	}
	if len(o.Servers) == 0 {
		return nil, serverMissing()
	}
	return control.Connect(ctx, o)
}

// keepConnected fulfils one wish after the other. It returns when the context ends, with the session closed
// and the tunnel gone.
func (e *Endpoint) keepConnected(ctx context.Context) error {
	var former context.Context
	for first := true; ; first = false {
		wish, changed := e.presentWish()
		if first || wish != former {
			e.leave(ctx, former)
			former = wish //nolint:fatcontext // kept to be compared, not to be derived from
			continue
		}
		if wish == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		out := e.attempt(wish) //nolint:contextcheck // a wish is derived from Run's context
		if out.drop {
			e.dropSession(ctx)
		}
		switch {
		case wish.Err() != nil:
		case out.halt:
			e.halt(out)
		default:
			e.tell(out.problem)
			e.pause(wish, e.backoff.Next(out.after)) //nolint:contextcheck // a wish is derived from Run's context
		}
	}
}

// presentWish returns the wish to fulfil, or nil, and a channel that is closed when that may have changed.
func (e *Endpoint) presentWish() (context.Context, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.halted != nil || e.wish == nil || e.wish.Err() != nil {
		return nil, e.changed
	}
	return e.wish, e.changed
}

// attempt connects and serves one stream to its end.
func (e *Endpoint) attempt(wish context.Context) outcome {
	e.mu.Lock()
	key := e.key
	e.mu.Unlock()
	if err := e.tunnel.prepare(wish, key); err != nil {
		if wish.Err() != nil {
			return outcome{drop: true}
		}
		e.log.Error("could not open the tunnel's interface", "error", err)
		return outcome{problem: tunnelFailed(err), drop: true, halt: true, roam: true}
	}
	s, cancel, err := e.plane.attach(wish)
	if err != nil {
		return e.refine(wish, e.judgeBroken(err))
	}
	out := e.serve(wish, s, cancel)
	e.mu.Lock()
	e.attached = false
	e.touch()
	e.mu.Unlock()
	return out
}

// judgeBroken judges the end of a stream or of an attempt to open one. The tunnel stays, unless the control
// plane has said no.
func (e *Endpoint) judgeBroken(err error) outcome {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errSilent):
		err = status.Error(codes.Unavailable, err.Error())
	case status.Code(err) == codes.Canceled || status.Code(err) == codes.DeadlineExceeded:
		err = status.Error(codes.Unavailable, "the stream has ended")
	}
	err = control.FromStatus(err)
	e.log.Debug("the stream to the control plane has ended", "error", err)
	p, ok := control.AsProblem(err)
	switch {
	case !ok:
		return outcome{after: slowly}
	case p.Refused:
		return judgeRefused(p)
	case p.RetryAfter == 0:
		return outcome{problem: p, after: slowly}
	}
	return outcome{problem: p, after: p.RetryAfter}
}

// halt stops trying until something changes the answer.
func (e *Endpoint) halt(out outcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.halted, e.problem, e.place = &out, out.problem, nil
	e.touch()
}

// pause waits, but no longer than the wish lasts, and not if trying now may help.
func (e *Endpoint) pause(wish context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wish.Done():
	case <-e.nudged:
		e.backoff.Reset()
	}
}

// leave ends what a former wish has left: session, tunnel and interface.
func (e *Endpoint) leave(ctx context.Context, former context.Context) {
	held := e.heldSession()
	e.dropSession(ctx)
	if held != nil && former != nil {
		e.farewell(ctx, held)
	}
	if err := e.tunnel.close(); err != nil {
		e.log.Error("could not close the tunnel's interface", "error", err)
	}
	e.backoff.Reset()
}

// farewell closes a session that has no stream any more. It tries once: if nobody hears it, the lease ends the
// session.
func (e *Endpoint) farewell(ctx context.Context, held *session) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), farewellWithin)
	defer stop()
	s, cancel, err := e.plane.attach(ctx)
	if err != nil {
		e.log.Debug("could not close the session", "error", err)
		return
	}
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	err = s.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{
		Close: &heimdrahtv1.CloseSession{SessionId: held.id},
	}})
	for err == nil {
		var m *heimdrahtv1.AttachResponse
		if m, err = s.Recv(); err == nil && m.GetClosed().GetSessionId() == held.id {
			return
		}
	}
	e.log.Debug("could not close the session", "error", err)
}

// keepTended looks after the tunnel, whether there is a stream or not.
func (e *Endpoint) keepTended(ctx context.Context) error {
	for {
		pause := tendSeldom
		if e.heldSession() != nil {
			e.tunnel.tend(ctx)
			switch now, reading := time.Now(), e.tunnel.reading(); {
			case reading.setBack(now):
				e.nudge() // a renewal would find out, perhaps too late
			case !reading.alive(now), reading.doubted:
				pause = tendSoon
			}
		}
		select {
		case e.turned <- struct{}{}:
		default:
		}
		e.mu.Lock()
		changed, held := e.changed, e.held
		e.mu.Unlock()
		if err := e.sleepUnlessOpened(ctx, control.Jitter(pause, 0.2), held, changed); err != nil {
			return err
		}
	}
}

// sleepUnlessOpened sleeps, but not on when another session is held.
func (e *Endpoint) sleepUnlessOpened(ctx context.Context, d time.Duration, held *session, changed <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-e.stirred:
			return nil
		case <-changed:
		}
		e.mu.Lock()
		now := e.held
		changed = e.changed
		e.mu.Unlock()
		if now != nil && (held == nil || now.id != held.id) {
			return nil
		}
	}
}

// keepRenewed keeps the certificate of the present identity alive.
func (e *Endpoint) keepRenewed(ctx context.Context) error {
	for {
		e.mu.Lock()
		identity, changed := e.identity, e.changed
		mine, end := context.WithCancel(ctx)
		e.endIdentity = end
		e.mu.Unlock()
		if identity == nil {
			end()
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := identity.KeepRenewed(mine, e.log, e.connect)
		end()
		if ctx.Err() != nil {
			return err
		}
	}
}

// followNetwork tries again, and looks after the tunnel, when the laptop is in another network.
func (e *Endpoint) followNetwork(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-e.options.NetworkChanged:
			if !ok {
				return nil
			}
		}
		if err := control.Sleep(ctx, control.Jitter(settleAfter, 0.5)); err != nil {
			return err
		}
		e.roamed()
		e.nudge()
		e.tunnel.settle(ctx)
		e.tunnel.tend(ctx)
		if err := control.Sleep(ctx, restAfter); err != nil {
			return err
		}
	}
}
