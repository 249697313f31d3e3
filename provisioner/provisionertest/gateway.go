package provisionertest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// Gateway speaks the protocol of a gateway and acknowledges at once.
type Gateway struct {
	Certificate tls.Certificate
	PublicKey   []byte

	client *Client
	stop   context.CancelFunc
	done   chan error

	mu       sync.Mutex
	epoch    string
	revision int64
	peers    map[string]*heimdrahtv1.Peer // by session
	pages    map[string]*heimdrahtv1.Peer // of a snapshot under way
	muted    bool

	sending sync.Mutex // of a stream one sends at a time
	stream  heimdrahtv1.GatewayService_SyncClient
}

// JoinGateway lets the declared gateway join; Run connects it.
func (c *Client) JoinGateway(name string) *Gateway {
	c.t.Helper()
	ctx := context.Background()
	token, err := heimdrahtv1.NewAdminServiceClient(c.Dial(nil)).CreateGatewayToken(As(ctx, c.Operator),
		&heimdrahtv1.CreateGatewayTokenRequest{Gateway: name})
	if err != nil {
		c.t.Fatal("making a gateway's token: ", err)
	}
	key, csr := NewRequest(c.t)
	g := &Gateway{client: c, PublicKey: NewWireGuardKey(), peers: make(map[string]*heimdrahtv1.Peer)}
	answer, err := heimdrahtv1.NewGatewayServiceClient(c.Dial(nil)).Join(ctx, &heimdrahtv1.JoinRequest{
		Token: token.GetToken(), CertificateRequest: csr, WireguardPublicKey: g.PublicKey, AgentVersion: "test",
	})
	if err != nil {
		c.t.Fatal("joining: ", err)
	}
	g.Certificate = tls.Certificate{Certificate: [][]byte{answer.GetCertificate().GetLeaf()}, PrivateKey: key}
	return g
}

// Run connects the gateway and returns when it has been told its first state.
func (g *Gateway) Run() {
	g.client.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	g.stop, g.done = stop, make(chan error, 1)
	first := make(chan struct{})
	go func() { g.done <- g.sync(ctx, sync.OnceFunc(func() { close(first) })) }()
	g.client.t.Cleanup(g.Stop)
	select {
	case <-first:
	case err := <-g.done:
		g.client.t.Fatal("a gateway's stream broke: ", err)
	case <-time.After(10 * time.Second):
		g.client.t.Fatal("a gateway was told nothing")
	}
}

// Stop breaks the stream. Idempotent.
func (g *Gateway) Stop() {
	if g.stop != nil {
		g.stop()
		if err := <-g.done; err == nil {
			g.client.t.Error("a gateway's stream ended in order")
		}
		g.stop = nil
	}
}

// Mute makes the gateway apply and not acknowledge.
func (g *Gateway) Mute(muted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.muted = muted
}

// Sessions lists what it holds peers of.
func (g *Gateway) Sessions() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.peers))
}

// Peer is what it holds for a session; nil: nothing.
func (g *Gateway) Peer(session string) *heimdrahtv1.Peer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers[session]
}

func (g *Gateway) sync(ctx context.Context, first func()) error {
	stream, err := heimdrahtv1.NewGatewayServiceClient(g.client.Dial(&g.Certificate)).Sync(ctx)
	if err != nil {
		return err
	}
	g.mu.Lock()
	hello := &heimdrahtv1.SyncHello{Epoch: g.epoch, Revision: g.revision, WireguardPublicKey: g.PublicKey, AgentVersion: "test"}
	standing := g.acknowledge(nil)
	g.mu.Unlock()
	if err := g.send(stream, &heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_Hello{Hello: hello}}); err != nil {
		return err
	}
	if err := g.send(stream, standing); err != nil {
		return err
	}
	g.mu.Lock()
	g.stream = stream
	g.mu.Unlock()
	for {
		order, err := stream.Recv()
		if err != nil {
			return err
		}
		answer := g.obey(order)
		if order.GetConfiguration() != nil && hello.GetEpoch() != "" {
			first() // there may be nothing else to tell
		}
		if answer != nil {
			if err := g.send(stream, answer); err != nil {
				return err
			}
			first()
		}
	}
}

// send sends; that the stream is broken is told better by receiving.
func (g *Gateway) send(stream heimdrahtv1.GatewayService_SyncClient, m *heimdrahtv1.SyncRequest) error {
	g.sending.Lock()
	defer g.sending.Unlock()
	if err := stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Observe says what the gateway's device saw of peers, a whole pass, and gives a
// sign of life.
func (g *Gateway) Observe(peers ...*heimdrahtv1.PeerObservation) {
	g.client.t.Helper()
	g.mu.Lock()
	stream, alive := g.stream, g.acknowledge(nil)
	g.mu.Unlock()
	seen := &heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_Observation{
		Observation: &heimdrahtv1.SyncObservation{Peers: peers, Complete: true},
	}}
	if err := errors.Join(g.send(stream, seen), g.send(stream, alive)); err != nil {
		g.client.t.Fatal("telling what a gateway saw: ", err)
	}
}

func (g *Gateway) obey(order *heimdrahtv1.SyncResponse) *heimdrahtv1.SyncRequest {
	g.mu.Lock()
	defer g.mu.Unlock()
	var removed []string
	switch o := order.GetOrder().(type) {
	case *heimdrahtv1.SyncResponse_SnapshotBegin:
		g.pages = make(map[string]*heimdrahtv1.Peer)
		return nil
	case *heimdrahtv1.SyncResponse_SnapshotPage:
		for _, p := range o.SnapshotPage.GetPeers() {
			g.pages[p.GetSessionId()] = p
		}
		return nil
	case *heimdrahtv1.SyncResponse_SnapshotEnd:
		g.peers, g.pages = g.pages, nil
		g.epoch, g.revision = o.SnapshotEnd.GetEpoch(), o.SnapshotEnd.GetRevision()
	case *heimdrahtv1.SyncResponse_Delta:
		if o.Delta.GetEpoch() != g.epoch || o.Delta.GetAfter() != g.revision {
			return &heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_SnapshotWanted{SnapshotWanted: &heimdrahtv1.SnapshotWanted{Reason: "a delta that does not fit"}}}
		}
		for _, id := range o.Delta.GetRemovedSessions() {
			delete(g.peers, id)
		}
		for _, p := range o.Delta.GetPeers() {
			g.peers[p.GetSessionId()] = p
		}
		g.revision = o.Delta.GetUpto()
	case *heimdrahtv1.SyncResponse_Removal:
		removed = o.Removal.GetSessions()
		for _, id := range removed {
			delete(g.peers, id)
			delete(g.pages, id)
		}
	default:
		return nil
	}
	if g.muted {
		return nil
	}
	return g.acknowledge(removed)
}

// acknowledge says how far it is. g.mu is held.
func (g *Gateway) acknowledge(removed []string) *heimdrahtv1.SyncRequest {
	return &heimdrahtv1.SyncRequest{Event: &heimdrahtv1.SyncRequest_Acknowledgement{
		Acknowledgement: &heimdrahtv1.SyncAcknowledgement{Epoch: g.epoch, Revision: g.revision, RemovedSessions: removed},
	}}
}
