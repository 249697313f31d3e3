package ca

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"
)

const (
	// AuthorityLifetime is how long an authority is good.
	AuthorityLifetime = 10 * 365 * 24 * time.Hour
	// Lifetime is how long a client's or server's certificate is good.
	Lifetime = 30 * 24 * time.Hour
	// Backdated is how long before its making a certificate begins to be good.
	Backdated = time.Hour
)

// Authority signs certificates. It never changes; safe for concurrent use. It
// hides its key in print, logs and JSON.
type Authority struct {
	certificate *x509.Certificate
	instance    string
	key         ed25519.PrivateKey
}

// New makes the authority of an instance (lower-case letters, digits and
// hyphens, at most 63), with a new key.
func New(instance string, now time.Time) (*Authority, error) {
	if !isSegment(instance) {
		return nil, fmt.Errorf("making an authority: %q is no name of an instance", instance)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Heimdraht"}, CommonName: "Heimdraht " + instance[:min(len(instance), 16)]},
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: instance}},
		NotBefore:             now.Add(-Backdated),
		NotAfter:              now.Add(AuthorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            1, // it signs holders, and vouches for its successor
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, fmt.Errorf("making an authority: %w", err)
	}
	return newAuthority(der, private)
}

// Parse puts an authority together again from its certificate (DER) and its
// key (PKCS #8, RFC 5958), as Certificate().Raw and KeyPKCS8 gave them.
func Parse(certificate, keyPKCS8 []byte) (*Authority, error) {
	key, err := x509.ParsePKCS8PrivateKey(keyPKCS8)
	if err != nil {
		return nil, errors.New("reading an authority: its key is damaged") // the cause could show some of it
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("reading an authority: its key is no Ed25519 key")
	}
	return newAuthority(certificate, private)
}

func newAuthority(der []byte, key ed25519.PrivateKey) (*Authority, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading an authority's certificate: %w", err)
	}
	instance, err := instanceOf(cert)
	if err != nil {
		return nil, err
	}
	if public, ok := key.Public().(ed25519.PublicKey); !ok || !public.Equal(cert.PublicKey) {
		return nil, errors.New("reading an authority: its key belongs to another certificate")
	}
	return &Authority{certificate: cert, instance: instance, key: key}, nil
}

// instanceOf is the instance whose authority a certificate is; an error if it
// is none.
func instanceOf(cert *x509.Certificate) (string, error) {
	switch {
	case !cert.IsCA || !cert.BasicConstraintsValid || cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return "", errors.New("the certificate is not an authority's")
	case cert.PublicKeyAlgorithm != x509.Ed25519:
		return "", errors.New("the authority's certificate is not of an Ed25519 key")
	case cert.CheckSignatureFrom(cert) != nil || !bytes.Equal(cert.RawIssuer, cert.RawSubject):
		return "", errors.New("the authority's certificate is not signed by itself")
	case len(cert.URIs) != 1 || cert.URIs[0].String() != "spiffe://"+cert.URIs[0].Host || !isSegment(cert.URIs[0].Host):
		return "", errors.New("the authority's certificate names no instance")
	}
	return cert.URIs[0].Host, nil
}

// ErrNoWord says that an authority cannot vouch for a successor: it was made
// when authorities signed holders only.
var ErrNoWord = errors.New("this authority cannot vouch for another one")

// Vouch makes the certificate (DER) by which whoever trusts this authority
// trusts its successor as well: the successor's name and key, signed by this
// one, for as long as this one is good. Errors wrap ErrNoWord.
func (a *Authority) Vouch(successor *Authority) ([]byte, error) {
	if a.certificate.MaxPathLen < 1 {
		return nil, ErrNoWord
	}
	of := successor.certificate
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		Subject: of.Subject, URIs: of.URIs, SubjectKeyId: of.SubjectKeyId,
		NotBefore: of.NotBefore, NotAfter: earlier(of.NotAfter, a.certificate.NotAfter),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}, a.certificate, of.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("vouching for an authority: %w", err)
	}
	return der, nil
}

// Certificate is the authority's own. It must not be changed.
func (a *Authority) Certificate() *x509.Certificate { return a.certificate }

// Instance is the installation whose authority it is.
func (a *Authority) Instance() string { return a.instance }

// KeyPKCS8 is the private key, to be sealed.
func (a *Authority) KeyPKCS8() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("encoding the authority's key: %w", err)
	}
	return der, nil
}

// RenewAt is when a successor should be made: when what it signs begins to be
// shortened by its own end, and agents have had a lifetime to learn of it.
func (a *Authority) RenewAt() time.Time { return a.certificate.NotAfter.Add(-2 * Lifetime) }

// String names the authority without its key. By value, as the three below, so
// that a copy hides the key as well.
func (a Authority) String() string { return "authority of " + a.instance }

// Format keeps the key from every verb of package fmt.
func (a Authority) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, a.String()) } // as fmt does: State never fails

// LogValue keeps the key out of logs.
func (a Authority) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalJSON keeps the key out of JSON.
func (a Authority) MarshalJSON() ([]byte, error) { return json.Marshal(a.String()) }
