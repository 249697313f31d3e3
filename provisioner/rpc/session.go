package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/helpdesk"
	"github.com/heimdraht/heimdraht/provisioner/metering"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

// eventsEvery is how often one laptop is listened to at the most; a healthy
// one speaks once a minute.
const eventsEvery = 50 * time.Millisecond

type sessionHandler struct {
	heimdrahtv1.UnimplementedSessionServiceServer
	sessions *session.Service
	helpdesk *helpdesk.Service
	metering *metering.Service
	hub      *watch.Hub
	streams  *streams
}

type attachStream = grpc.BidiStreamingServer[heimdrahtv1.AttachRequest, heimdrahtv1.AttachResponse]

// attachment is one laptop's stream.
type attachment struct {
	*sessionHandler
	stream  attachStream
	actor   provisioner.Actor
	id      string             // names the stream: of two of one device the newer wins
	session string             // the one held; empty: none
	ending  provisioner.Ending // of that session, as far as is known here
	told    provisioner.Ending // what the laptop was told of it; zero: nothing
	reports reports
	waiting *waiting // for a seat; nil: it does not
	gateway gatewayNews
	leaving string    // the session held besides, until its connections have ended; empty: none
	asked   int       // how often, what its tenant asks of laptops
	idle    time.Time // when that session ends for idleness, as it was told; zero: nothing
}

// Attach serves a laptop's stream until it breaks or the device may not go on.
func (h *sessionHandler) Attach(stream attachStream) error {
	a := &attachment{sessionHandler: h, stream: stream, actor: actorOf(stream.Context()), id: provisioner.NewID()}
	listener := h.hub.Listen(watch.Device(a.actor.ID))
	defer listener.Close()
	// Before the stream is held: a former installation of the device must not
	// push the present one aside.
	if err := aside(func() error { return h.sessions.Check(stream.Context(), a.actor, a.id, "") }); err != nil {
		return err
	}
	ctx, release := h.streams.hold(stream.Context(), "device "+a.actor.ID, a.actor.Until)
	defer release()
	defer a.reports.end()
	err := a.serve(ctx, listener)
	if left := aside(func() error { return a.leaveQueue(ctx) }); left != nil {
		err = errors.Join(err, left)
	}
	return because(ctx, err)
}

func (a *attachment) serve(ctx context.Context, listener *watch.Listener) error {
	events, broken := receive(ctx, a.stream.Recv)
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-broken:
			return err
		case <-listener.C:
			if err := aside(func() error { return a.check(ctx) }); err != nil {
				return err
			}
		case <-a.gateway.changed:
			if err := aside(func() error { return a.tellGateway(ctx) }); err != nil {
				return err
			}
		case <-a.waiting.moved():
			if err := aside(func() error { return a.lookAtQueue(ctx) }); err != nil {
				return err
			}
		case event := <-events:
			if err := aside(func() error { return a.handle(ctx, event) }); err != nil {
				return err
			}
			pause.Reset(eventsEvery)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
		}
	}
}

// aside does on a goroutine of its own what needs a deep stack, and waits for
// it. A stack that has grown stays with its goroutine, and each of 29,000 laptops
// has one that does nothing but wait.
func aside(do func() error) (err error) {
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
		}()
		err = do()
	}()
	<-done
	if panicked != nil {
		panic(panicked) // where the caller's own recovery finds it
	}
	return err
}

// receive reads a stream into a channel without room, so that a caller who
// sends faster than it is served waits in the transport. broken gets nil when
// the caller has ended its side in order.
func receive[T any](ctx context.Context, recv func() (T, error)) (events <-chan T, broken <-chan error) {
	e, b := make(chan T), make(chan error, 1)
	go func() {
		for {
			event, err := recv()
			if errors.Is(err, io.EOF) {
				b <- nil
				return
			}
			if err != nil {
				b <- err
				return
			}
			select {
			case e <- event:
			case <-ctx.Done():
				return
			}
		}
	}()
	return e, b
}

