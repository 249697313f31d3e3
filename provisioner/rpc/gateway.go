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
	// concerned it, so that a list of gateways shows who is behind.
	idleDelta = time.Second
)

type syncStream = grpc.BidiStreamingServer[heimdrahtv1.SyncRequest, heimdrahtv1.SyncResponse]

// syncer is one gateway's stream: this side of it sends; hearer hears.
type syncer struct {
	*gatewayHandler
	stream  syncStream
	actor   provisioner.Actor
	gateway string
	contact *watch.Contact
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
	events, broken := receive(stream.Context(), stream.Recv)
	hello, key, err := greeted(stream.Context(), events, broken)
	if err != nil {
		return err
	}
	g, err := h.sessions.AdmitGateway(stream.Context(), actor, key, printable(hello.GetAgentVersion()))
	if err != nil {
		return err
	}
	ctx, release := h.streams.hold(stream.Context(), "gateway "+g.Name, actor.Until)
	defer release()
	s := &syncer{
		gatewayHandler: h, stream: stream, actor: actor, gateway: g.Name, log: h.log.With("gateway", g.Name),
		wake: h.hub.Listen(watch.Gateway(g.Name)), wanted: make(chan string, 1),
		epoch: hello.GetEpoch(), revision: hello.GetRevision(),
	}
	defer s.wake.Close()
	return because(ctx, s.serve(ctx, events, broken))
}

func (s *syncer) serve(ctx context.Context, events <-chan *heimdrahtv1.SyncRequest, broken <-chan error) error {
	contact, err := s.contacts.Connected(ctx, s.gateway)
	if err != nil {
		return err
	}
	s.contact = contact
	defer func() {
		if contact.Disconnected() {
			s.log.Info("gateway disconnected")
		}
	}()
	s.log.Info("gateway connected", "epoch", s.epoch, "revision", s.revision)
	known, err := s.sessions.Knows(ctx, s.epoch, s.revision)
	if err != nil {
		return err
	}
	if known {
		contact.Told(s.epoch, s.revision)
	}
	heard, ended := make(chan error, 1), make(chan struct{})
	hearing, stop := context.WithCancel(ctx)
	hearer := newHearer(s)
	go func() {
		defer close(ended)
		heard <- hearer.run(hearing, events, broken)
	}()
	defer func() {
		stop()
		<-ended
	}()
	return s.speak(ctx, heard)
}

// speak sends what the gateway must know, as it changes.
func (s *syncer) speak(ctx context.Context, heard <-chan error) error {
	if err := s.configure(ctx); err != nil {
		return err
	}
	ticker := time.NewTicker(idleDelta)
	defer ticker.Stop()
	for idle := true; ; {
		if err := s.catchUp(ctx, idle); err != nil {
			return err
		}
		idle = false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-heard:
			return err
		case <-s.contact.Replaced():
			return provisioner.Refuse(provisioner.CodeStreamReplaced)
		case why := <-s.wanted:
			s.log.Warn("gateway asks for a snapshot", "why", why)
			if err := s.snapshot(ctx); err != nil {
				return err
			}
		case <-s.wake.C:
		case <-ticker.C:
			idle = true
		}
	}
}

// catchUp sends deltas until the gateway has been told everything that
// concerns it. What concerns it not only moves its place on, and that can wait
// for others to come together with it.
func (s *syncer) catchUp(ctx context.Context, idle bool) error {
	for {
		d, err := s.sessions.Delta(ctx, s.gateway, s.epoch, s.revision)
		switch {
		case err != nil:
			return err
		case d.Unknown:
			if err := s.snapshot(ctx); err != nil {
				return err
			}
			continue
		case d.Upto == d.After || !d.Concerns && !idle:
			return nil
		}
		idle = false
		if d.Declaration {
			if err := s.configure(ctx); err != nil {
				return err
			}
		}
		s.contact.Told(d.Epoch, d.Upto)
		if err := s.delta(d); err != nil {
			return err
		}
		s.revision = d.Upto
		s.removals = max(s.removals, d.Upto)
		if err := s.removeAhead(ctx); err != nil {
			return err
		}
	}
}

