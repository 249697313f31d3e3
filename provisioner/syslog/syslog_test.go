package syslog_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/internal/testprocess"
	"github.com/heimdraht/heimdraht/provisioner/syslog"
)

func TestMessage(t *testing.T) {
	at := time.Date(2027, 1, 4, 8, 30, 0, 123_999_999, time.FixedZone("CET", 3600))
	for _, c := range []struct {
		name string
		m    syslog.Message
		want string
	}{
		{"whole", syslog.Message{
			At: at, Host: "vpn1.stadt.example", App: "heimdrahtd", ID: "audit", Name: "audit@32473",
			Params: []syslog.Param{{Name: "chain", Value: "stadt"}, {Name: "seq", Value: "7"}}, Text: []byte(`{"actor":"Müller"}`),
		}, `<109>1 2027-01-04T07:30:00.123Z vpn1.stadt.example heimdrahtd - audit [audit@32473 chain="stadt" seq="7"] {"actor":"Müller"}`},
		{"nothing", syslog.Message{At: at, Name: "x"}, `<109>1 2027-01-04T07:30:00.123Z - - - - [x]`},
		{"values are escaped", syslog.Message{At: at, Name: "x", Params: []syslog.Param{{Name: "a", Value: `"]\`}}}, `<109>1 2027-01-04T07:30:00.123Z - - - - [x a="\"\]\\"]`},
		{"a header cannot be forged", syslog.Message{At: at, Host: "a b\n<1>1 ü", App: "x\x00y", Name: "x"}, `<109>1 2027-01-04T07:30:00.123Z ab<1>1 xy - - [x]`},
	} {
		got := string(c.m.Append([]byte("before")))
		if want := fmt.Sprintf("before%d %s", len(c.want), c.want); got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, want)
		}
	}
}

// certificate makes one for 127.0.0.1 and its key, in files.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// taken is what a collector has read.
type taken struct {
	mu    sync.Mutex
	bytes []byte
}

func (g *taken) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bytes = append(g.bytes, b...)
	return len(b), nil
}

func (g *taken) all() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return bytes.Clone(g.bytes)
}

// listen serves one connection after the other.
func listen(t *testing.T, cert, key string, serve func(*tls.Conn, *net.TCPConn)) syslog.Collector {
	t.Helper()
	own, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(own.Leaf)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}), conn.(*net.TCPConn))
			_ = conn.Close()
		}
	}()
	return syslog.Collector{Address: l.Addr().String(), CAFile: cert, CertificateFile: cert, KeyFile: key}
}

// A delivery counts when the collector has read it all and closed, with a goodbye in TLS or
// without one; and not when it falls before that.
func TestDeliver(t *testing.T) {
	cert, key := certificate(t)
	large := bytes.Repeat([]byte("x"), 4<<20) // more than sockets hold
	for _, c := range []struct {
		name  string
		serve func(*tls.Conn, *net.TCPConn, *taken)
		good  bool
	}{
		{"reads all, says goodbye", func(s *tls.Conn, _ *net.TCPConn, got *taken) { _, _ = io.Copy(got, s); _ = s.Close() }, true},
		{"reads all, closes", func(s *tls.Conn, plain *net.TCPConn, got *taken) { _, _ = io.Copy(got, s); _ = plain.Close() }, true},
		{"dies before the handshake", func(_ *tls.Conn, plain *net.TCPConn, _ *taken) { _ = plain.SetLinger(0); _ = plain.Close() }, false},
		{"dies in the middle", func(s *tls.Conn, plain *net.TCPConn, got *taken) {
			_, _ = io.CopyN(got, s, 1<<20)
			_ = plain.SetLinger(0)
			_ = plain.Close()
		}, false},
		{"closes with something unread", func(s *tls.Conn, plain *net.TCPConn, got *taken) {
			_, _ = io.CopyN(got, s, 100)
			_ = plain.Close()
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got taken
			collector := listen(t, cert, key, func(s *tls.Conn, plain *net.TCPConn) { c.serve(s, plain, &got) })
			err := collector.Deliver(t.Context(), large)
			if (err == nil) != c.good {
				t.Errorf("got %v", err)
			}
			if c.good && !bytes.Equal(got.all(), large) {
				t.Errorf("%d of %d bytes arrived", len(got.all()), len(large))
			}
		})
	}
}

// Nothing is sent to who cannot prove himself, and waiting ends with the context.
func TestDeliverRefuses(t *testing.T) {
	cert, key := certificate(t)
	other, _ := certificate(t)
	var got taken
	collector := listen(t, cert, key, func(s *tls.Conn, _ *net.TCPConn) { _, _ = io.Copy(&got, s) })
	stranger := collector
	stranger.CAFile = other
	if err := stranger.Deliver(t.Context(), []byte("secret")); err == nil || !strings.Contains(err.Error(), "proving who the collector is") {
		t.Errorf("a stranger: %v", err)
	}
	nobody := collector
	nobody.CertificateFile, nobody.KeyFile = "", ""
	if err := nobody.Deliver(t.Context(), []byte("secret")); err == nil {
		t.Error("delivered without the certificate that the collector wants")
	}
	for _, c := range []syslog.Collector{{Address: "x"}, {Address: "x:1", CAFile: "/nothing"}, {Address: "x:1", CAFile: key}, {Address: "x:1", CAFile: cert, CertificateFile: cert, KeyFile: cert}} {
		if _, err := c.TLS(); err == nil {
			t.Errorf("%+v is taken for good", c)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	silent := listen(t, cert, key, func(s *tls.Conn, _ *net.TCPConn) {
		_ = s.Handshake()
		cancel()
		_, _ = io.Copy(io.Discard, s)
		<-t.Context().Done()
	})
	if err := silent.Deliver(ctx, []byte("x")); err == nil {
		t.Error("waited for longer than it should")
	}
	if bytes.Contains(got.all(), []byte("secret")) {
		t.Error("sent to somebody who had not proved himself")
	}
}

// Debian's rsyslog takes what we send, says so by closing, and keeps it byte by byte.
func TestRsyslog(t *testing.T) {
	testneed.Program(t, "rsyslogd")
	if _, err := os.Stat("/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so"); errors.Is(err, os.ErrNotExist) {
		testneed.Missing(t, "rsyslog-gnutls is not installed")
	}
	cert, key := certificate(t)
	address, err := testprocess.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(address, ":")
	dir := t.TempDir()
	out, config := filepath.Join(dir, "out"), filepath.Join(dir, "rsyslog.conf")
	text := fmt.Sprintf(`global(workDirectory=%[1]q maxMessageSize="64k" defaultNetstreamDriverCAFile=%[2]q defaultNetstreamDriverCertFile=%[2]q defaultNetstreamDriverKeyFile=%[3]q)
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" port=%[4]q address="127.0.0.1")
template(name="All" type="string" string="%%app-name%% %%msgid%% %%structured-data%% %%msg%%\n")
action(type="omfile" file=%[5]q template="All")
`, dir, cert, key, port, out)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := testprocess.Start(exec.Command("rsyslogd", "-n", "-f", config, "-i", filepath.Join(dir, "pid")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	if err := p.WaitFor(t.Context(), address); err != nil {
		t.Fatalf("rsyslog does not come up: %v\n%s", err, p.Output())
	}
	collector := syslog.Collector{Address: address, CAFile: cert}
	var want []string
	for delivery := range 3 {
		var messages []byte
		for i := range 200 {
			payload := `{"reason":"` + strings.Repeat("lang & 'laut' ü ", i) + `"}`
			seq := strconv.Itoa(delivery*200 + i)
			messages = syslog.Message{
				At: time.Now(), Host: "h", App: "heimdrahtd", ID: "audit", Name: "audit@32473", Params: []syslog.Param{{Name: "seq", Value: seq}}, Text: []byte(payload),
			}.Append(messages)
			want = append(want, `heimdrahtd audit [audit@32473 seq="`+seq+`"] `+payload)
		}
		if err := collector.Deliver(t.Context(), messages); err != nil {
			t.Fatalf("%v\n%s", err, p.Output())
		}
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.Done() // it writes what it has when it ends
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err, p.Output())
	}
	defer f.Close()
	var got []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "heimdrahtd ") {
			got = append(got, lines.Text())
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d of %d messages are there", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("message %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}
