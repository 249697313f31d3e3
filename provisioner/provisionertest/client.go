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
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/factor"
)

// Client speaks the protocol with a control plane, in this process or another.
type Client struct {
	Operator string // a staff token, once Redeem was called

	t           testing.TB
	fingerprint string

	mu      sync.Mutex
	address string
	codes   map[string][]string // recovery codes by login
	tokens  map[string]string   // of those who are signed in, by login
}

// Connect makes a client of the control plane at an address, host and port,
// whose CA certificate has the fingerprint. It connects with the first call.
func Connect(t testing.TB, address, fingerprint string) *Client {
	return &Client{t: t, address: address, fingerprint: fingerprint}
}

// Moved says that the control plane is at another address now. Connections that
// are there stay.
func (c *Client) Moved(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.address = address
}

// Address is where the control plane is, host and port.
func (c *Client) Address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.address
}

// Fingerprint is the SHA-256 of the control plane's CA certificate, as
// enrolment addresses carry it.
func (c *Client) Fingerprint() string { return c.fingerprint }

// Dial connects with the server's CA as the only one trusted. A nil
// certificate: without one.
func (c *Client) Dial(certificate *tls.Certificate) *grpc.ClientConn {
	c.t.Helper()
	return c.DialFrom("", certificate)
}

// DialFrom is Dial from one of this machine's addresses, for those who sign in
// so much that one address alone would be slowed down. Empty: any.
func (c *Client) DialFrom(source string, certificate *tls.Certificate) *grpc.ClientConn {
	c.t.Helper()
	secure := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, VerifyConnection: c.verify} //nolint:gosec // verified by pin
	if certificate != nil {
		secure.Certificates = []tls.Certificate{*certificate}
	}
	dialer := new(net.Dialer)
	if source != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	conn, err := grpc.NewClient("passthrough:///"+c.Address(), grpc.WithTransportCredentials(credentials.NewTLS(secure)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}))
	if err != nil {
		c.t.Fatal("connecting: ", err)
	}
	c.t.Cleanup(func() { _ = conn.Close() }) // the test may have closed it
	return conn
}

func (c *Client) verify(state tls.ConnectionState) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, shown := range state.PeerCertificates {
		between.AddCert(shown)
		if sum := sha256.Sum256(shown.Raw); hex.EncodeToString(sum[:]) == c.fingerprint {
			roots.AddCert(shown)
		}
	}
	host, _, err := net.SplitHostPort(c.Address())
	if err != nil {
		return err
	}
	_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: host})
	return err
}

// As makes calls in the name of whom a token stands for, in English.
func As(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token, "accept-language", "en")
}

// Login signs somebody in at the command line, unless she is, and gives the
// token. Who needs a second factor sets it up the first time, and uses recovery
// codes then.
func (c *Client) Login(tenant, login string) string {
	c.t.Helper()
	c.mu.Lock()
	token, known := c.tokens[login]
	c.mu.Unlock()
	if known {
		if _, err := heimdrahtv1.NewAuthServiceClient(c.Dial(nil)).WhoAmI(As(context.Background(), token), &heimdrahtv1.WhoAmIRequest{}); err == nil {
			return token
		}
	}
	token = c.login(tenant, login)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil {
		c.tokens = make(map[string]string)
	}
	c.tokens[login] = token
	return token
}

func (c *Client) login(tenant, login string) string {
	c.t.Helper()
	request := &heimdrahtv1.LoginRequest{Tenant: tenant, Login: login, Password: Password, Code: c.recoveryCode(login)}
	answer, err := heimdrahtv1.NewAuthServiceClient(c.Dial(nil)).Login(context.Background(), request)
	token := answer.GetToken().GetToken()
	if err != nil && strings.HasSuffix(err.Error(), string(provisioner.CodeFactorMissing)) {
		token, err = c.setUpFactor(context.Background(), tenant, login)
	}
	if err != nil {
		c.t.Fatalf("signing in %s: %v", login, err)
	}
	return token
}

func (c *Client) recoveryCode(login string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.codes[login]
	if len(list) == 0 {
		return ""
	}
	c.codes[login] = list[1:]
	return list[0]
}

// RecoveryCode is one that nobody has used yet, for somebody who shows a second
// factor; she sets it up the first time.
func (c *Client) RecoveryCode(tenant, login string) string {
	c.t.Helper()
	if code := c.recoveryCode(login); code != "" {
		return code
	}
	if _, err := c.setUpFactor(context.Background(), tenant, login); err != nil {
		c.t.Fatalf("setting up a second factor of %s: %v", login, err)
	}
	return c.recoveryCode(login)
}