func (a *attachment) handle(ctx context.Context, event *heimdrahtv1.AttachRequest) error {
	switch e := event.GetEvent().(type) {
	case *heimdrahtv1.AttachRequest_Open:
		return a.open(ctx, e.Open)
	case *heimdrahtv1.AttachRequest_Renew:
		return a.renew(ctx, e.Renew)
	case *heimdrahtv1.AttachRequest_Close:
		return a.close(ctx, e.Close.GetSessionId())
	default:
		return provisioner.Refuse(provisioner.CodeProtocol).With("why", "ein Ereignis unbekannter Art", "an event of an unknown kind")
	}
}

func (a *attachment) open(ctx context.Context, e *heimdrahtv1.OpenSession) error {
	if len(e.GetResume()) > maxID || len(e.GetLeaving()) > maxID || len(e.GetAgentVersion()) > maxText {
		return tooLong()
	}
	return a.openAs(ctx, session.OpenRequest{
		Stream: a.id, Resume: e.GetResume(), AgentVersion: printable(e.GetAgentVersion()), Clock: toTime(e.GetClock()), Wait: e.GetWaits(),
		GatewaySilent: e.GetGatewaySilent(), Beside: e.GetBeside(), Leaving: e.GetLeaving(), Conditions: toConditionReport(e.GetConditions()),
	})
}

func (a *attachment) openAs(ctx context.Context, r session.OpenRequest) error {
	opened, err := a.sessions.Open(ctx, a.actor, r)
	if refusal, ok := provisioner.AsRefusal(err); ok && !endsStream(refusal) {
		return errors.Join(a.leaveQueue(ctx), a.refused(refusal))
	}
	if err != nil {
		return err
	}
	if opened.Asks != nil {
		return a.ask(*opened.Asks)
	}
	a.asked = 0
	if opened.Waits {
		return a.wait(r, opened.Place)
	}
	a.waiting.end()
	a.waiting = nil
	a.leaving = opened.Leaving.ID
	a.session, a.ending, a.told, a.idle = opened.Session.ID, opened.Session.Ending, provisioner.Ending{}, time.Time{}
	a.gateway = gatewayNews{session: opened.Session, site: opened.Site}
	a.reports.begin(ctx, a.metering, opened.Session)
	// What happened between the transaction and now rang the listener.
	if err := a.send(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Opened{Opened: &heimdrahtv1.SessionOpened{
		SessionId:      opened.Session.ID,
		Configuration:  fromTunnel(opened.Tunnel),
		LeaseUntil:     timestamppb.New(opened.Session.LeaseUntil),
		RenewEveryMs:   provisioner.RenewEvery.Milliseconds(),
		Resumed:        opened.Resumed,
		ReturnWithinMs: a.streams.returnWithin().Milliseconds(),
		Metering:       a.reports.opening(),
		Leaving:        fromLeaving(opened.Leaving),
		Outdated:       fromOutdated(opened.Outdated),

		ConditionWarning: a.warning(opened.Warning),
	}}}); err != nil {
		return err
	}
	if err := a.tellIdle(opened.Session.IdleAt); err != nil {
		return err
	}
	return a.tellGateway(ctx)
}

// fromOutdated is nil for an agent that is new enough.
func fromOutdated(m provisioner.MinimumAgent) *heimdrahtv1.AgentOutdated {
	if m.Version == "" {
		return nil
	}
	return &heimdrahtv1.AgentOutdated{MinimumVersion: m.Version, RefusedFrom: stamp(m.From)}
}

// tellIdle tells the laptop that its session ends because nobody works in it, or goes on
// after all. Each renewal brings what holds.
func (a *attachment) tellIdle(at time.Time) error {
	if a.session == "" || at.Equal(a.idle) {
		return nil
	}
	a.idle = at
	order := &heimdrahtv1.SessionEnding{SessionId: a.session}
	if !at.IsZero() {
		order.Why = fromRefusal(provisioner.Refuse(provisioner.CodeSessionIdle), a.actor.Language)
		order.WithinMs = max(time.Until(at).Milliseconds(), 0)
	}
	return a.send(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Idle{Idle: order}})
}

