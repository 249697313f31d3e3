package provisionertest_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// journal collects a log at every level.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// since gives what was written after the first n bytes.
func (j *journal) since(n int) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()[n:]
}

func (j *journal) len() int { return len(j.since(0)) }

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// forms of a secret in which it could slip into a text.
func forms(secret []byte) []string {
	return []string{
		string(secret), base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret),
		hex.EncodeToString(secret), strings.Trim(fmt.Sprintf("%d", secret), "[]"),
	}
}

// TestLogsTellNothing carries the main job through, with what goes wrong on the
// way, and holds that no secret is logged, and of an opened and closed session
// nothing by which somebody's working hours could be read.
func TestLogsTellNothing(t *testing.T) {
	log := new(journal)
	s := provisionertest.Start(t, log.logger())
	g := s.JoinGateway("gw1")
	g.Run()
	secrets := map[string][]byte{
		"the operator's token": []byte(s.Operator), "a password": []byte(provisionertest.Password), "a wrong password": []byte("ganz-falsch-1"),
		"the gateway's key": private(t, g.Certificate.PrivateKey),
	}
	master, err := os.ReadFile(s.Config.MasterKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	secrets["the master key"] = bytes.TrimSpace(master)

	laptop := s.Enrol(provisionertest.Staff, "SN-4711")
	secrets["a laptop's key"] = private(t, laptop.Certificate.PrivateKey)
	desk := s.Login(provisionertest.Tenant, provisionertest.Helpdesk)
	secrets["a helper's token"] = []byte(desk)
	ctx := provisionertest.As(t.Context(), desk)
	helpdesk := heimdrahtv1.NewHelpdeskServiceClient(s.Dial(nil))
	person := find(ctx, t, helpdesk)

	before := log.len()
	stream := s.Attach(t.Context(), laptop)
	opened, err := provisionertest.Open(stream, "")
	if err != nil || opened.GetOpened() == nil {
		t.Fatal("opening: ", opened, err)
	}
	session := opened.GetOpened().GetSessionId()
	secrets["a preshared key"] = opened.GetOpened().GetConfiguration().GetPresharedKey()
	for _, event := range []*heimdrahtv1.AttachRequest{
		{Event: &heimdrahtv1.AttachRequest_Renew{Renew: &heimdrahtv1.RenewSession{SessionId: session}}},
		{Event: &heimdrahtv1.AttachRequest_Close{Close: &heimdrahtv1.CloseSession{SessionId: session}}},
	} {
		if err := stream.Send(event); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	g.Mute(true) // an opening that fails, because the gateway does not answer
	if refused, err := provisionertest.Open(stream, ""); err != nil || refused.GetRefused() == nil {
		t.Errorf("opening without the gateway: %v, %v", refused, err)
	}
	g.Mute(false)
	during := log.since(before)
	for what, trace := range map[string]string{
		"login": provisionertest.Staff, "name": "Beispiel", "mail": "@stadt.example", "person": person, "device": laptop.ID, "session": session,
		"serial number": "SN-4711", "address": strings.Split(opened.GetOpened().GetConfiguration().GetAddresses()[0], "/")[0],
		"WireGuard key": base64.StdEncoding.EncodeToString(laptop.PublicKey), "tenant": "tenant=" + provisionertest.Tenant,
	} {
		if word(during, trace) {
			t.Errorf("the log of a session tells of whom it was, by %s %q:\n%s", what, trace, during)
		}
	}

	for _, wrong := range []*heimdrahtv1.LoginRequest{
		{Tenant: provisionertest.Tenant, Login: provisionertest.Staff, Password: "ganz-falsch-1"},
		{Tenant: provisionertest.Tenant, Login: "niemand", Password: provisionertest.Password},
		{Login: provisionertest.Password, Password: provisionertest.Staff}, // typed into the wrong field
	} {
		if _, err := heimdrahtv1.NewAuthServiceClient(s.Dial(nil)).Login(t.Context(), wrong); err == nil {
			t.Errorf("%v was let in", wrong.GetLogin())
		}
	}
	s.Directory.SetUnavailable(true)
	if _, err := heimdrahtv1.NewAuthServiceClient(s.Dial(nil)).Login(t.Context(), &heimdrahtv1.LoginRequest{
		Tenant: provisionertest.Tenant, Login: provisionertest.Second, Password: provisionertest.Password,
	}); err == nil {
		t.Error("somebody was let in without a directory")
	}
	s.Directory.SetUnavailable(false)
	if _, err := helpdesk.RevokeDevice(ctx, &heimdrahtv1.RevokeDeviceRequest{DeviceId: laptop.ID, Reason: "stolen"}); err != nil {
		t.Error("revoking: ", err)
	}
	g.Stop()
	s.Stop()
	for what, secret := range secrets {
		for _, form := range forms(secret) {
			if strings.Contains(log.since(0), form) {
				t.Errorf("the log shows %s:\n%s", what, lineWith(log.since(0), form))
			}
		}
	}
	if !strings.Contains(log.since(0), "gateway connected") {
		t.Error("the log was not collected")
	}
}

func private(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der[len(der)-32:] // the seed
}

func find(ctx context.Context, t *testing.T, c heimdrahtv1.HelpdeskServiceClient) string {
	t.Helper()
	found, err := c.FindPeople(ctx, &heimdrahtv1.FindPeopleRequest{Query: provisionertest.Staff})
	if err != nil || len(found.GetPeople()) != 1 {
		t.Fatalf("finding somebody: %v, %v", found, err)
	}
	return found.GetPeople()[0].GetPersonId()
}

// word reports whether a text has s, not as part of a longer word.
func word(text, s string) bool {
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' }
	for i := 0; ; {
		n := strings.Index(text[i:], s)
		if n < 0 {
			return false
		}
		i += n
		end := i + len(s)
		if (i == 0 || !letter(text[i-1]) || !letter(s[0])) && (end == len(text) || !letter(text[end]) || !letter(s[len(s)-1])) {
			return true
		}
		i = end
	}
}

// TestMetricsTellNothing holds that numbers are there for the operator, and
// nothing in them is about a person, or a tenant's people.
func TestMetricsTellNothing(t *testing.T) {
	s := provisionertest.Start(t, nil)
	s.JoinGateway("gw1").Run()
	laptop := s.Enrol(provisionertest.Staff, "SN-4711")
	opened, err := provisionertest.Open(s.Attach(t.Context(), laptop), "")
	if err != nil || opened.GetOpened() == nil {
		t.Fatal("opening: ", opened, err)
	}
	status, health := get(t, s, "/healthz")
	if status != http.StatusOK || health != "ok\n" {
		t.Errorf("health: %d %q", status, health)
	}
	status, metrics := get(t, s, "/metrics")
	if status != http.StatusOK {
		t.Errorf("metrics: %d %s", status, metrics)
	}
	for _, line := range []string{
		`heimdraht_gateway_connected{gateway="gw1"} 1`, `heimdraht_gateway_sessions{gateway="gw1"} 1`,
		`heimdraht_gateway_sessions_limit{gateway="gw1"} 100`, `heimdraht_licence_pool_seats{pool="vpn"} 3`,
		`heimdraht_licence_pool_burst_seats{pool="vpn"} 0`, `heimdraht_seats_refused_total 0`, `heimdraht_store_waiting_updates 0`, `heimdraht_directory_pending_people 0`, `heimdraht_revision 3`, `go_goroutines `,
	} {
		if !strings.Contains("\n"+metrics, "\n"+line) {
			t.Errorf("no metric %s", line)
		}
	}
	metrics = strings.ReplaceAll(metrics, `directory="stadt-ldap"`, "")              // a service that the operator has named
	for _, tenant := range []string{provisionertest.Tenant, provisionertest.Other} { // of a tenant itself, not of its people
		metrics = strings.ReplaceAll(metrics, `heimdraht_tenant_crisis{tenant="`+tenant+`"} 0`, "")
	}
	for _, trace := range []string{
		provisionertest.Staff, provisionertest.Tenant, provisionertest.Other, "Beispiel", laptop.ID, opened.GetOpened().GetSessionId(),
		"heimdraht_licence_pool_seats_held", "heimdraht_licence_pool_waiting", // of a pool for few people
		s.Operator, provisionertest.Password, "SN-4711", "10.80.", "127.0.0.1",
	} {
		if word(metrics, trace) {
			t.Errorf("the metrics tell of %q", trace)
		}
	}
	for _, path := range []string{"/", "/debug/pprof/", "/metrics/x"} {
		if status, body := get(t, s, path); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// Prometheus's own tool finds nothing to say of names, kinds and texts of the metrics.
func TestMetricsKeepTheConventions(t *testing.T) {
	promtool := testneed.Program(t, "promtool")
	s := provisionertest.Start(t, nil)
	s.JoinGateway("gw1").Run()
	_, metrics := get(t, s, "/metrics")
	command := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	command.Stdin = strings.NewReader(metrics)
	if said, err := command.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("%v: %s", err, said)
	}
}

func get(t *testing.T, s *provisionertest.Server, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.App.MetricsAddress()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// lineWith is the first line that has s.
func lineWith(text, s string) string {
	i := strings.Index(text, s)
	return text[strings.LastIndexByte(text[:i], '\n')+1 : i+len(s)]
}
