package enrolment_test

import (
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// ruled gives the town house rules.
func (w *world) ruled(t testing.TB, german, english string) provisioner.HouseRules {
	t.Helper()
	h := provisioner.NewHouseRules(german, english, "https://intranet.stadt.example/regeln")
	update(t, w.store, func(tx *store.Writer) error {
		v, err := tx.Tenant("stadt")
		if err != nil {
			return err
		}
		v.HouseRules = h
		return tx.PutTenant(v)
	})
	return h
}

// Nobody enrols who has not acknowledged the present rules, whatever the way;
// nothing is used up by being asked.
func TestHouseRulesBeforeEnrolling(t *testing.T) {
	w := newWorld(t)
	v := w.invites(t, "emil", "E1")
	first := w.ruled(t, "Bildschirm sperren.", "Lock the screen.")
	r := request(t, "stadt", "eva", "S1")
	_, err := w.Enrol(t.Context(), anybody(), r)
	refusal, ok := provisioner.AsRefusal(err)
	if !ok || refusal.Code != provisioner.CodeHouseRules || refusal.Rules == nil || *refusal.Rules != first {
		t.Fatalf("got %v with %+v", err, refusal)
	}
	if got := refusal.Rules.Text("en"); got != "Lock the screen." {
		t.Errorf("in English %q", got)
	}
	if _, text := refusal.Text("de"); !strings.Contains(text, first.Version) {
		t.Errorf("the version is not told: %s", text)
	}
	if list := w.refusals(t, "eva"); len(list) != 0 {
		t.Errorf("the helpdesk sees %+v", list)
	}
	wrong := request(t, "stadt", "eva", "S1")
	wrong.Credentials.Password = "falsch"
	if _, err := w.Enrol(t.Context(), anybody(), wrong); codeOf(err) != provisioner.CodeSignInFailed {
		t.Errorf("without the password: %v", err)
	}
	r.Acknowledges = "0123456789ab"
	if _, err := w.Enrol(t.Context(), anybody(), r); codeOf(err) != provisioner.CodeHouseRules {
		t.Errorf("another version: %v", err)
	}
	r.Acknowledges = first.Version
	e, err := w.Enrol(t.Context(), anybody(), r)
	if err != nil {
		t.Fatal(err)
	}
	// Once for all her laptops.
	w.enrols(t, "stadt", "eva", "S2")

	by := invited(t, v.Token, "E1")
	if _, err := w.EnrolInvited(t.Context(), anybody(), by); codeOf(err) != provisioner.CodeHouseRules {
		t.Errorf("by invitation: %v", err)
	}
	by.Acknowledges = first.Version
	if _, err := w.EnrolInvited(t.Context(), anybody(), by); err != nil {
		t.Errorf("by invitation, acknowledged: %v", err)
	}

	// They change: she is asked again, on the laptop that she has.
	second := w.ruled(t, "Bildschirm sperren, immer.", "")
	own := laptop(e.Device)
	if h, err := w.HouseRules(t.Context(), own); err != nil || h.HouseRules != second || !h.AcknowledgedAt.IsZero() {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := w.Acknowledge(t.Context(), own, first.Version); codeOf(err) != provisioner.CodeHouseRules {
		t.Errorf("the former version: %v", err)
	}
	if _, err := w.Acknowledge(t.Context(), own, second.Version); err != nil {
		t.Fatal(err)
	}
	if h, err := w.HouseRules(t.Context(), own); err != nil || h.AcknowledgedAt.IsZero() {
		t.Errorf("%+v, %v", h, err)
	}
	// They are taken back: the last word counts.
	w.ruled(t, "Bildschirm sperren.", "Lock the screen.")
	if h, err := w.HouseRules(t.Context(), own); err != nil || !h.AcknowledgedAt.IsZero() || h.English != "Lock the screen." {
		t.Errorf("%+v, %v", h, err)
	}
	w.ruled(t, "", "")
	if h, err := w.HouseRules(t.Context(), own); err != nil || h.Version != "" {
		t.Errorf("without rules: %+v, %v", h, err)
	}
}
