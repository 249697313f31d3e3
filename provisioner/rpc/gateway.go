package rpc

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/address"
	"github.com/heimdraht/heimdraht/provisioner/session"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

const (
	// pageSize is how many peers a message carries at the most.
	pageSize = 1000
	// idleDelta is how often a gateway's place is moved on although nothing
	// concerned it.
	idleDelta = 5 * time.Second
)

type syncStream = grpc.BidiStreamingServer[heimdrahtv1.SyncRequest, heimdrahtv1.SyncResponse]

// syncer is one gateway's stream: this side of it sends; listen hears.
type syncer struct {
	*gatewayHandler
	stream  syncStream
	actor   provisioner.Actor
	name    string              // the gateway's; both sides of the stream read it
	gateway provisioner.Gateway // as it is declared now; speak's alone
	log     *slog.Logger

	wake   *watch.Listener
	wanted chan string // a snapshot, and why; room for one

	epoch    string
	revision int64 // what the gateway has been told up to
	removals int64 // what it has been told of removals up to
}

// Sync serves a gateway's stream until it breaks, a newer one comes, or the
// gateway may not go on.
func (h *gatewayHandler) Sync(stream syncStream) error {
	actor := actorOf(stream.Context())
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	key, err := provisioner.ParseKey(hello.GetWireguardPublicKey())
	if hello == nil || err != nil || hello.GetRevision() < 0 || len(hello.GetEpoch()) > maxID || len(hello.GetAgentVersion()) > maxText {
		return provisioner.Refuse(provisioner.CodeProtocol, "why", "the first message of a gateway must be its hello, with its key")
	}
	g, err := h.sessions.AdmitGateway(stream.Context(), actor, key, hello.GetAgentVersion())
	if err != nil {
		return err
	}
	ctx, release := h.streams.hold(stream.Context(), "gateway "+g.Name)
	s := &syncer{
		gatewayHandler: h, stream: stream, actor: actor, name: g.Name, gateway: g, log: h.log.With("gateway", g.Name),
		wake: h.hub.Listen(watch.Gateway(g.Name)), wanted: make(chan string, 1),
		epoch: hello.GetEpoch(), revision: hello.GetRevision(),
	}
	defer s.wake.Close()
	defer func() {
		if release() {
			h.contacts.Disconnected(g.Name)
			s.log.Info("gateway disconnected")
		}
	}()
	if err := h.contacts.Connected(ctx, g.Name, s.epoch, s.revision); err != nil {
		return err
	}
	s.log.Info("gateway connected", "epoch", s.epoch, "revision", s.revision, "version", hello.GetAgentVersion())
	heard := make(chan error, 1)
	go func() { heard <- s.listen(ctx) }()
	return s.speak(ctx, heard)
}

// speak sends what the gateway must know, as it changes.
func (s *syncer) speak(ctx context.Context, heard <-chan error) error {
	if err := s.configure(ctx); err != nil {
		return err
	}
	idle := time.NewTicker(idleDelta)
	defer idle.Stop()
	for {
		if err := s.catchUp(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-heard:
			return err
		case why := <-s.wanted:
			s.log.Warn("gateway asks for a snapshot", "why", why)
			if err := s.snapshot(ctx); err != nil {
				return err
			}
		case <-s.wake.C:
		case <-idle.C:
		}
	}
}

// catchUp sends deltas until the gateway has been told everything.
func (s *syncer) catchUp(ctx context.Context) error {
	for {
		d, err := s.sessions.Delta(ctx, s.gateway.Name, s.epoch, s.revision)
		switch {
		case err != nil:
			return err
		case d.Unknown:
			if err := s.snapshot(ctx); err != nil {
				return err
			}
			continue
		case d.Empty():
			return nil
		}
		if d.Declaration {
			if err := s.configure(ctx); err != nil {
				return err
			}
		}
		if err := s.stream.Send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: &heimdrahtv1.Delta{
			Epoch: d.Epoch, After: d.After, Upto: d.Upto, RemovedSessions: d.Removed, Peers: fromPeers(d.Peers),
		}}}); err != nil {
			return err
		}
		s.revision = d.Upto
		s.removals = max(s.removals, d.Upto)
		if err := s.removeAhead(ctx); err != nil {
			return err
		}
	}
}

