package endpoint

import (
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

// TestEnrolSays what it knows of the laptop, and keys that are fit for use.
func TestEnrolSays(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(func(o *Options) { o.Tenant = "stadt" })
	s.enrol(e)
	got := s.Seen().Enrolments[0]
	if got.GetTenant() != "stadt" || got.GetLogin() != "beispiel" || got.GetDeviceName() != "laptop" || got.GetSerialNumber() != "SN1" ||
		got.GetPlatform() != "linux" || got.GetAgentVersion() != "test" {
		t.Errorf("said %v", got)
	}
	if key := e.ownKey(); string(got.GetWireguardPublicKey()) != string(key[:]) {
		t.Error("another key was registered than the one in use")
	}
}

// TestEnrolRefused: each mistake has its code, and nothing is kept. unsent: the server never saw the password.
func TestEnrolRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		request EnrolRequest
		options func(*Options)
		script  func(*endpointtest.Script)
		code    string
		unsent  bool
	}{
		{name: "wrong password", request: EnrolRequest{Login: "b", Password: "falsch"}, code: "sign-in-failed"},
		{name: "empty password", request: EnrolRequest{Login: "b"}, code: CodePasswordMissing, unsent: true},
		{name: "a whole file as password", request: EnrolRequest{Login: "b", Password: "a\nb"}, code: CodePasswordLong, unsent: true},
		{name: "endless password", request: EnrolRequest{Login: "b", Password: strings.Repeat("x", 1025)}, code: CodePasswordLong, unsent: true},
		{name: "no login", request: EnrolRequest{Login: " ", Password: "x"}, code: CodeLoginMissing, unsent: true},
		{name: "login with a line break", request: EnrolRequest{Login: "a\nb", Password: "x"}, code: CodeLoginMissing, unsent: true},
		{name: "no server", request: EnrolRequest{Login: "b", Password: "x"},
			options: func(o *Options) { o.Servers = nil }, code: CodeServerMissing, unsent: true},
		{name: "address that is none", request: EnrolRequest{Address: "vpn#abc", Login: "b", Password: "x"}, code: CodeAddressInvalid, unsent: true},
		{name: "wrong pin", request: EnrolRequest{Login: "b", Password: endpointtest.Password},
			options: func(o *Options) { o.Pin = control.Fingerprint{1} }, code: control.CodeWrongPin, unsent: true},
		{name: "no pin, and no publicly trusted certificate", request: EnrolRequest{Login: "b", Password: endpointtest.Password},
			options: func(o *Options) { o.Pin = control.Fingerprint{} }, code: control.CodeServerUntrusted, unsent: true},
		{name: "nobody there", request: EnrolRequest{Address: "127.0.0.1:9", Login: "b", Password: endpointtest.Password},
			code: control.CodeServerUnreachable, unsent: true},
		{name: "state that cannot be written", request: EnrolRequest{Login: "b", Password: endpointtest.Password},
			options: func(o *Options) { o.Store = &brokenStore{} }, code: control.CodeStateUnusable, unsent: true},
		{name: "a fault of the server", request: EnrolRequest{Login: "b", Password: endpointtest.Password},
			script: func(x *endpointtest.Script) {
				x.OnEnrol = func(*heimdrahtv1.EnrolRequest) error { return errors.New("disk full") }
			}, code: control.CodeServerFault},
		{name: "a refusal of the server", request: EnrolRequest{Login: "b", Password: endpointtest.Password},
			script: func(x *endpointtest.Script) {
				x.OnEnrol = func(*heimdrahtv1.EnrolRequest) error {
					return endpointtest.Refuse(codes.ResourceExhausted, &heimdrahtv1.Refusal{Code: "device-limit", Sentence: "Zu viele."})
				}
			}, code: "device-limit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newHarness(t)
			if test.script != nil {
				s.Script(test.script)
			}
			e := s.laptop(test.options)
			_, err := e.Enrol(t.Context(), test.request)
			p, ok := control.AsProblem(err)
			if !ok || p.Code != test.code {
				t.Fatalf("got %v, want %s", err, test.code)
			}
			if p.German.Sentence == "" || p.English.Sentence == "" || !p.Refused && (p.German.Next == "" || p.English.Next == "") {
				t.Errorf("no words: %+v", p)
			}
			if test.request.Password != "" && len(test.request.Password) > 1 && strings.Contains(err.Error(), test.request.Password) {
				t.Error("the error contains the password")
			}
			if sent := len(s.Seen().Enrolments); (sent == 0) != test.unsent {
				t.Errorf("the server was asked %d times", sent)
			}
			if st := e.Status("de"); st.State != NotEnrolled {
				t.Errorf("afterwards: %+v", st)
			}
		})
	}
}

