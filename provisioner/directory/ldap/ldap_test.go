package ldap_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// open uses a directory until the test ends.
func open(t testing.TB, cfg directory.Config) *ldap.Directory {
	t.Helper()
	d, err := ldap.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func signIn(t testing.TB, d directory.Directory, login, password string, groups ...string) directory.Person {
	t.Helper()
	p, err := d.SignIn(t.Context(), directory.Query{Login: login, StaffGroup: slapdtest.StaffGroup, Groups: groups}, password)
	if err != nil {
		t.Fatalf("signing in %s: %v", login, err)
	}
	return p
}

// wantCause fails unless err has the cause, and in any case if it gives a secret away.
func wantCause(t testing.TB, err error, want directory.Cause, secrets ...string) {
	t.Helper()
	if got := directory.CauseOf(err); got != want {
		t.Errorf("cause is %q, want %q (error: %v)", got, want, err)
	}
	for _, secret := range secrets {
		if err != nil && len(secret) > 3 && strings.Contains(err.Error(), secret) {
			t.Errorf("the error contains what was typed: %v", err)
		}
	}
}

func TestSignInFindsThePersonAndHerGroups(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{People: 500})
	d := open(t, s.Configuration())
	got := signIn(t, d, "müller", "Grüße-aus-Nürnberg", slapdtest.Helpdesk, slapdtest.UniqueGroup, slapdtest.PosixGroup,
		slapdtest.DeepGroup, slapdtest.CycleGroup, slapdtest.HiddenGroup, "cn=gibtsnicht,"+slapdtest.GroupsBase)
	if got.StableID == "" {
		t.Error("no stable id")
	}
	want := directory.Person{
		Directory: "stadt", StableID: got.StableID, Login: "müller", DisplayName: "Jürgen Müller",
		DN:            "uid=müller,ou=Rathaus," + slapdtest.PeopleBase,
		Groups:        []string{slapdtest.StaffGroup, slapdtest.Helpdesk, slapdtest.UniqueGroup},
		MissingGroups: []string{slapdtest.HiddenGroup, "cn=gibtsnicht," + slapdtest.GroupsBase},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("person (-want +got):\n%s", diff)
	}
	missing, err := d.MissingGroups(t.Context(), []string{slapdtest.StaffGroup, slapdtest.HiddenGroup, "cn=gibtsnicht," + slapdtest.GroupsBase, "no DN"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{slapdtest.HiddenGroup, "cn=gibtsnicht," + slapdtest.GroupsBase, "no DN"}, missing); diff != "" {
		t.Errorf("missing groups (-want +got):\n%s", diff)
	}
	again, err := d.Lookup(t.Context(), "", got.StableID, []string{slapdtest.StaffGroup, slapdtest.Helpdesk})
	if err != nil {
		t.Fatal(err)
	}
	want.Groups, want.MissingGroups = []string{slapdtest.StaffGroup, slapdtest.Helpdesk}, nil
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("looked up (-want +got):\n%s", diff)
	}
}

