package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/ca"
)

func start() time.Time { return time.Date(2027, 1, 4, 8, 30, 0, 0, time.UTC) }

func device() ca.Identity {
	return ca.Identity{Kind: ca.KindDevice, Tenant: "stadt", ID: "h2kabcdefghijklmnopqrstuvw", Generation: 3}
}

func TestAuthority(t *testing.T) {
	a := authority(t, "hq3k", start())
	c := a.Certificate()
	if !c.IsCA || c.MaxPathLen != 1 || c.KeyUsage != x509.KeyUsageCertSign || c.PublicKeyAlgorithm != x509.Ed25519 {
		t.Errorf("certificate %+v", c)
	}
	if got := c.URIs[0].String(); got != "spiffe://hq3k" || a.Instance() != "hq3k" {
		t.Errorf("instance %s, %s", got, a.Instance())
	}
	if !c.NotBefore.Equal(start().Add(-time.Hour)) || !c.NotAfter.Equal(start().Add(10*365*24*time.Hour)) {
		t.Errorf("valid %v to %v", c.NotBefore, c.NotAfter)
	}

	key, err := a.KeyPKCS8()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ca.Parse(c.Raw, key)
	if err != nil || again.Instance() != "hq3k" {
		t.Fatal(err)
	}
	issue(t, again, device(), start())

	other := authority(t, "hq3k", start())
	ecKey, err := x509.MarshalPKCS8PrivateKey(ecKey(t))
	if err != nil {
		t.Fatal(err)
	}
	leaf := issue(t, a, device(), start())
	for name, parse := range map[string]func() (*ca.Authority, error){
		"belongs to another certificate":  func() (*ca.Authority, error) { return ca.Parse(other.Certificate().Raw, key) },
		"its key is damaged":              func() (*ca.Authority, error) { return ca.Parse(c.Raw, key[1:]) },
		"its key is no Ed25519 key":       func() (*ca.Authority, error) { return ca.Parse(c.Raw, ecKey) },
		"reading an authority's":          func() (*ca.Authority, error) { return ca.Parse(c.Raw[1:], key) },
		"is not an authority's":           func() (*ca.Authority, error) { return ca.Parse(leaf.Raw, key) },
		`"HQ" is no name of an instance`:  func() (*ca.Authority, error) { return ca.New("HQ", start()) },
		`"" is no name of an instance`:    func() (*ca.Authority, error) { return ca.New("", start()) },
		`"a/b" is no name of an instance`: func() (*ca.Authority, error) { return ca.New("a/b", start()) },
		`"a.b" is no name of an instance`: func() (*ca.Authority, error) { return ca.New("a.b", start()) },
		`"a:1" is no name of an instance`: func() (*ca.Authority, error) { return ca.New("a:1", start()) },
	} {
		if _, err := parse(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
}

func TestAuthorityHidesItsKey(t *testing.T) {
	a := authority(t, "hq3k", start())
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c"} {
		for _, v := range []any{a, *a, struct{ A *ca.Authority }{a}, []ca.Authority{*a}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "authority", a, "copy", *a)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "authority", a, "copy", *a)
	text, err := json.Marshal(map[string]any{"authority": a, "copy": *a})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)

	key, err := a.KeyPKCS8()
	if err != nil {
		t.Fatal(err)
	}
	part := key[len(key)-8:] // the seed is the end of it (RFC 8410, section 7)
	for _, verb := range []string{"%x", "%X", "%d", "%o", "%b", "%c", "%#v", "%s"} {
		secret := strings.Trim(fmt.Sprintf(verb, part), "[]byte{}")
		if strings.Contains(out.String(), secret) {
			t.Errorf("shows its key, as of %s", verb)
		}
	}
	if n := strings.Count(out.String(), "authority of hq3k"); n < 44 {
		t.Errorf("named itself %d times:\n%s", n, out.String())
	}
}

