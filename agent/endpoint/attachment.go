package endpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const (
	// defaultRenewEvery is used if the control plane names no interval; the bounds keep a wrong one from
	// becoming a storm, or a lease from running out.
	defaultRenewEvery = time.Minute
	minRenewEvery     = 200 * time.Millisecond
	maxRenewEvery     = 10 * time.Minute
	// maxReturnWithin bounds how long a control plane can have its laptops stay away.
	maxReturnWithin = 5 * time.Minute
	// openWithin is longer than a control plane needs to try several gateways, at 2 s each.
	openWithin = 45 * time.Second
	// answerWithin is how long a renewal may stay unanswered before the stream counts as broken.
	answerWithin = 30 * time.Second
	// probeWithin is the same after a change of network, when most likely it is.
	probeWithin = 5 * time.Second
	// goodbyeWithin is how long a closing waits to be heard. If it is not, the lease ends the session.
	goodbyeWithin = 2 * time.Second
	installWithin = 15 * time.Second
	// soonest is the shortest pause after a refusal or a closing that names none.
	soonest      = time.Second
	clockAllowed = 2 * time.Minute
	// Orders beyond a burst and a rate are a control plane gone wrong, which is left alone for a while. An answer to
	// each renewal, at the shortest interval, is six a second.
	orderBurst, orderRate = 100, 10
)

// stream is the laptop's end of Attach.
type stream = grpc.BidiStreamingClient[heimdrahtv1.AttachRequest, heimdrahtv1.AttachResponse]

// session is an open session that this laptop holds.
type session struct {
	id string
	// wish is the one that this session fulfils.
	wish       context.Context
	settings   *settings
	openedAt   time.Time
	leaseUntil time.Time
	renewEvery time.Duration
	metering   *metering // nil: nothing is metered
	// warning is what this laptop does not meet, and until when it may connect on like this; nil: nothing.
	warning  *control.Problem
	outdated *control.Problem // this program is older than is wanted; nil: it is not
}

// errSilent says that the control plane does not answer on a stream that stands.
var errSilent = errors.New("the control plane does not answer")

// attachment is one Attach stream, from its opening to its end. Its timers run in one goroutine; nothing in
// it is shared.
type attachment struct {
	endpoint *Endpoint
	wish     context.Context
	stream   stream
	orders   *rate.Limiter
	renew    *time.Timer // the next renewal is due
	reopen   *time.Timer // the next opening is due, after a refusal that allowed one
	answer   *time.Timer // an answer is overdue
	// probing: the network has changed, or a person asked, and nothing has been heard since. If the stream is dead,
	// it is so for this laptop alone.
	probing bool
	// waits: this laptop has a place in the queue for a seat, and no session.
	waits bool
	quiet quiet
	// moving: another session was asked for in the place of the present one, which stays if there is none to be had.
	moving bool
	move   *time.Timer // the latest time for that has come
	// asked counts how often in a row the control plane has asked for this laptop's condition, in place of an answer.
	asked  int
	resume string // the session that was asked for last; empty: another one
}

