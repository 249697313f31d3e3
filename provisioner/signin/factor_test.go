package signin_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const step = 30 * time.Second

// desk is eva with a role above staff.
func desk(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.ldap.change(evasLogins(), func(a *account) { a.person.Groups = []string{staffGroup, helpdeskGroup} })
	return w
}

// withFactor is desk with a second factor that is set up.
func withFactor(t *testing.T) (w *world, show func() string, recovery []string) {
	t.Helper()
	w = desk(t)
	me := eva(evasPassword)
	if _, err := w.service.Login(t.Context(), from(1), me, ""); codeOf(err) != provisioner.CodeFactorMissing {
		t.Fatalf("without a second factor: %v", err)
	}
	token := w.factorToken(t, me.Login)
	show = w.phone(t, from(1), me, token)
	signed, recovery, err := w.service.ConfirmFactor(t.Context(), from(1), me, token, show())
	if err != nil || signed.Token == "" || len(recovery) != 10 {
		t.Fatalf("setting up: %+v, %d codes, %v", signed, len(recovery), err)
	}
	return w, show, recovery
}

func (w *world) tryCode(t *testing.T, code string) error {
	t.Helper()
	_, err := w.service.Login(t.Context(), from(1), eva(evasPassword), code)
	return err
}

// Above staff a password is not enough; a code counts once, also for the one who
// has read it over a shoulder.
func TestSecondFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, show, _ := withFactor(t)
		if err := w.tryCode(t, ""); codeOf(err) != provisioner.CodeFactorNeeded {
			t.Errorf("without a code: %v", err)
		}
		if err := w.tryCode(t, show()); codeOf(err) != provisioner.CodeFactorWrong {
			t.Errorf("the code of the setting up once more: %v", err)
		}
		pass(step)
		code := show()
		if err := w.tryCode(t, " "+code[:3]+" "+code[3:]); err != nil {
			t.Errorf("a code as the app shows it: %v", err)
		}
		if err := w.tryCode(t, code); codeOf(err) != provisioner.CodeFactorWrong {
			t.Errorf("a code once more: %v", err)
		}
		if _, err := w.service.Login(t.Context(), from(1), eva("falsch"), code); codeOf(err) != provisioner.CodeSignInFailed {
			t.Errorf("with a wrong password: %v", err)
		}
		log := w.auditLog(t)
		if !strings.Contains(log, `"set up factor"`) || !strings.Contains(log, `"result":"factor-wrong"`) || strings.Contains(log, code) {
			t.Errorf("the audit log says:\n%s", log)
		}
	})
}

// A phone whose clock is off by half a minute is fine; by some minutes it is
// told so.
func TestPhoneClock(t *testing.T) {
	for _, c := range []struct {
		late time.Duration
		want provisioner.Code
		why  string
	}{{0, "", ""}, {step, "", ""}, {3 * step, provisioner.CodeFactorWrong, "clock"}, {time.Hour, provisioner.CodeFactorWrong, "not right."}} {
		synctest.Test(t, func(t *testing.T) {
			w, show, _ := withFactor(t)
			pass(2 * step)
			code := show()
			pass(c.late)
			err := w.tryCode(t, code)
			if codeOf(err) != c.want || err != nil && !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v late: %v", c.late, err)
			}
		})
	}
}

// Guessing ends after five tries, for the right code too, and after twenty a day;
// waiting helps.
func TestGuessedCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, show, recovery := withFactor(t)
		pass(step)
		for day := 0; ; day++ {
			n := 0
			for ; n < 100 && codeOf(w.tryCode(t, wrongFor(show))) == provisioner.CodeFactorWrong; n++ {
			}
			if n == 0 {
				if day != 4 {
					t.Errorf("the day's tries were used up after %d quarters of an hour", day)
				}
				break
			}
			if n != 5 {
				t.Errorf("%d tries, want 5", n)
			}
			for _, code := range []string{show(), recovery[0]} {
				err := w.tryCode(t, code)
				var refusal *provisioner.Refusal
				if codeOf(err) != provisioner.CodeFactorThrottled || !errors.As(err, &refusal) || refusal.RetryAfter <= 0 {
					t.Errorf("a right code after too many wrong ones: %v", err)
				}
			}
			pass(15 * time.Minute)
		}
		pass(23 * time.Hour)
		if err := w.tryCode(t, show()); err != nil {
			t.Errorf("a day later: %v", err)
		}
	})
}

// wrongFor is no code of this time or near it.
func wrongFor(show func() string) string {
	if show() == "000000" {
		return "111111"
	}
	return "000000"
}

// Each recovery code counts once, however it is typed.
func TestRecoveryCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, recovery := withFactor(t)
		signed, err := w.service.Login(t.Context(), from(1), eva(evasPassword), " "+strings.ToUpper(recovery[3])+" ")
		if err != nil || signed.RecoveryCodes != 9 {
			t.Errorf("%d left, %v", signed.RecoveryCodes, err)
		}
		if err := w.tryCode(t, recovery[3]); codeOf(err) != provisioner.CodeFactorWrong {
			t.Errorf("once more: %v", err)
		}
		if err := w.tryCode(t, recovery[4]); err != nil {
			t.Errorf("another one: %v", err)
		}
	})
}

