package warning_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/warning"
	"github.com/heimdraht/heimdraht/provisioner/webhook"
)

// receiver is a server with TLS that takes messages, or what else it does by turns.
type receiver struct {
	*webhook.Receiver
	mu    sync.Mutex
	turns []http.HandlerFunc
	got   []string // ids that were taken, and types
	tried []string // ids
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := new(receiver)
	s := httptest.NewUnstartedServer(r)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	dir := t.TempDir()
	r.Receiver = &webhook.Receiver{URL: s.URL, SecretFile: filepath.Join(dir, "secret"), CAFile: filepath.Join(dir, "ca.pem")}
	for path, content := range map[string]string{
		r.SecretFile: "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
		r.CAFile:     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(q.Body)
	id := q.Header.Get("webhook-id")
	r.tried = append(r.tried, id)
	at, err := strconv.ParseInt(q.Header.Get("webhook-timestamp"), 10, 64)
	if err != nil || q.Header.Get("webhook-signature") != webhook.Sign([]webhook.Secret{make([]byte, 32)}, id, time.Unix(at, 0), body) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if len(r.turns) > 0 {
		turn := r.turns[0]
		r.turns = r.turns[1:]
		turn(w, q)
		return
	}
	var m struct {
		Type string
		Data struct{ Kind, ID, Name string }
	}
	if err := json.Unmarshal(body, &m); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.got = append(r.got, fmt.Sprint(strings.TrimPrefix(m.Type, "capacity.warning."), " ", m.Data.Kind))
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func cut(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// deliver tries all that is due at a time.
func (w *world) deliver(t *testing.T, now time.Time) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = w.Deliver(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
}

// A receiver that is away gets everything once it is back, each with the id of the first try,
// and what belongs together in order; also if control planes are replaced meanwhile.
func TestWarningsReachTheirReceiver(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.turns = []http.HandlerFunc{status(500), cut, func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, "/", http.StatusFound) }, status(503)}
	w := newWorld(t, 20, r.Receiver)
	w.measure(t, hour{seats: 85, sessions: 165})
	w.judge(t)
	now := time.Now().Add(time.Second)
	w.deliver(t, now) // both fail
	if got := view(t, w.store, (*store.Reader).Receiving); got.Waiting != 2 || got.FailingSince.IsZero() {
		t.Errorf("%+v", got)
	}
	w.replica(r.Receiver)
	now = now.Add(time.Minute)
	w.deliver(t, now) // both again
	w.measure(t, days(16, hour{})...)
	w.judge(t)
	w.deliver(t, now) // the ends wait for their beginnings
	if len(r.got) > 0 || len(r.tried) != 4 {
		t.Fatalf("tried %d times, taken %v", len(r.tried), r.got)
	}
	w.replica(r.Receiver)
	now = now.Add(time.Minute)
	w.deliver(t, now)
	if got := strings.Join(r.got, ", "); strings.Index(got, "raised seats") > strings.Index(got, "ended seats") || strings.Index(got, "raised sessions") > strings.Index(got, "ended sessions") || len(r.got) != 4 {
		t.Errorf("taken: %s", got)
	}
	tries := make(map[string]int)
	for _, id := range r.tried {
		tries[id]++
	}
	if len(tries) != 4 || tries[r.tried[0]] != 3 || tries[r.tried[1]] != 3 {
		t.Errorf("by id: %v", tries)
	}
	if got := view(t, w.store, (*store.Reader).Receiving); got != (store.Receiving{}) {
		t.Errorf("in the end %+v", got)
	}
	if w.log.count("does not get warnings") < 1 || w.log.count("gets warnings again") != 0 && w.log.count("gets warnings again") != 1 {
		t.Error("the log says nothing of it")
	}
}

// While it stays away, the log is told once; after three days a message is given up.
func TestAReceiverThatStaysAway(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	for range 200 {
		r.turns = append(r.turns, status(500))
	}
	w := newWorld(t, 2, r.Receiver)
	w.measure(t, hour{seats: 85})
	w.judge(t)
	begin := time.Now()
	for now := begin.Add(time.Second); now.Before(begin.Add(warning.GiveUpAfter + 2*time.Hour)); now = now.Add(10 * time.Minute) {
		w.deliver(t, now)
	}
	if got := view(t, w.store, (*store.Reader).Receiving); got != (store.Receiving{GivenUp: 1}) {
		t.Errorf("%+v", got)
	}
	if n := len(r.tried); n < 72 || n > 160 {
		t.Errorf("tried %d times in three days", n)
	}
	if w.log.count("does not get warnings") != 1 || w.log.count("is not tried again") != 1 || w.log.count("in the address") > 0 {
		t.Errorf("the log was told %d times", w.log.count("does not get warnings"))
	}
	r.turns = nil
	w.measure(t, hour{seats: 96})
	w.judge(t)
	w.deliver(t, time.Now().Add(time.Second))
	if len(r.got) != 1 || w.log.count("gets warnings again") != 1 {
		t.Errorf("afterwards: %v", r.got)
	}
}

func TestPausesGrowAndEnd(t *testing.T) {
	for attempts, most := range map[int64]time.Duration{0: 10 * time.Second, 1: 20 * time.Second, 8: 2560 * time.Second, 9: time.Hour, 1000: time.Hour} {
		for range 20 {
			if p := warning.PauseAfter(attempts); p < most/2 || p >= most {
				t.Errorf("after %d: %v", attempts, p)
			}
		}
	}
}

func TestATestMessage(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	w := newWorld(t, 2, r.Receiver)
	operator := provisioner.Actor{ID: "o", Grants: []provisioner.Grant{{Role: provisioner.RoleOperator}}}
	id, err := w.Test(t.Context(), operator)
	if err != nil || len(r.tried) != 1 || r.tried[0] != id || strings.TrimSpace(r.got[0]) != "test" {
		t.Errorf("%s, %v: %v", id, err, r.got)
	}
	code := func(err error) provisioner.Code {
		refusal, ok := provisioner.AsRefusal(err)
		if !ok {
			t.Fatalf("no refusal: %v", err)
		}
		return refusal.Code
	}
	r.turns = []http.HandlerFunc{status(500)}
	if _, err = w.Test(t.Context(), operator); code(err) != provisioner.CodeWebhookFailed || !strings.Contains(err.Error(), "status 500") {
		t.Errorf("%v", err)
	}
	if _, err = w.Test(t.Context(), as(provisioner.RolePlanner, "stadt")); code(err) != provisioner.CodeNotAllowed {
		t.Errorf("a planner: %v", err)
	}
	w.replica(nil)
	if _, err = w.Test(t.Context(), operator); code(err) != provisioner.CodeWebhookMissing {
		t.Errorf("without a receiver: %v", err)
	}
	if l, err := w.List(t.Context(), operator, false); err != nil || l.Receiving != nil {
		t.Errorf("without a receiver: %+v, %v", l, err)
	}
	w.replica(r.Receiver)
	if l, err := w.List(t.Context(), operator, false); err != nil || l.Receiving == nil {
		t.Errorf("with a receiver: %+v, %v", l, err)
	}
}
