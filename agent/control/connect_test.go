package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func clientCert(ctx context.Context) *x509.Certificate {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	shown := p.AuthInfo.(credentials.TLSInfo).State.PeerCertificates
	if len(shown) == 0 {
		return nil
	}
	return shown[0]
}

func TestConnectTrust(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	pin, bundle := Trust{Pin: FingerprintOf(ours.cert)}, Trust{Authorities: []*x509.Certificate{other.cert, ours.cert}}
	public := Trust{publicRoots: pool(ours.cert)}
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-3*time.Hour), time.Now().Add(-time.Hour)
	}
	for _, c := range []struct {
		name   string
		trust  Trust
		cert   tls.Certificate
		code   string // empty: accepted
		phrase string
	}{
		{"pin", pin, ours.server(nil), "", ""},
		{"bundle", bundle, ours.server(nil), "", ""},
		{"bundle without the CA on the wire", bundle, leafOnly(ours.server(nil)), "", ""},
		{"public", public, ours.server(nil), "", ""},
		{"bundle or public", Trust{Authorities: []*x509.Certificate{other.cert}, Public: true, publicRoots: pool(ours.cert)}, ours.server(nil), "", ""},

		{"another CA than pinned", pin, other.server(nil), CodeWrongPin, FingerprintOf(other.cert).String()},
		{"pinned, CA not shown", pin, leafOnly(ours.server(nil)), CodeWrongPin, "none that it could be compared with"},
		// The pinned CA is public knowledge: to show it beside one's own
		// certificate must not help.
		{"pinned CA shown by a stranger", pin, with(other.server(nil), ours.cert), CodeServerUntrusted, "nobody whom this machine trusts"},
		{"pin goes before public", Trust{Pin: FingerprintOf(ours.cert), Public: true, publicRoots: pool(other.cert)}, other.server(nil), CodeWrongPin, ""},
		{"not in the bundle", Trust{Authorities: []*x509.Certificate{other.cert}, publicRoots: pool(ours.cert)}, ours.server(nil), CodeServerUntrusted, "nobody whom"},
		{"not public", Trust{publicRoots: pool(other.cert)}, ours.server(nil), CodeServerUntrusted, "nobody whom"},
		{"another name", pin, ours.server(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"evil.example"} }), CodeServerUntrusted, "another name (evil.example)"},
		{"a laptop's certificate", pin, ours.server(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), CodeServerUntrusted, "none for servers"},
		{"expired", pin, ours.server(expired), CodeClockWrong, "clock here shows"},
		{"not yet valid", pin, ours.server(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), CodeClockWrong, "clock here shows"},
		{"expired and a stranger", bundle, newAuthority(t).server(expired), CodeServerUntrusted, "nobody whom"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := &fakeServer{ca: ours}
			server := fake.listen(t, c.cert)
			conn, err := Connect(t.Context(), Options{Servers: []Server{server}, Trust: c.trust})
			if c.code == "" {
				check(t, err)
				check(t, conn.Close())
				return
			}
			p, ok := AsProblem(err)
			if !ok || p.Code != c.code || !strings.Contains(p.English.Sentence, c.phrase) {
				t.Fatalf("got %v, want %s with %q", err, c.code, c.phrase)
			}
			if p.German.Sentence == "" || p.German.Next == "" || p.English.Next == "" {
				t.Errorf("texts are missing: %#v", p)
			}
			if n := fake.calls.Load(); n != 0 {
				t.Errorf("%d calls reached a server that was not trusted", n)
			}
		})
	}
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

func leafOnly(c tls.Certificate) tls.Certificate {
	c.Certificate = c.Certificate[:1]
	return c
}

func with(c tls.Certificate, more *x509.Certificate) tls.Certificate {
	c.Certificate = append(c.Certificate, more.Raw)
	return c
}