// snapshot sends everything; removals that come meanwhile go between the pages.
func (s *syncer) snapshot(ctx context.Context) error {
	snap, err := s.sessions.Snapshot(ctx, s.gateway.Name)
	if err != nil {
		return err
	}
	s.log.Info("sending a snapshot", "revision", snap.Revision, "peers", len(snap.Peers))
	s.epoch, s.revision, s.removals = snap.Epoch, snap.Revision, snap.Revision
	if err := s.stream.Send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotBegin{
		SnapshotBegin: &heimdrahtv1.SnapshotBegin{Epoch: snap.Epoch, Revision: snap.Revision},
	}}); err != nil {
		return err
	}
	for page := range slices.Chunk(snap.Peers, pageSize) {
		if err := s.stream.Send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotPage{
			SnapshotPage: &heimdrahtv1.SnapshotPage{Peers: fromPeers(page)},
		}}); err != nil {
			return err
		}
		if err := s.removeAhead(ctx); err != nil {
			return err
		}
	}
	return s.stream.Send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotEnd{
		SnapshotEnd: &heimdrahtv1.SnapshotEnd{Epoch: snap.Epoch, Revision: snap.Revision, Peers: int64(len(snap.Peers))},
	}})
}

// removeAhead sends the removals that have happened since the last look, past
// what is still to be sent.
func (s *syncer) removeAhead(ctx context.Context) error {
	select {
	case <-s.wake.C:
		defer s.wake.Again() // there may be more than removals
	default:
		return nil
	}
	closed, upto, err := s.sessions.Closings(ctx, s.gateway.Name, s.removals)
	if err != nil || len(closed) == 0 {
		return err
	}
	s.removals = upto
	return s.stream.Send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Removal{
		Removal: &heimdrahtv1.Removal{Epoch: s.epoch, Revision: upto, Sessions: closed},
	}})
}

// configure sends what the gateway should be like, after looking whether it
// is still the one that joined last.
func (s *syncer) configure(ctx context.Context) error {
	g, err := s.sessions.Gateway(ctx, s.actor)
	if err != nil {
		return err
	}
	s.gateway = g
	return s.stream.Send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Configuration{
		Configuration: &heimdrahtv1.GatewayConfiguration{
			Name:       g.Name,
			Addresses:  texts(address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6}.GatewayPrefixes()),
			ListenPort: listenPort(g.Endpoint),
			Mtu:        provisioner.TunnelMTU,
			GraceMs:    provisioner.GatewayGrace.Milliseconds(),
			Masquerade: g.Masquerade,
			ServerTime: timestamppb.Now(),
		},
	}})
}

// listen hears the gateway. Acknowledgements are taken at once; observations
// are written by a worker, so that no confirmation waits for statistics.
func (s *syncer) listen(ctx context.Context) error {
	observations := make(chan *heimdrahtv1.SyncObservation, 64)
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		for o := range observations {
			s.observe(ctx, o)
		}
	}()
	defer func() {
		close(observations)
		<-worked
	}()
	for {
		event, err := s.stream.Recv()
		if err != nil {
			return ended(err)
		}
		switch e := event.GetEvent().(type) {
		case *heimdrahtv1.SyncRequest_Acknowledgement:
			a := e.Acknowledgement
			s.contacts.Acknowledged(s.name, a.GetEpoch(), a.GetRevision(), a.GetRemovedSessions())
		case *heimdrahtv1.SyncRequest_Observation:
			select {
			case observations <- e.Observation:
			default:
				s.log.Warn("statistics of a gateway were dropped: they come faster than they are written")
			}
		case *heimdrahtv1.SyncRequest_SnapshotWanted:
			select {
			case s.wanted <- printable(e.SnapshotWanted.GetReason()):
			default: // one is on its way
			}
		default:
			return provisioner.Refuse(provisioner.CodeProtocol, "why", "an event of an unknown kind")
		}
	}
}

func (s *syncer) observe(ctx context.Context, o *heimdrahtv1.SyncObservation) {
	now := time.Now()
	seen := make([]session.Seen, 0, len(o.GetPeers()))
	for _, p := range o.GetPeers() {
		v := session.Seen{Session: p.GetSessionId(), ReceivedBytes: p.GetReceivedBytes(), SentBytes: p.GetSentBytes()}
		if p.LastHandshakeAgeMs != nil && p.GetLastHandshakeAgeMs() >= 0 {
			v.LastHandshake = now.Add(-time.Duration(p.GetLastHandshakeAgeMs()) * time.Millisecond)
		}
		seen = append(seen, v)
	}
	if err := s.sessions.Observe(ctx, s.actor, seen); err != nil {
		if ctx.Err() == nil {
			s.log.Error("keeping observations", "error", err)
		}
		return
	}
	if o.GetComplete() {
		s.contacts.Observed(s.name)
	}
}

func fromPeers(peers []session.Peer) []*heimdrahtv1.Peer {
	list := make([]*heimdrahtv1.Peer, len(peers))
	for i, p := range peers {
		list[i] = &heimdrahtv1.Peer{
			SessionId: p.Session, PublicKey: p.PublicKey[:], PresharedKey: p.PresharedKey[:], AllowedIps: texts(p.AllowedIPs),
		}
	}
	return list
}