// serve opens a session on the stream, or goes on with the one that is held, and keeps it until the stream
// breaks, the control plane ends it, or the wish for it ends. The caller cancels the stream's context when
// serve has returned, and must not use the stream itself.
func (e *Endpoint) serve(wish context.Context, s stream, cancel context.CancelFunc) outcome {
	a := &attachment{
		endpoint: e, wish: wish, stream: s, orders: rate.NewLimiter(orderRate, orderBurst),
		renew: stoppedTimer(), reopen: stoppedTimer(), answer: stoppedTimer(), move: stoppedTimer(),
	}
	defer a.move.Stop()
	defer a.renew.Stop()
	defer a.reopen.Stop()
	defer a.answer.Stop()

	received := make(chan *heimdrahtv1.AttachResponse)
	broken := make(chan error, 1)
	var receiver sync.WaitGroup
	receiver.Go(func() { receive(s, received, broken) })
	defer receiver.Wait()
	defer cancel() // first of all: it ends the receiver

	select {
	case <-e.woken: // this stream is younger
	default:
	}
	if err := a.open(); err != nil {
		return e.judgeBroken(<-broken)
	}
	for {
		var out outcome
		var over bool
		select {
		case <-wish.Done():
			a.goodbye(wish, received, broken)
			return outcome{drop: true}
		case err := <-broken:
			return a.lost(err)
		case m := <-received:
			a.probing = false
			if !a.orders.Allow() {
				return a.leaveAlone("it sends more orders than anybody needs")
			}
			out, over = a.obey(wish, m)
		case <-a.answer.C:
			out, over = a.lost(errSilent), true
		case <-a.renew.C:
			a.sendRenewal(answerWithin)
		case <-a.reopen.C:
			// A failure to send shows on receiving, with its cause.
			_ = a.open()
		case <-e.nudged:
			a.nudge()
		case <-e.woken:
			return outcome{} // the stream may be dead without a word: another one is there sooner than that is found out
		case <-e.lost:
			a.askForAnother()
		case <-a.move.C:
			a.moveOn()
		case <-e.options.Posed:
			a.lookAgain()
		case <-e.here:
			a.stay()
		case id := <-e.parted:
			a.sendClose(id)
		}
		if over {
			if out.unused != "" {
				a.giveBack(wish, out.unused, received, broken)
			}
			return out
		}
	}
}

// leaveAlone ends the stream to a control plane that has gone wrong. The tunnel stays.
func (a *attachment) leaveAlone(why string) outcome {
	a.endpoint.log.Warn("leaving the control plane alone for a while", "why", why)
	return outcome{problem: serverErratic(), after: slowly}
}

// lost judges the end of a stream that has stood. Where it may be the control plane's own end, all others have
// lost theirs as well, and not all come back at once.
func (a *attachment) lost(err error) outcome {
	out := a.endpoint.judgeBroken(err)
	if !out.halt && !a.probing {
		a.endpoint.backoff.Lost(a.endpoint.returnWithin)
	}
	return out
}

// receive hands on what comes until the stream ends.
func receive(s stream, received chan<- *heimdrahtv1.AttachResponse, broken chan<- error) {
	for {
		m, err := s.Recv()
		if err != nil {
			broken <- err
			return
		}
		select {
		case received <- m:
		case <-s.Context().Done():
			broken <- s.Context().Err()
			return
		}
	}
}

// open asks for the session that is held, or for another one.
func (a *attachment) open() error {
	if held := a.endpoint.heldSession(); held != nil && !a.endpoint.tunnel.reading().setBack(time.Now()) {
		return a.openAs(held.id)
	}
	return a.openAs("")
}

// openAs asks for a session, or with an id for that one.
func (a *attachment) openAs(resume string) error {
	request := &heimdrahtv1.OpenSession{AgentVersion: a.endpoint.options.Version, Resume: resume, Clock: timestamppb.Now(), Waits: true}
	request.Beside = a.endpoint.tunnel.holdsTwo()
	if resume != "" {
		request.Leaving = a.endpoint.formerSession()
	}
	request.GatewaySilent = resume != "" && a.endpoint.silentSession() == resume
	request.Conditions = a.report(resume)
	a.resume = resume
	a.answer.Reset(openWithin)
	select {
	case <-a.endpoint.nudged: // this is the try that was hinted at
	default:
	}
	if err := a.stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: request}}); err != nil {
		return fmt.Errorf("asking for a session: %w", err)
	}
	return nil
}