// A server that fails its proof gets not one byte after the handshake.
func TestConnectSendsNothingToAWrongServer(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	got := make(chan int, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			got <- -1
			return
		}
		defer raw.Close()
		n, _ := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{other.server(nil)}, NextProtos: []string{"h2"}}).Read(make([]byte, 1))
		got <- n
	}()
	server := Server{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	_, err = Connect(t.Context(), Options{Servers: []Server{server}, Trust: Trust{Pin: FingerprintOf(ours.cert)}})
	if !errors.Is(err, &Problem{Code: CodeWrongPin}) {
		t.Errorf("got %v", err)
	}
	if n := <-got; n != 0 {
		t.Errorf("the server read %d bytes", n)
	}
}

// Servers are of equal right: agents spread over those that answer.
func TestConnectSpreadsOverServers(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	fake := &fakeServer{ca: ours}
	wrong, first, second := fake.listen(t, other.server(nil)), fake.listen(t, ours.server(nil)), fake.listen(t, ours.server(nil))
	closed := Server{Host: "127.0.0.1", Port: closedPort(t)}
	trust := Trust{Pin: FingerprintOf(ours.cert)}

	reached := make(map[Server]int)
	for range 40 {
		conn, err := Connect(t.Context(), Options{Servers: []Server{closed, wrong, first, second}, Trust: trust})
		check(t, err)
		reached[conn.Server]++
		conn.Close()
	}
	if len(reached) != 2 || reached[first] == 0 || reached[second] == 0 {
		t.Errorf("of %v and %v these were reached: %v", first, second, reached)
	}

	// Nobody is there: that is said, with the names.
	_, err := Connect(t.Context(), Options{Servers: []Server{closed}, Trust: trust})
	if p, ok := AsProblem(err); !ok || p.Code != CodeServerUnreachable || !strings.Contains(p.German.Sentence, closed.String()) {
		t.Errorf("got %v", err)
	}
	// A wrong pin says more than a server that is away.
	_, err = Connect(t.Context(), Options{Servers: []Server{closed, wrong}, Trust: trust})
	if !errors.Is(err, &Problem{Code: CodeWrongPin}) {
		t.Errorf("got %v", err)
	}
}

func closedPort(t *testing.T) uint16 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestConnectToSomethingElse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, err = c.Write([]byte("220 mail.stadt.example ESMTP\r\n"))
			if err = errors.Join(err, c.Close()); err != nil {
				t.Error(err)
			}
		}
	}()
	server := Server{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	_, err = Connect(t.Context(), Options{Servers: []Server{server}})
	if p, ok := AsProblem(err); !ok || p.Code != CodeServerUntrusted || !strings.Contains(p.English.Sentence, "does not speak TLS") {
		t.Errorf("got %v", err)
	}
}

func TestConnectStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err := Connect(ctx, Options{Servers: []Server{{Host: "vpn", Port: 1}}, Dial: dial})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestConnectionStaysBroken(t *testing.T) {
	ours := newAuthority(t)
	fake := &fakeServer{ca: ours}
	server := fake.listen(t, ours.server(nil))
	var raw net.Conn
	conn, err := Connect(t.Context(), Options{
		Servers: []Server{server}, Trust: Trust{Pin: FingerprintOf(ours.cert)},
		Dial: func(ctx context.Context, network, address string) (c net.Conn, err error) {
			raw, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return raw, err
		}})
	check(t, err)
	defer conn.Close()
	check(t, raw.Close())
	id := &Identity{store: &MemoryStore{}}
	for range 3 {
		err := id.Renew(t.Context(), conn, Proof{})
		if !errors.Is(err, &Problem{Code: CodeConnectionLost}) {
			t.Fatalf("got %v", err)
		}
	}
	if n := fake.calls.Load(); n != 0 {
		t.Errorf("%d calls arrived over a broken connection", n)
	}
}

