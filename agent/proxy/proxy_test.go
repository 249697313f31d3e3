package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	socks "golang.org/x/net/proxy"
)

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

const patience = 10 * time.Second

// start serves with the given dial function and returns the proxy's address. The log goes to the writer.
func start(t *testing.T, dial dialFunc, log io.Writer) string {
	t.Helper()
	listener, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server := &Server{Dial: dial, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return listener.Addr().String()
}

// backward is a server that sends what it got, reversed, after the client has finished sending.
func backward(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				b, err := io.ReadAll(conn)
				if err != nil {
					return
				}
				for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
					b[i], b[j] = b[j], b[i]
				}
				_, _ = conn.Write(b)
			}()
		}
	}()
	return listener.Addr().String()
}

// TestThroughAnotherClient uses a client that somebody else has written.
func TestThroughAnotherClient(t *testing.T) {
	target := backward(t)
	var asked []string
	proxy := start(t, func(ctx context.Context, network, address string) (net.Conn, error) {
		asked = append(asked, network+" "+address)
		return new(net.Dialer).DialContext(ctx, "tcp", target)
	}, io.Discard)
	dialer, err := socks.SOCKS5("tcp", proxy, nil, socks.Direct)
	if err != nil {
		t.Fatal(err)
	}
	addresses := []string{"intranet.stadt.example:443", "10.1.0.10:80", "[fd80::10]:22"}
	for _, address := range addresses {
		conn, err := dialer.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || string(got) != "olleh" {
			t.Errorf("%s: got %q, error %v", address, got, err)
		}
		_ = conn.Close()
	}
	if diff := cmp.Diff([]string{"tcp intranet.stadt.example:443", "tcp 10.1.0.10:80", "tcp [fd80::10]:22"}, asked); diff != "" {
		t.Errorf("dialled (-want +got):\n%s", diff)
	}
}

// talk sends bytes to the proxy and returns all that it answers until it closes.
func talk(t *testing.T, proxy string, sent string) string {
	t.Helper()
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	return string(got)
}

func TestAnswers(t *testing.T) {
	var failure error
	proxy := start(t, func(context.Context, string, string) (net.Conn, error) { return nil, failure }, io.Discard)
	const (
		hello   = "\x05\x01\x00"
		connect = "\x05\x01\x00\x01\x0a\x01\x00\x0a\x00\x50"
		empty   = "\x00\x01\x00\x00\x00\x00\x00\x00"
	)
	for name, test := range map[string]struct {
		sent, want string
		err        error
	}{
		"refused":                {hello + connect, "\x05\x00\x05\x05" + empty, fmt.Errorf("dialling: %w", syscall.ECONNREFUSED)},
		"network unreachable":    {hello + connect, "\x05\x00\x05\x03" + empty, syscall.ENETUNREACH},
		"host unreachable":       {hello + connect, "\x05\x00\x05\x04" + empty, syscall.EHOSTUNREACH},
		"a dead tunnel":          {hello + connect, "\x05\x00\x05\x04" + empty, context.DeadlineExceeded},
		"no such name":           {hello + connect, "\x05\x00\x05\x04" + empty, &net.DNSError{Err: "no such host", IsNotFound: true}},
		"something else":         {hello + connect, "\x05\x00\x05\x01" + empty, errors.New("odd")},
		"BIND":                   {hello + "\x05\x02\x00\x01\x0a\x01\x00\x0a\x00\x50", "\x05\x00\x05\x07" + empty, nil},
		"UDP ASSOCIATE":          {hello + "\x05\x03\x00\x03\x01a\x00\x50", "\x05\x00\x05\x07" + empty, nil},
		"an odd address type":    {hello + "\x05\x01\x00\x02", "\x05\x00\x05\x08" + empty, nil},
		"no name":                {hello + "\x05\x01\x00\x03\x00\x00\x50", "\x05\x00\x05\x08" + empty, nil},
		"a name with a new line": {hello + "\x05\x01\x00\x03\x03a\nb\x00\x50", "\x05\x00\x05\x08" + empty, nil},
		"wants a password":       {"\x05\x01\x02", "\x05\xff", nil},
		"no method":              {"\x05\x00", "\x05\xff", nil},
		"a web browser":          {"GET / HTTP/1.1\r\n\r\n", "", nil},
		"SOCKS4":                 {"\x04\x01\x00\x50\x0a\x01\x00\x0a\x00", "", nil},
		"another version":        {hello + "\x04\x01\x00\x01", "\x05\x00", nil},
	} {
		failure = test.err
		if got := talk(t, proxy, test.sent); got != test.want {
			t.Errorf("%s: answered %q, want %q", name, got, test.want)
		}
	}
}

