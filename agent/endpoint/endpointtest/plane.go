// Package endpointtest is a control plane for tests of laptops: it speaks the protocol over real TLS, with a CA of
// its own, and runs a real gateway with a page behind it, all in this process and without root. It does the usual
// until a test scripts it otherwise.
//
// What the usual is, it decides by itself: no directory, no seats, one device. How a real control plane decides
// is not its business.
package endpointtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

const (
	// Invitation is the token of a good invitation.
	Invitation = "einladung-fuer-diesen-laptop"
	// Password is the right one, for every login.
	Password = "Kaffee-und-Kuchen-7" //nolint:gosec // a password of nobody
	// Inside is the gateway's address inside the tunnel. A page with the text Page lies there on port 80.
	Inside = "10.80.0.1"
	// Page is what the page says. What is sent to it is read to its end; it is followed by as many bytes as the path says.
	Page = "the intranet"
	// Laptop is the address that each laptop gets.
	Laptop = "10.80.0.5"
)

// Script says in what the control plane differs from the usual. The zero value: in nothing. Its functions run
// under the Plane's lock.
type Script struct {
	Lifetime   time.Duration // of client certificates; zero: 30 days
	RenewEvery time.Duration // of sessions; zero: 1 s
	// OnEnrol and OnRenewal refuse by returning an error, such as Refuse makes.
	OnEnrol   func(*heimdrahtv1.EnrolRequest) error
	OnRenewal func(*heimdrahtv1.RenewCertificateRequest) error
	// Approved lets laptops in that wait with a code. OnAwait refuses by returning an error.
	Approved bool
	OnAwait  func() error
	// AwaitsApproval says to who enrols that the helpdesk has yet to approve it.
	AwaitsApproval bool
	// Code is the one that enrolling and signing in again take. Empty: they take none.
	Code string
	// OnOpen answers an opening; nil: as usual.
	OnOpen func(*heimdrahtv1.OpenSession) *heimdrahtv1.AttachResponse
	// Configure changes the configuration of a session that opens.
	Configure func(*heimdrahtv1.TunnelConfiguration)
	// StreamError refuses every stream.
	StreamError error
	// Silent leaves renewals unanswered.
	Silent bool
	// Metering is what sessions that open are to say of products. Nil: nothing.
	Metering *heimdrahtv1.Metering
	// Renewed changes the answer to a renewal.
	Renewed func(*heimdrahtv1.SessionRenewed)
	// HouseRules must be acknowledged to enrol. Nil: there are none.
	HouseRules *heimdrahtv1.HouseRules
	// ClockAhead is how far the control plane's clock is ahead.
	ClockAhead time.Duration
	// Why is what it says to whoever asks why. Nil: it is too old to be asked.
	Why *heimdrahtv1.ExplainOwnResponse
}

// Seen is what came from laptops so far.
type Seen struct {
	Enrolments []*heimdrahtv1.EnrolRequest
	Codes      []*heimdrahtv1.BeginEnrolmentRequest
	Asked      int // whether they are approved
	Renewals   []*heimdrahtv1.RenewCertificateRequest
	SignIns    []*heimdrahtv1.SignInAgainRequest
	Languages  []string // of streams
	Streams    int
	Openings   []*heimdrahtv1.OpenSession
	Usages     []*heimdrahtv1.Usage
	Reports    []*heimdrahtv1.RenewSession
	Closings   []string
	// Session is the one that is open. Empty: none.
	Session string
	// Acknowledged is the version of the house rules that was acknowledged last.
	Acknowledged string
}

// Plane is the control plane and its gateway. All methods are safe for concurrent use, except Kill and Restart.
type Plane struct {
	heimdrahtv1.UnimplementedEnrolmentServiceServer
	heimdrahtv1.UnimplementedSessionServiceServer

	// Server is where it listens.
	Server control.Server

	t       testing.TB
	address netip.Addr
	ca      *x509.Certificate
	caKey   ed25519.PrivateKey
	gateway *wireguard.Device
	grpc    *grpc.Server
	events  chan string // what happened, in order
	always  context.Context

	mu        sync.Mutex
	script    Script
	seen      Seen
	laptopKey wireguard.Key // of who enrolled or opened last
	// keys are those of all who enrolled, by the public key of their certificate.
	keys    map[string]wireguard.Key
	waiting *heimdrahtv1.BeginEnrolmentRequest
	number  int // of sessions
	streams []heimdrahtv1.SessionService_AttachServer
}

