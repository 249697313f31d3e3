package control

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/timestamppb"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// authority is a CA of the test's own.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  ed25519.PrivateKey
	// off is how far its clock is ahead of ours.
	off time.Duration
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	return newAuthorityWith(t, 0)
}

// newAuthorityWith makes a CA whose clock is ahead of ours by off.
func newAuthorityWith(t testing.TB, off time.Duration) *authority {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(off - 2*time.Hour), NotAfter: time.Now().Add(off).AddDate(10, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "test"}}, public, key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return &authority{t: t, cert: cert, key: key, off: off}
}

func (a *authority) issue(public any, change func(*x509.Certificate)) *x509.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		NotBefore:    time.Now().Add(a.off - time.Hour), NotAfter: time.Now().Add(a.off).AddDate(0, 0, 30),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	check(a.t, err)
	cert, err := x509.ParseCertificate(der)
	check(a.t, err)
	return cert
}

// server is a server's certificate with its chain.
func (a *authority) server(change func(*x509.Certificate)) tls.Certificate {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	check(a.t, err)
	leaf := a.issue(public, change)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.cert.Raw}, PrivateKey: key, Leaf: leaf}
}

// client answers a request for a certificate as a control plane does.
func (a *authority) client(csr []byte, lifetime time.Duration) *heimdrahtv1.Certificate {
	request, err := x509.ParseCertificateRequest(csr)
	check(a.t, err)
	leaf := a.issue(request.PublicKey, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		c.NotAfter = time.Now().Add(a.off + lifetime)
	})
	return &heimdrahtv1.Certificate{
		Leaf: leaf.Raw, Authorities: [][]byte{a.cert.Raw}, NotAfter: timestamppb.New(leaf.NotAfter),
		RenewAt: timestamppb.New(time.Now().Add(a.off + lifetime*2/3)),
	}
}

// fakeServer speaks enough of the protocol to see what reaches it.
type fakeServer struct {
	heimdrahtv1.UnimplementedEnrolmentServiceServer
	ca    *authority
	calls atomic.Int64 // of any kind, before they are looked at

	mu     sync.Mutex
	seen   []*x509.Certificate // client certificates of RenewCertificate
	refuse error
}

func (f *fakeServer) RenewCertificate(ctx context.Context, in *heimdrahtv1.RenewCertificateRequest) (*heimdrahtv1.RenewCertificateResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return nil, f.refuse
	}
	f.seen = append(f.seen, clientCert(ctx))
	return &heimdrahtv1.RenewCertificateResponse{Certificate: f.ca.client(in.GetCertificateRequest(), 30*24*time.Hour)}, nil
}

// serve answers on the listener until the test ends.
func (f *fakeServer) serve(t testing.TB, l net.Listener, cert tls.Certificate) {
	t.Helper()
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert,
		})),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			f.calls.Add(1)
			return next(ctx, req)
		}))
	heimdrahtv1.RegisterEnrolmentServiceServer(s, f)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (f *fakeServer) listen(t testing.TB, cert tls.Certificate) Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	f.serve(t, l, cert)
	return Server{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