// TestNothingIsLoggedOfWhereTo: a log of pages that people visit must not come about by accident.
func TestNothingIsLoggedOfWhereTo(t *testing.T) {
	log := make(lines, 10)
	proxy := start(t, func(_ context.Context, _, address string) (net.Conn, error) {
		return nil, fmt.Errorf("dialling %s: %w", address, syscall.ECONNREFUSED)
	}, log)
	talk(t, proxy, "\x05\x01\x00\x05\x01\x00\x03\x15private.stadt.example\x01\xbb")
	if got := <-log; strings.Contains(got, "private") || !strings.Contains(got, "code 5") {
		t.Errorf("the log: %s", got)
	}
}

// lines hands on what is written.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestListenOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:1080", "localhost:1080", "1080", ""} {
		if _, err := Listen(t.Context(), address); !errors.Is(err, ErrNotLoopback) {
			t.Errorf("%q: error %v, want ErrNotLoopback", address, err)
		}
	}
	first, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	if _, err := Listen(t.Context(), first.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v, want EADDRINUSE", err)
	}
}

// TestEndsWithItsContext has clients at every stage when the context ends.
func TestEndsWithItsContext(t *testing.T) {
	listener, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialling := make(chan struct{}, 1)
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	server := &Server{Logger: slog.New(slog.DiscardHandler), Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		if address == "connected:1" {
			return near, nil
		}
		dialling <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	open := func(sent string, answer int) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, answer)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	greeted := open("\x05\x01\x00", 2)
	waiting := open("\x05\x01\x00\x05\x01\x00\x03\x03far\x00\x01", 2)
	<-dialling
	connected := open("\x05\x01\x00\x05\x01\x00\x03\x09connected\x00\x01", 12)
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for name, conn := range map[string]net.Conn{"greeted": greeted, "waiting": waiting, "connected": connected} {
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the %s client was not cut off: %v", name, err)
		}
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the target was not cut off: %v", err)
	}
}

func TestServeEndsWithItsListener(t *testing.T) {
	listener, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := new(Server).Serve(t.Context(), listener); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want net.ErrClosed", err)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x01\x0a\x01\x00\x0a\x00\x50"))
	f.Add([]byte("\x05\x01\x00\x03\x16intranet.stadt.example\x01\xbb"))
	f.Add([]byte("\x05\x01\x00\x04\xfd\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x16"))
	f.Add([]byte("\x05\x01\x00\x03\x03::1\x00\x50"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		address, err := readRequest(bytes.NewReader(sent))
		slow, slowErr := readRequest(iotest.OneByteReader(bytes.NewReader(sent)))
		if address != slow || (err == nil) != (slowErr == nil) {
			t.Errorf("the pace changes the request: %q and %q", address, slow)
		}
		if err != nil {
			if address != "" {
				t.Errorf("an address beside an error: %q", address)
			}
			return
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil || host == "" || strings.ContainsAny(address, "\r\n\x00 ") {
			t.Errorf("no address: %q, error %v", address, err)
		}
	})
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte("\x05\x02\x00\x02"))
	f.Add([]byte("\x04\x01"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bytes.NewReader(sent)
		none, err := readGreeting(r)
		if err != nil && none {
			t.Error("accepted beside an error")
		}
		if err == nil && len(sent)-r.Len() != 2+int(sent[1]) {
			t.Errorf("read %d bytes of %q", len(sent)-r.Len(), sent)
		}
	})
}

func TestReplyNamesTheLocalAddress(t *testing.T) {
	got := encodeReply(replyDone, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("[fd80::1]:258")))
	want := "\x05\x00\x00\x04\xfd\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\x02"
	if string(got) != want {
		t.Errorf("answer %q, want %q", got, want)
	}
}
