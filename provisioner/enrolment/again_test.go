package enrolment_test

import (
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/enrolment"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func again(login, password string) enrolment.AgainRequest {
	return enrolment.AgainRequest{Login: login, Password: signin.Password(password)}
}

// forgets makes the last sign-in on a device one of a month ago, and its session
// due.
func (w *world) forgets(t testing.TB, d provisioner.Device) {
	t.Helper()
	update(t, w.store, func(tx *store.Writer) error {
		long := tx.Now.Add(-30 * 24 * time.Hour)
		if err := tx.NoteSignIn(d.ID, long); err != nil {
			return err
		}
		session, err := tx.OpenSessionOf(d.ID)
		if err != nil {
			return err
		}
		return tx.SetEnding(session, provisioner.DefaultPolicy().Ending(long, long, tx.Now))
	})
}

// Whoever signs in again may go on: this laptop, its session, and no other. There is
// no record of it.
func TestSignInAgain(t *testing.T) {
	w := newWorld(t)
	one, two := w.enrols(t, "stadt", "eva", "S1"), w.enrols(t, "stadt", "eva", "S2")
	first, second := w.opens(t, one), w.opens(t, two)
	if since := time.Since(w.device(t, one.ID).SignedInAt); since < 0 || since > time.Minute {
		t.Errorf("an enrolment is no sign-in: %v ago", since)
	}
	w.forgets(t, one)
	w.forgets(t, two)
	events, revision := len(w.events(t)), w.revision(t)
	goodFor, err := w.SignInAgain(t.Context(), laptop(one), again("eva", password))
	if err != nil || goodFor != 7*24*time.Hour {
		t.Fatalf("good for %v, %v", goodFor, err)
	}
	if since := time.Since(w.device(t, one.ID).SignedInAt); since < 0 || since > time.Minute {
		t.Errorf("signed in %v ago", since)
	}
	if e := w.session(t, first.ID).Ending; time.Until(e.DueAt) < 11*time.Hour || e.Why != provisioner.CodeSessionAged {
		t.Errorf("her session ends %+v", e)
	}
	if e := w.session(t, second.ID).Ending; !e.IsDue(time.Now()) || w.device(t, two.ID).SignedInAt.After(time.Now().Add(-time.Hour)) {
		t.Errorf("the other laptop's session ends %+v", e)
	}
	if n := len(w.events(t)); n != events || w.revision(t) != revision {
		t.Errorf("%d records of a sign-in", n-events)
	}
}

func TestSignInAgainRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		actor func(testing.TB, *world, provisioner.Device) provisioner.Actor
		who   enrolment.AgainRequest
		want  provisioner.Code
	}{
		{"a wrong password", nil, again("eva", "falsch"), provisioner.CodeSignInFailed},
		{"no password", nil, again("eva", ""), provisioner.CodeSignInFailed},
		{"nobody", nil, again("", password), provisioner.CodeSignInFailed},
		{"somebody else with her right password", nil, again("emil", password), provisioner.CodeOtherPerson},
		{"somebody of another tenant", nil, again("vera", password), provisioner.CodeNotInGroup},
		{"an expired certificate", func(_ testing.TB, _ *world, d provisioner.Device) provisioner.Actor {
			a := laptop(d)
			a.Expired = true
			return a
		}, again("eva", password), provisioner.CodeCertificateExpired},
		{"nobody's certificate", func(testing.TB, *world, provisioner.Device) provisioner.Actor { return anybody() }, again("eva", password), provisioner.CodeNotSignedIn},
		{"a former generation", func(t testing.TB, w *world, d provisioner.Device) provisioner.Actor {
			w.enrols(t, "stadt", "eva", "S1")
			return laptop(d)
		}, again("eva", password), provisioner.CodeDeviceReplaced},
		{"a suspended laptop", func(t testing.TB, w *world, d provisioner.Device) provisioner.Actor {
			if _, err := w.Suspend(t.Context(), as(provisioner.RoleHelpdesk, "stadt"), enrolment.TakeRequest{Device: d.ID, Reason: "x"}); err != nil {
				t.Fatal(err)
			}
			return laptop(d)
		}, again("eva", password), provisioner.CodeDeviceSuspended},
		{"the helpdesk", func(testing.TB, *world, provisioner.Device) provisioner.Actor {
			return as(provisioner.RoleHelpdesk, "stadt")
		}, again("eva", password), provisioner.CodeNotAllowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			d := w.enrols(t, "stadt", "eva", "S1")
			actor := laptop(d)
			if c.actor != nil {
				actor = c.actor(t, w, d)
			}
			before := w.device(t, d.ID).SignedInAt
			if _, err := w.SignInAgain(t.Context(), actor, c.who); codeOf(err) != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if !w.device(t, d.ID).SignedInAt.Equal(before) {
				t.Error("what was refused counts as a sign-in")
			}
		})
	}
}

// A certificate that was renewed by password is a sign-in; one that renewed itself
// is none.
func TestRenewingByPasswordIsASignIn(t *testing.T) {
	w := newWorld(t)
	d := w.enrols(t, "stadt", "eva", "S1")
	w.opens(t, d)
	w.forgets(t, d)
	if _, err := w.RenewCertificate(t.Context(), laptop(d), enrolment.RenewRequest{CertificateRequest: csr(t)}); err != nil {
		t.Fatal(err)
	}
	if w.device(t, d.ID).SignedInAt.After(time.Now().Add(-time.Hour)) {
		t.Error("a renewal without a password is a sign-in")
	}
	expired := laptop(d)
	expired.Expired = true
	if _, err := w.RenewCertificate(t.Context(), expired, enrolment.RenewRequest{CertificateRequest: csr(t), Login: "eva", Password: password}); err != nil {
		t.Fatal(err)
	}
	if w.device(t, d.ID).SignedInAt.Before(time.Now().Add(-time.Hour)) {
		t.Error("a renewal by password is no sign-in")
	}
}
