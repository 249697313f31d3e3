package signin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Every "no", what it is called outside, when it leaves, and what the helpdesk
// sees of it.
func TestProveRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		typed   signin.Credentials
		prepare func(*world)
		want    provisioner.Code
		after   time.Duration
		cause   string
		unasked bool // no directory saw a password
	}{
		{name: "empty password", typed: eva(""), want: provisioner.CodeSignInFailed, after: evenly, cause: "empty-password", unasked: true},
		{name: "too long password", typed: eva(strings.Repeat("x", 1<<20)), want: provisioner.CodeSignInFailed, after: evenly, cause: "password-too-long", unasked: true},
		{name: "wrong password", typed: eva("falsch"), want: provisioner.CodeSignInFailed, after: evenly, cause: "wrong-password"},
		{name: "unknown login", typed: with(eva(evasPassword), "niemand"), want: provisioner.CodeSignInFailed, after: evenly, cause: "unknown-login", unasked: true},
		{name: "empty login", typed: with(eva(evasPassword), "  "), want: provisioner.CodeSignInFailed, after: evenly, cause: "unknown-login", unasked: true},
		{name: "ambiguous login", typed: with(eva(evasPassword), "zwilling"), want: provisioner.CodeSignInFailed, after: evenly, cause: "ambiguous-login", unasked: true},
		{name: "locked", typed: with(eva(evasPassword), "gesperrt"), want: provisioner.CodeSignInFailed, after: evenly, cause: "locked"},
		{name: "disabled, whatever the password", typed: with(eva(evasPassword), "aus"), want: provisioner.CodeSignInFailed, after: evenly, cause: "disabled"},
		{name: "unknown tenant", typed: signin.Credentials{Tenant: "nirgends", Login: "eva", Password: evasPassword}, want: provisioner.CodeSignInFailed, after: evenly, cause: "unknown-tenant", unasked: true},
		{name: "unknown mail domain", typed: signin.Credentials{Login: "eva@nirgends.example", Password: evasPassword}, want: provisioner.CodeSignInFailed, after: evenly, cause: "unknown-tenant", unasked: true},
		{name: "no tenant and no mail domain", typed: signin.Credentials{Login: "eva", Password: evasPassword}, want: provisioner.CodeSignInFailed, after: evenly, cause: "unknown-tenant", unasked: true},
		{name: "a mail domain is no login", typed: signin.Credentials{Login: "stadt.example", Password: evasPassword}, want: provisioner.CodeSignInFailed, after: evenly, cause: "unknown-tenant", unasked: true},
		{name: "other tenant's name", typed: signin.Credentials{Tenant: "dorf", Login: "eva", Password: evasPassword}, want: provisioner.CodeSignInFailed, after: evenly, cause: "unknown-login", unasked: true},
		{name: "directory down", typed: eva(evasPassword), prepare: func(w *world) { w.ldap.falls(directory.Unavailable) }, want: provisioner.CodeSignInFailed, after: evenly, cause: "unavailable", unasked: true},
		{name: "directory misconfigured", typed: eva(evasPassword), prepare: func(w *world) { w.ldap.falls(directory.Misconfigured) }, want: provisioner.CodeSignInFailed, after: evenly, cause: "misconfigured", unasked: true},
		{name: "slow directory", typed: eva("falsch"), prepare: func(w *world) { w.ldap.takes = 1100 * time.Millisecond }, want: provisioner.CodeSignInFailed, after: 3 * evenly, cause: "wrong-password"},
		{name: "access ended", typed: with(eva(evasPassword), "ausgeschieden"), want: provisioner.CodeAccessEnded},
		{name: "password expired", typed: with(eva(evasPassword), "abgelaufen"), want: provisioner.CodePasswordExpired},
		{name: "password to be changed", typed: with(eva(evasPassword), "neu"), want: provisioner.CodePasswordExpired},
		{name: "not in the group", typed: with(eva(evasPassword), "draussen"), want: provisioner.CodeNotInGroup},
		{name: "a role is not the group", typed: with(eva(evasPassword), "helferin"), want: provisioner.CodeNotInGroup},
		{name: "ended, with a wrong password", typed: with(eva("falsch"), "ausgeschieden"), want: provisioner.CodeSignInFailed, after: evenly, cause: "wrong-password"},
		{name: "not in the group, with a wrong password", typed: with(eva("falsch"), "draussen"), want: provisioner.CodeSignInFailed, after: evenly, cause: "wrong-password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if c.prepare != nil {
					c.prepare(w)
				}
				var logged bytes.Buffer
				w.service.Logger = slog.New(slog.NewTextHandler(&logged, nil))
				began := time.Now()
				proof, err := w.service.Prove(t.Context(), from(1), c.typed)
				if got := codeOf(err); got != c.want {
					t.Errorf("refused with %q, want %q", got, c.want)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("the answer left after %v, want %v", took, c.after)
				}
				if proof.Person.ID != "" {
					t.Errorf("a refused sign-in told of %+v", proof.Person)
				}
				if c.cause != "" {
					if r, _ := provisioner.AsRefusal(err); !strings.HasPrefix(fmt.Sprint(r.Cause), c.cause) {
						t.Errorf("cause %q, want %q", r.Cause, c.cause)
					}
					if len(err.Error()) > 0 && err.Error() != provisioner.Refuse(provisioner.CodeSignInFailed).Error() {
						t.Errorf("the caller is told more than that it failed: %v", err)
					}
				}
				if asked := w.ldap.tries() + w.other.tries(); (asked == 0) != c.unasked && c.cause != "" {
					t.Errorf("directories tried %d passwords", asked)
				}
				if p := string(c.typed.Password); p != "" && strings.Contains(logged.String(), p) {
					t.Error("the password is in the log")
				}
				if c.typed.Login != "" && strings.Contains(logged.String(), "login="+c.typed.Login) {
					t.Error("the login is in the log")
				}
			})
		})
	}
}

const evenly = 500 * time.Millisecond

func with(c signin.Credentials, login string) signin.Credentials {
	c.Login = login
	return c
}

func TestProve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var ids []string
		for _, c := range []signin.Credentials{
			eva(evasPassword),
			with(eva(evasPassword), "  EVA "),
			{Login: "Eva.Muster@Stadt.Example", Password: evasPassword},
			{Tenant: "STADT", Login: "stadt\\eva", Password: evasPassword},
		} {
			began := time.Now()
			proof, err := w.service.Prove(t.Context(), from(1), c)
			if err != nil {
				t.Fatalf("%s: %v", c.Login, err)
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("a good answer was held back for %v", took)
			}
			if proof.Tenant.Name != "stadt" || proof.Person.DisplayName != "Eva Muster" || !provisioner.InGroup(proof.Standing.Groups, staffGroup) {
				t.Errorf("proof %+v", proof)
			}
			ids = append(ids, proof.Person.ID)
		}
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Errorf("one person has the ids %q", ids)
			}
		}
		if n := w.other.searched; n != 0 {
			t.Errorf("the password went to another tenant's directory %d times", n)
		}
	})
}

// A person deleted and made anew with the same login is somebody else.
func TestProveAfterRecreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		before, err := w.service.Prove(t.Context(), from(1), eva(evasPassword))
		if err != nil {
			t.Fatal(err)
		}
		w.ldap.change(evasLogins(), func(a *account) { a.person.StableID = "id-eva-2" })
		after, err := w.service.Prove(t.Context(), from(1), eva(evasPassword))
		if err != nil {
			t.Fatal(err)
		}
		if before.Person.ID == after.Person.ID {
			t.Error("the new Eva got the old one's id")
		}
		standing, err := w.service.Lookup(t.Context(), before.Tenant, before.Person)
		if err != nil || standing.Ended != provisioner.WhyDeleted {
			t.Errorf("the old Eva stands as %+v, %v", standing, err)
		}
	})
}

func TestHelpdeskSeesCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		proof, err := w.service.Prove(t.Context(), from(1), eva(evasPassword))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []signin.Credentials{
			with(eva("falsch"), "stadt\\eva"),
			with(eva(""), "EVA"),
			with(eva("falsch"), evasPassword), // the password typed as the login
			with(eva("falsch"), "muster"),     // part of her name, and nobody's login
		} {
			if _, err := w.service.Prove(t.Context(), from(2), c); codeOf(err) != provisioner.CodeSignInFailed {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		w.ldap.change(evasLogins(), func(a *account) { a.person.Groups = nil })
		if _, err := w.service.Prove(t.Context(), from(1), eva(evasPassword)); codeOf(err) != provisioner.CodeNotInGroup {
			t.Fatal(err)
		}
		var got []string
		for _, r := range w.refusals(t, proof.Person) {
			got = append(got, fmt.Sprintf("%s %s %s", r.Code, r.Cause, r.Source))
		}
		want := []string{"not-in-group  192.0.0.2", "sign-in-failed empty-password 192.0.0.3", "sign-in-failed wrong-password 192.0.0.3"}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("the helpdesk sees\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		all, err := store.Read(t.Context(), w.store, func(tx *store.Reader) ([]store.RecentRefusal, error) {
			return tx.RefusalsOf(provisioner.Person{ID: "nobody", Login: evasPassword}, "stadt", 10)
		})
		if err != nil || len(all) != 0 {
			t.Errorf("a password typed as login was kept: %+v, %v", all, err)
		}
	})
}

// However many guess side by side, and however they spell the login, the
// directory never sees more wrong passwords than the limit.
func TestGuessingSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ldap.takes = 20 * time.Millisecond
		var guessers sync.WaitGroup
		for g := range 8 {
			guessers.Go(func() {
				for i := range 20 {
					spelling := evasLogins()[(g+i)%3]
					_, err := w.service.Prove(t.Context(), from(100*g+i), with(eva(fmt.Sprintf("Sommer%d-%d", g, i)), spelling))
					if codeOf(err) != provisioner.CodeSignInFailed {
						t.Errorf("a guess was answered with %v", err)
					}
				}
			})
		}
		guessers.Wait()
		if n := w.ldap.tries(); n != 3 {
			t.Errorf("the directory saw %d wrong passwords, want 3", n)
		}
		if _, err := w.service.Prove(t.Context(), from(999), eva(evasPassword)); codeOf(err) != provisioner.CodeSignInFailed {
			t.Errorf("the right password passed a full count: %v", err)
		}
		// A restart forgets nothing.
		w.close(t)
		w.open(t)
		if _, err := w.service.Prove(t.Context(), from(999), eva(evasPassword)); codeOf(err) != provisioner.CodeSignInFailed {
			t.Errorf("the right password passed a full count after a restart: %v", err)
		}
		pass(30 * time.Minute)
		if _, err := w.service.Prove(t.Context(), from(999), eva(evasPassword)); err != nil {
			t.Errorf("half an hour later: %v", err)
		}
	})
}

// A password that may cost two tries of the directory's own lockout counts
// twice, so that at most four reach it.
func TestDecomposedPasswordsCountTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 5 {
			_, _ = w.service.Prove(t.Context(), from(i), eva(fmt.Sprintf("Gru\u0308n%d", i)))
		}
		if n := w.ldap.tries(); n != 2 {
			t.Errorf("the directory was asked %d times, each of which may be two tries", n)
		}
	})
}

