package ca

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// RequestLimit is the most bytes a certificate request may have; ours has some
// two hundred.
const RequestLimit = 8 << 10

// What keeps a certificate from being issued.
var (
	// ErrRequest says that a certificate request cannot be used.
	ErrRequest = errors.New("the certificate request is unusable")
	// ErrAuthorityDates says that the authority is not good at the time: it has
	// expired, or the clock is wrong.
	ErrAuthorityDates = errors.New("the authority is not valid now")
)

// Certificate is one that was issued.
type Certificate struct {
	DER      []byte
	NotAfter time.Time
	// RenewAt is when to ask for the next one, at two thirds of the time left.
	RenewAt time.Time
}

// IssueClient issues a certificate for a device or a gateway. request is PKCS
// #10 (RFC 2986) in DER or PEM and proves possession of an Ed25519 key; nothing
// but the key is taken from it. Errors wrap ErrRequest, ErrIdentity or
// ErrAuthorityDates.
func (a *Authority) IssueClient(request []byte, id Identity, now time.Time) (Certificate, error) {
	key, err := keyOf(request)
	if err != nil {
		return Certificate{}, err
	}
	uri, err := id.URI(a.instance)
	if err != nil {
		return Certificate{}, fmt.Errorf("issuing a certificate: %w", err)
	}
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: id.ID}, // for people who look at it; nothing reads it
		URIs:        []*url.URL{uri},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key, now)
}

// CheckRequest tells whether IssueClient could use a request. The error wraps
// ErrRequest.
func CheckRequest(request []byte) error {
	_, err := keyOf(request)
	return err
}

// keyOf is the public key of a request that is as it must be.
func keyOf(request []byte) (ed25519.PublicKey, error) {
	if len(request) > RequestLimit {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrRequest, len(request), RequestLimit)
	}
	der := request
	if bytes.HasPrefix(request, []byte("-----BEGIN ")) {
		block, rest := pem.Decode(request)
		if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, fmt.Errorf("%w: it is not one PEM block of a certificate request", ErrRequest)
		}
		der = block.Bytes
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	key, ok := csr.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: its key is not an Ed25519 key", ErrRequest)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: its signature is wrong: %w", ErrRequest, err)
	}
	return key, nil
}

// IssueServer issues a certificate for a control plane under these names: DNS
// names and IP addresses. Errors wrap ErrAuthorityDates where the time is at
// fault.
func (a *Authority) IssueServer(key ed25519.PublicKey, names []string, now time.Time) (Certificate, error) {
	if len(names) == 0 {
		return Certificate{}, errors.New("issuing a server certificate: the server has no name")
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"Heimdraht"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		addr, err := netip.ParseAddr(name)
		switch {
		case err == nil && addr.Zone() == "" && !addr.IsUnspecified():
			template.IPAddresses = append(template.IPAddresses, net.IP(addr.Unmap().AsSlice()))
		case isHostName(name):
			template.DNSNames = append(template.DNSNames, name)
		default:
			return Certificate{}, fmt.Errorf("issuing a server certificate: %q is neither a DNS name nor an IP address of a server", name)
		}
	}
	return a.issue(template, key, now)
}

// isHostName reports whether name is one of labels of letters, digits and
// hyphens (RFC 1123, section 2.1). Wildcards are none: one server, its names.
func isHostName(name string) bool {
	if len(name) > 253 {
		return false
	}
	var label string
	for label = range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > segmentLimit || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	// A last label of digits alone would be a mistyped address.
	return strings.Trim(label, "0123456789") != ""
}

// NewServer makes a key and issues its certificate, with others behind it:
// agents that know only a fingerprint have to see the authority's own, which
// stands there in any case.
func (a *Authority) NewServer(names []string, now time.Time, behind ...*x509.Certificate) (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a server key: %w", err)
	}
	issued, err := a.IssueServer(public, names, now)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(issued.DER)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading the server certificate: %w", err)
	}
	chain := [][]byte{issued.DER, a.certificate.Raw}
	for _, c := range behind {
		if !c.Equal(a.certificate) {
			chain = append(chain, c.Raw)
		}
	}
	return tls.Certificate{Certificate: chain, PrivateKey: private, Leaf: leaf}, nil
}

// issue adds what all certificates have in common, and signs.
func (a *Authority) issue(template *x509.Certificate, key ed25519.PublicKey, now time.Time) (Certificate, error) {
	if now.Before(a.certificate.NotBefore) || !now.Before(a.certificate.NotAfter) {
		return Certificate{}, fmt.Errorf("issuing a certificate: %w: it is valid from %s to %s, and the clock says %s", ErrAuthorityDates,
			a.certificate.NotBefore.Format(time.RFC3339), a.certificate.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	template.NotBefore = later(now.Add(-Backdated), a.certificate.NotBefore)
	// Certificates know whole seconds; what they are told is what they say.
	template.NotAfter = earlier(now.Add(Lifetime), a.certificate.NotAfter).UTC().Truncate(time.Second)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key, a.key)
	if err != nil {
		return Certificate{}, fmt.Errorf("issuing a certificate: %w", err)
	}
	return Certificate{DER: der, NotAfter: template.NotAfter, RenewAt: now.Add(template.NotAfter.Sub(now) * 2 / 3)}, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
