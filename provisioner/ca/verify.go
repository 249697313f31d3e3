package ca

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// What can be wrong with a certificate that is shown, besides its dates.
var (
	// ErrNone says that no certificate was shown.
	ErrNone = errors.New("no certificate was shown")
	// ErrForeign says that none of our authorities signed it.
	ErrForeign = errors.New("the certificate was not issued here")
	// ErrUsage says that one of ours signed it for another use: a server's, or
	// an authority's own.
	ErrUsage = errors.New("the certificate is not a client's")
)

// bundleLimit is how many authorities an agent accepts: one, its successor,
// and room.
const bundleLimit = 16

// Bundle is the authorities of an installation: the one in use, and while it is
// being replaced, the other. It never changes; safe for concurrent use. The zero
// Bundle trusts nobody.
type Bundle struct {
	certificates []*x509.Certificate
	pool         *x509.CertPool
	retired      []*x509.Certificate
}

// NewBundle takes the certificates of authorities, in order: the one in use
// first. One that is there already is left out.
func NewBundle(authorities ...*x509.Certificate) (Bundle, error) {
	b := Bundle{pool: x509.NewCertPool()}
	for _, c := range authorities {
		if _, err := instanceOf(c); err != nil {
			return Bundle{}, fmt.Errorf("putting together a bundle of authorities: %w", err)
		}
		if !b.has(c) {
			b.certificates = append(b.certificates, c)
			b.pool.AddCert(c)
		}
	}
	if n := len(b.certificates); n == 0 || n > bundleLimit {
		return Bundle{}, fmt.Errorf("putting together a bundle of authorities: there are %d, and must be 1 to %d", n, bundleLimit)
	}
	return b, nil
}

// Retired is the bundle with authorities that are no longer trusted, and that
// agents do not learn of. Whatever they signed counts as expired, so that a
// laptop that slept through a rollover is known, and proves itself by password.
func (b Bundle) Retired(authorities ...*x509.Certificate) (Bundle, error) {
	if b.pool == nil {
		return b, errors.New("retiring authorities: there is none that is not")
	}
	b.pool, b.retired = b.pool.Clone(), slices.Clone(b.retired)
	for _, c := range authorities {
		if _, err := instanceOf(c); err != nil {
			return Bundle{}, fmt.Errorf("retiring an authority: %w", err)
		}
		if b.has(c) {
			return Bundle{}, errors.New("retiring an authority: it is trusted")
		}
		b.pool.AddCert(c)
		b.retired = append(b.retired, c)
	}
	return b, nil
}

// ParseBundle reads what Bundle.PEM wrote; explanations between the blocks are
// passed over.
func ParseBundle(text []byte) (Bundle, error) {
	// Blocks that cannot be read would be passed over as well.
	blocks := bytes.Count(text, []byte("-----BEGIN"))
	var list []*x509.Certificate
	for len(list) <= bundleLimit {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return Bundle{}, fmt.Errorf("reading a bundle of authorities: it contains a PEM block %q", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Bundle{}, fmt.Errorf("reading a bundle of authorities: %w", err)
		}
		list = append(list, c)
	}
	if len(list) != blocks {
		return Bundle{}, fmt.Errorf("reading a bundle of authorities: of %d PEM blocks %d could be read", blocks, len(list))
	}
	return NewBundle(list...)
}

func (b Bundle) has(c *x509.Certificate) bool {
	for _, known := range b.certificates {
		if known.Equal(c) {
			return true
		}
	}
	return false
}

// DER lists the certificates, as agents get them.
func (b Bundle) DER() [][]byte {
	list := make([][]byte, len(b.certificates))
	for i, c := range b.certificates {
		list[i] = c.Raw
	}
	return list
}

// PEM is the bundle as text (RFC 7468).
func (b Bundle) PEM() []byte {
	var text []byte
	for _, c := range b.certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}