// delta sends one, in parts if it is large: the place moves on with the last one.
func (s *syncer) delta(d session.Delta) error {
	for {
		n := min(len(d.Peers), pageSize)
		part := &heimdrahtv1.Delta{Epoch: d.Epoch, After: d.After, Upto: d.After, RemovedSessions: d.Removed,
			Peers: fromPeers(d.Peers[:n]), AccessLists: fromAccess(d.Peers[:n])}
		last := n == len(d.Peers)
		if last {
			part.Upto = d.Upto
		}
		if err := s.stream.Send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: part}}); err != nil || last {
			return err
		}
		d.Peers, d.Removed = d.Peers[n:], nil
	}
}

// snapshot sends everything; removals that come meanwhile go between the pages.
func (s *syncer) snapshot(ctx context.Context) error {
	snap, err := s.sessions.Snapshot(ctx, s.gateway)
	if err != nil {
		return err
	}
	s.log.Info("sending a snapshot", "revision", snap.Revision, "peers", len(snap.Peers))
	s.epoch, s.revision, s.removals = snap.Epoch, snap.Revision, snap.Revision
	s.contact.Told(snap.Epoch, snap.Revision)
	if err := s.stream.Send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotBegin{
		SnapshotBegin: &heimdrahtv1.SnapshotBegin{Epoch: snap.Epoch, Revision: snap.Revision},
	}}); err != nil {
		return err
	}
	for page := range slices.Chunk(snap.Peers, pageSize) {
		if err := s.stream.Send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotPage{
			SnapshotPage: &heimdrahtv1.SnapshotPage{Peers: fromPeers(page), AccessLists: fromAccess(page)},
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
	closed, upto, err := s.sessions.Closings(ctx, s.gateway, s.removals)
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
	inside, err := s.sessions.Inside(ctx, g.Name)
	if err != nil {
		return err
	}
	return s.stream.Send(&heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Configuration{
		Configuration: &heimdrahtv1.GatewayConfiguration{
			Name:       g.Name,
			Addresses:  texts(address.Aggregate{V4: g.AggregateV4, V6: g.AggregateV6}.GatewayPrefixes()),
			ListenPort: listenPort(g.Endpoint),
			Mtu:        provisioner.TunnelMTU,
			GraceMs:    provisioner.GatewayGrace.Milliseconds(),
			Masquerade: g.Masquerade,
			ServerTime: timestamppb.Now(),

			AccessLists: true,
			Inside:      texts(inside),
		},
	}})
}

func fromPeers(peers []session.Peer) []*heimdrahtv1.Peer {
	list := make([]*heimdrahtv1.Peer, len(peers))
	for i, p := range peers {
		list[i] = &heimdrahtv1.Peer{
			SessionId: p.Session, PublicKey: p.PublicKey[:], PresharedKey: p.PresharedKey[:], AllowedIps: texts(p.AllowedIPs), NotAfter: stamp(p.NotAfter),
			Access: p.Access.ID,
		}
	}
	return list
}

// fromAccess gives the lists that peers name, each once.
func fromAccess(peers []session.Peer) (lists []*heimdrahtv1.AccessList) {
	seen := make(map[string]bool)
	for _, p := range peers {
		if seen[p.Access.ID] {
			continue
		}
		seen[p.Access.ID] = true
		lists = append(lists, &heimdrahtv1.AccessList{
			Id: p.Access.ID, World: p.Access.World, Grants: fromDestinations(p.Access.Grants), Callers: fromDestinations(p.Access.Callers),
		})
	}
	return lists
}

func fromDestinations(destinations []provisioner.Destination) (list []*heimdrahtv1.AccessGrant) {
	for _, d := range destinations {
		list = append(list, &heimdrahtv1.AccessGrant{Prefix: d.Prefix.String(), Port: uint32(d.Port)})
	}
	return list
}