// tellEnding tells the laptop that its session ends before long, once on each stream and
// when that has changed. Each renewal asks; only what is due is looked up.
func (a *attachment) tellEnding(ctx context.Context) error {
	if a.session == "" {
		return nil
	}
	ending, err := a.present(ctx)
	if err != nil || ending == a.told {
		return err
	}
	a.told = ending
	order := &heimdrahtv1.SessionEnding{SessionId: a.session}
	if ending != (provisioner.Ending{}) {
		order.Why = fromRefusal(provisioner.Refuse(ending.Why), a.actor.Language)
		order.WithinMs = max(time.Until(ending.EndsAt).Milliseconds(), 0)
		if ending == a.gateway.moves && time.Until(ending.EndsAt) >= 2*provisioner.LeastLeaving {
			order.Beside, order.SpreadMs = true, a.gateway.spread.Milliseconds()
		}
	}
	return a.send(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Ending{Ending: order}})
}

// present is what ends the session before long: policy, or its gateway, whatever is
// first. The zero Ending: nothing.
func (a *attachment) present(ctx context.Context) (provisioner.Ending, error) {
	var ending provisioner.Ending
	if a.ending.IsDue(time.Now()) {
		// Since it became due, its person may have signed in again.
		var err error
		if a.ending, err = a.sessions.Ending(ctx, a.actor, a.session); err != nil {
			return ending, err
		}
		if a.ending.IsDue(time.Now()) {
			ending = a.ending
		}
	}
	if moves := a.gateway.moves; moves.Why != "" && (ending.Why == "" || moves.EndsAt.Before(ending.EndsAt)) {
		return moves, nil
	}
	return ending, nil
}

func tooLong() *provisioner.Refusal {
	return provisioner.Refuse(provisioner.CodeProtocol).With("why", "eine zu lange Kennung oder Version", "an id or version that is too long")
}

func (a *attachment) renew(ctx context.Context, e *heimdrahtv1.RenewSession) error {
	id := e.GetSessionId()
	if len(id) > maxID {
		return tooLong()
	}
	usage, clips := toUsage(e, a.reports.usageOf(id))
	renewed, err := a.sessions.Renew(ctx, a.actor, a.id, id, usage)
	refusal, ok := provisioner.AsRefusal(err)
	switch {
	case ok && saysNothing(refusal):
		return a.refused(refusal) // the laptop asks for its session again, in a while
	case ok:
		return a.closed(id, refusal)
	}
	if err != nil {
		return err
	}
	// Only now is it known that the session is this laptop's, and open.
	list, more := a.reports.take(ctx, a.metering, usage, e.GetUsage().GetProducts())
	if err := a.send(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Renewed{Renewed: &heimdrahtv1.SessionRenewed{
		SessionId: id, LeaseUntil: timestamppb.New(renewed.LeaseUntil), ServerTime: timestamppb.Now(),
		ReturnWithinMs: a.streams.returnWithin().Milliseconds(),
		Metering:       list, Clipped: fromClips(append(clips, more...), a.actor.Language),
	}}}); err != nil {
		return err
	}
	if err := a.tellIdle(renewed.IdleAt); err != nil {
		return err
	}
	return a.tellGateway(ctx)
}

func (a *attachment) close(ctx context.Context, id string) error {
	if len(id) > maxID {
		return tooLong()
	}
	if err := a.sessions.Close(ctx, a.actor, id); err != nil {
		return err
	}
	a.leave(id)
	return a.send(closedOrder(id, provisioner.Refuse(provisioner.CodeSessionClosed), a.actor.Language))
}

// check looks whether what the stream holds still stands.
func (a *attachment) check(ctx context.Context) error {
	err := a.sessions.Check(ctx, a.actor, a.id, a.session)
	if refusal, ok := provisioner.AsRefusal(err); ok && !saysNothing(refusal) {
		return a.closed(a.session, refusal)
	}
	if err == nil {
		err = a.checkLeaving(ctx)
	}
	if err == nil && a.waiting != nil {
		return a.lookAtQueue(ctx)
	}
	return err // where nothing could be looked up, the stream ends: the laptop comes back to hear
}