func TestIssueClient(t *testing.T) {
	a := authority(t, "hq3k", start())
	request, key := csr(t)
	now := start().Add(700 * time.Millisecond)
	issued, err := a.IssueClient(request, device(), now)
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, issued.DER)
	if got, want := c.URIs[0].String(), "spiffe://hq3k/tenant/stadt/device/h2kabcdefghijklmnopqrstuvw/generation/3"; got != want {
		t.Errorf("uri %s, want %s", got, want)
	}
	if !key.Equal(c.PublicKey) {
		t.Error("the certificate is for another key")
	}
	if diff := cmp.Diff([]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, c.ExtKeyUsage); diff != "" {
		t.Error(diff)
	}
	if c.IsCA || !c.BasicConstraintsValid || c.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("certificate %+v", c)
	}
	if want := start().Add(30 * 24 * time.Hour); !c.NotBefore.Equal(start().Add(-time.Hour)) || !c.NotAfter.Equal(want) || !issued.NotAfter.Equal(want) {
		t.Errorf("valid %v to %v, said %v", c.NotBefore, c.NotAfter, issued.NotAfter)
	}
	if d := issued.RenewAt.Sub(start().Add(20 * 24 * time.Hour)); d < 0 || d > time.Second {
		t.Errorf("to be renewed at %v", issued.RenewAt)
	}

	second, err := a.IssueClient(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}), device(), now)
	if err != nil {
		t.Fatal(err)
	}
	if parse(t, second.DER).SerialNumber.Cmp(c.SerialNumber) == 0 {
		t.Error("a serial number came twice")
	}
}

// Whatever names and extensions a request asks for: the certificate differs
// from that of a bare request in nothing.
func TestNothingIsTakenFromTheRequest(t *testing.T) {
	a := authority(t, "hq3k", start())
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse("spiffe://hq3k/gateway/gw1/generation/9")
	if err != nil {
		t.Fatal(err)
	}
	wild, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: "vpn.stadt.example", Organization: []string{"Somebody"}},
		DNSNames:    []string{"vpn.stadt.example"},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
		URIs:        []*url.URL{uri},
		ExtraExtensions: []pkix.Extension{
			{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}},                           // CA
			{Id: []int{2, 5, 29, 37}, Value: []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01}}, // server
		},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	var extensions [2][]pkix.Extension
	var subjects [2]string
	for i, request := range [][]byte{wild, bare} {
		issued, err := a.IssueClient(request, device(), start())
		if err != nil {
			t.Fatal(err)
		}
		c := parse(t, issued.DER)
		extensions[i], subjects[i] = c.Extensions, c.Subject.String()
	}
	if diff := cmp.Diff(extensions[0], extensions[1]); diff != "" || subjects[0] != subjects[1] {
		t.Errorf("subjects %q, extensions %s", subjects, diff)
	}
}

