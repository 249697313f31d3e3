package endpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// soon is a context that ends before anything is decided.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// TestEnrolByCode: the laptop shows what the control plane says of it, waits, and is enrolled with the key that it has shown;
// it needs no password for anything.
func TestEnrolByCode(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(func(o *Options) { o.Tenant = "stadt" })
	if _, err := e.AwaitByCode(t.Context()); !isProblem(err, control.CodeNotEnrolled) {
		t.Errorf("waits for nothing: %v", err)
	}
	waiting, err := e.BeginByCode(t.Context(), CodeRequest{})
	check(t, err)
	if got, err := e.AwaitByCode(soon(t)); got != nil || err != nil {
		t.Errorf("before anybody has decided: %v, %v", got, err)
	}
	s.Script(func(x *endpointtest.Script) { x.Approved = true })
	got, err := e.AwaitByCode(t.Context())
	check(t, err)
	if got.Person != "Erika Beispiel" || got.DeviceID != "d-1" {
		t.Errorf("enrolled %+v", got)
	}
	asked := s.Seen().Codes
	if len(asked) != 1 || asked[0].GetTenant() != "stadt" || asked[0].GetSerialNumber() != "SN1" || asked[0].GetDeviceName() != "laptop" {
		t.Errorf("said %v", asked)
	}
	if key := e.ownKey(); waiting.Fingerprint != key.Fingerprint() || string(asked[0].GetWireguardPublicKey()) != string(key[:]) {
		t.Error("another key than the one that was shown")
	}
	s.up(e)
	check(t, page(t, e, 5*time.Second))
	if _, err := e.AwaitByCode(t.Context()); !isProblem(err, control.CodeNotEnrolled) {
		t.Errorf("waits on after that: %v", err)
	}
}

// TestCodeOutlivesTheAgent: a restart goes on with the same code and the same keys.
func TestCodeOutlivesTheAgent(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	o := s.options()
	o.Servers, o.Pin = nil, control.Fingerprint{}
	first, err := New(o)
	check(t, err)
	before, err := first.BeginByCode(t.Context(), CodeRequest{Address: s.Address()})
	check(t, err)

	second, err := New(o)
	check(t, err)
	s.run(second)
	again, err := second.BeginByCode(t.Context(), CodeRequest{Address: s.Address()})
	check(t, err)
	if again.UserCode != before.UserCode || again.Fingerprint != before.Fingerprint || len(s.Seen().Codes) != 1 {
		t.Errorf("waits with %+v, not %+v", again, before)
	}
	s.Script(func(x *endpointtest.Script) { x.Approved = true })
	if _, err := second.AwaitByCode(t.Context()); err != nil {
		t.Fatal(err)
	}
	if key := second.ownKey(); key.Fingerprint() != before.Fingerprint {
		t.Error("another key than the one that was shown")
	}
	s.up(second)
}

// TestCodeDecided: what ends the waiting is told once, and the next code is a new one; what passes is waited out.
func TestCodeDecided(t *testing.T) {
	t.Parallel()
	refusal := func(c codes.Code, code string, again int64) error {
		return endpointtest.Refuse(c, &heimdrahtv1.Refusal{Code: code, Sentence: "Nein.", RetryAfterMs: again})
	}
	for _, test := range []struct {
		name  string
		err   error
		ends  bool
		codes int // asked for in the end
	}{
		{"denied", refusal(codes.PermissionDenied, "enrolment-denied", 0), true, 2},
		{"expired", refusal(codes.NotFound, "enrolment-expired", 0), true, 2},
		{"too often", refusal(codes.Unavailable, "slow-down", 5000), false, 1},
		{"the database is away", refusal(codes.Unavailable, "database-unavailable", 0), false, 1},
		{"a fault", errors.New("disk full"), false, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newHarness(t)
			e := s.laptop(nil)
			_, err := e.BeginByCode(t.Context(), CodeRequest{})
			check(t, err)
			s.Script(func(x *endpointtest.Script) { x.OnAwait = func() error { return test.err } })
			got, err := e.AwaitByCode(soon(t))
			if got != nil || (err != nil) != test.ends {
				t.Errorf("got %v, %v", got, err)
			}
			s.Script(func(x *endpointtest.Script) { x.OnAwait, x.Approved = nil, true })
			_, err = e.BeginByCode(t.Context(), CodeRequest{})
			check(t, err)
			if _, err := e.AwaitByCode(t.Context()); err != nil {
				t.Errorf("after that: %v", err)
			}
			if n := len(s.Seen().Codes); n != test.codes {
				t.Errorf("asked for %d codes", n)
			}
		})
	}
}

// TestCodeOutlivesConnections: the server may go away and come back meanwhile.
func TestCodeOutlivesConnections(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(nil)
	_, err := e.BeginByCode(t.Context(), CodeRequest{})
	check(t, err)
	s.Kill()
	if got, err := e.AwaitByCode(soon(t)); got != nil || err != nil {
		t.Errorf("while nobody is there: %v, %v", got, err)
	}
	s.Script(func(x *endpointtest.Script) { x.Approved = true })
	s.Restart()
	if _, err := e.AwaitByCode(t.Context()); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

func TestNothingPrintsWhatWaits(t *testing.T) {
	w := savedWaiting{DeviceCode: "Geheimnis", PrivateKey: "Geheimnis", CertificateKey: []byte("Geheimnis")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if out := fmt.Sprintf(verb+verb, w, &w); strings.Contains(out, "Geheimnis") || strings.Contains(out, fmt.Sprintf("%x", "Geheimnis")) {
			t.Errorf("%s prints %s", verb, out)
		}
	}
}

// TestApprovedByTheHelpdesk: a laptop that waits for the helpdesk says so, asks by itself, and connects once it may; nobody
// does anything at it.
func TestApprovedByTheHelpdesk(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	s.Script(func(x *endpointtest.Script) {
		x.AwaitsApproval = true
		x.OnOpen = func(*heimdrahtv1.OpenSession) *heimdrahtv1.AttachResponse {
			return &heimdrahtv1.AttachResponse{Order: &heimdrahtv1.AttachResponse_Refused{Refused: &heimdrahtv1.Refusal{
				Code: "approval-awaited", Sentence: "Er wartet.", NextStep: "Nichts zu tun.", RetryAfterMs: 100,
			}}}
		}
	})
	e := s.laptop(nil)
	if got := s.enrol(e); !got.AwaitsApproval {
		t.Errorf("enrolled %+v", got)
	}
	if err := e.Up(t.Context()); !isProblem(err, "approval-awaited") {
		t.Fatalf("up: %v", err)
	}
	if status := eventually(t, e, "the refusal", inState(Refused)); status.Sentence != "Er wartet." {
		t.Errorf("says %+v", status)
	}
	s.Script(func(x *endpointtest.Script) { x.OnOpen = nil })
	eventually(t, e, "a connection", inState(Connected))
}
