package control

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// identityFile is the name under which a Store keeps an identity.
const identityFile = "identity"

// maxAuthorities bounds the bundle: a CA, its successor, and room.
const maxAuthorities = 16

// Store keeps an agent's own small files. Save replaces a value whole or not
// at all; Load of one that was never saved wraps fs.ErrNotExist. A state.Dir
// keeps them on disk, a MemoryStore for the life of the process.
type Store interface {
	Save(name string, value any) error
	Load(name string, value any) error
	// Remove of what is not there is no error.
	Remove(name string) error
}

// ForgetIdentity removes an identity from a store, with its key.
func ForgetIdentity(store Store) error { return store.Remove(identityFile) }

// KeyRequest is a new certificate key and the request that proves its
// possession. The key leaves it only into an Identity, or into the store of a
// laptop that waits for its first one.
type KeyRequest struct {
	key ed25519.PrivateKey
	// CSR is PKCS #10 (RFC 2986) in DER. It names nobody: who the certificate
	// is for, the control plane knows.
	CSR []byte
}

// NewKeyRequest makes a key.
func NewKeyRequest() (*KeyRequest, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a certificate key: %w", err)
	}
	return requestFor(key)
}

func requestFor(key ed25519.PrivateKey) (*KeyRequest, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return &KeyRequest{key: key, CSR: csr}, nil
}

// Keep gives what ResumeKeyRequest makes the same request of: the key, PKCS #8
// (RFC 5958) in DER. It is secret.
func (k *KeyRequest) Keep() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, fmt.Errorf("encoding the certificate key: %w", err)
	}
	return der, nil
}

// ResumeKeyRequest makes a request for a key that was kept.
func ResumeKeyRequest(kept []byte) (*KeyRequest, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(kept)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("reading a certificate key: it is damaged")
	}
	return requestFor(key)
}

// String keeps the key out of print.
func (*KeyRequest) String() string { return "certificate request" }

// GoString keeps the key out of print.
func (*KeyRequest) GoString() string { return "certificate request" }

// LogValue keeps the key out of logs.
func (*KeyRequest) LogValue() slog.Value { return slog.StringValue("certificate request") }

// Identity is the client certificate of an agent, its key, and the bundle of
// CAs to trust. Safe for concurrent use: a renewed certificate is shown at the
// next connection.
type Identity struct {
	store Store

	mu   sync.Mutex
	held held
}

// held is what an identity consists of at one time.
type held struct {
	cert        tls.Certificate
	authorities []*x509.Certificate
	public      bool
	notAfter    time.Time
	renewAt     time.Time
}

// savedIdentity is the file. Key and certificate lie in one, so that they
// cannot come apart.
type savedIdentity struct {
	// Key is PKCS #8 (RFC 5958) in DER.
	Key         []byte    `json:"key"`
	Leaf        []byte    `json:"leaf"`
	Authorities [][]byte  `json:"authorities"`
	Public      bool      `json:"public"`
	NotAfter    time.Time `json:"not_after"`
	RenewAt     time.Time `json:"renew_at"`
}

// LoadIdentity reads the identity. The error wraps fs.ErrNotExist if there is
// none.
func LoadIdentity(store Store) (*Identity, error) {
	var saved savedIdentity
	if err := store.Load(identityFile, &saved); err != nil {
		return nil, fmt.Errorf("reading the client certificate: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(saved.Key)
	if err != nil {
		return nil, errors.New("reading the client certificate: its key is damaged")
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("reading the client certificate: its key is not an Ed25519 key")
	}
	h, err := newHeld(private, saved)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate: %w", err)
	}
	return &Identity{store: store, held: h}, nil
}

// SaveIdentity checks the certificate that the control plane issued for the
// request, and keeps both. first is how the server proved itself at this
// first contact.
func SaveIdentity(store Store, request *KeyRequest, issued *heimdrahtv1.Certificate, first Trust) (*Identity, error) {
	id := &Identity{store: store}
	public := first.Pin.IsZero() && len(first.Authorities) == 0 || first.Public
	if err := id.install(request, issued, public); err != nil {
		return nil, err
	}
	return id, nil
}

// install saves first and uses afterwards: what is in use is on disk.
func (i *Identity) install(request *KeyRequest, issued *heimdrahtv1.Certificate, public bool) error {
	der, err := x509.MarshalPKCS8PrivateKey(request.key)
	if err != nil {
		return fmt.Errorf("encoding the certificate key: %w", err)
	}
	saved := savedIdentity{Key: der, Leaf: issued.GetLeaf(), Authorities: issued.GetAuthorities(), Public: public}
	h, err := newHeld(request.key, saved)
	if err != nil {
		return ConfigRefused(err)
	}
	// The control plane's word on dates is worth less than the certificate's.
	h.renewAt = h.cert.Leaf.NotBefore.Add(h.notAfter.Sub(h.cert.Leaf.NotBefore) * 2 / 3)
	if t := issued.GetRenewAt(); t.IsValid() && t.AsTime().After(h.cert.Leaf.NotBefore) && t.AsTime().Before(h.notAfter) {
		h.renewAt = t.AsTime()
	}
	saved.NotAfter, saved.RenewAt = h.notAfter, h.renewAt
	if err := i.store.Save(identityFile, saved); err != nil {
		return fmt.Errorf("keeping the client certificate: %w", err)
	}
	i.mu.Lock()
	i.held = h
	i.mu.Unlock()
	return nil
}

// newHeld checks that the parts fit together.
func newHeld(key ed25519.PrivateKey, saved savedIdentity) (held, error) {
	leaf, err := x509.ParseCertificate(saved.Leaf)
	if err != nil {
		return held{}, errors.New("the certificate cannot be read")
	}
	public, ok := leaf.PublicKey.(ed25519.PublicKey)
	if !ok || !bytes.Equal(public, key.Public().(ed25519.PublicKey)) {
		return held{}, errors.New("the certificate is for another key")
	}
	if len(saved.Authorities) == 0 && !saved.Public {
		return held{}, errors.New("the bundle of CAs is empty")
	}
	if len(saved.Authorities) > maxAuthorities {
		return held{}, fmt.Errorf("the bundle holds more than %d CAs", maxAuthorities)
	}
	h := held{
		cert:   tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf},
		public: saved.Public, notAfter: leaf.NotAfter, renewAt: saved.RenewAt,
	}
	for _, der := range saved.Authorities {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return held{}, errors.New("a certificate in the bundle of CAs cannot be read")
		}
		if !ca.IsCA {
			return held{}, errors.New("a certificate in the bundle of CAs is none of a CA")
		}
		h.authorities = append(h.authorities, ca)
	}
	return h, nil
}

