package tenancy_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

func (w *world) gateway(t testing.TB, name string) store.GatewayState {
	t.Helper()
	return read(t, w, func(tx *store.Reader) (store.GatewayState, error) { return tx.Gateway(name) })
}

func TestJoinGateway(t *testing.T) {
	w := newWorld(t)
	w.applies(t, region())
	token, expires, err := w.CreateGatewayToken(t.Context(), operator(), "gw1")
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(expires); left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("the token lives for %v", left)
	}
	key := newKey(t)
	good := tenancy.JoinRequest{Token: token, CertificateRequest: []byte("csr"), PublicKey: key, AgentVersion: "1.0\x1b"}
	// Nothing of this uses the token up.
	for want, spoil := range map[provisioner.Code]func(*tenancy.JoinRequest){
		provisioner.CodeTokenInvalid: func(r *tenancy.JoinRequest) { r.Token += "x" },
		provisioner.CodeKeyInvalid:   func(r *tenancy.JoinRequest) { r.PublicKey = make([]byte, 32) },
		provisioner.CodeCSRInvalid:   func(r *tenancy.JoinRequest) { r.CertificateRequest = nil },
		provisioner.CodeInvalid:      func(r *tenancy.JoinRequest) { r.AgentVersion = strings.Repeat("1", 1000) },
	} {
		r := good
		spoil(&r)
		if _, err := w.JoinGateway(t.Context(), provisioner.Actor{}, r); codeOf(err) != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	joined, err := w.JoinGateway(t.Context(), provisioner.Actor{Source: "192.0.2.1"}, good)
	if err != nil {
		t.Fatal(err)
	}
	g := w.gateway(t, "gw1")
	if joined.Gateway != "gw1" || g.PublicKey != provisioner.Key(key) || g.Generation != 1 || !g.CertificateNotAfter.Equal(joined.Certificate.NotAfter.Truncate(time.Millisecond)) || g.AgentVersion != "1.0" {
		t.Errorf("joined %+v as %+v", joined, g)
	}
	if owner := read(t, w, func(tx *store.Reader) (string, error) { return tx.KeyOwner(g.PublicKey) }); owner != "gateway gw1" {
		t.Errorf("its key is owned by %q", owner)
	}
	log := strings.Join(w.events(t), "\n")
	if !strings.Contains(log, `"action":"create gateway token"`) || !strings.Contains(log, `"action":"join gateway"`) || strings.Contains(log, token) {
		t.Errorf("audit log:\n%s", log)
	}
	good.PublicKey = newKey(t)
	if _, err := w.JoinGateway(t.Context(), provisioner.Actor{}, good); codeOf(err) != provisioner.CodeTokenInvalid {
		t.Errorf("the token was taken twice: %v", err)
	}
}

// A gateway that joins anew is the next generation, and the sessions of its
// former key are closed.
func TestJoinAgain(t *testing.T) {
	w := newWorld(t)
	w.applies(t, region())
	join := func(key []byte) error {
		t.Helper()
		token, _, err := w.CreateGatewayToken(t.Context(), operator(), "gw1")
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.JoinGateway(t.Context(), provisioner.Actor{}, tenancy.JoinRequest{Token: token, CertificateRequest: []byte("csr"), PublicKey: key})
		return err
	}
	key := newKey(t)
	if err := join(key); err != nil {
		t.Fatal(err)
	}
	session := w.opens(t)
	if err := join(key); codeOf(err) != provisioner.CodeKeyInUse {
		t.Errorf("with the key it had: %v", err)
	}
	if g := w.gateway(t, "gw1"); g.Generation != 1 || g.Open != 1 {
		t.Errorf("a refused join changed %+v", g)
	}
	if err := join(newKey(t)); err != nil {
		t.Fatal(err)
	}
	g := w.gateway(t, "gw1")
	s := read(t, w, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(session.ID) })
	if g.Generation != 2 || g.Open != 0 || s.ClosedWhy != provisioner.CodeGatewayMoved {
		t.Errorf("joined again as %+v; the session is %+v", g, s)
	}
}

func TestATenantTakenOffAGatewayLeavesNobodyThere(t *testing.T) { onEach(t, leavesNobodyThere) }

func leavesNobodyThere(t *testing.T, w *world) {
	t.Helper()
	d := region()
	w.applies(t, d)
	session := w.opens(t)
	open := func() provisioner.Session {
		return read(t, w, func(tx *store.Reader) (provisioner.Session, error) { return tx.Session(session.ID) })
	}
	d.Gateways[0].Sessions++
	if w.applies(t, d); !open().ClosedAt.IsZero() {
		t.Fatal("another change of the gateway closed the session")
	}
	d.Gateways[0].Tenants = []string{"dorf"}
	if _, err := w.Diff(t.Context(), operator(), d); err != nil || !open().ClosedAt.IsZero() {
		t.Fatalf("a comparison closed the session, or %v", err)
	}
	w.applies(t, d)
	if s := open(); s.ClosedWhy != provisioner.CodeGatewayMoved {
		t.Errorf("the session is %+v", s)
	}
	if g := w.gateway(t, "gw1"); g.Open != 0 {
		t.Errorf("%d sessions are counted", g.Open)
	}
}

func TestGatewayTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.applies(t, region())
		if _, _, err := w.CreateGatewayToken(t.Context(), operator(), "gw9"); codeOf(err) != provisioner.CodeNotFound {
			t.Errorf("for a gateway that is not declared: %v", err)
		}
		for _, role := range []provisioner.Role{provisioner.RoleStaff, provisioner.RoleHelpdesk, provisioner.RolePlanner, provisioner.RoleTenantAdmin, provisioner.RoleGateway, provisioner.RoleDevice} {
			for _, name := range []string{"gw1", "gw9"} {
				if _, _, err := w.CreateGatewayToken(t.Context(), as(role, "stadt"), name); codeOf(err) != provisioner.CodeNotAllowed {
					t.Errorf("%s: %v", role, err)
				}
			}
			if _, _, err := w.Gateways(t.Context(), as(role, "stadt")); codeOf(err) != provisioner.CodeNotAllowed {
				t.Errorf("%s lists gateways: %v", role, err)
			}
		}
		join := func(token string) error {
			_, err := w.JoinGateway(t.Context(), provisioner.Actor{}, tenancy.JoinRequest{Token: token, CertificateRequest: []byte("csr"), PublicKey: newKey(t)})
			return err
		}
		first, _, err := w.CreateGatewayToken(t.Context(), operator(), "gw1")
		if err != nil {
			t.Fatal(err)
		}
		second, _, err := w.CreateGatewayToken(t.Context(), operator(), "gw1")
		if err != nil {
			t.Fatal(err)
		}
		if err := join(first); codeOf(err) != provisioner.CodeTokenInvalid {
			t.Errorf("a token that a newer one replaced: %v", err)
		}
		pass(24 * time.Hour)
		if err := join(second); codeOf(err) != provisioner.CodeTokenInvalid {
			t.Errorf("a token a day old: %v", err)
		}
		list, revision, err := w.Gateways(t.Context(), operator())
		if err != nil || len(list) != 2 || revision != w.revision(t) {
			t.Errorf("listed %+v at %d, %v", list, revision, err)
		}
	})
}