// New starts a control plane and a gateway on 127.0.0.1, which end with the test.
func New(t testing.TB) *Plane {
	t.Helper()
	return NewAt(t, netip.MustParseAddr("127.0.0.1"))
}

// NewAt starts them on another address of this machine. Their sockets are in the network namespace of the calling
// thread, also after Restart.
func NewAt(t testing.TB, address netip.Addr) *Plane {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	p := &Plane{t: t, address: address, caKey: key, events: make(chan string, 1000), always: context.Background()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	check(t, err)
	p.ca, err = x509.ParseCertificate(der)
	check(t, err)
	p.openGateway()
	p.listen(netip.AddrPortFrom(address, 0).String())
	t.Cleanup(p.Kill)
	return p
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *Plane) openGateway() {
	key, err := wireguard.GeneratePrivateKey()
	check(p.t, err)
	p.gateway, err = wireguard.Open(p.always, wireguard.Options{
		Mode: wireguard.Netstack, PrivateKey: key, Addresses: []netip.Addr{netip.MustParseAddr(Inside)},
		Source:         p.address, // and no other
		SmallFootprint: true, Logger: slog.New(slog.DiscardHandler),
	})
	check(p.t, err)
	p.t.Cleanup(func() { check(p.t, p.gateway.Close()) })
	l, err := p.gateway.Net().ListenTCP(netip.MustParseAddrPort(Inside + ":80"))
	check(p.t, err)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, Page)
		more, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		_, _ = w.Write(make([]byte, more))
	})}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	p.t.Cleanup(func() { _ = server.Close(); <-served })
}

// issue signs a certificate.
func (p *Plane) issue(public any, usage x509.ExtKeyUsage, until time.Time) []byte {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		IPAddresses: []net.IP{p.address.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, public, p.caKey)
	check(p.t, err)
	return der
}

func (p *Plane) listen(address string) {
	l, err := (&net.ListenConfig{}).Listen(p.always, "tcp", address)
	check(p.t, err)
	p.Server, err = control.ParseServer(l.Addr().String())
	check(p.t, err)
	public, key, err := ed25519.GenerateKey(rand.Reader)
	check(p.t, err)
	leaf := p.issue(public, x509.ExtKeyUsageServerAuth, time.Now().Add(time.Hour))
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2"},
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf, p.ca.Raw}, PrivateKey: key}},
	})))
	heimdrahtv1.RegisterEnrolmentServiceServer(server, p)
	heimdrahtv1.RegisterSessionServiceServer(server, p)
	heimdrahtv1.RegisterAuthServiceServer(server, auth{})
	p.grpc = server
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	p.t.Cleanup(func() { server.Stop(); <-served })
}

// Kill stops the control plane at once. The gateway goes on.
func (p *Plane) Kill() { p.grpc.Stop() }

// Restart starts it again where it was.
func (p *Plane) Restart() { p.listen(p.Server.String()) }

// Pin is the fingerprint of its CA.
func (p *Plane) Pin() control.Fingerprint { return control.FingerprintOf(p.ca) }

// Address is its enrolment address.
func (p *Plane) Address() string { return control.Address{Server: p.Server, Pin: p.Pin()}.String() }

// Script changes the script.
func (p *Plane) Script(change func(*Script)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.script)
}

