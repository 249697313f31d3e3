package endpoint

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// answering is a carrier whose gateway answers at once.
type answering struct{}

func (answering) Install(wireguard.Peer, []netip.Addr, bool) error { return nil }
func (answering) Count() Count                                     { return Count{LastHandshake: time.Now()} }
func (answering) Remove()                                          {}

// A laptop at the real control plane, which starts anew in between: its person is told that she has to sign in, goes on
// in the same session once she has, and gets none if she has not.
func TestSignInAgainAtTheControlPlane(t *testing.T) {
	s := provisionertest.Start(t, nil)
	gateway := s.JoinGateway("gw1")
	gateway.Run()
	address, err := control.ParseAddress(s.Address() + "#" + s.Fingerprint())
	check(t, err)
	h := &harness{t: t}
	o := Options{
		Store: &control.MemoryStore{}, Servers: []control.Server{address.Server}, Pin: address.Pin, Tenant: provisionertest.Tenant,
		Carrier: answering{}, DeviceName: "laptop", SerialNumber: "SN1", Platform: "linux", Version: "test",
		Logger: slog.New(slog.DiscardHandler),
	}
	e, err := New(o)
	check(t, err)
	h.run(e)
	enrolled, err := e.Enrol(t.Context(), EnrolRequest{Login: provisionertest.Staff, Password: provisionertest.Password})
	check(t, err)
	h.up(e)
	session := e.heldSession().id

	longAgo := func() {
		gateway.Stop()
		s.SignedInAt(enrolled.DeviceID, time.Now().Add(-8*24*time.Hour))
		gateway.Run()
	}
	proof := control.Proof{Password: provisionertest.Password} // the login is known
	longAgo()
	told := eventually(t, e, "the word that she has to sign in", func(s Status) bool { return len(s.Notes) > 0 && s.Notes[0].Code == codeSignInNeeded })
	if told.State != Connected || time.Until(told.EndsBy) > 2*time.Hour || time.Until(told.EndsBy) < time.Hour {
		t.Errorf("told %+v", told)
	}
	if _, err := e.SignInAgain(t.Context(), control.Proof{Login: provisionertest.Second, Password: provisionertest.Password}); codeOf(err) != "other-person" {
		t.Errorf("somebody else: %v", err)
	}
	goodFor, err := e.SignInAgain(t.Context(), proof)
	check(t, err)
	if now := e.Status("de"); goodFor != 7*24*time.Hour || len(now.Notes) != 0 || !now.EndsBy.IsZero() || e.heldSession().id != session {
		t.Errorf("good for %v, %+v", goodFor, now)
	}

	check(t, e.Down(t.Context()))
	longAgo()
	if err := e.Up(t.Context()); codeOf(err) != codeSignInNeeded {
		t.Fatalf("without a sign-in: %v", err)
	}
	_, err = e.SignInAgain(t.Context(), proof)
	check(t, err)
	eventually(t, e, "the connection that was wanted", inState(Connected))
}