// Fingerprint is what people compare and addresses carry: the SHA-256 of the
// certificate's DER, in hexadecimal digits.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Validity says how the dates of a certificate stand to the clock. The zero
// Validity: it is good.
type Validity struct {
	Expired bool // its time is over, or its authority's
	NotYet  bool // its time has not begun: one of the two clocks is wrong
}

// Verify tells who shows a client certificate; the handshake must have proved
// that he holds its key. The first of chain is his, others are ignored: our
// authorities sign holders directly. An expired certificate still says who held
// it, with Validity beside it. Errors wrap ErrNone, ErrForeign, ErrUsage or
// ErrIdentity.
func (b Bundle) Verify(chain []*x509.Certificate, now time.Time) (Identity, Validity, error) {
	if len(chain) == 0 {
		return Identity{}, Validity{}, ErrNone
	}
	if b.pool == nil {
		return Identity{}, Validity{}, ErrForeign
	}
	leaf := chain[0]
	signed, err := leaf.Verify(x509.VerifyOptions{
		Roots: b.pool,
		// The dates are judged below, apart from all else. At its own beginning
		// every certificate of ours is good, and so is its authority.
		CurrentTime: leaf.NotBefore,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return Identity{}, Validity{}, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if !isClient(leaf) || len(signed[0]) != 2 {
		return Identity{}, Validity{}, ErrUsage
	}
	authority := signed[0][1]
	id, err := identityOf(leaf, authority)
	if err != nil {
		return Identity{}, Validity{}, err
	}
	end := earlier(leaf.NotAfter, authority.NotAfter)
	gone := slices.ContainsFunc(b.retired, authority.Equal)
	return id, Validity{Expired: gone || now.After(end), NotYet: now.Before(leaf.NotBefore)}, nil
}

// isClient is stricter than the library, to which no usage means every usage.
func isClient(leaf *x509.Certificate) bool {
	return !leaf.IsCA && leaf.KeyUsage == x509.KeyUsageDigitalSignature && len(leaf.UnknownExtKeyUsage) == 0 &&
		len(leaf.ExtKeyUsage) == 1 && leaf.ExtKeyUsage[0] == x509.ExtKeyUsageClientAuth
}

func identityOf(leaf, authority *x509.Certificate) (Identity, error) {
	if len(leaf.URIs) != 1 || len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) > 0 {
		return Identity{}, fmt.Errorf("a certificate must have one URI and no other name: %w", ErrIdentity)
	}
	id, instance, err := ParseIdentity(leaf.URIs[0].String())
	if err != nil {
		return Identity{}, err
	}
	if own, err := instanceOf(authority); err != nil || own != instance {
		return Identity{}, fmt.Errorf("it names the instance %s, and its authority another: %w", instance, ErrIdentity)
	}
	return id, nil
}

// Identify turns what Verify finds into who calls, or into the refusal that
// tells him why he is nobody. Of an expired certificate the Actor is Expired.
func (b Bundle) Identify(chain []*x509.Certificate, now time.Time) (provisioner.Actor, error) {
	id, validity, err := b.Verify(chain, now)
	switch {
	case errors.Is(err, ErrNone):
		return provisioner.Actor{}, provisioner.Refuse(provisioner.CodeNotSignedIn).Because(err)
	case err != nil:
		return provisioner.Actor{}, provisioner.Refuse(provisioner.CodeCertificateForeign).Because(err)
	case validity.NotYet:
		return provisioner.Actor{}, provisioner.Refuse(provisioner.CodeCertificateNotYet)
	}
	actor := provisioner.Actor{
		ID: id.ID, Name: id.ID, Generation: id.Generation, Until: chain[0].NotAfter, Expired: validity.Expired,
		Grants: []provisioner.Grant{{Role: provisioner.RoleGateway}},
	}
	if id.Kind == KindDevice {
		actor.Grants = []provisioner.Grant{{Role: provisioner.RoleDevice, Tenant: id.Tenant}}
	}
	return actor, nil
}
