package gateway

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// plane is a control plane that speaks the protocol to gateways, and can be
// told to speak it badly. It has a model of what it wants.
type plane struct {
	heimdrahtv1.UnimplementedGatewayServiceServer
	heimdrahtv1.UnimplementedEnrolmentServiceServer
	t    tb
	ca   *x509.Certificate
	key  ed25519.PrivateKey
	cert tls.Certificate

	mu       sync.Mutex
	config   *heimdrahtv1.GatewayConfiguration
	epoch    string
	revision int64
	oldest   int64 // deltas reach back to here
	sessions map[string]*heimdrahtv1.Peer
	log      []change
	hold     bool // send nothing by itself
	pageSize int
	refuse   error // answers streams
	// grants are those of each access list. Nil: a network, by a port of the list's own.
	grants []*heimdrahtv1.AccessGrant
	token  string

	moved  chan struct{}                  // closed and renewed when the model moves
	orders chan *heimdrahtv1.SyncResponse // sent as they are
	drop   context.CancelFunc             // ends the present stream

	heard        chan struct{} // closed and renewed when a gateway spoke
	hellos       []*heimdrahtv1.SyncHello
	ack          *heimdrahtv1.SyncAcknowledgement
	acks         int
	gone         map[string]time.Time
	wanted       []string // reasons of SnapshotWanted
	observations []*heimdrahtv1.SyncObservation
	snapshots    int
}

type change struct {
	revision int64
	removed  []string
	added    []*heimdrahtv1.Peer
}

func newPlane(t tb) *plane {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	check(t, err)
	ca, err := x509.ParseCertificate(der)
	check(t, err)
	p := &plane{
		t: t, ca: ca, key: key, epoch: "epoch-1", revision: 1, sessions: make(map[string]*heimdrahtv1.Peer),
		pageSize: maxPage, token: "token-1", moved: make(chan struct{}), heard: make(chan struct{}), gone: make(map[string]time.Time),
		orders: make(chan *heimdrahtv1.SyncResponse),
		config: &heimdrahtv1.GatewayConfiguration{
			Name: "gw1", Addresses: []string{"10.80.0.1/16", "fd80:1::1/48"}, Mtu: 1420,
		},
	}
	serverPublic, serverKey, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	leaf := p.issue(serverPublic, x509.ExtKeyUsageServerAuth)
	p.cert = tls.Certificate{Certificate: [][]byte{leaf, ca.Raw}, PrivateKey: serverKey}
	return p
}

func check(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *plane) issue(public any, usage x509.ExtKeyUsage) []byte {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, p.ca, public, p.key)
	check(p.t, err)
	return der
}

// serve answers on the listener and returns what stops it.
func (p *plane) serve(l net.Listener) (stop func()) {
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{p.cert}, ClientAuth: tls.RequestClientCert,
	})))
	heimdrahtv1.RegisterGatewayServiceServer(s, p)
	heimdrahtv1.RegisterEnrolmentServiceServer(s, p)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return func() {
		s.Stop()
		if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) {
			p.t.Error(err)
		}
	}
}

func (p *plane) address(server control.Server) control.Address {
	return control.Address{Server: server, Pin: control.FingerprintOf(p.ca)}
}

// Join implements the service.
func (p *plane) Join(_ context.Context, in *heimdrahtv1.JoinRequest) (*heimdrahtv1.JoinResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.GetToken() != p.token {
		s, err := status.New(codes.Unauthenticated, "token").WithDetails(&heimdrahtv1.Refusal{
			Code: "token-invalid", Sentence: "The token is not valid.", NextStep: "Ask for a new one."})
		check(p.t, err)
		return nil, s.Err()
	}
	p.token = ""
	request, err := x509.ParseCertificateRequest(in.GetCertificateRequest())
	if err != nil || len(in.GetWireguardPublicKey()) != 32 {
		return nil, status.Error(codes.InvalidArgument, "request")
	}
	leaf := p.issue(request.PublicKey, x509.ExtKeyUsageClientAuth)
	return &heimdrahtv1.JoinResponse{Gateway: p.config.GetName(), Certificate: &heimdrahtv1.Certificate{
		Leaf: leaf, Authorities: [][]byte{p.ca.Raw}, NotAfter: timestamppb.New(time.Now().AddDate(5, 0, 0)),
		RenewAt: timestamppb.New(time.Now().AddDate(4, 0, 0)),
	}}, nil
}