// Seen returns what came from laptops so far.
func (p *Plane) Seen() Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	seen.Enrolments, seen.Renewals = slices.Clone(seen.Enrolments), slices.Clone(seen.Renewals)
	seen.SignIns = slices.Clone(seen.SignIns)
	seen.Languages, seen.Openings = slices.Clone(seen.Languages), slices.Clone(seen.Openings)
	seen.Reports = slices.Clone(seen.Reports)
	seen.Usages, seen.Closings = slices.Clone(seen.Usages), slices.Clone(seen.Closings)
	return seen
}

// Forget makes the control plane forget the open session, as one does that was restored from a backup.
func (p *Plane) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.Session = ""
}

func (p *Plane) happened(what string) {
	select {
	case p.events <- what:
	default:
	}
}

// Await waits until something happens: "enrol", "renew certificate", "attach", "opened", "answered" (by OnOpen), "renewed",
// "silence", "closed".
func (p *Plane) Await(what string) {
	p.t.Helper()
	patience := time.After(10 * time.Second)
	for {
		select {
		case e := <-p.events:
			if e == what {
				return
			}
		case <-patience:
			p.t.Fatalf("waited in vain for %q", what)
		}
	}
}

// Refuse is the status that carries a refusal.
func Refuse(code codes.Code, r *heimdrahtv1.Refusal) error {
	st, err := status.New(code, r.GetSentence()).WithDetails(r)
	if err != nil {
		return err
	}
	return st.Err()
}

func (p *Plane) certificate(csr []byte) (*heimdrahtv1.Certificate, error) {
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "csr")
	}
	lifetime := p.script.Lifetime
	if lifetime == 0 {
		lifetime = 30 * 24 * time.Hour
	}
	until := time.Now().Add(lifetime)
	return &heimdrahtv1.Certificate{
		Leaf: p.issue(request.PublicKey, x509.ExtKeyUsageClientAuth, until), Authorities: [][]byte{p.ca.Raw},
		NotAfter: timestamppb.New(until), RenewAt: timestamppb.New(time.Now().Add(lifetime * 2 / 3)),
	}, nil
}

// Enrol implements the EnrolmentService.
func (p *Plane) Enrol(_ context.Context, r *heimdrahtv1.EnrolRequest) (*heimdrahtv1.EnrolResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.Enrolments = append(p.seen.Enrolments, r)
	p.happened("enrol")
	if p.script.OnEnrol != nil {
		if err := p.script.OnEnrol(r); err != nil {
			return nil, err
		}
	}
	if r.GetPassword() != Password && r.GetInvitation() != Invitation {
		return nil, signInFailed()
	}
	if r.GetInvitation() == "" {
		if err := p.checkCode(r.GetCode()); err != nil {
			return nil, err
		}
	}
	if err := p.rulesRefused(r.GetHouseRulesVersion()); err != nil {
		return nil, err
	}
	return p.enrolled(r.GetCertificateRequest(), r.GetWireguardPublicKey())
}

// enrolled is the answer to who is let in. p.mu is held.
func (p *Plane) enrolled(request, key []byte) (*heimdrahtv1.EnrolResponse, error) {
	c, err := p.certificate(request)
	if err != nil {
		return nil, err
	}
	replaced := p.laptopKey != wireguard.Key{}
	if replaced {
		p.removePeer()
		p.seen.Session = ""
	}
	p.laptopKey = wireguard.Key(key)
	p.belongs(request, p.laptopKey)
	return &heimdrahtv1.EnrolResponse{
		DeviceId: "d-1", Tenant: "stadt", PersonName: "Erika Beispiel", Certificate: c, Replaced: replaced, AwaitsApproval: p.script.AwaitsApproval,
	}, nil
}

// deviceCode is the one of every laptop that waits.
const deviceCode = "geheimer-code"

// BeginEnrolment implements the EnrolmentService.
func (p *Plane) BeginEnrolment(_ context.Context, r *heimdrahtv1.BeginEnrolmentRequest) (*heimdrahtv1.BeginEnrolmentResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.Codes = append(p.seen.Codes, r)
	p.waiting = r
	p.happened("begin enrolment")
	return &heimdrahtv1.BeginEnrolmentResponse{UserCode: "WDJB-MJHT", DeviceCode: deviceCode, ExpiresAt: timestamppb.New(time.Now().Add(15 * time.Minute))}, nil
}