// brokenStore is a disk that is full.
type brokenStore struct{ control.MemoryStore }

func (*brokenStore) Save(string, any) error { return errors.New("no space left on device") }

// TestEnrolByAddress: the server that was named is remembered, over a restart too.
func TestEnrolByAddress(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	o := s.options()
	o.Servers, o.Pin = nil, control.Fingerprint{}
	first, err := New(o)
	check(t, err)
	stop := s.run(first)
	_, err = first.Enrol(t.Context(), EnrolRequest{Address: s.Address(), Login: "beispiel", Password: endpointtest.Password})
	check(t, err)
	s.up(first)
	stop()
	second, err := New(o)
	check(t, err)
	s.run(second)
	s.up(second)
}

// TestEnrolAgainWhileConnected: new keys, and the connection comes back with them by itself.
func TestEnrolAgainWhileConnected(t *testing.T) {
	t.Parallel()
	s := newHarness(t)
	e := s.laptop(nil)
	s.enrol(e)
	s.up(e)
	before := e.ownKey()
	if got := s.enrol(e); !got.Replaced {
		t.Errorf("got %+v", got)
	}
	if e.ownKey() == before {
		t.Error("the WireGuard key stayed")
	}
	s.up(e)
	check(t, page(t, e, 5*time.Second))
}

// TestBackFromLeave: an expired certificate and the password renew the same device.
func TestBackFromLeave(t *testing.T) {
	t.Parallel()
	refusal := func(code string) func(*heimdrahtv1.RenewCertificateRequest) error {
		return func(*heimdrahtv1.RenewCertificateRequest) error {
			return endpointtest.Refuse(codes.PermissionDenied, &heimdrahtv1.Refusal{Code: code, Sentence: "Nein."})
		}
	}
	tests := []struct {
		name    string
		refuse  func(*heimdrahtv1.RenewCertificateRequest) error
		request EnrolRequest
		code    string
		renewed bool
		enrols  int // besides the first one
	}{
		{name: "the same person", request: EnrolRequest{Login: "Beispiel", Password: endpointtest.Password}, renewed: true},
		{name: "wrong password, sent once", refuse: refusal("sign-in-failed"), request: EnrolRequest{Login: "beispiel", Password: "falsch"}, code: "sign-in-failed"},
		{name: "revoked meanwhile", refuse: refusal("device-revoked"), request: EnrolRequest{Login: "beispiel", Password: endpointtest.Password}, enrols: 1},
		{name: "another person", request: EnrolRequest{Login: "kollege", Password: endpointtest.Password}, enrols: 1},
		{name: "another tenant", request: EnrolRequest{Tenant: "kreis", Login: "beispiel", Password: endpointtest.Password}, enrols: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newHarness(t)
			s.Script(func(x *endpointtest.Script) { x.Lifetime = -time.Minute })
			e := s.laptop(nil)
			s.enrol(e)
			key := e.ownKey()
			s.Script(func(x *endpointtest.Script) { x.Lifetime, x.OnRenewal = 0, test.refuse })
			got, err := e.Enrol(t.Context(), test.request)
			if test.code != "" {
				if !isProblem(err, test.code) {
					t.Errorf("got %v", err)
				}
			} else if err != nil || got.Renewed != test.renewed {
				t.Errorf("got %+v, %v", got, err)
			}
			if seen := s.Seen(); len(seen.Enrolments) != 1+test.enrols {
				t.Errorf("enrolled %d times", len(seen.Enrolments))
			}
			if kept := e.ownKey() == key; kept != (test.enrols == 0) {
				t.Errorf("WireGuard key kept: %v", kept)
			}
			if test.renewed {
				s.up(e)
			}
		})
	}
}

func TestNothingPrintsThePassword(t *testing.T) {
	r := EnrolRequest{Login: "beispiel", Password: "Geheimnis"}
	d := savedDevice{DeviceID: "d-1", PrivateKey: "Geheimnis"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if out := fmt.Sprintf(verb+verb+verb+verb, r, &r, d, &d); strings.Contains(out, "Geheimnis") || strings.Contains(out, fmt.Sprintf("%x", "Geheimnis")) {
			t.Errorf("%s prints %s", verb, out)
		}
	}
}
