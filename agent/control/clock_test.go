package control

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const tenYears = 10 * 365 * 24 * time.Hour

// A machine whose clock is off by less than the hour by which certificates are
// backdated connects; one with a clock that is worse is told what its clock
// says, sends nothing and loses nothing.
func TestConnectWithAWrongClock(t *testing.T) {
	for _, c := range []struct {
		name  string
		ahead time.Duration // of this machine's clock
		code  string
	}{
		{"an hour fast", time.Hour, ""},
		{"an hour slow", -59 * time.Minute, ""},
		{"two hours slow", -2 * time.Hour, CodeClockWrong},
		{"six weeks fast", 42 * 24 * time.Hour, CodeClockWrong},
		{"ten years fast", tenYears, CodeClockWrong},
		{"ten years slow", -tenYears, CodeClockWrong},
		{"at the beginning of time", time.Since(time.Unix(0, 0)) * -1, CodeClockWrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca := newAuthorityWith(t, -c.ahead)
			fake := &fakeServer{ca: ca}
			server := fake.listen(t, ca.server(nil))
			for name, trust := range map[string]Trust{"pin": {Pin: FingerprintOf(ca.cert)}, "bundle": {Authorities: []*x509.Certificate{ca.cert}}} {
				conn, err := Connect(t.Context(), Options{Servers: []Server{server}, Trust: trust})
				if c.code == "" {
					check(t, err)
					check(t, conn.Close())
					continue
				}
				p, ok := AsProblem(err)
				if !ok || p.Code != c.code {
					t.Fatalf("%s: got %v, want %s", name, err, c.code)
				}
				now := time.Now().UTC().Format("2006-01-02")
				if !strings.Contains(p.German.Sentence, now) || !strings.Contains(p.German.Next, "Uhr") || !strings.Contains(p.English.Sentence, now) {
					t.Errorf("%s: the texts do not show the clock: %+v", name, p)
				}
			}
			if n := fake.calls.Load(); n != 0 && c.code != "" {
				t.Errorf("%d calls were made", n)
			}
		})
	}
}

// A clock that is weeks fast finds every new certificate old. To renew again at
// once would go on for ever, on thousands of laptops with one flat battery each.
func TestAFastClockRenewsNoFasterThanTwiceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthorityWith(t, -25*24*time.Hour)
		fake := &fakeServer{ca: ca}
		pipes := newPipes()
		fake.serve(t, pipes, ca.server(nil))
		id := newIdentity(t, ca, &MemoryStore{}, 30*24*time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 4*24*time.Hour)
		defer cancel()
		err := id.KeepRenewed(ctx, slog.New(slog.DiscardHandler), func(ctx context.Context) (*Conn, error) {
			return Connect(ctx, Options{Servers: []Server{{Host: "localhost", Port: 8443}}, Identity: id, Dial: pipes.dial})
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if n := fake.calls.Load(); n < 5 || n > 12 {
			t.Errorf("%d renewals in four days", n)
		}
	})
}