// Sync implements the service.
func (p *plane) Sync(stream heimdrahtv1.GatewayService_SyncServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	p.mu.Lock()
	if p.refuse != nil {
		defer p.mu.Unlock()
		return p.refuse
	}
	p.drop = cancel
	hello := first.GetHello()
	p.hellos = append(p.hellos, hello)
	queue := []*heimdrahtv1.SyncResponse{{Order: &heimdrahtv1.SyncResponse_Configuration{Configuration: p.config}}}
	sent := hello.GetRevision()
	snapshot := hello.GetEpoch() != p.epoch || sent > p.revision || sent < p.oldest
	p.mu.Unlock()

	asked := make(chan struct{}, 1)
	go func() {
		defer cancel()
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			if p.note(m) {
				select {
				case asked <- struct{}{}:
				default:
				}
			}
		}
	}()
	for {
		p.mu.Lock()
		moved := p.moved
		if !p.hold {
			if snapshot || sent < p.oldest {
				queue = append(queue, p.snapshot()...)
				sent, snapshot = p.revision, false
			} else if sent < p.revision {
				queue = append(queue, p.delta(sent))
				sent = p.revision
			}
		}
		p.mu.Unlock()
		for _, m := range queue {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		queue = nil
		select {
		case <-ctx.Done():
			return status.Error(codes.Unavailable, "dropped")
		case <-moved:
		case <-asked:
			snapshot = true
		case m := <-p.orders:
			queue = append(queue, m)
		}
	}
}

// note remembers what the gateway said; true: it wants a snapshot.
func (p *plane) note(m *heimdrahtv1.SyncRequest) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.heard)
	p.heard = make(chan struct{})
	switch e := m.GetEvent().(type) {
	case *heimdrahtv1.SyncRequest_Acknowledgement:
		p.ack = e.Acknowledgement
		p.acks++
		for _, id := range e.Acknowledgement.GetRemovedSessions() {
			p.gone[id] = time.Now()
		}
	case *heimdrahtv1.SyncRequest_Observation:
		p.observations = append(p.observations, e.Observation)
	case *heimdrahtv1.SyncRequest_SnapshotWanted:
		p.wanted = append(p.wanted, e.SnapshotWanted.GetReason())
		return true
	}
	return false
}

func (p *plane) snapshot() []*heimdrahtv1.SyncResponse {
	p.snapshots++
	out := []*heimdrahtv1.SyncResponse{{Order: &heimdrahtv1.SyncResponse_SnapshotBegin{SnapshotBegin: &heimdrahtv1.SnapshotBegin{
		Epoch: p.epoch, Revision: p.revision}}}}
	all := slices.Collect(maps.Values(p.sessions))
	for page := range slices.Chunk(all, p.pageSize) {
		out = append(out, &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotPage{
			SnapshotPage: &heimdrahtv1.SnapshotPage{Peers: page, AccessLists: p.listsOf(page)}}})
	}
	return append(out, &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotEnd{SnapshotEnd: &heimdrahtv1.SnapshotEnd{
		Epoch: p.epoch, Revision: p.revision, Peers: int64(len(all))}}})
}

// delta gathers the changes after a revision into their net effect.
func (p *plane) delta(after int64) *heimdrahtv1.SyncResponse {
	d := &heimdrahtv1.Delta{Epoch: p.epoch, After: after, Upto: p.revision}
	touched := make(map[string]bool)
	for _, c := range p.log {
		if c.revision <= after {
			continue
		}
		for _, id := range c.removed {
			touched[id] = true
		}
		for _, peer := range c.added {
			touched[peer.GetSessionId()] = true
		}
	}
	for id := range touched {
		if peer := p.sessions[id]; peer != nil {
			d.Peers = append(d.Peers, peer)
		} else {
			d.RemovedSessions = append(d.RemovedSessions, id)
		}
	}
	d.AccessLists = p.listsOf(d.GetPeers())
	return &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Delta{Delta: d}}
}