// AwaitEnrolment implements the EnrolmentService. It does not wait.
func (p *Plane) AwaitEnrolment(_ context.Context, r *heimdrahtv1.AwaitEnrolmentRequest) (*heimdrahtv1.AwaitEnrolmentResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.Asked++
	p.happened("await enrolment")
	if p.script.OnAwait != nil {
		if err := p.script.OnAwait(); err != nil {
			return nil, err
		}
	}
	switch {
	case p.waiting == nil || r.GetDeviceCode() != deviceCode:
		return nil, Refuse(codes.NotFound, &heimdrahtv1.Refusal{Code: "enrolment-expired", Sentence: "Abgelaufen.", NextStep: "Von vorn."})
	case !p.script.Approved:
		return &heimdrahtv1.AwaitEnrolmentResponse{}, nil
	}
	enrolled, err := p.enrolled(p.waiting.GetCertificateRequest(), p.waiting.GetWireguardPublicKey())
	return &heimdrahtv1.AwaitEnrolmentResponse{Enrolled: enrolled}, err
}

// RenewCertificate implements the EnrolmentService.
func (p *Plane) RenewCertificate(ctx context.Context, r *heimdrahtv1.RenewCertificateRequest) (*heimdrahtv1.RenewCertificateResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.Renewals = append(p.seen.Renewals, r)
	p.happened("renew certificate")
	if caller, ok := peer.FromContext(ctx); !ok || len(caller.AuthInfo.(credentials.TLSInfo).State.PeerCertificates) == 0 {
		return nil, status.Error(codes.Unauthenticated, "no certificate")
	}
	if p.script.OnRenewal != nil {
		if err := p.script.OnRenewal(r); err != nil {
			return nil, err
		}
	}
	if key, known := p.keys[callerKey(ctx)]; known {
		p.belongs(r.GetCertificateRequest(), key)
	}
	c, err := p.certificate(r.GetCertificateRequest())
	return &heimdrahtv1.RenewCertificateResponse{Certificate: c}, err
}

// SignInAgain implements the EnrolmentService. The laptop is that of whoever enrolled it last.
func (p *Plane) SignInAgain(_ context.Context, r *heimdrahtv1.SignInAgainRequest) (*heimdrahtv1.SignInAgainResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.SignIns = append(p.seen.SignIns, r)
	enrolled := p.seen.Enrolments
	switch {
	case r.GetPassword() != Password:
		return nil, signInFailed()
	case len(enrolled) == 0 || enrolled[len(enrolled)-1].GetLogin() != r.GetLogin():
		return nil, Refuse(codes.PermissionDenied, &heimdrahtv1.Refusal{Code: "other-person", Sentence: "Jemand anders.", NextStep: "Fragen."})
	}
	if err := p.checkCode(r.GetCode()); err != nil {
		return nil, err
	}
	return &heimdrahtv1.SignInAgainResponse{GoodForMs: (7 * 24 * time.Hour).Milliseconds()}, nil
}

