package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func newIdentity(t testing.TB, ca *authority, store Store, lifetime time.Duration) *Identity {
	t.Helper()
	request, err := NewKeyRequest()
	check(t, err)
	id, err := SaveIdentity(store, request, ca.client(request.CSR, lifetime), Trust{Pin: FingerprintOf(ca.cert)})
	check(t, err)
	return id
}

func TestIdentityIsKept(t *testing.T) {
	ca, store := newAuthority(t), &MemoryStore{}
	if _, err := LoadIdentity(store); !IsMissing(err) {
		t.Fatalf("got %v", err)
	}
	id := newIdentity(t, ca, store, time.Hour)
	again, err := LoadIdentity(store)
	check(t, err)
	if !again.Leaf().Equal(id.Leaf()) || !again.RenewAt().Equal(id.RenewAt()) || again.Trust().Public || len(again.Trust().Authorities) != 1 {
		t.Errorf("kept %v, read %v", id.Leaf().SerialNumber, again.Leaf().SerialNumber)
	}
}

func TestIdentityRefusesWhatDoesNotFit(t *testing.T) {
	ca := newAuthority(t)
	request, err := NewKeyRequest()
	check(t, err)
	other, err := NewKeyRequest()
	check(t, err)
	good := ca.client(request.CSR, time.Hour)
	for name, c := range map[string]*heimdrahtv1.Certificate{
		"another key":     ca.client(other.CSR, time.Hour),
		"no certificate":  nil,
		"garbage":         {Leaf: []byte("x"), Authorities: good.GetAuthorities()},
		"no bundle":       {Leaf: good.GetLeaf()},
		"garbage bundle":  {Leaf: good.GetLeaf(), Authorities: [][]byte{{1}}},
		"bundle of leafs": {Leaf: good.GetLeaf(), Authorities: [][]byte{good.GetLeaf()}},
		"endless bundle":  {Leaf: good.GetLeaf(), Authorities: make([][]byte, maxAuthorities+1)},
	} {
		store := &MemoryStore{}
		if _, err := SaveIdentity(store, request, c, Trust{Pin: Fingerprint{1}}); !errors.Is(err, &Problem{Code: CodeConfigRefused}) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := LoadIdentity(store); !IsMissing(err) {
			t.Errorf("%s was kept", name)
		}
	}
}

func TestKeyRequestIsNotPrinted(t *testing.T) {
	r, err := NewKeyRequest()
	check(t, err)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "r", r)
	secret := fmt.Sprintf("%d", []byte(r.key[:4]))
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s", r, r, r, r), log.String()} {
		if strings.Contains(s, secret[1:len(secret)-1]) {
			t.Errorf("the key is in %q", s)
		}
	}
}

func TestRenewUsesTheNewCertificateAtTheNextConnection(t *testing.T) {
	ca, store := newAuthority(t), &MemoryStore{}
	fake := &fakeServer{ca: ca}
	server := fake.listen(t, ca.server(nil))
	id := newIdentity(t, ca, store, time.Hour)
	first := id.Leaf()
	for range 2 {
		conn, err := Connect(t.Context(), Options{Servers: []Server{server}, Identity: id})
		check(t, err)
		check(t, id.Renew(t.Context(), conn, Proof{}))
		check(t, conn.Close())
	}
	if len(fake.seen) != 2 || !fake.seen[0].Equal(first) || fake.seen[1].Equal(first) {
		t.Fatal("the second renewal did not show the first one's certificate")
	}
	again, err := LoadIdentity(store)
	check(t, err)
	if !again.Leaf().Equal(id.Leaf()) {
		t.Error("the renewed certificate is not on disk")
	}
}

func TestKeepRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, store := newAuthority(t), &MemoryStore{}
		fake := &fakeServer{ca: ca}
		pipes := newPipes()
		fake.serve(t, pipes, ca.server(nil))
		id := newIdentity(t, ca, store, 30*24*time.Hour)
		start, renewAt := id.Leaf(), id.RenewAt()

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- id.KeepRenewed(ctx, slog.New(slog.DiscardHandler), func(ctx context.Context) (*Conn, error) {
				return Connect(ctx, Options{Servers: []Server{{Host: "localhost", Port: 8443}}, Identity: id, Dial: pipes.dial})
			})
		}()

		time.Sleep(time.Until(renewAt) - time.Second)
		if !id.Leaf().Equal(start) {
			t.Error("renewed too early")
		}
		// The server refuses for a while: the agent keeps trying.
		fake.mu.Lock()
		fake.refuse = status.Error(codes.Unavailable, "away")
		fake.mu.Unlock()
		time.Sleep(3 * 24 * time.Hour)
		if n := fake.calls.Load(); n < 20 || n > 200 {
			t.Errorf("%d attempts in about two days", n)
		}
		fake.mu.Lock()
		fake.refuse = nil
		fake.mu.Unlock()
		time.Sleep(2 * time.Hour)
		if id.Leaf().Equal(start) {
			t.Error("not renewed")
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

// pipes is a listener without a network, for synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }
