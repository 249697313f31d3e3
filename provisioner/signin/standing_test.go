package signin_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/signin"
)

// TestWhoIsHeldByBeingAskedForIsLogged: where a directory is not followed, openings and sign-ins are what the brake holds.
// Somebody has to be told, once, as by a follower.
func TestWhoIsHeldByBeingAskedForIsLogged(t *testing.T) {
	const people, pass = 9, 5 // so few pass whatever the brake allows
	for _, tt := range []struct {
		name string
		ask  func(*world, *testing.T, signin.Proof) error
		want provisioner.Code // for whom it is held
	}{
		{"an opening", func(w *world, t *testing.T, p signin.Proof) error {
			_, err := w.service.Lookup(t.Context(), p.Tenant, p.Person)
			return err
		}, ""},
		{"a sign-in", func(w *world, t *testing.T, p signin.Proof) error {
			_, err := w.service.Prove(t.Context(), from(2), signin.Credentials{Tenant: "stadt", Login: p.Person.Login, Password: evasPassword})
			return err
		}, provisioner.CodeAccessEnded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var logged bytes.Buffer
				w.service.Logger = slog.New(slog.NewTextHandler(&logged, nil))
				var logins []string
				var proofs []signin.Proof
				for n := range people {
					login := fmt.Sprint("p", n)
					w.ldap.people[login] = account{password: evasPassword, person: directory.Person{
						StableID: "id-" + login, Login: login, DisplayName: "Person " + login, Groups: []string{staffGroup},
					}}
					proof, err := w.service.Prove(t.Context(), from(1), signin.Credentials{Tenant: "stadt", Login: login, Password: evasPassword})
					if err != nil {
						t.Fatal(err)
					}
					logins, proofs = append(logins, login), append(proofs, proof)
				}
				w.ldap.change(logins, func(a *account) { a.person.Status.Ended = directory.EndDisabled })
				for n, p := range proofs {
					if err := tt.ask(w, t, p); codeOf(err) != tt.want {
						t.Errorf("person %d: %v", n, err)
					}
					want := 0
					if n >= pass {
						want = 1
					}
					text := logged.String()
					if got := strings.Count(text, "too many people would lose their access"); got != want {
						t.Errorf("after %d people it has been said %d times, want %d:\n%s", n+1, got, want, text)
					}
				}
				if text := logged.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "heimdraht directory pending --tenant stadt") ||
					strings.Contains(text, "Person p") {
					t.Errorf("the log does not say what to do, or names somebody:\n%s", text)
				}
			})
		})
	}
}
