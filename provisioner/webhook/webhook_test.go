package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/provisioner/webhook"
)

const vector = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// OpenSSL has computed what is wanted.
func TestSign(t *testing.T) {
	secrets, err := webhook.ReadSecrets(write(t, "secret", vector+"\n", 0o600))
	if err != nil {
		t.Fatal(err)
	}
	got := webhook.Sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	former := "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 64))
	for _, c := range []struct {
		name, content string
		mode          os.FileMode
		want          error
	}{
		{"one", vector, 0o600, nil},
		{"read-only, from Windows", vector + "\r\n", 0o400, nil},
		{"two", vector + "\n" + former + "\n", 0o600, nil},
		{"three", vector + "\n" + former + "\n" + vector, 0o600, webhook.ErrNoSecret},
		{"none", "\n", 0o600, webhook.ErrNoSecret},
		{"without its beginning", strings.TrimPrefix(vector, "whsec_"), 0o600, webhook.ErrNoSecret},
		{"too short", "whsec_c2hvcnQ=", 0o600, webhook.ErrNoSecret},
		{"too long", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)), 0o600, webhook.ErrNoSecret},
		{"something else", "whsec_!", 0o600, webhook.ErrNoSecret},
		{"readable by the group", vector, 0o640, webhook.ErrExposed},
	} {
		_, err := webhook.ReadSecrets(write(t, "secret", c.content, c.mode))
		if !errors.Is(err, c.want) || err != nil && strings.Contains(err.Error(), "MfKQ9r8") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := webhook.ReadSecrets(t.TempDir()); err == nil {
		t.Error("a directory holds a secret")
	}
}

// to is a receiver of a real server with TLS; its secret is vector.
func to(t *testing.T, handle http.HandlerFunc) (*webhook.Receiver, *httptest.Server) {
	t.Helper()
	s := httptest.NewUnstartedServer(handle)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return &webhook.Receiver{URL: s.URL + "/hook?key=in-the-address", SecretFile: write(t, "secret", vector, 0o600), CAFile: write(t, "ca.pem", string(ca), 0o644)}, s
}

// What arrives can be verified by somebody else's program.
func TestAMessageArrivesSigned(t *testing.T) {
	type got struct {
		header http.Header
		body   string
	}
	arrived := make(chan got, 1)
	r, _ := to(t, func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		arrived <- got{q.Header, string(body)}
		w.WriteHeader(http.StatusNoContent)
	})
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if err := r.Deliver(t.Context(), "msg_1", []byte(`{"ä": 1}`)); err != nil {
		t.Fatal(err)
	}
	m := <-arrived
	at := m.header.Get("webhook-timestamp")
	if m.header.Get("webhook-id") != "msg_1" || m.header.Get("Content-Type") != "application/json" || m.body != `{"ä": 1}` || len(at) != 10 || time.Since(before) > time.Minute {
		t.Errorf("%+v", m)
	}
	const key = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	openssl := exec.CommandContext(t.Context(), testneed.Program(t, "openssl"), "dgst", "-sha256", "-binary", "-hmac", string(secret))
	if strings.ContainsRune(string(secret), 0) {
		t.Fatal("the secret cannot be an argument")
	}
	openssl.Stdin = strings.NewReader("msg_1." + at + "." + m.body)
	sum, err := openssl.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "v1," + base64.StdEncoding.EncodeToString(sum); m.header.Get("webhook-signature") != want {
		t.Errorf("%s, openssl has %s", m.header.Get("webhook-signature"), want)
	}
}

func TestWhatIsNotTaken(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		change func(*webhook.Receiver)
		want   string
	}{
		"an error":          {handle: status(500), want: "it answered with status 500"},
		"a page":            {handle: status(404), want: "it answered with status 404"},
		"another authority": {handle: status(200), change: func(r *webhook.Receiver) { r.CAFile = "" }, want: "certificate"},
		"another name":      {handle: status(200), change: func(r *webhook.Receiver) { r.URL = strings.Replace(r.URL, "127.0.0.1", "localhost", 1) }, want: "certificate"},
		"a cut connection": {handle: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}, want: "EOF"},
		"endless headers": {handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("x", strings.Repeat("y", 20<<10))
		}, want: "headers exceeded"},
		"a redirection": {handle: func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, other.URL, http.StatusTemporaryRedirect)
		}, want: "a redirection, which is not followed"},
		"no receiver": {handle: status(200), change: func(r *webhook.Receiver) { r.URL = "https://127.0.0.1:1/hook?key=in-the-address" }, want: "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := to(t, c.handle)
			if c.change != nil {
				c.change(r)
			}
			err := r.Deliver(t.Context(), "msg_1", []byte("{}"))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "in-the-address") {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirection was followed")
	}
}

// A receiver that hangs is left with the caller's context, and one that never ends its answer
// has taken the message.
func TestAReceiverThatHangs(t *testing.T) {
	arrived := make(chan struct{})
	r, _ := to(t, func(_ http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body) // else the end of the connection is not noticed
		close(arrived)
		<-q.Context().Done()
		panic(http.ErrAbortHandler) // or its answer could be read between the client's farewell and its hanging up
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if err := r.Deliver(ctx, "msg_1", []byte("{}")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	var sent atomic.Int64
	r, _ = to(t, func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		for q.Context().Err() == nil {
			n, err := w.Write(make([]byte, 8<<10))
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	if err := r.Deliver(t.Context(), "msg_1", []byte("{}")); err != nil {
		t.Error(err)
	}
}

func TestReceiversThatCannotBeUsed(t *testing.T) {
	r, _ := to(t, func(http.ResponseWriter, *http.Request) {})
	good := r.CAFile
	for _, path := range []string{"/nowhere", r.SecretFile} {
		r.CAFile = path
		if err := r.Check(); err == nil {
			t.Errorf("%s vouches for somebody", path)
		}
		if err := r.Deliver(t.Context(), "msg_1", nil); err == nil {
			t.Errorf("delivered by the word of %s", path)
		}
	}
	r.CAFile, r.SecretFile = good, "/nowhere"
	if err := r.Check(); err == nil {
		t.Error("without a secret it can be used")
	}
}

func FuzzSecrets(f *testing.F) {
	f.Add(vector + "\n")
	f.Fuzz(func(t *testing.T, content string) {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := webhook.ReadSecrets(path)
		if (err == nil) != (len(list) > 0) {
			t.Errorf("%v, %v", list, err)
		}
	})
}