func TestPeopleTypeAnything(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{People: 20})
	d := open(t, s.Configuration())
	const password = "Grüße-aus-Nürnberg"
	nobody := directory.UnknownLogin
	for _, tt := range []struct {
		name, login, password string
		want                  directory.Cause
	}{
		{"as it should be", "müller", password, ""},
		{"capitals", "MÜLLER", password, ""},
		{"outer spaces", "  müller\t", password, ""},
		{"decomposed login", norm.NFD.String("müller"), password, ""},
		{"decomposed password", "müller", norm.NFD.String(password), ""},
		{"decomposed and capitals", norm.NFD.String(" MÜLLER"), norm.NFD.String(password), ""},
		{"mail address", "p00002@stadt.example", "passwort-00002", ""},
		{"mail address in capitals", "P00002@STADT.EXAMPLE", "passwort-00002", ""},
		{"login with a comma, name with brackets", "komma, klammer", "komma-passwort", ""},
		{"sharp s", "weiß", "weiss-passwort", ""},
		{"capitals without sharp s", "WEISS", "weiss-passwort", nobody},
		{"ue for ü", "Mueller", password, nobody},
		{"star", "*", password, nobody},
		{"everybody with p", "p*", "passwort-00001", nobody},
		{"filter", "*)(objectClass=*", password, nobody},
		{"filter in hexadecimal", `\2a`, password, nobody},
		{"DN", "uid=müller,ou=Rathaus," + slapdtest.PeopleBase, password, nobody},
		{"NUL", "müller\x00", password, nobody},
		{"no UTF-8", "m\xfcller", password, nobody},
		{"very long login", strings.Repeat("m", 1<<20), password, nobody},
		{"empty login", "", password, nobody},
		{"blank login", " \t ", password, nobody},
		{"unknown", "niemand", password, nobody},
		{"empty password", "müller", "", directory.EmptyPassword},
		{"huge password", "müller", strings.Repeat("x", 1<<20), directory.PasswordTooLong},
		{"password of the greatest length", "p00007", strings.Repeat("x", directory.MaxPassword), directory.WrongPassword},
		{"blank password", "p00008", " ", directory.WrongPassword},
		{"password with NUL", "p00009", "passwort-00009\x00", directory.WrongPassword},
		{"wrong password", "p00010", "falsch-falsch", directory.WrongPassword},
		{"capitals in the password", "p00011", "PASSWORT-00011", directory.WrongPassword},
		{"one login in two units", "zwilling", "zwilling-passwort", directory.AmbiguousLogin},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := d.SignIn(t.Context(), directory.Query{Login: tt.login}, tt.password)
			wantCause(t, err, tt.want, tt.password)
			if tt.want == nobody {
				wantCause(t, err, tt.want, tt.login) // it may be a password in the wrong field
			}
			if (tt.want == "" || tt.want == directory.WrongPassword) && p.StableID == "" {
				t.Error("the person found was not returned")
			}
		})
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{})
	d := open(t, s.Configuration())
	for _, tt := range []struct {
		login, password string
		cause           directory.Cause
		want            directory.Status
	}{
		{"neuling", "neuling-passwort", "", directory.Status{MustChangePassword: true}},
		{"altpasswort", "altpasswort-passwort", "", directory.Status{PasswordExpired: true}},
		{"altpasswort", "falsch", directory.WrongPassword, directory.Status{}},
		{"abgelaufen", "abgelaufen-passwort", "", directory.Status{Ended: directory.EndExpired, EndsAt: time.Unix(18000*86400, 0).UTC()}},
		{"entsperrt", "falsch", directory.Locked, directory.Status{SignInBlocked: true}},
		{"entsperrt", "entsperrt-passwort", "", directory.Status{}}, // the mark is there, the lock has ended
		{"gesperrt", "gesperrt-passwort", directory.Locked, directory.Status{Ended: directory.EndLocked}},
	} {
		t.Run(tt.login, func(t *testing.T) {
			p, err := d.SignIn(t.Context(), directory.Query{Login: tt.login}, tt.password)
			wantCause(t, err, tt.cause, tt.password)
			p.Status.PasswordChangedAt = time.Time{}
			if diff := cmp.Diff(tt.want, p.Status); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWrongPasswordsBlockSigningInAndNothingElse(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{People: 5})
	d := open(t, s.Configuration())
	login, password := slapdtest.Person(2)
	for range 3 { // pwdMaxFailure
		_, err := d.SignIn(t.Context(), directory.Query{Login: login}, "falsch")
		wantCause(t, err, directory.WrongPassword)
	}
	p, err := d.SignIn(t.Context(), directory.Query{Login: login}, password)
	wantCause(t, err, directory.Locked)
	p, err = d.Lookup(t.Context(), "", p.StableID, []string{slapdtest.StaffGroup})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(directory.Status{SignInBlocked: true}, p.Status); diff != "" || !p.In(slapdtest.StaffGroup) {
		t.Errorf("after a lockout: groups %v, status (-want +got):\n%s", p.Groups, diff)
	}
}

func TestOneWrongPasswordCostsOneAttempt(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{People: 5})
	cfg := s.Configuration()
	cfg.Servers = []string{s.LDAPS, s.LDAP} // the next server must not be asked about a password
	d := open(t, cfg)
	login, password := slapdtest.Person(2)
	for range 2 {
		_, err := d.SignIn(t.Context(), directory.Query{Login: login}, "falsch")
		wantCause(t, err, directory.WrongPassword)
	}
	signIn(t, d, login, password) // a third failure would have locked the account
}

func TestNestedGroups(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{People: 500})
	d := open(t, s.Configuration())
	for _, tt := range []struct {
		login, password string
		groups, want    []string
	}{
		{"tief", "tief-passwort", []string{slapdtest.DeepGroup}, []string{slapdtest.StaffGroup, slapdtest.DeepGroup}},
		{"kreis", "kreis-passwort", []string{slapdtest.CycleGroup, slapdtest.DeepGroup, slapdtest.PosixGroup}, []string{slapdtest.StaffGroup, slapdtest.CycleGroup, slapdtest.PosixGroup}},
		{"p00002", "passwort-00002", nil, []string{slapdtest.StaffGroup}}, // through department and division
		{"p00010", "passwort-00010", nil, nil},
		{"p00003", "passwort-00003", []string{strings.ToUpper(slapdtest.StaffGroup)}, nil},
		{"draussen", "draussen-passwort", []string{"CN=Innendienst , ou=gruppen,DC=stadt,dc=example"}, []string{"CN=Innendienst , ou=gruppen,DC=stadt,dc=example"}},
	} {
		t.Run(tt.login, func(t *testing.T) {
			p := signIn(t, d, tt.login, tt.password, tt.groups...)
			if diff := cmp.Diff(tt.want, p.Groups); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
			if p.MissingGroups != nil {
				t.Errorf("missing groups: %v", p.MissingGroups)
			}
		})
	}
}

func TestStaffGroupThatIsNotThereIsAFault(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{})
	d := open(t, s.Configuration())
	for _, group := range []string{slapdtest.HiddenGroup, "cn=gibtsnicht," + slapdtest.Base, "kein DN"} {
		_, err := d.SignIn(t.Context(), directory.Query{Login: "müller", StaffGroup: group}, "Grüße-aus-Nürnberg")
		wantCause(t, err, directory.Misconfigured)
	}
}

func TestTheWholeCity(t *testing.T) {
	t.Parallel()
	const people = 29000
	s := slapdtest.Start(t, slapdtest.Options{People: people})
	d := open(t, s.Configuration())
	for _, n := range []int{0, 2, 7, 14502, 28998, 28999} {
		login, password := slapdtest.Person(n)
		p := signIn(t, d, login, password)
		if want := n%2 == 0 && n%10 != 0; p.In(slapdtest.StaffGroup) != want || p.DN != slapdtest.PersonDN(n) {
			t.Errorf("person %d: %+v, should be in the staff group: %v", n, p, want)
		}
	}
}