func TestSourceIsThrottled(t *testing.T) {
	for _, c := range []struct {
		name         string
		first, other string
		want         provisioner.Code
	}{
		{"the same address", "203.0.113.7", "203.0.113.7", provisioner.CodeSignInFailed},
		{"the same with a port", "203.0.113.7:4711", "203.0.113.7:4712", provisioner.CodeSignInFailed},
		{"the same /64", "2001:db8::1", "[2001:db8::2]:443", provisioner.CodeSignInFailed},
		{"mapped into IPv6", "203.0.113.7", "::ffff:203.0.113.7", provisioner.CodeSignInFailed},
		{"the neighbour", "203.0.113.7", "203.0.113.8", ""},
		{"another /64", "2001:db8::1", "2001:db8:0:1::1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				for i := range 30 {
					_, _ = w.service.Prove(t.Context(), provisioner.Actor{Source: c.first}, with(eva("x"), fmt.Sprintf("geraten%d", i)))
				}
				if n := w.ldap.searched; n != 30 {
					t.Fatalf("the directory was asked %d times", n)
				}
				// 15 s have passed, of the 10 minutes.
				_, err := w.service.Prove(t.Context(), provisioner.Actor{Source: c.other}, eva(evasPassword))
				if codeOf(err) != c.want {
					t.Errorf("got %v", err)
				}
				if c.want == "" {
					return
				}
				pass(10 * time.Minute)
				if _, err := w.service.Prove(t.Context(), provisioner.Actor{Source: c.other}, eva(evasPassword)); err != nil {
					t.Errorf("ten minutes later: %v", err)
				}
			})
		})
	}
}

// Tries that a directory never answered are nobody's fault.
func TestSilenceCountsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ldap.falls(directory.Unavailable)
		for range 40 {
			_, _ = w.service.Prove(t.Context(), from(1), eva(evasPassword))
		}
		w.ldap.falls("")
		if _, err := w.service.Prove(t.Context(), from(1), eva(evasPassword)); err != nil {
			t.Error(err)
		}
	})
}

// A database that is away for a moment while the directory is asked is no silence of the
// directory, and nobody is told that her password may be wrong.
func TestOwnFaultsAreNotTheDirectorys(t *testing.T) {
	w := newWorld(t)
	w.ldap.telling = func(tell func() error) error {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
		err := tell()
		s, reopened := store.Open(context.Background(), store.Options{Database: w.path, Logger: w.log})
		if reopened != nil {
			t.Fatal(reopened)
		}
		w.store, w.service.Store = s, s
		return err
	}
	if _, err := w.service.Prove(t.Context(), from(1), eva(evasPassword)); err == nil || codeOf(err) == provisioner.CodeSignInFailed {
		t.Errorf("without a database the sign-in gave %v", err)
	}
	if told := w.refusals(t, provisioner.Person{Login: "eva"}); len(told) > 0 {
		t.Errorf("the helpdesk sees %v", told)
	}
}

// Whoever hangs up before the answer has made a try all the same.
func TestHangingUpCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ldap.takes = time.Second
		for i := range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			_, err := w.service.Prove(ctx, from(i), eva(fmt.Sprint(i)))
			cancel()
			if err == nil {
				t.Fatal("a guess was right")
			}
		}
		if n := w.ldap.tries(); n != 3 {
			t.Errorf("the directory saw %d wrong passwords, want 3", n)
		}
	})
}

// Success forgives the login, and not the source.
func TestSuccessForgives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for round := range 14 {
			for range 2 {
				_, _ = w.service.Prove(t.Context(), from(1), eva("falsch"))
			}
			if _, err := w.service.Prove(t.Context(), from(1), eva(evasPassword)); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		for range 2 {
			_, _ = w.service.Prove(t.Context(), from(1), eva("falsch"))
		}
		if _, err := w.service.Prove(t.Context(), from(1), eva(evasPassword)); codeOf(err) != provisioner.CodeSignInFailed {
			t.Error("thirty wrong passwords from one address did not fill its count")
		}
	})
}

func TestPasswordHides(t *testing.T) {
	c := eva(evasPassword)
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "c", c, "p", c.Password)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%s %q", c.Password, c.Password), string(asJSON), logged.String()} {
		if strings.Contains(text, evasPassword) {
			t.Errorf("readable in %s", text)
		}
	}
}