// A second factor is set up only by whom the token was given to, once, while the
// token lives, and not in the place of another one.
func TestSettingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := desk(t)
		w.ldap.change([]string{"helferin"}, func(a *account) { a.person.Groups = []string{helpdeskGroup} })
		me := eva(evasPassword)
		if err := w.tryCode(t, ""); codeOf(err) != provisioner.CodeFactorMissing {
			t.Fatal(err)
		}
		token := w.factorToken(t, "eva")
		begin := func(c signin.Credentials, token string) error {
			_, err := w.service.BeginFactor(t.Context(), from(1), c, token)
			return err
		}
		confirm := func(c signin.Credentials, token, code string) error {
			_, _, err := w.service.ConfirmFactor(t.Context(), from(1), c, token, code)
			return err
		}
		for name, err := range map[string]error{
			"no token":          begin(me, ""),
			"a wrong token":     begin(me, provisioner.NewSecret()),
			"somebody else's":   begin(signin.Credentials{Tenant: "stadt", Login: "helferin", Password: evasPassword}, token),
			"confirmed unbegun": confirm(me, "x", "000000"),
		} {
			if c := codeOf(err); c != provisioner.CodeTokenInvalid && c != provisioner.CodeSignInFailed {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := confirm(me, token, "000000"); codeOf(err) != provisioner.CodeFactorMissing {
			t.Errorf("confirmed before it was begun: %v", err)
		}
		if err := begin(eva("falsch"), token); codeOf(err) != provisioner.CodeSignInFailed {
			t.Errorf("with a wrong password: %v", err)
		}
		former := w.phone(t, from(1), me, token)
		show := w.phone(t, from(1), me, token)
		if err := confirm(me, token, former()); codeOf(err) != provisioner.CodeFactorWrong {
			t.Errorf("a code of a beginning before: %v", err)
		}
		if err := w.tryCode(t, show()); codeOf(err) != provisioner.CodeFactorMissing {
			t.Errorf("signing in by what is only begun: %v", err)
		}
		if err := confirm(me, token, show()); err != nil {
			t.Fatal(err)
		}
		if err := begin(me, token); codeOf(err) != provisioner.CodeTokenInvalid {
			t.Errorf("the token once more: %v", err)
		}
		if err := begin(me, w.factorToken(t, "eva")); codeOf(err) != provisioner.CodeFactorThere {
			t.Errorf("another token in the place of the factor: %v", err)
		}
		pass(2 * time.Hour)
		if err := w.tryCode(t, show()); err != nil {
			t.Errorf("the factor after all that: %v", err)
		}
		// After a reset only a new token helps, and an old one that nobody used is
		// too old.
		old := w.factorToken(t, "eva")
		w.update(t, func(tx *store.Writer) error {
			p, err := tx.PersonTyped("stadt", "eva")
			if err != nil {
				return err
			}
			return tx.DropFactor(p.ID)
		})
		pass(2 * time.Hour)
		if err := begin(me, old); codeOf(err) != provisioner.CodeTokenInvalid {
			t.Errorf("a token that has expired: %v", err)
		}
		if err := w.tryCode(t, show()); codeOf(err) != provisioner.CodeFactorMissing {
			t.Errorf("after the reset: %v", err)
		}
	})
}

// Of two who show one code at once, one comes in.
func TestOneCodeAtOnce(t *testing.T) {
	w, show, _ := withFactorNow(t)
	code := show()
	errs := make(chan error, 8)
	for n := range cap(errs) {
		go func() {
			_, err := w.service.Login(t.Context(), from(n), eva(evasPassword), code)
			errs <- err
		}()
	}
	in := 0
	for range cap(errs) {
		err := <-errs
		if err == nil {
			in++
		} else if c := codeOf(err); c != provisioner.CodeFactorWrong && c != provisioner.CodeFactorThrottled && c != provisioner.CodeSignInFailed {
			t.Error(err)
		}
	}
	if in != 1 {
		t.Errorf("%d came in by one code", in)
	}
}

// withFactorNow is withFactor in real time: the code of the setting up is taken
// back, so that the one that the phone shows now counts at once.
func withFactorNow(t *testing.T) (*world, func() string, []string) {
	t.Helper()
	w, show, recovery := withFactor(t)
	w.update(t, func(tx *store.Writer) error {
		p, err := tx.PersonTyped("stadt", "eva")
		if err != nil {
			return err
		}
		f, err := tx.Factor(p.ID)
		if err != nil {
			return err
		}
		if err := tx.DropFactor(p.ID); err != nil {
			return err
		}
		if err := tx.BeginFactor(p.ID, f.Sealed); err != nil {
			return err
		}
		_, err = tx.UseFactor(p.ID, 1)
		return err
	})
	return w, show, recovery
}