// Trust is by what servers must prove themselves to this identity.
func (i *Identity) Trust() Trust {
	i.mu.Lock()
	defer i.mu.Unlock()
	return Trust{Authorities: i.held.authorities, Public: i.held.public}
}

// Leaf is the present certificate. The caller must not change it.
func (i *Identity) Leaf() *x509.Certificate {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.held.cert.Leaf
}

// Expired says whether the certificate has expired by this machine's clock.
func (i *Identity) Expired() bool { return time.Now().After(i.Leaf().NotAfter) }

// RenewAt is when the next certificate should be asked for.
func (i *Identity) RenewAt() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.held.renewAt
}

func (i *Identity) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	cert := i.held.cert
	return &cert, nil
}

// Proof is what a person typed to show who she is. It does not print itself.
type Proof struct {
	Login, Password string
	Code            string // from her phone, or a recovery code; empty: none
}

// Format leaves it out, whatever the verb.
func (p Proof) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("a person's proof")) }

// LogValue leaves it out.
func (p Proof) LogValue() slog.Value { return slog.StringValue("a person's proof") }

// Renew asks for the next certificate, with a new key, over a connection that
// shows the present one. An expired certificate of a device is renewed only
// with its person's proof, which is empty otherwise.
func (i *Identity) Renew(ctx context.Context, conn grpc.ClientConnInterface, p Proof) error {
	request, err := NewKeyRequest()
	if err != nil {
		return err
	}
	answer, err := heimdrahtv1.NewEnrolmentServiceClient(conn).RenewCertificate(ctx, &heimdrahtv1.RenewCertificateRequest{
		CertificateRequest: request.CSR, Login: p.Login, Password: p.Password, Code: p.Code,
	})
	if err != nil {
		return fmt.Errorf("renewing the certificate: %w", FromStatus(err))
	}
	i.mu.Lock()
	public := i.held.public
	i.mu.Unlock()
	if err := i.install(request, answer.GetCertificate(), public); err != nil {
		return fmt.Errorf("renewing the certificate: %w", err)
	}
	return nil
}

// KeepRenewed renews the certificate whenever it is due, until the context
// ends. connect opens a connection that shows this identity.
func (i *Identity) KeepRenewed(ctx context.Context, log *slog.Logger, connect func(context.Context) (*Conn, error)) error {
	for {
		if err := i.waitDue(ctx); err != nil {
			return err
		}
		if err := i.renewUntilDone(ctx, log, connect); err != nil {
			return err
		}
		log.Info("certificate renewed", "not_after", i.Leaf().NotAfter.UTC())
		if time.Now().Before(i.RenewAt()) {
			continue
		}
		// One of the two clocks is weeks off: by ours, the new certificate is
		// old already. Asking on would bring another such one, and so on.
		log.Warn("the new certificate is due for renewal already: one of the two clocks is wrong")
		if err := Sleep(ctx, Jitter(pauseWrongClock, 0.2)); err != nil {
			return err
		}
	}
}

// pauseWrongClock is how often an agent with a wrong clock renews.
const pauseWrongClock = 12 * time.Hour

// waitDue waits until renewAt and then up to a tenth of what is left, so that
// agents enrolled on one day do not renew in one minute.
func (i *Identity) waitDue(ctx context.Context) error {
	renewAt, notAfter := i.RenewAt(), i.Leaf().NotAfter
	if left := notAfter.Sub(renewAt); left > 0 && time.Now().Before(renewAt) {
		renewAt = renewAt.Add(Jitter(left/20, 1))
	}
	// In short steps: a laptop that slept notices, and so does one whose
	// clock was set.
	const step = 10 * time.Minute
	for {
		left := time.Until(renewAt.Round(0))
		if left <= 0 {
			return ctx.Err()
		}
		if err := Sleep(ctx, min(left, step)); err != nil {
			return err
		}
	}
}

func (i *Identity) renewUntilDone(ctx context.Context, log *slog.Logger, connect func(context.Context) (*Conn, error)) error {
	retry := Backoff{Min: 10 * time.Second, Max: time.Hour}
	for {
		err := i.renewOnce(ctx, connect)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		log.Warn("certificate not renewed", "error", err, "not_after", i.Leaf().NotAfter.UTC())
		var atLeast time.Duration
		if p, ok := AsProblem(err); ok && p.Refused && p.RetryAfter == 0 {
			atLeast = time.Hour // somebody must do something first
		}
		if err := retry.Wait(ctx, atLeast); err != nil {
			return err
		}
	}
}

func (i *Identity) renewOnce(ctx context.Context, connect func(context.Context) (*Conn, error)) error {
	conn, err := connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(i.Renew(ctx, conn, Proof{}), conn.Close())
}

// IsMissing says whether err is that of an identity that was never kept, or
// was forgotten.
func IsMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