// checkLeaving looks whether the session that is held besides still stands.
func (a *attachment) checkLeaving(ctx context.Context) error {
	if a.leaving == "" {
		return nil
	}
	err := a.sessions.CheckLeaving(ctx, a.actor, a.leaving)
	refusal, ok := provisioner.AsRefusal(err)
	if !ok || saysNothing(refusal) {
		return err
	}
	id := a.leaving
	a.leaving = ""
	return a.send(closedOrder(id, refusal, a.actor.Language))
}

// saysNothing tells a refusal that says nothing of the session: it may be open
// or closed, and nobody can look.
func saysNothing(r *provisioner.Refusal) bool { return r.Code == provisioner.CodeDatabaseUnavailable }

// refused tells the laptop that something it asked for cannot be.
func (a *attachment) refused(why *provisioner.Refusal) error {
	return a.send(&heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Refused{Refused: fromRefusal(why, a.actor.Language)}})
}

// closed tells the laptop that a session is no more. If the device itself may
// not go on, the stream ends with the same refusal.
func (a *attachment) closed(id string, why *provisioner.Refusal) error {
	a.leave(id)
	if id != "" && why.Code != provisioner.CodeStreamReplaced {
		if err := a.send(closedOrder(id, why, a.actor.Language)); err != nil {
			return err
		}
	}
	if endsStream(why) {
		return why
	}
	return nil
}

// leave lets go of a session that is no more.
func (a *attachment) leave(id string) {
	if a.leaving == id {
		a.leaving = ""
	}
	if a.session == id {
		a.session, a.leaving, a.gateway = "", "", gatewayNews{}
		a.reports.end()
	}
}

func closedOrder(id string, why *provisioner.Refusal, language string) *heimdrahtv1.AttachResponse {
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Closed{Closed: &heimdrahtv1.SessionClosed{
		SessionId: id, Why: fromRefusal(why, language),
	}}}
}

// endsStream tells refusals of the device from those of one session.
func endsStream(r *provisioner.Refusal) bool {
	switch r.Code {
	case provisioner.CodeDeviceRevoked, provisioner.CodeDeviceReplaced, provisioner.CodeDeviceSuspended, provisioner.CodeTenantSuspended,
		provisioner.CodeExternalEnded, provisioner.CodeDeviceUnknown,
		provisioner.CodeStreamReplaced, provisioner.CodeNotAllowed, provisioner.CodeNotSignedIn, provisioner.CodeProtocol:
		return true
	default:
		return false
	}
}

func (a *attachment) send(m *heimdrahtv1.AttachResponse) error { return a.stream.Send(m) }

func fromLeaving(s provisioner.Session) *heimdrahtv1.LeavingSession {
	if s.ID == "" {
		return nil
	}
	return &heimdrahtv1.LeavingSession{SessionId: s.ID, WithinMs: max(time.Until(s.LeaseUntil).Milliseconds(), 0)}
}

func fromTunnel(t session.Tunnel) *heimdrahtv1.TunnelConfiguration {
	return &heimdrahtv1.TunnelConfiguration{
		Addresses:            texts(t.Addresses),
		GatewayName:          t.Gateway,
		GatewayEndpoint:      t.Endpoint,
		GatewayPublicKey:     t.PublicKey[:],
		PresharedKey:         t.PresharedKey[:],
		AllowedIps:           texts(t.AllowedIPs),
		FullTunnel:           t.Full,
		LocalNetworksDenied:  t.LocalDenied,
		DnsServers:           texts(t.DNSServers),
		DnsDomains:           t.DNSDomains,
		Mtu:                  uint32(t.MTU),
		PersistentKeepaliveS: uint32(t.Keepalive / time.Second),
		GatewayAddresses:     texts(t.Probes),
	}
}

// texts prints a list.
func texts[T interface{ String() string }](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}
