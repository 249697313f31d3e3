package signin_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func (w *world) auditLog(t *testing.T) string {
	t.Helper()
	list, err := store.Read(t.Context(), w.store, func(tx *store.Reader) ([]store.AuditRecord, error) {
		return tx.FindAudit(store.AuditQuery{Scope: provisioner.Everywhere(), Limit: 100})
	})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, r := range slices.Backward(list) {
		text.Write(r.Payload)
		text.WriteByte('\n')
	}
	return text.String()
}

func TestLogin(t *testing.T) {
	for _, c := range []struct {
		name    string
		groups  []string
		want    []provisioner.Grant
		refused provisioner.Code
		audited string // the result in the record; empty: there is none
	}{
		{"staff", []string{staffGroup}, grantsIn("stadt", provisioner.RoleStaff), "", ""},
		{"helpdesk without the staff group", []string{helpdeskGroup}, grantsIn("stadt", provisioner.RoleHelpdesk), "", "done"},
		{"two roles", []string{staffGroup, plannerGroup}, grantsIn("stadt", provisioner.RoleStaff, provisioner.RolePlanner), "", "done"},
		{"no role", nil, nil, provisioner.CodeNotInGroup, "not-in-group"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.ldap.change(evasLogins(), func(a *account) { a.person.Groups = c.groups })
				signed, err := w.login(t, from(1), eva(evasPassword))
				if codeOf(err) != c.refused {
					t.Fatalf("got %v", err)
				}
				log := w.auditLog(t)
				if c.audited == "" && log != "" || c.audited != "" && (!strings.Contains(log, `"action":"sign in"`) || !strings.Contains(log, `"result":"`+c.audited+`"`)) {
					t.Errorf("audit log:\n%s", log)
				}
				if c.refused != "" {
					return
				}
				if diff := cmp.Diff(c.want, signed.Grants); diff != "" {
					t.Errorf("grants (-want +got):\n%s", diff)
				}
				actor, err := w.service.Authenticate(t.Context(), signed.Token)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, actor.Grants); diff != "" || actor.Name != "Eva Muster" || actor.ID == "" {
					t.Errorf("actor %+v", actor)
				}
				who, err := w.service.WhoAmI(t.Context(), actor, signed.Token)
				if err != nil || who.Token != "" || who.Name != "Eva Muster" || !who.ExpiresAt.Equal(signed.ExpiresAt) {
					t.Errorf("who am I: %+v, %v", who, err)
				}
				if strings.Contains(w.auditLog(t), signed.Token) {
					t.Error("the token is in the audit log")
				}
				if err := w.service.Logout(t.Context(), actor, signed.Token); err != nil {
					t.Fatal(err)
				}
				if err := w.service.Logout(t.Context(), actor, signed.Token); err != nil {
					t.Errorf("logging out twice: %v", err)
				}
				if _, err := w.service.Authenticate(t.Context(), signed.Token); codeOf(err) != provisioner.CodeNotSignedIn {
					t.Errorf("after logging out: %v", err)
				}
			})
		})
	}
}

func TestLoginFailsLikeProve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		if _, err := w.login(t, from(1), eva("falsch")); codeOf(err) != provisioner.CodeSignInFailed {
			t.Error(err)
		}
		if took := time.Since(began); took != evenly {
			t.Errorf("after %v", took)
		}
	})
}

func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		signed, err := w.login(t, from(1), eva(evasPassword))
		if err != nil {
			t.Fatal(err)
		}
		pass(8*time.Hour - time.Second)
		if _, err := w.service.Authenticate(t.Context(), signed.Token); err != nil {
			t.Errorf("a second before its end: %v", err)
		}
		pass(time.Second)
		if _, err := w.service.Authenticate(t.Context(), signed.Token); codeOf(err) != provisioner.CodeNotSignedIn {
			t.Errorf("at its end: %v", err)
		}
		for _, token := range []string{"", "x", signed.Token + "x"} {
			if _, err := w.service.Authenticate(t.Context(), token); codeOf(err) != provisioner.CodeNotSignedIn {
				t.Errorf("token %q: %v", token, err)
			}
		}
	})
}