// obey does what one message says. over: the stream is of no more use.
func (a *attachment) obey(ctx context.Context, m *heimdrahtv1.AttachResponse) (out outcome, over bool) {
	switch order := m.GetOrder().(type) {
	case *heimdrahtv1.AttachResponse_Asked:
		return a.answerQuestion(order.Asked)
	case *heimdrahtv1.AttachResponse_Opened:
		return a.opened(ctx, order.Opened)
	case *heimdrahtv1.AttachResponse_Renewed:
		a.renewed(order.Renewed)
	case *heimdrahtv1.AttachResponse_Closed:
		held := a.endpoint.heldSession()
		if held == nil || held.id != order.Closed.GetSessionId() {
			// The one beside it, or an older one, which is gone here already.
			a.endpoint.part(ctx, order.Closed.GetSessionId())
			break
		}
		return a.ended(ctx, judgeClosed(control.FromRefusal(order.Closed.GetWhy())))
	case *heimdrahtv1.AttachResponse_Ending:
		a.ending(order.Ending)
	case *heimdrahtv1.AttachResponse_Waiting:
		a.waiting(ctx, order.Waiting)
	case *heimdrahtv1.AttachResponse_Idle:
		a.idle(order.Idle)
	case *heimdrahtv1.AttachResponse_Unheard:
		a.hearUnheard(order.Unheard)
	case *heimdrahtv1.AttachResponse_Refused:
		if a.staysAfter(order.Refused.GetCode()) {
			break
		}
		return a.ended(ctx, judgeRefused(control.FromRefusal(order.Refused)))
	}
	// An order that this version does not know is for a newer one.
	return outcome{}, false
}

// ended follows a refusal or a closing. The stream stays for the next opening, if there is to be one.
func (a *attachment) ended(ctx context.Context, out outcome) (outcome, bool) {
	a.answer.Stop()
	a.renew.Stop()
	a.waits, a.moving, a.asked = false, false, 0
	a.move.Stop()
	if out.drop {
		a.endpoint.dropSession(ctx)
	}
	if out.halt {
		return out, true
	}
	a.endpoint.tell(out.problem)
	// The pauses grow: sessions that end as soon as they are open must not become a storm of openings.
	a.reopen.Reset(a.endpoint.backoff.Next(max(out.after, soonest)))
	return outcome{}, false
}

func (a *attachment) opened(ctx context.Context, m *heimdrahtv1.SessionOpened) (outcome, bool) {
	e := a.endpoint
	a.answer.Stop()
	a.reopen.Stop()
	a.waits, a.moving, a.asked = false, false, 0
	id := m.GetSessionId()
	next, err := checkConfiguration(m.GetConfiguration(), e.ownKey())
	if err == nil && !validID(id) {
		err = reject("die Kennung der Verbindung ist unbrauchbar", "the session's id is unusable")
	}
	if err != nil {
		e.log.Warn("refused the configuration of a session", "error", err)
		return outcome{problem: configurationRefused(err), drop: true, halt: true, roam: true, unused: id}, true
	}
	held := e.heldSession()
	fresh := held == nil || held.id != id
	if fresh {
		a.move.Stop()
	}
	installing, cancel := context.WithTimeout(ctx, installWithin)
	defer cancel()
	if err := a.install(installing, m, held, next); err != nil {
		e.log.Error("could not set up the tunnel", "error", err)
		return outcome{problem: tunnelFailed(err), drop: true, halt: true, roam: true, unused: id}, true
	}
	s := &session{id: id, wish: a.wish, settings: next, openedAt: time.Now(), leaseUntil: asTime(m.GetLeaseUntil()),
		renewEvery: renewEvery(m.GetRenewEveryMs()), metering: e.checkMetering(m.GetMetering()), outdated: outdatedOf(m.GetOutdated())}
	if w := m.GetConditionWarning(); w != nil {
		s.warning = control.FromRefusal(w)
	}
	if !fresh {
		s.openedAt, s.warning = held.openedAt, held.warning
	}
	e.hold(s)
	e.backoff.Succeeded()
	e.returnWithin = returnWithin(m.GetReturnWithinMs())
	a.renew.Reset(control.Jitter(s.renewEvery, 0.2))
	select {
	case <-e.nudged: // that trying may help is seen: nothing is left to probe
	default:
	}
	return outcome{}, false
}

func (a *attachment) renewed(m *heimdrahtv1.SessionRenewed) {
	held := a.endpoint.heldSession()
	if held == nil || held.id != m.GetSessionId() {
		return
	}
	a.answer.Stop()
	a.endpoint.returnWithin = returnWithin(m.GetReturnWithinMs())
	var off time.Duration
	if server := m.GetServerTime(); server.IsValid() {
		off = time.Since(server.AsTime())
	}
	a.endpoint.extend(held.id, asTime(m.GetLeaseUntil()), off)
	a.endpoint.heard(m)
}