// Attach implements the SessionService.
func (p *Plane) Attach(stream heimdrahtv1.SessionService_AttachServer) error {
	p.mu.Lock()
	p.streams = append(p.streams, stream)
	p.seen.Streams++
	if md, ok := metadata.FromIncomingContext(stream.Context()); ok {
		p.seen.Languages = append(p.seen.Languages, md.Get("accept-language")...)
	}
	refusal := p.script.StreamError
	p.mu.Unlock()
	p.happened("attach")
	if refusal != nil {
		return refusal
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the laptop has gone
		}
		if m.GetOpen() != nil {
			p.turn(stream.Context())
		}
		answer, what := p.answer(m)
		p.happened(what)
		if answer == nil {
			continue
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// turn makes the laptop that of whoever is at the other end. Several may share one; they connect one after the other.
func (p *Plane) turn(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if key, known := p.keys[callerKey(ctx)]; known {
		p.laptopKey = key
	}
}

// belongs notes whose WireGuard key goes with a certificate. The caller holds the lock.
func (p *Plane) belongs(csr []byte, key wireguard.Key) {
	if request, err := x509.ParseCertificateRequest(csr); err == nil {
		if p.keys == nil {
			p.keys = make(map[string]wireguard.Key)
		}
		p.keys[string(request.RawSubjectPublicKeyInfo)] = key
	}
}

// callerKey is the public key of the caller's certificate. Empty: there is none.
func callerKey(ctx context.Context) string {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	certificates := caller.AuthInfo.(credentials.TLSInfo).State.PeerCertificates
	if len(certificates) == 0 {
		return ""
	}
	return string(certificates[0].RawSubjectPublicKeyInfo)
}

func (p *Plane) answer(m *heimdrahtv1.AttachRequest) (*heimdrahtv1.AttachResponse, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch event := m.GetEvent().(type) {
	case *heimdrahtv1.AttachRequest_Open:
		p.seen.Openings = append(p.seen.Openings, event.Open)
		if p.script.OnOpen != nil {
			if answer := p.script.OnOpen(event.Open); answer != nil {
				return answer, "answered"
			}
		}
		return p.openSession(event.Open.GetResume()), "opened"
	case *heimdrahtv1.AttachRequest_Renew:
		p.seen.Usages = append(p.seen.Usages, event.Renew.GetUsage())
		p.seen.Reports = append(p.seen.Reports, event.Renew)
		if p.script.Silent {
			return nil, "silence"
		}
		now := time.Now().Add(p.script.ClockAhead)
		renewed := &heimdrahtv1.SessionRenewed{
			SessionId: event.Renew.GetSessionId(), LeaseUntil: timestamppb.New(now.Add(5 * time.Minute)), ServerTime: timestamppb.New(now),
		}
		if p.script.Renewed != nil {
			p.script.Renewed(renewed)
		}
		return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Renewed{Renewed: renewed}}, "renewed"
	case *heimdrahtv1.AttachRequest_Close:
		p.seen.Closings = append(p.seen.Closings, event.Close.GetSessionId())
		if event.Close.GetSessionId() == p.seen.Session {
			p.removePeer()
			p.seen.Session = ""
		}
		return Closed(event.Close.GetSessionId(), "session-closed", 0), "closed"
	}
	return nil, "unknown"
}

// openSession installs the peer on the gateway and answers with its configuration.
func (p *Plane) openSession(resume string) *heimdrahtv1.AttachResponse {
	resumed := resume != "" && resume == p.seen.Session
	if !resumed {
		p.number++
		p.seen.Session = "s-" + string(rune('0'+p.number))
	}
	psk := make([]byte, 32)
	for i := range psk {
		psk[i] = byte(p.number + i)
	}
	if !resumed {
		check(p.t, p.gateway.Apply(p.always, wireguard.Readd(wireguard.Peer{
			PublicKey: p.laptopKey, PresharedKey: wireguard.PresharedKey(psk),
			AllowedIPs: []netip.Prefix{netip.MustParsePrefix(Laptop + "/32")},
		})))
	}
	public := p.gateway.PublicKey()
	configuration := &heimdrahtv1.TunnelConfiguration{
		Addresses: []string{Laptop + "/32"}, GatewayName: "gw1",
		GatewayEndpoint:  netip.AddrPortFrom(p.address, p.gateway.ListenPort()).String(),
		GatewayPublicKey: public[:], PresharedKey: psk, AllowedIps: []string{"10.80.0.0/16"}, Mtu: 1420, PersistentKeepaliveS: 25,
	}
	if p.script.Configure != nil {
		p.script.Configure(configuration)
	}
	every := p.script.RenewEvery
	if every == 0 {
		every = time.Second
	}
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Opened{Opened: &heimdrahtv1.SessionOpened{
		SessionId: p.seen.Session, Configuration: configuration, Resumed: resumed,
		LeaseUntil: timestamppb.New(time.Now().Add(5 * time.Minute)), RenewEveryMs: every.Milliseconds(),
		Metering: p.script.Metering,
	}}}
}

