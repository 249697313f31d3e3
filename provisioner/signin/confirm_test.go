package signin_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// strict is a world in which employees need a second factor for what the policy
// says.
func strict(t *testing.T, p provisioner.SecondFactorPolicy) *world {
	t.Helper()
	w := newWorld(t)
	w.update(t, func(tx *store.Writer) error {
		tenant, err := tx.Tenant("stadt")
		if err != nil {
			return err
		}
		tenant.Policy.SecondFactor = p
		return tx.PutTenant(tenant)
	})
	return w
}

// proves is an employee without a role who has shown her password, and a code.
func (w *world) proves(t *testing.T, code string, o signin.Occasion) error {
	t.Helper()
	proof, err := w.service.Prove(t.Context(), from(1), eva(evasPassword))
	if err != nil {
		t.Fatal(err)
	}
	return w.service.Confirm(t.Context(), from(1), proof, signin.Password(code), o)
}

// Only what the policy names takes more than a password.
func TestEmployeesNeedACodeWherePolicySaysSo(t *testing.T) {
	for _, c := range []struct {
		policy           provisioner.SecondFactorPolicy
		enrolling, again provisioner.Code
	}{
		{provisioner.SecondFactorPolicy{}, "", ""},
		{provisioner.SecondFactorPolicy{Enrolling: true}, provisioner.CodeFactorMissing, ""},
		{provisioner.SecondFactorPolicy{SigningInAgain: true}, "", provisioner.CodeFactorMissing},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := strict(t, c.policy)
			if err := w.proves(t, "", signin.Enrolling); codeOf(err) != c.enrolling {
				t.Errorf("%+v: enrolling: %v", c.policy, err)
			}
			if err := w.proves(t, "", signin.SigningInAgain); codeOf(err) != c.again {
				t.Errorf("%+v: signing in again: %v", c.policy, err)
			}
			// A token of the command line approves laptops.
			if _, err := w.service.Login(t.Context(), from(1), eva(evasPassword), ""); codeOf(err) != c.enrolling {
				t.Errorf("%+v: at the command line: %v", c.policy, err)
			}
		})
	}
}

// An employee sets up her factor as staff do; a code counts once for all occasions,
// guessing is slowed down, recovery codes count once, and the helpdesk sees what
// was refused.
func TestAnEmployeesCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := strict(t, provisioner.SecondFactorPolicy{Enrolling: true, SigningInAgain: true})
		if err := w.proves(t, "", signin.Enrolling); codeOf(err) != provisioner.CodeFactorMissing {
			t.Fatal(err)
		}
		me, token := eva(evasPassword), w.factorToken(t, "eva")
		show := w.phone(t, from(1), me, token)
		_, recovery, err := w.service.ConfirmFactor(t.Context(), from(1), me, token, show())
		if err != nil {
			t.Fatal(err)
		}
		pass(step)
		if err := w.proves(t, "", signin.Enrolling); codeOf(err) != provisioner.CodeFactorNeeded {
			t.Errorf("without a code: %v", err)
		}
		code := show()
		if err := w.proves(t, code, signin.Enrolling); err != nil {
			t.Errorf("a right code: %v", err)
		}
		if err := w.proves(t, code, signin.SigningInAgain); codeOf(err) != provisioner.CodeFactorWrong {
			t.Errorf("a code that was read over a shoulder: %v", err)
		}
		if err := w.proves(t, recovery[0], signin.SigningInAgain); err != nil {
			t.Errorf("a recovery code: %v", err)
		}
		if err := w.proves(t, recovery[0], signin.Enrolling); codeOf(err) != provisioner.CodeFactorWrong {
			t.Errorf("a recovery code once more: %v", err)
		}
		n := 0
		for ; n < 20 && codeOf(w.proves(t, wrongFor(show), signin.Enrolling)) == provisioner.CodeFactorWrong; n++ {
		}
		pass(step)
		if err := w.proves(t, show(), signin.SigningInAgain); n > 5 || codeOf(err) != provisioner.CodeFactorThrottled {
			t.Errorf("after %d wrong codes: %v", n, err)
		}
		person, err := store.Read(t.Context(), w.store, func(tx *store.Reader) (provisioner.Person, error) { return tx.PersonTyped("stadt", "eva") })
		if err != nil {
			t.Fatal(err)
		}
		var seen []provisioner.Code
		for _, r := range w.refusals(t, person) {
			seen = append(seen, r.Code)
		}
		for _, code := range []provisioner.Code{provisioner.CodeFactorMissing, provisioner.CodeFactorWrong, provisioner.CodeFactorThrottled} {
			if !slices.Contains(seen, code) {
				t.Errorf("the helpdesk does not see %s, but %v", code, seen)
			}
		}
		pass(15 * time.Minute)
		if err := w.proves(t, show(), signin.SigningInAgain); err != nil {
			t.Errorf("a quarter of an hour later: %v", err)
		}
	})
}