// sendRenewal reports usage and asks for another lease, or for another session if the present one has no future.
func (a *attachment) sendRenewal(within time.Duration) {
	held := a.endpoint.heldSession()
	if held == nil {
		return
	}
	reading := a.endpoint.tunnel.reading()
	if reading.setBack(time.Now()) {
		a.endpoint.log.Warn("this machine's clock was set back, which ends the tunnel before long: opening another session")
		// A failure to send shows on receiving, with its cause.
		_ = a.open()
		return
	}
	if a.endpoint.isEnding() && a.quiet.look(time.Now(), reading) {
		a.moveOn()
		return
	}
	report := &heimdrahtv1.RenewSession{SessionId: held.id, Usage: usageOf(reading), Clock: timestamppb.Now()}
	report.Usage.Products = a.endpoint.look(held.metering)
	a.renew.Reset(control.Jitter(held.renewEvery, 0.2))
	a.answer.Reset(within)
	// A failure to send shows on receiving, with its cause.
	if err := a.stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Renew{Renew: report}}); err == nil {
		a.endpoint.note(report, held.metering)
	}
}

// nudge follows a change of network, or the person's word: a session is probed, a refused opening is tried
// again at once.
func (a *attachment) nudge() {
	if a.endpoint.heldSession() != nil {
		a.probing = true
		a.sendRenewal(probeWithin)
		return
	}
	if a.waits {
		// Asking again changes nothing but tells whether the stream is alive.
		a.probing = true
		_ = a.open()
		a.answer.Reset(probeWithin)
		return
	}
	if a.reopen.Stop() {
		_ = a.open()
	}
}

func (a *attachment) sendClose(id string) {
	// Whether it is heard or not, nothing here depends on it: unheard, the lease ends the session.
	_ = a.stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Close{
		Close: &heimdrahtv1.CloseSession{SessionId: id},
	}})
}

// goodbye closes the session that is held, and takes the tunnel away.
func (a *attachment) goodbye(ctx context.Context, received <-chan *heimdrahtv1.AttachResponse, broken <-chan error) {
	held := a.endpoint.heldSession()
	if held == nil {
		a.endpoint.dropSession(ctx)
		return
	}
	a.giveBack(ctx, held.id, received, broken)
}

// giveBack closes a session, takes the tunnel away and waits a little for the answer: a stream that is cancelled
// before may take the closing with it, unsent.
func (a *attachment) giveBack(ctx context.Context, id string, received <-chan *heimdrahtv1.AttachResponse, broken <-chan error) {
	a.sendClose(id)
	a.endpoint.dropSession(ctx)
	if err := awaitClosed(id, received, broken); err != nil {
		a.endpoint.log.Debug("the end of the session was not confirmed", "error", err)
	}
	_ = a.stream.CloseSend()
}

// awaitClosed returns when the session's closing has been confirmed. It fails after goodbyeWithin at the latest.
func awaitClosed(id string, received <-chan *heimdrahtv1.AttachResponse, broken <-chan error) error {
	patience := time.NewTimer(goodbyeWithin)
	defer patience.Stop()
	for {
		select {
		case m := <-received:
			if m.GetClosed().GetSessionId() == id {
				return nil
			}
		case err := <-broken:
			return err
		case <-patience.C:
			return errSilent
		}
	}
}

func usageOf(r reading) *heimdrahtv1.Usage {
	u := &heimdrahtv1.Usage{ReceivedBytes: r.received, SentBytes: r.sent}
	if !r.handshake.IsZero() {
		age := max(time.Since(r.handshake).Milliseconds(), 0)
		u.LastHandshakeAgeMs = &age
	}
	return u
}

func renewEvery(ms int64) time.Duration {
	if ms <= 0 {
		return defaultRenewEvery
	}
	if ms > maxRenewEvery.Milliseconds() {
		return maxRenewEvery
	}
	return max(time.Duration(ms)*time.Millisecond, minRenewEvery)
}

func returnWithin(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), maxReturnWithin.Milliseconds())) * time.Millisecond
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