// Gateways and staff say in their hello that they go first; the word is the
// protocol's, and what is spoken stays h2.
func TestFirstIsSaidInTheHello(t *testing.T) {
	ours := newAuthority(t)
	certificate := ours.server(nil)
	said := make(chan []string, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	server := Server{Host: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			said <- hello.SupportedProtos
			return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate}}, nil
		},
	})))
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	defer func() {
		s.Stop()
		check(t, <-done)
	}()
	for _, first := range []bool{true, false} {
		conn, err := Connect(t.Context(), Options{Servers: []Server{server}, Trust: Trust{Pin: FingerprintOf(ours.cert)}, First: first})
		check(t, err)
		conn.Close()
		if got := <-said; slices.Contains(got, "heimdraht-first") != first || !slices.Contains(got, "h2") {
			t.Errorf("first %v: the hello offers %v", first, got)
		}
	}
}

func TestLanguageAndAgentAreSent(t *testing.T) {
	o := Options{Language: "en"}
	md, _ := metadata.FromOutgoingContext(o.withLanguage(t.Context()))
	if got := md.Get("accept-language"); len(got) != 1 || got[0] != "en" {
		t.Errorf("accept-language is %q", got)
	}
}

func TestFromStatus(t *testing.T) {
	refused, err := status.New(codes.PermissionDenied, "x").WithDetails(&heimdrahtv1.Refusal{
		Code: "not-in-group", Sentence: "Nein.\x1b[2J\u202e", NextStep: "Fragen.", RetryAfterMs: 1500})
	check(t, err)
	fault, err := status.New(codes.Internal, "x").WithDetails(&heimdrahtv1.Fault{Id: "F-17"})
	check(t, err)
	for _, c := range []struct {
		err    error
		code   string
		phrase string
		retry  time.Duration
	}{
		{refused.Err(), "not-in-group", "Nein. [2J ", 1500 * time.Millisecond},
		{fault.Err(), CodeServerFault, "F-17", 10 * time.Second},
		{status.Error(codes.Unavailable, "x"), CodeConnectionLost, "abgerissen", 250 * time.Millisecond},
		{status.Error(codes.Unimplemented, "x"), CodeServerOld, "älter", 0},
		{status.Error(codes.Internal, "x"), CodeServerFault, "schiefgegangen", 10 * time.Second},
		{status.Error(codes.ResourceExhausted, "x"), CodeTooLarge, "zu groß", 0},
	} {
		p, ok := AsProblem(FromStatus(c.err))
		if !ok || p.Code != c.code || !strings.Contains(p.Text("de").Sentence, c.phrase) || p.RetryAfter != c.retry {
			t.Errorf("FromStatus(%v) = %#v", c.err, p)
		}
	}
	for _, err := range []error{nil, context.Canceled, errors.New("x"), status.Error(codes.Canceled, "x")} {
		if got := FromStatus(err); got != err { //nolint:errorlint // the very same error
			t.Errorf("FromStatus(%v) = %v", err, got)
		}
	}
}

// A control plane's words are shown on terminals.
func FuzzFromRefusal(f *testing.F) {
	f.Add("", "\x00", "", int64(0))
	f.Add("code", "sentence\x07", "next\u2066", int64(-1))
	f.Fuzz(func(t *testing.T, code, sentence, next string, ms int64) {
		p := FromRefusal(&heimdrahtv1.Refusal{Code: code, Sentence: sentence, NextStep: next, RetryAfterMs: ms})
		for _, s := range []string{p.Code, p.German.Sentence, p.English.Next} {
			if strings.ContainsAny(s, "\x1b\x00\n\r\u202e\u2066") || len(s) > 3*maxText {
				t.Fatalf("kept %q", s)
			}
		}
		if p.Code == "" || p.German.Sentence == "" || p.English.Sentence == "" || p.German.Next == "" || p.English.Next == "" {
			t.Fatalf("no words: %+v", p)
		}
		if p.RetryAfter < 0 || p.RetryAfter > 24*time.Hour {
			t.Fatalf("retry after %v", p.RetryAfter)
		}
	})
}