// After a restore the counts since the backup are missing, and the directory
// has them: one wrong password is let through, until they would be over.
func TestAfterARestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.update(t, (*store.Writer).ForgetSignIns)
		if _, err := w.service.Prove(t.Context(), from(1), eva(evasPassword)); err != nil {
			t.Errorf("the right password: %v", err)
		}
		for i := range 5 {
			_, _ = w.service.Prove(t.Context(), from(i), eva(fmt.Sprintf("Sommer%d", i)))
		}
		if n := w.ldap.tries(); n != 1+1 {
			t.Errorf("the directory was asked %d times", n)
		}
		pass(30 * time.Minute)
		before := w.ldap.tries()
		for i := range 5 {
			_, _ = w.service.Prove(t.Context(), from(i), eva(fmt.Sprintf("Winter%d", i)))
		}
		if n := w.ldap.tries() - before; n != 3 {
			t.Errorf("half an hour later it was asked %d times", n)
		}
	})
}

// TestADeadDirectorySlowsNobodyElse: who signs in against another directory waits for nothing.
func TestADeadDirectorySlowsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.other.takes = 5 * time.Second
		var waiting sync.WaitGroup
		for n := range 50 {
			waiting.Go(func() {
				c := signin.Credentials{Tenant: "dorf", Login: fmt.Sprint("niemand", n), Password: "x"}
				if _, err := w.service.Prove(t.Context(), from(100+n), c); err == nil {
					t.Error("somebody signed in")
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if _, err := w.service.Prove(t.Context(), from(1), eva(evasPassword)); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("signing in took %v beside a directory that does not answer", took)
		}
		waiting.Wait()
	})
}

// TestWhileTheDirectoryIsFollowed: groups are known, and the directory is asked for the password alone; openings do not ask it
// at all. Who is not known to be staff is asked for.
func TestWhileTheDirectoryIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		proof, err := w.service.Prove(t.Context(), from(1), eva(evasPassword))
		if err != nil {
			t.Fatal(err)
		}
		live := func() {
			w.update(t, func(tx *store.Writer) error {
				return tx.PutFollowing(store.Following{Directory: "stadt-ad", State: store.FollowingLive, Since: tx.Now, HeardAt: tx.Now})
			})
		}
		live()
		w.ldap.change(evasLogins(), func(a *account) { a.person.Groups = nil }) // which the feed has not told
		if standing, err := w.service.Lookup(t.Context(), proof.Tenant, proof.Person); err != nil || !standing.Entitled {
			t.Errorf("while it is followed: %+v, %v", standing, err)
		}
		if _, err := w.service.Prove(t.Context(), from(2), eva(evasPassword)); err != nil {
			t.Errorf("while it is followed: %v", err)
		}
		if _, err := w.service.Prove(t.Context(), from(3), signin.Credentials{Tenant: "stadt", Login: "draussen", Password: evasPassword}); codeOf(err) != provisioner.CodeNotInGroup {
			t.Errorf("who is not in the group: %v", err)
		}
		w.ldap.change([]string{"draussen"}, func(a *account) { a.person.Groups = []string{staffGroup} }) // a moment ago
		if _, err := w.service.Prove(t.Context(), from(4), signin.Credentials{Tenant: "stadt", Login: "draussen", Password: evasPassword}); err != nil {
			t.Errorf("who has joined the group a moment ago: %v", err)
		}
		pass(46 * time.Second) // the follower has fallen silent
		if standing, err := w.service.Lookup(t.Context(), proof.Tenant, proof.Person); err != nil || standing.Entitled {
			t.Errorf("when it is followed no more: %+v, %v", standing, err)
		}
		live()
		w.ldap.falls(directory.Unavailable)
		w.ldap.change(evasLogins(), func(a *account) { a.person.Groups = []string{staffGroup} })
		pass(4*time.Hour - time.Minute)
		// It was heard until a moment after the standing was read, which holds as long from then on.
		if _, err := w.service.Lookup(t.Context(), proof.Tenant, proof.Person); codeOf(err) != "" {
			t.Errorf("down for less than four hours: %v", err)
		}
	})
}
