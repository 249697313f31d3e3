// Package provisionertest runs a whole control plane in the test's own
// process: real SQLite, real TLS and gRPC on loopback, a directory in memory,
// and gateways that speak the protocol and do at once what they are told.
//
// What always holds here: what Start starts ends with the test, and everything
// is the real thing but the directory and the gateways' data path.
//
// Not its business: asserting.
package provisionertest

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/app"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
)

// The town's people: who they are stands in their names. Every password is
// Password.
const (
	Tenant   = "stadt"
	Other    = "nachbar"      // another tenant, with the same directory
	Password = "Rathaus-2027" //nolint:gosec // of people who do not exist

	Staff    = "eva"
	Second   = "emil" // staff too
	Outsider = "max"  // in no group
	Helpdesk = "hilde"
	Planner  = "paul"
	Admin    = "anna"
	Stranger = "nora" // helpdesk of the other tenant
	Disabled = "dora" // her account is disabled
)

// Server is a running control plane with one declared tenant and gateway.
type Server struct {
	App       *app.App
	Directory *memory.Directory
	Config    app.Config
	Operator  string // a staff token

	t    testing.TB
	log  *slog.Logger
	stop context.CancelFunc
	done chan error
}

// Start starts one. Its log goes nowhere; set log for another place.
func Start(t testing.TB, log *slog.Logger) *Server {
	t.Helper()
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dir := t.TempDir()
	c := app.DefaultConfig()
	c.Listen, c.MetricsListen, c.Names = "127.0.0.1:0", "127.0.0.1:0", []string{"127.0.0.1", "localhost"}
	c.StateDir = filepath.Join(dir, "state")
	c.Database, c.MasterKeyFile = filepath.Join(c.StateDir, "heimdraht.db"), filepath.Join(dir, "master.key")
	made, err := app.Init(context.Background(), c)
	if err != nil {
		t.Fatal("making a control plane: ", err)
	}
	m, err := memory.New(memory.Options{Name: "stadt-ldap", Base: People, LDIF: []byte(town())})
	if err != nil {
		t.Fatal("reading the town: ", err)
	}
	s := &Server{t: t, log: log, Config: c, Directory: m}
	s.Run()
	t.Cleanup(s.Stop)
	s.declare(made.Token)
	return s
}

// Run starts the control plane again after Stop, on the same port.
func (s *Server) Run() {
	s.t.Helper()
	a, err := app.New(context.Background(), app.Options{
		Config: s.Config, Logger: s.log,
		OpenDirectory: func(provisioner.Directory) (directory.Directory, error) { return unclosed{s.Directory}, nil },
	})
	if err != nil {
		s.t.Fatal("starting the control plane: ", err)
	}
	s.App, s.Config.Listen = a, a.Address()
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done = stop, make(chan error, 1)
	go func() { s.done <- a.Run(ctx) }()
}

// Stop ends the control plane in order. Idempotent.
func (s *Server) Stop() {
	if s.stop == nil {
		return
	}
	s.stop()
	if err := <-s.done; err != nil {
		s.t.Error("ending the control plane: ", err)
	}
	s.stop = nil
}

// unclosed outlives the control plane, so that it can be started again.
type unclosed struct{ *memory.Directory }

func (unclosed) Close() error { return nil }

// Dial connects with the server's CA as the only one trusted. A nil
// certificate: without one.
func (s *Server) Dial(certificate *tls.Certificate) *grpc.ClientConn {
	s.t.Helper()
	c := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: s.verify} //nolint:gosec // verified by pin
	if certificate != nil {
		c.Certificates = []tls.Certificate{*certificate}
	}
	conn, err := grpc.NewClient("passthrough:///"+s.App.Address(), grpc.WithTransportCredentials(credentials.NewTLS(c)))
	if err != nil {
		s.t.Fatal("connecting: ", err)
	}
	s.t.Cleanup(func() { _ = conn.Close() }) // the test may have closed it
	return conn
}

func (s *Server) verify(state tls.ConnectionState) error {
	roots := x509.NewCertPool()
	for _, c := range state.PeerCertificates {
		if sum := sha256.Sum256(c.Raw); hex.EncodeToString(sum[:]) == s.App.Fingerprint() {
			roots.AddCert(c)
		}
	}
	host, _, err := net.SplitHostPort(s.App.Address())
	if err != nil {
		return err
	}
	_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: host})
	return err
}

// As makes calls in the name of whom a token stands for, in English.
func As(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token, "accept-language", "en")
}

// Login signs somebody in at the command line and gives the token.
func (s *Server) Login(tenant, login string) string {
	s.t.Helper()
	answer, err := heimdrahtv1.NewAuthServiceClient(s.Dial(nil)).Login(context.Background(),
		&heimdrahtv1.LoginRequest{Tenant: tenant, Login: login, Password: Password})
	if err != nil {
		s.t.Fatalf("signing in %s: %v", login, err)
	}
	return answer.GetToken().GetToken()
}

// NewRequest makes a key and a certificate request for it.
func NewRequest(t testing.TB) (ed25519.PrivateKey, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, csr
}

// NewWireGuardKey makes a key and gives its public half.
func NewWireGuardKey() []byte {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return key.PublicKey().Bytes()
}

// Laptop is an enrolled device.
type Laptop struct {
	ID          string
	Certificate tls.Certificate
	PublicKey   []byte
}

// Enrol enrols a laptop of somebody.
func (s *Server) Enrol(login, serial string) Laptop {
	s.t.Helper()
	key, csr := NewRequest(s.t)
	l := Laptop{PublicKey: NewWireGuardKey()}
	answer, err := heimdrahtv1.NewEnrolmentServiceClient(s.Dial(nil)).Enrol(context.Background(), &heimdrahtv1.EnrolRequest{
		Tenant: Tenant, Login: login, Password: Password, CertificateRequest: csr, WireguardPublicKey: l.PublicKey,
		DeviceName: "laptop of " + login, SerialNumber: serial, Platform: "linux", AgentVersion: "test",
	})
	if err != nil {
		s.t.Fatalf("enrolling a laptop of %s: %v", login, err)
	}
	l.ID = answer.GetDeviceId()
	l.Certificate = tls.Certificate{Certificate: [][]byte{answer.GetCertificate().GetLeaf()}, PrivateKey: key}
	return l
}

// Attach opens a laptop's stream.
func (s *Server) Attach(ctx context.Context, l Laptop) heimdrahtv1.SessionService_AttachClient {
	s.t.Helper()
	stream, err := heimdrahtv1.NewSessionServiceClient(s.Dial(&l.Certificate)).Attach(
		metadata.AppendToOutgoingContext(ctx, "accept-language", "en"))
	if err != nil {
		s.t.Fatal("attaching: ", err)
	}
	return stream
}

// Open opens a session on a stream.
func Open(stream heimdrahtv1.SessionService_AttachClient, resume string) (*heimdrahtv1.AttachResponse, error) {
	err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{Resume: resume, AgentVersion: "test"}}})
	answer, broken := stream.Recv()
	if broken != nil {
		return nil, broken // says better why than Send does
	}
	return answer, err
}
