package control

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Trust says by what a server must prove itself. The zero value demands a
// publicly trusted certificate.
type Trust struct {
	// Pin is for the first contact: the server must show this CA and a
	// certificate signed by it. It goes before all else.
	Pin Fingerprint
	// Authorities are the CAs learnt at enrolment.
	Authorities []*x509.Certificate
	// Public allows a publicly trusted certificate besides Authorities, for
	// agents whose first contact was with one.
	Public bool

	publicRoots *x509.CertPool // nil: the system's
}

// isZero says whether nothing was laid down.
func (t Trust) isZero() bool { return t.Pin.IsZero() && len(t.Authorities) == 0 && !t.Public }

// verify checks what a server showed in its handshake. Its errors are
// Problems.
func (t Trust) verify(server Server, state tls.ConnectionState, now time.Time) error {
	shown := state.PeerCertificates
	if len(shown) == 0 {
		return serverUntrusted(server.String(), "er zeigt kein Zertifikat", "it shows no certificate")
	}
	if !t.Pin.IsZero() {
		return t.verifyPin(server, shown, now)
	}
	if len(t.Authorities) == 0 {
		return verifyChain(server, shown, t.publicRoots, now)
	}
	roots := x509.NewCertPool()
	for _, ca := range t.Authorities {
		roots.AddCert(ca)
	}
	err := verifyChain(server, shown, roots, now)
	if err != nil && t.Public && verifyChain(server, shown, t.publicRoots, now) == nil {
		return nil
	}
	return err
}

// verifyPin looks for the pinned CA among the certificates shown and trusts
// it alone.
func (t Trust) verifyPin(server Server, shown []*x509.Certificate, now time.Time) error {
	var got Fingerprint
	for _, c := range shown {
		if FingerprintOf(c) == t.Pin {
			roots := x509.NewCertPool()
			roots.AddCert(c)
			return verifyChain(server, shown, roots, now)
		}
		if c.IsCA {
			got = FingerprintOf(c)
		}
	}
	return wrongPin(server.String(), t.Pin, got)
}

// verifyChain is the standard library's verification, with its errors put
// into words. Nil roots are the system's.
func verifyChain(server Server, shown []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	leaf := shown[0]
	options := x509.VerifyOptions{
		DNSName:       server.Host, // the library tells IP addresses apart
		Roots:         roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, c := range shown[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(options)
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		// The library looks at the dates before it looks at the signature.
		// Only if all else is right do the dates, and with them the clock,
		// deserve the blame.
		// A CA outlives what it signs, but may be as young.
		options.CurrentTime = leaf.NotAfter.Add(-time.Second)
		if _, err = leaf.Verify(options); err == nil {
			return clockWrong(now, leaf.NotBefore, leaf.NotAfter).Because(invalid)
		}
	}
	if err == nil {
		return nil
	}
	return explain(server, leaf, err)
}

func explain(server Server, leaf *x509.Certificate, err error) *Problem {
	where := server.String()
	var (
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &host):
		names := Printable(strings.Join(namesOf(leaf), ", "))
		return serverUntrusted(where,
			"sein Zertifikat ist auf einen anderen Namen ausgestellt ("+names+")",
			"its certificate is made out to another name ("+names+")").Because(err)
	case errors.As(err, &unknown):
		return serverUntrusted(where,
			"niemand, dem dieses Gerät vertraut, hat sein Zertifikat unterschrieben",
			"nobody whom this machine trusts has signed its certificate").Because(err)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return serverUntrusted(where,
			"sein Zertifikat ist keines für Server",
			"its certificate is none for servers").Because(err)
	}
	return serverUntrusted(where, "sein Zertifikat ist ungültig", "its certificate is invalid").Because(err)
}

func namesOf(c *x509.Certificate) []string {
	const most = 5
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return []string{"-"}
	}
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("+%d", len(names)-most))
	}
	return names
}