// A role ends with the group, not with the token.
func TestRolesEndWithTheGroup(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*ldap)
		want   provisioner.Code
	}{
		{"nothing happened", func(*ldap) {}, ""},
		{"lost the group", func(l *ldap) { l.change(evasLogins(), func(a *account) { a.person.Groups = nil }) }, provisioner.CodeNotSignedIn},
		{"disabled", func(l *ldap) {
			l.change(evasLogins(), func(a *account) { a.person.Status.Ended = directory.EndDisabled })
		}, provisioner.CodeNotSignedIn},
		{"deleted", func(l *ldap) { l.change(evasLogins(), func(a *account) { a.gone = true }) }, provisioner.CodeNotSignedIn},
		{"another role instead", func(l *ldap) {
			l.change(evasLogins(), func(a *account) { a.person.Groups = []string{plannerGroup} })
		}, provisioner.CodeNotSignedIn},
		{"the directory is down", func(l *ldap) { l.falls(directory.Unavailable) }, ""},
		{"the group cannot be read", func(l *ldap) {
			l.change(evasLogins(), func(a *account) { a.person.Groups, a.person.MissingGroups = nil, []string{helpdeskGroup} })
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.ldap.change(evasLogins(), func(a *account) { a.person.Groups = []string{helpdeskGroup} })
				signed, err := w.login(t, from(1), eva(evasPassword))
				if err != nil {
					t.Fatal(err)
				}
				c.change(w.ldap)
				pass(time.Minute)
				_, err = w.service.Authenticate(t.Context(), signed.Token)
				if codeOf(err) != c.want {
					t.Errorf("got %v, want %q", err, c.want)
				}
			})
		})
	}
}

func TestOperatorToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first, _, err := w.service.NewOperatorToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second, expires, err := w.service.NewOperatorToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := time.Now().Add(24 * time.Hour); !expires.Equal(want) {
			t.Errorf("expires at %v, want %v", expires, want)
		}
		redeem := func(token string) (signin.SignedIn, error) { return w.service.RedeemToken(t.Context(), from(1), token) }
		if _, err := redeem(first); codeOf(err) != provisioner.CodeTokenInvalid {
			t.Errorf("a token that a newer one replaced: %v", err)
		}
		signed, err := redeem(second)
		if err != nil {
			t.Fatal(err)
		}
		actor, err := w.service.Authenticate(t.Context(), signed.Token)
		if err != nil || !actor.Has(provisioner.RoleOperator) || actor.ID != signin.OperatorName {
			t.Errorf("actor %+v, %v", actor, err)
		}
		if _, err := redeem(second); codeOf(err) != provisioner.CodeTokenInvalid {
			t.Errorf("a token used twice: %v", err)
		}
		third, _, err := w.service.NewOperatorToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pass(24 * time.Hour)
		if _, err := redeem(third); codeOf(err) != provisioner.CodeTokenInvalid {
			t.Errorf("a token a day old: %v", err)
		}
		log := w.auditLog(t)
		if strings.Count(log, `"action":"create operator token"`) != 3 || strings.Count(log, `"action":"sign in"`) != 4 || strings.Count(log, `"result":"token-invalid"`) != 3 {
			t.Errorf("audit log:\n%s", log)
		}
		for _, token := range []string{first, second, third, signed.Token} {
			if strings.Contains(log, token) {
				t.Error("a token is in the audit log")
			}
		}
	})
}

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*ldap)
		after  time.Duration
		want   provisioner.Standing
		code   provisioner.Code
	}{
		{name: "as before", want: provisioner.Standing{Groups: []string{staffGroup}}},
		{name: "lost the group", change: func(l *ldap) { l.change(evasLogins(), func(a *account) { a.person.Groups = nil }) }},
		{name: "disabled", change: func(l *ldap) {
			l.change(evasLogins(), func(a *account) { a.person.Status.Ended = directory.EndDisabled })
		}, want: provisioner.Standing{Groups: []string{staffGroup}, Ended: "disabled"}},
		{name: "deleted", change: func(l *ldap) { l.change(evasLogins(), func(a *account) { a.gone = true }) }, want: provisioner.Standing{Ended: provisioner.WhyDeleted}},
		{name: "down, known since recently", change: func(l *ldap) { l.falls(directory.Unavailable) }, after: 4*time.Hour - time.Second, want: provisioner.Standing{Groups: []string{staffGroup}}},
		{name: "down for too long", change: func(l *ldap) { l.falls(directory.Unavailable) }, after: 4 * time.Hour, code: provisioner.CodeDirectoryUnavailable},
		{name: "the staff group has vanished", change: func(l *ldap) {
			l.change(evasLogins(), func(a *account) { a.person.Groups, a.person.MissingGroups = nil, []string{staffGroup} })
		}, want: provisioner.Standing{Groups: []string{staffGroup}}},
		{name: "the staff group has vanished long ago", change: func(l *ldap) {
			l.change(evasLogins(), func(a *account) { a.person.Groups, a.person.MissingGroups = nil, []string{staffGroup} })
		}, after: 4 * time.Hour, code: provisioner.CodeDirectoryUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				proof, err := w.service.Prove(t.Context(), from(1), eva(evasPassword))
				if err != nil {
					t.Fatal(err)
				}
				if c.change != nil {
					c.change(w.ldap)
				}
				pass(c.after)
				got, err := w.service.Lookup(t.Context(), proof.Tenant, proof.Person)
				if codeOf(err) != c.code {
					t.Fatalf("got %v, want %q", err, c.code)
				}
				if c.code != "" {
					return
				}
				c.want.Person, c.want.Tenant, c.want.ReadAt = proof.Person.ID, "stadt", got.ReadAt
				if c.want.Entitled = c.want.Ended == "" && len(c.want.Groups) > 0; !c.want.Entitled {
					c.want.LostAt = got.ReadAt
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("standing (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestRegistry(t *testing.T) {
	var made []*ldap
	r := signin.NewRegistry(func(d provisioner.Directory) (directory.Directory, error) {
		if len(d.Servers) == 0 {
			return nil, errors.New("no servers")
		}
		made = append(made, &ldap{name: d.Name})
		return made[len(made)-1], nil
	})
	first := provisioner.Directory{Name: "ad", Servers: []string{"ldaps://one"}}
	second := provisioner.Directory{Name: "ad", Servers: []string{"ldaps://two"}}
	nothing := func(directory.Directory) error { return nil }
	for range 2 {
		if err := r.Use(first, nothing); err != nil {
			t.Fatal(err)
		}
	}
	if len(made) != 1 {
		t.Fatalf("opened %d times", len(made))
	}
	if err := r.Use(provisioner.Directory{Name: "ad"}, nothing); err == nil {
		t.Error("a directory that cannot be opened was used")
	}
	err := r.Use(first, func(directory.Directory) error {
		if err := r.Use(second, nothing); err != nil {
			return err
		}
		if made[0].closings() != 0 {
			t.Error("closed while it was in use")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 2 || made[0].closings() != 1 || made[1].closings() != 0 {
		t.Errorf("after a change: %d made, closed %d and %d times", len(made), made[0].closings(), made[1].closings())
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if made[1].closings() != 1 {
		t.Errorf("closed %d times", made[1].closings())
	}
	if err := r.Use(second, nothing); directory.CauseOf(err) != directory.Unavailable {
		t.Errorf("after closing: %v", err)
	}
}

func TestCauseHasWordsForEverything(t *testing.T) {
	for _, c := range []directory.Cause{
		directory.Unavailable, directory.Misconfigured, directory.UnknownLogin, directory.AmbiguousLogin, directory.WrongPassword,
		directory.EmptyPassword, directory.PasswordTooLong, directory.Locked, directory.Disabled, directory.NotPermitted,
	} {
		for _, language := range []string{"de", "en"} {
			if got := signin.Cause(string(c), language); got == string(c) || got == "" {
				t.Errorf("no words for %s in %s", c, language)
			}
		}
	}
	if got := signin.Cause("unavailable: directory ad: nobody there", "en"); got != "The directory did not answer (directory ad: nobody there)" {
		t.Errorf("got %q", got)
	}
	if got := signin.Cause("something else", "en"); got != "something else" {
		t.Errorf("got %q", got)
	}
}

// Refused sign-ins at the command line are recorded with who it seems to be, never
// with what was typed, and no more of them than the log can bear.
func TestRefusedSignInsAreRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ldap.change(evasLogins(), func(a *account) { a.person.Groups = []string{staffGroup} })
		if _, err := w.service.Login(t.Context(), from(1), eva(evasPassword), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.service.Login(t.Context(), from(1), eva("wrong-secret"), ""); codeOf(err) != provisioner.CodeSignInFailed {
			t.Fatal(err)
		}
		typed := eva("x")
		typed.Login = "geheim-vertippt"
		if _, err := w.service.Login(t.Context(), from(2), typed, ""); codeOf(err) != provisioner.CodeSignInFailed {
			t.Fatal(err)
		}
		log := w.auditLog(t)
		lines := strings.Split(strings.TrimSpace(log), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], `"tenant":"stadt"`) || !strings.Contains(lines[0], `"object":{"kind":"person","id":"`) ||
			!strings.Contains(lines[0], `"source":"192.0.0.2"`) || !strings.Contains(lines[1], `"object":{}`) {
			t.Errorf("audit log:\n%s", log)
		}
		for _, secret := range []string{"wrong-secret", "geheim-vertippt", evasPassword} {
			if strings.Contains(log, secret) {
				t.Errorf("what was typed is in the audit log:\n%s", log)
			}
		}
		for range 100 {
			if _, err := w.service.RedeemToken(t.Context(), from(3), "no such token"); codeOf(err) != provisioner.CodeTokenInvalid {
				t.Fatal(err)
			}
		}
		n := strings.Count(w.auditLog(t), `"result":"token-invalid"`)
		if n > 60 || n < 50 {
			t.Errorf("%d of 100 refusals at once are recorded", n)
		}
		pass(time.Hour)
		if _, err := w.service.RedeemToken(t.Context(), from(3), "no such token"); codeOf(err) != provisioner.CodeTokenInvalid {
			t.Fatal(err)
		}
		if log := w.auditLog(t); !strings.Contains(log, `"refusals not recorded":"`+strconv.Itoa(100-n)+`"`) {
			t.Errorf("nothing says how many were left out:\n%s", log)
		}
	})
}
