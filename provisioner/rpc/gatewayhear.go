package rpc

import (
	"context"
	"sync/atomic"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/session"
)

const (
	// helloWithin is how long a gateway may take to say where it stands.
	helloWithin = 30 * time.Second
	// maxSaid is how many sessions one message of a gateway may name.
	maxSaid = 2 * pageSize
	// observationsWaiting is how many messages of statistics wait to be
	// written; one more is dropped.
	observationsWaiting = 64
	// oldestHandshake is the age beyond which a handshake is none.
	oldestHandshake = 365 * 24 * time.Hour
)

// greeted waits for the first message of a gateway, which must be its hello.
func greeted(ctx context.Context, events <-chan *heimdrahtv1.SyncRequest, broken <-chan error) (*heimdrahtv1.SyncHello, provisioner.Key, error) {
	refusal := provisioner.Refuse(provisioner.CodeProtocol).With("why", "die erste muss der Gruß mit dem Schlüssel sein", "the first message of a gateway must be its hello, with its key")
	timer := time.NewTimer(helloWithin)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, provisioner.Key{}, context.Cause(ctx)
	case err := <-broken:
		return nil, provisioner.Key{}, err
	case <-timer.C:
		return nil, provisioner.Key{}, refusal
	case first := <-events:
		hello := first.GetHello()
		key, err := provisioner.ParseKey(hello.GetWireguardPublicKey())
		if err != nil || hello.GetRevision() < 0 || len(hello.GetEpoch()) > maxID || len(hello.GetAgentVersion()) > maxText {
			return nil, key, refusal
		}
		return hello, key, nil
	}
}

// hearer hears one gateway. Acknowledgements are taken at once; observations
// are written by a worker, so that no confirmation waits for statistics.
type hearer struct {
	*syncer
	observations chan observation

	// blindUntil, in nanoseconds since 1970, is until when silence about a peer
	// says nothing: gateways name only peers that moved, and something of what
	// they said has been lost, or may have been before this stream. A peer that
	// is alive shakes hands again by then.
	blindUntil atomic.Int64
}

type observation struct {
	*heimdrahtv1.SyncObservation
	at time.Time
}

func newHearer(s *syncer) *hearer {
	h := &hearer{syncer: s, observations: make(chan observation, observationsWaiting)}
	h.lost()
	return h
}

func (h *hearer) lost() { h.blindUntil.Store(time.Now().Add(provisioner.OnlineWithin).UnixNano()) }

func (h *hearer) run(ctx context.Context, events <-chan *heimdrahtv1.SyncRequest, broken <-chan error) error {
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		for o := range h.observations {
			h.observe(ctx, o)
		}
	}()
	defer func() {
		close(h.observations)
		<-worked
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-broken:
			return err
		case event := <-events:
			if err := h.hear(event); err != nil {
				return err
			}
		}
	}
}

func (h *hearer) hear(event *heimdrahtv1.SyncRequest) error {
	switch e := event.GetEvent().(type) {
	case *heimdrahtv1.SyncRequest_Acknowledgement:
		return h.acknowledged(e.Acknowledgement)
	case *heimdrahtv1.SyncRequest_Observation:
		if len(e.Observation.GetPeers()) > maxSaid {
			return provisioner.Refuse(provisioner.CodeProtocol).With("why", "eine Beobachtung mit zu vielen Gegenstellen", "an observation that names too many peers")
		}
		select {
		case h.observations <- observation{e.Observation, time.Now()}:
		default:
			h.lost()
			h.log.Warn("statistics of a gateway were dropped: they come faster than they are written")
		}
		return nil
	case *heimdrahtv1.SyncRequest_SnapshotWanted:
		select {
		case h.wanted <- printable(e.SnapshotWanted.GetReason()):
		default: // one is on its way
		}
		return nil
	default:
		return provisioner.Refuse(provisioner.CodeProtocol).With("why", "ein Ereignis unbekannter Art", "an event of an unknown kind")
	}
}

func (h *hearer) acknowledged(a *heimdrahtv1.SyncAcknowledgement) error {
	if len(a.GetRemovedSessions()) > maxSaid || len(a.GetEpoch()) > maxID {
		return provisioner.Refuse(provisioner.CodeProtocol).With("why", "eine Bestätigung mit zu vielen Verbindungen", "an acknowledgement that names too much")
	}
	for _, id := range a.GetRemovedSessions() {
		if id == "" || len(id) > maxID {
			return provisioner.Refuse(provisioner.CodeProtocol).With("why", "die Bestätigung von etwas, das keine Verbindung ist", "an acknowledgement of something that is no session")
		}
	}
	if l := a.GetLoad(); l != nil {
		h.contact.Loaded(loadOf(l))
	}
	h.contact.Acknowledged(a.GetEpoch(), a.GetRevision(), a.GetRemovedSessions())
	return nil
}

// loadOf bounds what a gateway says of itself: a sum that overflowed would make the
// busiest one look idle.
func loadOf(l *heimdrahtv1.GatewayLoad) provisioner.GatewayLoad {
	const most = provisioner.MostThroughput / 8
	bytes := min(l.GetReceivedBytesPerSecond(), most) + min(l.GetSentBytesPerSecond(), most)
	return provisioner.GatewayLoad{Rate: int64(bytes) * 8, CPU: int64(min(l.GetCpuPermille(), 1000))}
}

func (h *hearer) observe(ctx context.Context, o observation) {
	seen := make([]session.Seen, 0, len(o.GetPeers()))
	for _, p := range o.GetPeers() {
		seen = append(seen, session.Seen{
			Session: p.GetSessionId(), LastHandshake: handshakeOf(p, o.at), ReceivedBytes: p.GetReceivedBytes(), SentBytes: p.GetSentBytes(),
		})
	}
	if err := h.sessions.Observe(ctx, h.actor, seen); err != nil {
		h.lost()
		if ctx.Err() == nil {
			h.log.Error("keeping observations", "error", err)
		}
		return
	}
	if o.GetComplete() && o.at.UnixNano() > h.blindUntil.Load() {
		h.contact.Observed(o.at)
	}
}

// handshakeOf is when a peer last shook hands, as seen at a time; zero: not
// known. An absurd age is none: multiplied out, it could lie in the future.
func handshakeOf(p *heimdrahtv1.PeerObservation, at time.Time) time.Time {
	age := p.GetLastHandshakeAgeMs()
	if p.LastHandshakeAgeMs == nil || age < 0 || age > oldestHandshake.Milliseconds() {
		return time.Time{}
	}
	return at.Add(-time.Duration(age) * time.Millisecond)
}