// setUpFactor sets up a second factor with a one-time token of the operator.
func (c *Client) setUpFactor(ctx context.Context, tenant, login string) (token string, err error) {
	conn := c.Dial(nil)
	operator, desk, auth := As(ctx, c.Operator), heimdrahtv1.NewHelpdeskServiceClient(conn), heimdrahtv1.NewAuthServiceClient(conn)
	found, err := desk.FindPeople(operator, &heimdrahtv1.FindPeopleRequest{Query: login})
	if err != nil {
		return "", err
	}
	for _, p := range found.GetPeople() {
		if p.GetLogin() != login || p.GetTenant() != tenant {
			continue
		}
		once, err := desk.IssueFactorToken(operator, &heimdrahtv1.IssueFactorTokenRequest{PersonId: p.GetPersonId(), Tenant: tenant})
		if err != nil {
			return "", err
		}
		begun, err := auth.BeginFactor(ctx, &heimdrahtv1.BeginFactorRequest{Tenant: tenant, Login: login, Password: Password, Token: once.GetToken()})
		if err != nil {
			return "", err
		}
		code, err := factor.Code(begun.GetSecret(), time.Now())
		if err != nil {
			return "", err
		}
		set, err := auth.ConfirmFactor(ctx, &heimdrahtv1.ConfirmFactorRequest{Tenant: tenant, Login: login, Password: Password, Token: once.GetToken(), Code: code})
		if err != nil {
			return "", err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.codes == nil {
			c.codes = make(map[string][]string)
		}
		c.codes[login] = set.GetRecoveryCodes()
		return set.GetToken().GetToken(), nil
	}
	return "", errors.New("the operator does not find " + login)
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

	request []byte // for its certificate
}

// Enrol enrols a laptop of somebody.
func (c *Client) Enrol(login, serial string) Laptop {
	c.t.Helper()
	l, err := TryEnrol(context.Background(), c.Dial(nil), NewLaptop(c.t), login, serial)
	if err != nil {
		c.t.Fatalf("enrolling a laptop of %s: %v", login, err)
	}
	return l
}

// NewLaptop is one with keys that nobody knows yet.
func NewLaptop(t testing.TB) Laptop {
	t.Helper()
	key, csr := NewRequest(t)
	return Laptop{PublicKey: NewWireGuardKey(), Certificate: tls.Certificate{PrivateKey: key}, request: csr}
}

// TryEnrol enrols a new laptop of somebody over a connection, for those who
// expect that it may fail.
func TryEnrol(ctx context.Context, conn *grpc.ClientConn, l Laptop, login, serial string) (Laptop, error) {
	return TryEnrolWith(ctx, conn, l, login, Password, serial)
}

// TryEnrolWith is TryEnrol with a password that is not the town's.
func TryEnrolWith(ctx context.Context, conn *grpc.ClientConn, l Laptop, login, password, serial string) (Laptop, error) {
	return TryEnrolAs(ctx, conn, l, &heimdrahtv1.EnrolRequest{Login: login, Password: password, SerialNumber: serial})
}

// TryEnrolAs is TryEnrol with what a request says of the person; the rest is the
// laptop's.
func TryEnrolAs(ctx context.Context, conn *grpc.ClientConn, l Laptop, r *heimdrahtv1.EnrolRequest) (Laptop, error) {
	r.Tenant, r.CertificateRequest, r.WireguardPublicKey = Tenant, l.request, l.PublicKey
	r.DeviceName, r.Platform, r.AgentVersion = "laptop of "+r.GetLogin(), "linux", "test"
	answer, err := heimdrahtv1.NewEnrolmentServiceClient(conn).Enrol(ctx, r)
	l.ID = answer.GetDeviceId()
	l.Certificate.Certificate = [][]byte{answer.GetCertificate().GetLeaf()}
	return l, err
}

// Attach opens a laptop's stream.
func (c *Client) Attach(ctx context.Context, l Laptop) heimdrahtv1.SessionService_AttachClient {
	c.t.Helper()
	stream, err := heimdrahtv1.NewSessionServiceClient(c.Dial(&l.Certificate)).Attach(
		metadata.AppendToOutgoingContext(ctx, "accept-language", "en"))
	if err != nil {
		c.t.Fatal("attaching: ", err)
	}
	return stream
}

// Open opens a session on a stream.
func Open(stream heimdrahtv1.SessionService_AttachClient, resume string) (*heimdrahtv1.AttachResponse, error) {
	err := stream.Send(&heimdrahtv1.AttachRequest{Event: &heimdrahtv1.AttachRequest_Open{Open: &heimdrahtv1.OpenSession{Resume: resume, AgentVersion: "test", Waits: true}}})
	answer, broken := stream.Recv()
	if broken != nil {
		return nil, broken // says better why than Send does
	}
	return answer, err
}

// Redeem signs in the operator with a one-time token.
func (c *Client) Redeem(token string) {
	c.t.Helper()
	answer, err := heimdrahtv1.NewAuthServiceClient(c.Dial(nil)).RedeemToken(context.Background(), &heimdrahtv1.RedeemTokenRequest{Token: token})
	if err != nil {
		c.t.Fatal("signing in the operator: ", err)
	}
	c.Operator = answer.GetToken().GetToken()
}

// Apply applies a declaration in the operator's name.
func (c *Client) Apply(d *heimdrahtv1.Declaration) {
	c.t.Helper()
	if _, err := heimdrahtv1.NewAdminServiceClient(c.Dial(nil)).Apply(As(context.Background(), c.Operator),
		&heimdrahtv1.ApplyRequest{Reason: "test", Declaration: d}); err != nil {
		c.t.Fatal("applying the declaration: ", err)
	}
}

// FirstAuthority is the fingerprint of the first CA that the server shows: the
// one that signed its certificate.
func (c *Client) FirstAuthority(ctx context.Context) (string, error) {
	dialer := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, InsecureSkipVerify: true, VerifyConnection: c.verify}} //nolint:gosec // verified by pin
	conn, err := dialer.DialContext(ctx, "tcp", c.Address())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	shown := conn.(*tls.Conn).ConnectionState().PeerCertificates
	if len(shown) < 2 {
		return "", errors.New("the server shows no CA")
	}
	sum := sha256.Sum256(shown[1].Raw)
	return hex.EncodeToString(sum[:]), nil
}