// listsOf are the access lists that peers name.
func (p *plane) listsOf(peers []*heimdrahtv1.Peer) (lists []*heimdrahtv1.AccessList) {
	seen := map[string]bool{"": true}
	for _, peer := range peers {
		name := peer.GetAccess()
		if seen[name] {
			continue
		}
		seen[name] = true
		grants := p.grants
		if grants == nil {
			grants = []*heimdrahtv1.AccessGrant{{Prefix: "10.1.0.0/16", Port: uint32(len(name))}}
		}
		lists = append(lists, &heimdrahtv1.AccessList{Id: name, Grants: grants})
	}
	return lists
}

// change moves the model by one revision.
func (p *plane) change(removed []string, added ...*heimdrahtv1.Peer) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revision++
	for _, id := range removed {
		delete(p.sessions, id)
	}
	for _, peer := range added {
		if p.config.GetAccessLists() {
			peer.Access = fmt.Sprint("list-", p.revision%3)
		}
		p.sessions[peer.GetSessionId()] = peer
	}
	p.log = append(p.log, change{p.revision, removed, added})
	p.stir()
	return p.revision
}

func (p *plane) stir() {
	close(p.moved)
	p.moved = make(chan struct{})
}

// with changes a setting.
func (p *plane) with(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.stir()
}

func (p *plane) disconnect() {
	p.mu.Lock()
	drop := p.drop
	p.mu.Unlock()
	if drop != nil {
		drop()
	}
}

// order sends a message as it is.
func (p *plane) order(ctx context.Context, m *heimdrahtv1.SyncResponse) {
	select {
	case p.orders <- m:
	case <-ctx.Done():
		p.t.Error("nobody took the order")
	}
}

func removalOrder(epoch string, revision int64, ids ...string) *heimdrahtv1.SyncResponse {
	return &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_Removal{Removal: &heimdrahtv1.Removal{
		Epoch: epoch, Revision: revision, Sessions: ids}}}
}

func beginOrder(epoch string, revision int64) *heimdrahtv1.SyncResponse {
	return &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotBegin{SnapshotBegin: &heimdrahtv1.SnapshotBegin{
		Epoch: epoch, Revision: revision}}}
}

func pageOrder(peers ...*heimdrahtv1.Peer) *heimdrahtv1.SyncResponse {
	return &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotPage{SnapshotPage: &heimdrahtv1.SnapshotPage{Peers: peers}}}
}

func endOrder(epoch string, revision, peers int64) *heimdrahtv1.SyncResponse {
	return &heimdrahtv1.SyncResponse{Order: &heimdrahtv1.SyncResponse_SnapshotEnd{SnapshotEnd: &heimdrahtv1.SnapshotEnd{
		Epoch: epoch, Revision: revision, Peers: peers}}}
}

func (p *plane) lastAck() *heimdrahtv1.SyncAcknowledgement {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ack
}

func (p *plane) ackCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acks
}

func (p *plane) greetings() []*heimdrahtv1.SyncHello {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.hellos)
}

func (p *plane) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.wanted)
}

func (p *plane) allGone() map[string]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.gone)
}

// seenGone is when a session was acknowledged as removed. Zero: not yet.
func (p *plane) seenGone(id string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone[id]
}

// peer is session number n of key k: with its own preshared key and addresses
// of the key.
func peer(n, k int) *heimdrahtv1.Peer {
	return &heimdrahtv1.Peer{
		SessionId: fmt.Sprintf("s%d", n), PublicKey: keyOf(k).bytes(), PresharedKey: keyOf(1<<20 + n).bytes(),
		AllowedIps: []string{addressOf(k), fmt.Sprintf("fd80:1::%x/128", k+16)},
	}
}

func addressOf(k int) string { return fmt.Sprintf("10.80.%d.%d/32", (k+16)>>8, (k+16)&255) }

type testKey wireguard.Key

func keyOf(n int) (k testKey) {
	binary.BigEndian.PutUint64(k[:], uint64(n)+1)
	k[31] = 7
	return k
}

func (k testKey) bytes() []byte { return k[:] }

// tb is what tests and properties have in common.
type tb interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// closing is for defer.
func closing(t tb, c io.Closer) {
	t.Helper()
	check(t, c.Close())
}
