package ldap_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/sambatest"
)

// domainUsers is everybody's primary group, which lists nobody.
const domainUsers = "CN=Domain Users,CN=Users," + sambatest.Base

func TestActiveDirectorySignIn(t *testing.T) {
	t.Parallel()
	s := sambatest.Start(t, sambatest.Options{})
	const password = "Grüße-aus-Nürnberg"
	dn := s.AddPerson(sambatest.TownHall, "müller", "Müller, Jürgen (IT)", password, map[string][]string{"mail": {"juergen.mueller@stadt.example"}})
	inner := s.AddGroup("Innendienst", dn)
	middle := s.AddGroup("Amt 1", inner)
	staff := s.AddGroup("Homeoffice", middle)
	other := s.AddGroup("Andere")
	d := open(t, s.Configuration())
	missing := "CN=gibtsnicht," + sambatest.GroupsBase
	query := directory.Query{StaffGroup: staff, Groups: []string{inner, other, domainUsers, missing}}
	var before directory.Person
	for _, login := range []string{
		"müller", "MÜLLER", " müller ", norm.NFD.String("müller"), "müller@stadt.example", `STADT\müller`, `stadt\MÜLLER`, "juergen.mueller@stadt.example",
	} {
		query.Login = login
		p, err := d.SignIn(t.Context(), query, password)
		if err != nil {
			t.Errorf("%q: %v", login, err)
			continue
		}
		want := directory.Person{
			Directory: "stadt", StableID: p.StableID, Login: "müller", DisplayName: "Müller, Jürgen (IT)", Mail: "juergen.mueller@stadt.example", DN: p.DN,
			Groups: []string{staff, inner, domainUsers}, MissingGroups: []string{missing}, Status: directory.Status{PasswordEndsAt: p.Status.PasswordEndsAt, PasswordChangedAt: p.Status.PasswordChangedAt},
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("%q (-want +got):\n%s", login, diff)
		}
		// The domain's passwords are good for 42 days.
		if left := time.Until(p.Status.PasswordEndsAt); left < 41*24*time.Hour || left > 43*24*time.Hour {
			t.Errorf("the password ends at %v", p.Status.PasswordEndsAt)
		}
		if age := time.Since(p.Status.PasswordChangedAt); age < -time.Minute || age > 10*time.Minute {
			t.Errorf("the password was set at %v", p.Status.PasswordChangedAt)
		}
		if before.StableID != "" && before.StableID != p.StableID {
			t.Errorf("%q has another stable id: %s and %s", login, before.StableID, p.StableID)
		}
		before = p
	}
	s.Move(dn, "Jürgen Meier", sambatest.Depot)
	p, err := d.Lookup(t.Context(), "", before.StableID, []string{staff})
	if err != nil || p.DN == before.DN || !p.In(staff) {
		t.Errorf("after a move: %+v, %v", p, err)
	}
	s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", password, nil)
	s.Delete(p.DN)
	_, err = d.Lookup(t.Context(), "", before.StableID, nil)
	wantCause(t, err, directory.Gone)
	s.AddPerson(sambatest.TownHall, "müller", "Jürgen Müller", password, nil)
	p, err = d.SignIn(t.Context(), directory.Query{Login: "müller"}, password)
	if err != nil || p.StableID == before.StableID {
		t.Errorf("made anew: %+v, %v", p, err)
	}
}