func (p *Plane) removePeer() {
	check(p.t, p.gateway.Apply(p.always, []wireguard.Change{{Remove: true, Peer: wireguard.Peer{PublicKey: p.laptopKey}}}))
}

// ForgetKeys has the gateway forget the keys of the session, as it does when nobody has used them for a while.
func (p *Plane) ForgetKeys() {
	p.mu.Lock()
	defer p.mu.Unlock()
	peers, err := p.gateway.Peers(p.always)
	check(p.t, err)
	for _, peer := range peers {
		peer.Endpoint = netip.AddrPort{}
		check(p.t, p.gateway.Apply(p.always, wireguard.Readd(peer.Peer)))
	}
}

// Order sends an order down the newest stream.
func (p *Plane) Order(m *heimdrahtv1.AttachResponse) {
	p.t.Helper()
	p.mu.Lock()
	stream := p.streams[len(p.streams)-1]
	p.mu.Unlock()
	check(p.t, stream.Send(m))
}

// Revoke does what revoking a device does: the peer goes, and the laptop is told.
func (p *Plane) Revoke(code string) {
	p.mu.Lock()
	p.removePeer()
	id := p.seen.Session
	p.seen.Session = ""
	p.mu.Unlock()
	p.Order(Closed(id, code, 0))
}

// Closed is the order that a session has ended.
func Closed(id, code string, retry time.Duration) *heimdrahtv1.AttachResponse {
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Closed{Closed: &heimdrahtv1.SessionClosed{
		SessionId: id, Why: &heimdrahtv1.Refusal{Code: code, Sentence: "Beendet.", NextStep: "Weiter.", RetryAfterMs: retry.Milliseconds()},
	}}}
}

// Refused is the refusal of an opening.
func Refused(code string, retry time.Duration) *heimdrahtv1.AttachResponse {
	return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Refused{Refused: &heimdrahtv1.Refusal{
		Code: code, Sentence: "Nein.", NextStep: "Weiter.", RetryAfterMs: retry.Milliseconds(),
	}}}
}

// GetHouseRules implements the EnrolmentService.
func (p *Plane) GetHouseRules(context.Context, *heimdrahtv1.GetHouseRulesRequest) (*heimdrahtv1.GetHouseRulesResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := &heimdrahtv1.GetHouseRulesResponse{HouseRules: p.script.HouseRules}
	if p.script.HouseRules != nil && p.seen.Acknowledged == p.script.HouseRules.GetVersion() {
		answer.AcknowledgedAt = timestamppb.New(time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC))
	}
	return answer, nil
}

// ExplainOwn implements the SessionService.
func (p *Plane) ExplainOwn(context.Context, *heimdrahtv1.ExplainOwnRequest) (*heimdrahtv1.ExplainOwnResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.script.Why == nil {
		return nil, status.Error(codes.Unimplemented, "unknown method ExplainOwn")
	}
	return p.script.Why, nil
}

// AcknowledgeHouseRules implements the EnrolmentService.
func (p *Plane) AcknowledgeHouseRules(_ context.Context, r *heimdrahtv1.AcknowledgeHouseRulesRequest) (*heimdrahtv1.AcknowledgeHouseRulesResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.rulesRefused(r.GetVersion()); err != nil {
		return nil, err
	}
	p.seen.Acknowledged = r.GetVersion()
	return &heimdrahtv1.AcknowledgeHouseRulesResponse{}, nil
}

// rulesRefused refuses who does not acknowledge the house rules.
func (p *Plane) rulesRefused(version string) error {
	if p.script.HouseRules == nil || p.script.HouseRules.GetVersion() == version {
		return nil
	}
	return Refuse(codes.FailedPrecondition, &heimdrahtv1.Refusal{
		Code: "house-rules", Sentence: "Not acknowledged.", NextStep: "heimdraht-agent rules", HouseRules: p.script.HouseRules,
	})
}