func TestIssueClientRefuses(t *testing.T) {
	a := authority(t, "hq3k", start())
	good, _ := csr(t)
	badSignature := slices.Clone(good)
	badSignature[len(badSignature)-1] ^= 1
	ec, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ecKey(t))
	if err != nil {
		t.Fatal(err)
	}
	large, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		ExtraExtensions: []pkix.Extension{{Id: []int{1, 2, 3}, Value: make([]byte, ca.RequestLimit)}},
	}, edKey(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		request []byte
		id      ca.Identity
		now     time.Time
		cause   error
		says    string
	}{
		{"empty", nil, device(), start(), ca.ErrRequest, ""},
		{"no request", []byte("hello"), device(), start(), ca.ErrRequest, ""},
		{"cut short", good[:len(good)-1], device(), start(), ca.ErrRequest, ""},
		{"more behind it", append(slices.Clone(good), 0), device(), start(), ca.ErrRequest, ""},
		{"wrong signature", badSignature, device(), start(), ca.ErrRequest, "its signature is wrong"},
		{"another kind of key", ec, device(), start(), ca.ErrRequest, "its key is not an Ed25519 key"},
		{"too large", large, device(), start(), ca.ErrRequest, "at most 8192 are allowed"},
		{"PEM of something else", a.Certificate().Raw, device(), start(), ca.ErrRequest, ""},
		{"two PEM blocks", bytes.Repeat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: good}), 2), device(), start(), ca.ErrRequest, "not one PEM block"},
		{"PEM of a certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good}), device(), start(), ca.ErrRequest, "not one PEM block"},
		{"no identity", good, ca.Identity{}, start(), ca.ErrIdentity, ""},
		{"generation zero", good, ca.Identity{Kind: ca.KindGateway, ID: "gw1"}, start(), ca.ErrIdentity, ""},
		{"a gateway of a tenant", good, ca.Identity{Kind: ca.KindGateway, Tenant: "stadt", ID: "gw1", Generation: 1}, start(), ca.ErrIdentity, ""},
		{"a path in the id", good, ca.Identity{Kind: ca.KindGateway, ID: "gw1/generation/2", Generation: 1}, start(), ca.ErrIdentity, ""},
		{"before the authority", good, device(), start().Add(-2 * time.Hour), ca.ErrAuthorityDates, "the clock says 2027-01-04T06:30:00Z"},
		{"after the authority", good, device(), start().AddDate(10, 0, 0), ca.ErrAuthorityDates, "the clock says 2037-01-04T08:30:00Z"},
	} {
		if _, err := a.IssueClient(c.request, c.id, c.now); !errors.Is(err, c.cause) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Whenever it is issued, a certificate lies within its authority's time, and
// is good at that moment.
func TestNoCertificateOutlivesItsAuthority(t *testing.T) {
	a := authority(t, "hq3k", start())
	bundle := bundleOf(t, a)
	request, _ := csr(t)
	life := int64(ca.AuthorityLifetime / time.Second)
	rapid.Check(t, func(t *rapid.T) {
		after := rapid.OneOf(rapid.Int64Range(-3600, life-1), rapid.Int64Range(life-3*86400*30, life-1)).Draw(t, "seconds")
		now := start().Add(time.Duration(after) * time.Second)
		issued, err := a.IssueClient(request, device(), now)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(issued.DER)
		if err != nil {
			t.Fatal(err)
		}
		if c.NotBefore.Before(a.Certificate().NotBefore) || c.NotAfter.After(a.Certificate().NotAfter) {
			t.Fatalf("%v to %v", c.NotBefore, c.NotAfter)
		}
		if issued.RenewAt.Before(now) || issued.RenewAt.After(c.NotAfter) {
			t.Fatalf("to be renewed at %v", issued.RenewAt)
		}
		if id, validity, err := bundle.Verify([]*x509.Certificate{c}, now); err != nil || validity != (ca.Validity{}) || id != device() {
			t.Fatalf("%v, %v, %v", id, validity, err)
		}
	})
}

func TestIssueServer(t *testing.T) {
	a := authority(t, "hq3k", start())
	cert, err := a.NewServer([]string{"vpn.stadt.example", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.9", "localhost"}, start())
	if err != nil {
		t.Fatal(err)
	}
	if len(cert.Certificate) != 2 || !bytes.Equal(cert.Certificate[1], a.Certificate().Raw) {
		t.Error("the authority's certificate is not sent along")
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	for _, name := range []string{"vpn.stadt.example", "192.0.2.1", "2001:db8::1", "192.0.2.9", "localhost"} {
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: start()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(cert.Leaf.URIs) > 0 || !slices.Equal(cert.Leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("certificate %+v", cert.Leaf)
	}

	for _, names := range [][]string{
		nil, {""}, {"a b"}, {"-a.example"}, {"a..b"}, {"a.example."}, {"*.example"}, {"192.0.2"}, {"192.0.2.300"},
		{"fe80::1%eth0"}, {"0.0.0.0"}, {"::"}, {"vpn.example:8443"}, {"https://vpn.example"}, {strings.Repeat("a", 64)}, {"ü.example"},
	} {
		if _, err := a.NewServer(names, start()); err == nil {
			t.Errorf("issued for %q", names)
		}
	}
}

func authority(t testing.TB, instance string, now time.Time) *ca.Authority {
	t.Helper()
	a, err := ca.New(instance, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func csr(t testing.TB) ([]byte, ed25519.PublicKey) {
	t.Helper()
	key := edKey(t)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key.Public().(ed25519.PublicKey)
}

func issue(t testing.TB, a *ca.Authority, id ca.Identity, now time.Time) *x509.Certificate {
	t.Helper()
	request, _ := csr(t)
	issued, err := a.IssueClient(request, id, now)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, issued.DER)
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