func TestActiveDirectoryStatus(t *testing.T) {
	t.Parallel()
	s := sambatest.Start(t, sambatest.Options{})
	const right, wrong = "Guten-Morgen", "falsch-falsch"
	past := time.Date(2020, 3, 1, 0, 0, 0, 0, time.UTC)
	future := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	none := func(string) {}
	disabled := func(dn string) { s.Disable(dn) }
	expired := func(dn string) { s.ExpireAt(dn, past) }
	mustChange := func(dn string) { s.Set(dn, "pwdLastSet", "0") }
	lockedOut := func(dn string) { s.LockOut(dn) }
	both := func(first, second func(string)) func(string) { return func(dn string) { first(dn); second(dn) } }
	for _, tt := range []struct {
		name   string
		make   func(dn string)
		typed  string
		cause  directory.Cause
		detail string // in the error
		want   directory.Status
	}{
		{"in order", none, right, "", "", directory.Status{}},
		{"wrong password", none, wrong, directory.WrongPassword, "data 52e", directory.Status{}},
		{"disabled", disabled, right, "", "", directory.Status{Ended: directory.EndDisabled}},
		{"disabled, wrong password", disabled, wrong, directory.WrongPassword, "data 52e", directory.Status{Ended: directory.EndDisabled}},
		{"expired", expired, right, "", "", directory.Status{Ended: directory.EndExpired, EndsAt: past}},
		{"expired, wrong password", expired, wrong, directory.WrongPassword, "data 52e", directory.Status{Ended: directory.EndExpired, EndsAt: past}},
		{"will expire", func(dn string) { s.ExpireAt(dn, future) }, right, "", "", directory.Status{EndsAt: future}},
		{"must change", mustChange, right, "", "", directory.Status{MustChangePassword: true}},
		{"must change, wrong password", mustChange, wrong, directory.WrongPassword, "data 52e", directory.Status{MustChangePassword: true}},
		{"disabled and expired", both(disabled, expired), right, "", "", directory.Status{Ended: directory.EndDisabled, EndsAt: past}},
		{"locked out", lockedOut, right, directory.Locked, "data 775", directory.Status{SignInBlocked: true}},
		{"locked out, wrong password", lockedOut, wrong, directory.Locked, "data 775", directory.Status{SignInBlocked: true}},
		{"locked out and disabled", both(disabled, lockedOut), right, directory.Locked, "data 775", directory.Status{SignInBlocked: true, Ended: directory.EndDisabled}},
		{"was locked out", both(lockedOut, s.Unlock), right, "", "", directory.Status{}},
		{"password never expires", func(dn string) { s.Set(dn, "userAccountControl", "66048") }, right, "", "", directory.Status{}},
		{"never set a password", func(dn string) { s.Set(dn, "userAccountControl", "544") }, "", directory.EmptyPassword, "", directory.Status{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			login := strings.NewReplacer(" ", "", ",", "").Replace(tt.name)
			login = login[:min(20, len(login))]
			tt.make(s.AddPerson(sambatest.TownHall, login, tt.name, right, nil))
			d := open(t, s.Configuration())
			p, err := d.SignIn(t.Context(), directory.Query{Login: login}, tt.typed)
			wantCause(t, err, tt.cause, tt.typed)
			if tt.detail != "" && (err == nil || !strings.Contains(err.Error(), tt.detail)) {
				t.Errorf("the server says %v, not %q", err, tt.detail)
			}
			p.Status.PasswordEndsAt, p.Status.PasswordChangedAt = time.Time{}, time.Time{}
			if diff := cmp.Diff(tt.want, p.Status); tt.cause != directory.EmptyPassword && diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestActiveDirectoryPasswordExpires(t *testing.T) {
	t.Parallel()
	s := sambatest.Start(t, sambatest.Options{})
	dn := s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "Guten-Morgen", nil)
	d := open(t, s.Configuration())
	login := directory.Query{Login: "eva"}
	ended := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	s.SetPasswordOn(dn, ended.Add(-42*24*time.Hour))
	p, err := d.SignIn(t.Context(), login, "Guten-Morgen")
	wantCause(t, err, "")
	if diff := cmp.Diff(directory.Status{PasswordExpired: true, PasswordEndsAt: ended, PasswordChangedAt: ended.Add(-42 * 24 * time.Hour)}, p.Status); diff != "" {
		t.Errorf("an expired password (-want +got):\n%s", diff)
	}
	_, err = d.SignIn(t.Context(), login, "falsch-falsch")
	wantCause(t, err, directory.WrongPassword)
	s.Set(dn, "userAccountControl", "66048") // never expires
	p, err = d.SignIn(t.Context(), login, "Guten-Morgen")
	wantCause(t, err, "")
	if diff := cmp.Diff(directory.Status{PasswordChangedAt: ended.Add(-42 * 24 * time.Hour)}, p.Status); diff != "" {
		t.Errorf("a password that never expires (-want +got):\n%s", diff)
	}
}

func TestActiveDirectoryWithoutTLS(t *testing.T) {
	t.Parallel()
	s := sambatest.Start(t, sambatest.Options{})
	s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "Guten-Morgen", nil)
	cfg := s.Configuration()
	cfg.Servers = []string{s.LDAP} // StartTLS
	if _, err := open(t, cfg).SignIn(t.Context(), directory.Query{Login: "eva"}, "Guten-Morgen"); err != nil {
		t.Errorf("with StartTLS: %v", err)
	}
	cfg.Plain = true
	_, err := open(t, cfg).SignIn(t.Context(), directory.Query{Login: "eva"}, "Guten-Morgen")
	wantCause(t, err, directory.Misconfigured, "Guten-Morgen")
	if err == nil || !strings.Contains(err.Error(), "demands TLS") {
		t.Errorf("without TLS: %v", err)
	}
}

// TestActiveDirectoryAtTheDomain: a search from the domain's own entry answers with references to its other parts, too.
func TestActiveDirectoryAtTheDomain(t *testing.T) {
	t.Parallel()
	s := sambatest.Start(t, sambatest.Options{})
	s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "Guten-Morgen", nil)
	cfg := s.Configuration()
	cfg.Base = sambatest.Base
	d := open(t, cfg)
	p, err := d.SignIn(t.Context(), directory.Query{Login: "eva", StaffGroup: domainUsers}, "Guten-Morgen")
	if err != nil || !p.In(domainUsers) {
		t.Errorf("at the domain: %+v, %v", p, err)
	}
	_, err = d.SignIn(t.Context(), directory.Query{Login: "DC1$"}, "Guten-Morgen")
	wantCause(t, err, directory.UnknownLogin) // a computer is nobody
	for _, f := range d.Check(t.Context(), "") {
		if !f.OK {
			t.Errorf("a check fails: %+v", f)
		}
	}
	f := d.Feed(directory.Interest{Bases: []string{sambatest.Base}})
	o := newObserver()
	if err := f.Reconcile(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if e := o.named(t, "Eva Müller"); e.Person == nil || e.Person.Status != (directory.Status{PasswordEndsAt: p.Status.PasswordEndsAt, PasswordChangedAt: p.Status.PasswordChangedAt}) {
		t.Errorf("told: %+v", e)
	}
}

// TestActiveDirectoryBind: what the names are that a service account may have.
func TestActiveDirectoryServiceAccountNames(t *testing.T) {
	t.Parallel()
	s := sambatest.Start(t, sambatest.Options{})
	s.AddPerson(sambatest.TownHall, "eva", "Eva Müller", "Guten-Morgen", nil)
	for name, want := range map[string]directory.Cause{
		sambatest.ServiceDN: "", "svc-vpn@" + sambatest.DNSName: "", sambatest.NetBIOS + `\svc-vpn`: "", "svc-vpn": directory.Misconfigured,
	} {
		cfg := s.Configuration()
		cfg.BindDN = name
		_, err := open(t, cfg).SignIn(t.Context(), directory.Query{Login: "eva"}, "Guten-Morgen")
		wantCause(t, err, want, sambatest.ServicePassword)
	}
}
