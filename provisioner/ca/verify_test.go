package ca_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/ca"
)

// A certificate of a laptop does not pass for the server, to any client.
func TestClientCannotPlayServer(t *testing.T) {
	a := authority(t, "hq3k", start())
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	_, err := issue(t, a, device(), start()).Verify(x509.VerifyOptions{Roots: roots, CurrentTime: start(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.IncompatibleUsage {
		t.Errorf("error %v", err)
	}
}

func TestVerify(t *testing.T) {
	old, current := authority(t, "hq3k", start().AddDate(-9, 0, 0)), authority(t, "hq3k", start())
	foreign := authority(t, "hq3k", start()) // the same instance id helps nobody
	bundle := bundleOf(t, current, old)
	gateway := ca.Identity{Kind: ca.KindGateway, ID: "gw1", Generation: 1}
	server, err := current.NewServer([]string{"vpn.stadt.example"}, start())
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	for _, c := range []struct {
		name     string
		leaf     *x509.Certificate
		now      time.Time
		id       ca.Identity
		validity ca.Validity
		cause    error
		code     provisioner.Code
	}{
		{name: "a device", leaf: issue(t, current, device(), start()), now: start(), id: device()},
		{name: "a gateway", leaf: issue(t, current, gateway, start()), now: start(), id: gateway},
		{name: "of the authority before", leaf: issue(t, old, device(), start()), now: start(), id: device()},
		{name: "the laptop's clock an hour slow", leaf: issue(t, current, device(), start()), now: start().Add(-time.Hour), id: device()},
		{name: "last second", leaf: issue(t, current, device(), start()), now: start().Add(30 * day), id: device()},
		{name: "expired", leaf: issue(t, current, device(), start()), now: start().Add(30*day + time.Second), id: device(), validity: ca.Validity{Expired: true}},
		{name: "expired with its authority", leaf: issue(t, old, device(), start()), now: start().AddDate(2, 0, 0), id: device(), validity: ca.Validity{Expired: true}},
		{
			name: "not yet valid", leaf: issue(t, current, device(), start()), now: start().Add(-time.Hour - time.Second),
			id: device(), validity: ca.Validity{NotYet: true}, code: provisioner.CodeCertificateNotYet,
		},
		{name: "foreign", leaf: issue(t, foreign, device(), start()), now: start(), cause: ca.ErrForeign, code: provisioner.CodeCertificateForeign},
		{name: "foreign and expired", leaf: issue(t, foreign, device(), start()), now: start().AddDate(1, 0, 0), cause: ca.ErrForeign, code: provisioner.CodeCertificateForeign},
		{name: "signed by itself", leaf: forged(t, nil, nil), now: start(), cause: ca.ErrForeign, code: provisioner.CodeCertificateForeign},
		{name: "a server", leaf: server.Leaf, now: start(), cause: ca.ErrUsage, code: provisioner.CodeCertificateForeign},
		{name: "the authority itself", leaf: current.Certificate(), now: start(), cause: ca.ErrUsage, code: provisioner.CodeCertificateForeign},
		{name: "none", now: start(), cause: ca.ErrNone, code: provisioner.CodeNotSignedIn},

		// What our authority would never sign, if it did.
		{name: "no usage", leaf: forged(t, current, func(c *x509.Certificate) { c.ExtKeyUsage = nil }), now: start(), cause: ca.ErrUsage, code: provisioner.CodeCertificateForeign},
		{name: "both usages", leaf: forged(t, current, func(c *x509.Certificate) {
			c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}), now: start(), cause: ca.ErrUsage, code: provisioner.CodeCertificateForeign},
		{name: "an authority below", leaf: forged(t, current, func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		}), now: start(), cause: ca.ErrUsage, code: provisioner.CodeCertificateForeign},
		{name: "another instance", leaf: forged(t, current, func(c *x509.Certificate) {
			c.URIs = []*url.URL{{Scheme: "spiffe", Host: "other", Path: "/gateway/gw1/generation/1"}}
		}), now: start(), cause: ca.ErrIdentity, code: provisioner.CodeCertificateForeign},
		{name: "two URIs", leaf: forged(t, current, func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) }), now: start(), cause: ca.ErrIdentity, code: provisioner.CodeCertificateForeign},
		{name: "no URI", leaf: forged(t, current, func(c *x509.Certificate) { c.URIs = nil }), now: start(), cause: ca.ErrIdentity, code: provisioner.CodeCertificateForeign},
		{name: "a DNS name", leaf: forged(t, current, func(c *x509.Certificate) { c.DNSNames = []string{"a.example"} }), now: start(), cause: ca.ErrIdentity, code: provisioner.CodeCertificateForeign},
		{name: "an escaped URI", leaf: forged(t, current, func(c *x509.Certificate) {
			c.URIs = []*url.URL{{Scheme: "spiffe", Host: "hq3k", Path: "/gateway/gw1/generation/1", RawPath: "/gateway/gw%31/generation/1"}}
		}), now: start(), cause: ca.ErrIdentity, code: provisioner.CodeCertificateForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			var chain []*x509.Certificate
			if c.leaf != nil {
				chain = []*x509.Certificate{c.leaf, foreign.Certificate()} // what else is sent does not matter
			}
			id, validity, err := bundle.Verify(chain, c.now)
			if !errors.Is(err, c.cause) || id != c.id || validity != c.validity {
				t.Errorf("%+v, %+v, %v", id, validity, err)
			}
			actor, err := bundle.Identify(chain, c.now)
			if c.code != "" {
				if refusal, ok := provisioner.AsRefusal(err); !ok || refusal.Code != c.code {
					t.Errorf("identified as %+v, %v; want %s", actor, err, c.code)
				}
				return
			}
			want := provisioner.Actor{
				ID: c.id.ID, Name: c.id.ID, Generation: c.id.Generation, Until: c.leaf.NotAfter, Expired: c.validity.Expired,
				Grants: []provisioner.Grant{{Role: provisioner.Role(c.id.Kind), Tenant: c.id.Tenant}},
			}
			if diff := cmp.Diff(want, actor); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	if _, _, err := (ca.Bundle{}).Verify([]*x509.Certificate{issue(t, current, device(), start())}, start()); !errors.Is(err, ca.ErrForeign) {
		t.Errorf("the zero bundle: %v", err)
	}
}

func TestBundle(t *testing.T) {
	a, b := authority(t, "hq3k", start()), authority(t, "hq3k", start())
	bundle := bundleOf(t, a, b, a)
	want := [][]byte{a.Certificate().Raw, b.Certificate().Raw}
	if diff := cmp.Diff(want, bundle.DER()); diff != "" {
		t.Error(diff)
	}
	text := slices.Concat([]byte("the one in use:\n"), bundle.PEM(), []byte("\n"))
	again, err := ca.ParseBundle(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again.DER()); diff != "" {
		t.Error(diff)
	}
	leaf := issue(t, a, device(), start())
	key, err := a.KeyPKCS8()
	if err != nil {
		t.Fatal(err)
	}
	one := bundleOf(t, a).PEM()
	var many []byte
	for range 17 {
		many = append(many, bundleOf(t, authority(t, "hq3k", start())).PEM()...)
	}
	for says, text := range map[string][]byte{
		"there are 0":                     nil,
		"there are 17":                    many,
		"is not an authority's":           pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}),
		`a PEM block "PRIVATE KEY"`:       append(slices.Clone(one), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...),
		"of 2 PEM blocks 1 could be read": append(slices.Clone(one), one[:len(one)/2]...),
		"of 2 PEM blocks 0 could be read": append(slices.Clone(one[:len(one)/2]), one...),
	} {
		if _, err := ca.ParseBundle(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}

func TestFingerprint(t *testing.T) {
	if got := ca.Fingerprint(&x509.Certificate{Raw: []byte("abc")}); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("got %s", got) // the SHA-256 of "abc", FIPS 180-2, appendix B.1
	}
}

func bundleOf(t *testing.T, list ...*ca.Authority) ca.Bundle {
	t.Helper()
	certs := make([]*x509.Certificate, len(list))
	for i, a := range list {
		certs[i] = a.Certificate()
	}
	b, err := ca.NewBundle(certs...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forged is a device's certificate, changed; signed by itself if there is no
// authority.
func forged(t *testing.T, a *ca.Authority, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	own := edKey(t)
	template := &x509.Certificate{
		URIs:      []*url.URL{{Scheme: "spiffe", Host: "hq3k", Path: "/tenant/stadt/device/d1/generation/1"}},
		NotBefore: start(), NotAfter: start().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, crypto.Signer(own)
	if a != nil {
		der, err := a.KeyPKCS8()
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			t.Fatal(err)
		}
		parent, signer = a.Certificate(), key.(crypto.Signer)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, own.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, der)
}
