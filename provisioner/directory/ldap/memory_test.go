package ldap_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// served is a directory in memory behind a port.
type served struct {
	*memory.Directory
	cfg  directory.Config
	stop func() error // ends serving and returns what Serve returned
}

func serve(t *testing.T, o memory.Options) served {
	t.Helper()
	d, err := memory.New(o)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := slapdtest.NewCertificates(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certs.Cert, certs.Key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // ends in the cleanup, which the test's context does not reach
	done := make(chan error, 1)
	go func() {
		done <- d.Serve(ctx, l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
		close(done)
	}()
	stop := func() error { cancel(); return <-done }
	t.Cleanup(func() { _ = stop() })
	return served{Directory: d, stop: stop, cfg: directory.Config{
		Name: o.Name, Servers: []string{"ldaps://" + l.Addr().String()}, CAPEM: certs.CA,
		BindDN: slapdtest.ServiceDN, BindPasswordFile: write(t, slapdtest.ServicePassword), Base: slapdtest.PeopleBase,
	}}
}

// TestThreeDirectoriesSayTheSame asks a slapd, the directory in memory, and the directory in memory over the
// wire for the same people.
func TestThreeDirectoriesSayTheSame(t *testing.T) {
	t.Parallel()
	const people = 200
	slapd := open(t, slapdtest.Start(t, slapdtest.Options{People: people}).Configuration())
	s := serve(t, memory.Options{Name: "stadt", Base: slapdtest.PeopleBase, LDIF: slapdtest.LDIF(people)})
	wire := open(t, s.cfg)

	type question struct{ login, password string }
	questions := []question{
		{"*", "x"}, {"niemand", "x"}, {"P00002@stadt.example", "passwort-00002"}, {" p00002 ", "passwort-00002"}, {"weiß", ""},
		{"svc-vpn", slapdtest.ServicePassword}, {"Homeoffice", "x"}, {"p00002", "passwort-00002 "},
	}
	for _, m := range slapdtest.Members() {
		questions = append(questions, question{m.UID, "falsch"})
		if m.UID != "altpasswort" && m.UID != "entsperrt" { // the ages of passwords and locks are slapd's own arithmetic
			questions = append(questions, question{m.UID, m.Password})
		}
	}
	for n := range 20 {
		login, password := slapdtest.Person(n * 7)
		questions = append(questions, question{login, password})
	}
	q := directory.Query{StaffGroup: slapdtest.StaffGroup, Groups: []string{
		slapdtest.Helpdesk, slapdtest.DeepGroup, slapdtest.CycleGroup, slapdtest.UniqueGroup, slapdtest.PosixGroup, "cn=weg," + slapdtest.GroupsBase,
	}}
	type answer struct {
		Person directory.Person
		Cause  directory.Cause
	}
	for _, question := range questions {
		ask := func(d directory.Directory) answer {
			q.Login = question.login
			p, err := d.SignIn(t.Context(), q, question.password)
			return answer{p, directory.CauseOf(err)}
		}
		want, got, wired := ask(slapd), ask(s.Directory), ask(wire)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(directory.Person{}, "StableID")); diff != "" {
			t.Errorf("%s: slapd and memory differ (-slapd +memory):\n%s", question.login, diff)
		}
		if diff := cmp.Diff(got, wired); diff != "" {
			t.Errorf("%s: memory and memory over the wire differ (-direct +wire):\n%s", question.login, diff)
		}
		if got.Person.StableID == "" {
			continue
		}
		for _, groups := range [][]string{nil, q.Groups} {
			direct, err := s.Lookup(t.Context(), "", got.Person.StableID, groups)
			over, errOver := wire.Lookup(t.Context(), "", got.Person.StableID, groups)
			if diff := cmp.Diff(direct, over); diff != "" || err != nil || errOver != nil {
				t.Errorf("looking up %s: %v, %v, (-direct +wire):\n%s", question.login, err, errOver, diff)
			}
		}
	}
}

const activeDirectory = `dn: DC=stadt,DC=example
objectClass: domainDNS
dc: stadt

dn: ou=Dienste,dc=stadt,dc=example
objectClass: organizationalUnit
ou: Dienste

dn: cn=svc-vpn,ou=Dienste,dc=stadt,dc=example
objectClass: serviceAccount
cn: svc-vpn
userPassword: service-password

dn: ou=Personal,dc=stadt,dc=example
objectClass: organizationalUnit
ou: Personal

dn: CN=Anna Amt,OU=Personal,DC=stadt,DC=example
objectClass: person
objectClass: user
sAMAccountName: anna
userPrincipalName: anna.amt@stadt.example
objectGUID:: ABEiM0RVZneImaq7zN3u/w==
objectSid:: AQUAAAAAAAUVAAAAYWFhYWJiYmJjY2NjUQQAAA==
primaryGroupID: 513
userAccountControl: 512
accountExpires: 9223372036854775807
pwdLastSet: 133000000000000000
userPassword: annas-passwort

dn: CN=PC1,OU=Personal,DC=stadt,DC=example
objectClass: person
objectClass: user
objectClass: computer
sAMAccountName: pc1
userAccountControl: 4096
userPassword: pc-passwort

dn: CN=Domain Users,DC=stadt,DC=example
objectClass: group
objectSid:: AQUAAAAAAAUVAAAAYWFhYWJiYmJjY2NjAQIAAA==

dn: CN=Homeoffice,DC=stadt,DC=example
objectClass: group
member: CN=Bauamt,DC=stadt,DC=example

dn: CN=Bauamt,DC=stadt,DC=example
objectClass: group
member: CN=Anna Amt,OU=Personal,DC=stadt,DC=example
member: CN=Homeoffice,DC=stadt,DC=example

dn: CN=Fremde,DC=stadt,DC=example
objectClass: group
`

func TestActiveDirectory(t *testing.T) {
	t.Parallel()
	s := serve(t, memory.Options{Name: "ad", Base: slapdtest.PeopleBase, LDIF: []byte(activeDirectory), Flavour: directory.ActiveDirectory})
	d := open(t, s.cfg)
	const dn = "CN=Anna Amt,OU=Personal,DC=stadt,DC=example"
	q := directory.Query{
		Login: "anna", StaffGroup: "CN=Homeoffice,DC=stadt,DC=example",
		Groups: []string{"cn=domain users,dc=stadt,dc=example", "CN=Fremde,DC=stadt,DC=example", "CN=Weg,DC=stadt,DC=example"},
	}
	got, err := d.SignIn(t.Context(), q, "annas-passwort")
	if err != nil {
		t.Fatal(err)
	}
	want := directory.Person{
		Directory: "ad", StableID: "33221100-5544-7766-8899-aabbccddeeff", Login: "anna", DisplayName: "anna", DN: dn,
		Groups: []string{q.StaffGroup, q.Groups[0]}, MissingGroups: []string{q.Groups[2]},
		Status: directory.Status{PasswordChangedAt: got.Status.PasswordChangedAt},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("person (-want +got):\n%s", diff)
	}
	if again, err := d.Lookup(t.Context(), "", want.StableID, []string{q.StaffGroup}); err != nil || again.DN != dn || !again.In(q.StaffGroup) {
		t.Errorf("looked up: %+v, %v", again, err)
	}
	for _, login := range []string{"ANNA", `STADT\anna`, "anna.amt@stadt.example"} {
		q.Login = login
		if _, err := d.SignIn(t.Context(), q, "annas-passwort"); err != nil {
			t.Errorf("signing in as %s: %v", login, err)
		}
	}
	_, err = d.SignIn(t.Context(), directory.Query{Login: "pc1"}, "pc-passwort")
	wantCause(t, err, directory.UnknownLogin)

	// What Active Directory refuses after the password was right is a proven password with a status.
	q.Login = "anna"
	for _, tt := range []struct {
		attribute, value string
		cause            directory.Cause
		want             directory.Status
	}{
		{"userAccountControl", "514", "", directory.Status{Ended: directory.EndDisabled}},
		{"accountExpires", "116444736000000000", "", directory.Status{Ended: directory.EndExpired, EndsAt: time.Unix(0, 0).UTC()}},
		{"pwdLastSet", "0", "", directory.Status{MustChangePassword: true}},
		{"msDS-User-Account-Control-Computed", "8388608", "", directory.Status{PasswordExpired: true}},
		{"msDS-User-Account-Control-Computed", "16", directory.Locked, directory.Status{SignInBlocked: true}},
	} {
		old := map[string]string{"userAccountControl": "512", "accountExpires": "0", "pwdLastSet": "1", "msDS-User-Account-Control-Computed": "0"}[tt.attribute]
		if err := s.Set(dn, tt.attribute, tt.value); err != nil {
			t.Fatal(err)
		}
		for name, asked := range map[string]directory.Directory{"wire": d, "direct": s.Directory} {
			p, err := asked.SignIn(t.Context(), q, "annas-passwort")
			wantCause(t, err, tt.cause)
			p.Status.PasswordChangedAt = time.Time{}
			if diff := cmp.Diff(tt.want, p.Status); diff != "" {
				t.Errorf("%s, %s = %s (-want +got):\n%s", name, tt.attribute, tt.value, diff)
			}
			if tt.cause == "" {
				_, err = asked.SignIn(t.Context(), q, "falsch")
				wantCause(t, err, directory.WrongPassword)
			}
		}
		if err := s.Set(dn, tt.attribute, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Set(dn, "userAccountControl"); err != nil {
		t.Fatal(err)
	}
	_, err = d.Lookup(t.Context(), "", want.StableID, nil)
	wantCause(t, err, directory.Misconfigured) // nothing is known about an account whose state is hidden
}

func TestServedDirectoryStops(t *testing.T) {
	s := serve(t, memory.Options{Name: "stadt", Base: slapdtest.PeopleBase, LDIF: slapdtest.LDIF(0)})
	d := open(t, s.cfg)
	signIn(t, d, "weiß", "weiss-passwort")

	s.SetUnavailable(true)
	_, err := d.SignIn(t.Context(), directory.Query{Login: "weiß"}, "weiss-passwort")
	wantCause(t, err, directory.Unavailable)
	s.SetUnavailable(false)
	signIn(t, d, "weiß", "weiss-passwort")

	// Clients that rest, that never finish their handshake, and that say nothing do not hold it up.
	address := strings.TrimPrefix(s.cfg.Servers[0], "ldaps://")
	idle, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	within(t, 0, "stopping", func() {
		if err := s.stop(); err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	if _, err := io.ReadAll(idle); err != nil && errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an idle connection stayed open: %v", err)
	}
	_, err = d.SignIn(t.Context(), directory.Query{Login: "weiß"}, "weiss-passwort")
	wantCause(t, err, directory.Unavailable)
}

func TestServedDirectoryKeepsToItsRules(t *testing.T) {
	t.Parallel()
	s := serve(t, memory.Options{Name: "stadt", Base: slapdtest.PeopleBase, LDIF: slapdtest.LDIF(50)})
	c, err := goldap.DialURL(s.cfg.Servers[0], goldap.DialWithTLSConfig(&tls.Config{InsecureSkipVerify: true}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	search := func(base string, scope, limit int, filter string, attributes ...string) ([]*goldap.Entry, error) {
		result, err := c.Search(goldap.NewSearchRequest(base, scope, goldap.NeverDerefAliases, limit, 0, false, filter, attributes, nil))
		if result == nil {
			return nil, err
		}
		return result.Entries, err
	}
	refused := func(what string, err error, code uint16) {
		t.Helper()
		if !goldap.IsErrorWithCode(err, code) {
			t.Errorf("%s: %v, want code %d", what, err, code)
		}
	}
	person, password := slapdtest.PersonDN(2), "passwort-00002"
	_, err = search(slapdtest.Base, goldap.ScopeWholeSubtree, 0, "(objectClass=*)")
	refused("a stranger searches", err, goldap.LDAPResultInsufficientAccessRights)
	refused("a wrong password", c.Bind(person, "falsch"), goldap.LDAPResultInvalidCredentials)
	refused("no password", c.UnauthenticatedBind(person), goldap.LDAPResultUnwillingToPerform)
	if err := c.Bind(person, password); err != nil {
		t.Fatal(err)
	}
	_, err = search(slapdtest.Base, goldap.ScopeWholeSubtree, 0, "(objectClass=*)")
	refused("a person searches", err, goldap.LDAPResultInsufficientAccessRights)
	if err := c.Bind(slapdtest.ServiceDN, slapdtest.ServicePassword); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		base   string
		scope  int
		filter string
		want   int
	}{
		{slapdtest.PeopleBase, goldap.ScopeWholeSubtree, "(&(objectClass=person)(uid=p000*))", 50},
		{slapdtest.PeopleBase, goldap.ScopeWholeSubtree, "(uid=*0001*)", 11},
		{slapdtest.PeopleBase, goldap.ScopeWholeSubtree, "(uid=p*1)", 5},
		{slapdtest.PeopleBase, goldap.ScopeWholeSubtree, "(|(uid=p00001)(uid=P00002)(nsAccountLock=TRUE))", 2},
		{slapdtest.PeopleBase, goldap.ScopeWholeSubtree, "(&(uid=*)(!(uid=p*)))", len(slapdtest.Members())},
		{slapdtest.PeopleBase, goldap.ScopeSingleLevel, "(objectClass=*)", 2},
		{slapdtest.PeopleBase, goldap.ScopeBaseObject, "(objectClass=*)", 1},
		{slapdtest.PeopleBase, goldap.ScopeBaseObject, "(uid=*)", 0},
		{slapdtest.PeopleBase, goldap.ScopeWholeSubtree, "(&)", 50 + len(slapdtest.Members()) + 3},
		{slapdtest.PeopleBase, goldap.ScopeWholeSubtree, "(|)", 0},
		{"", goldap.ScopeBaseObject, "(objectClass=*)", 1},
	} {
		if got, err := search(tt.base, tt.scope, 0, tt.filter); err != nil || len(got) != tt.want {
			t.Errorf("%s %s: %d entries, %v; want %d", tt.base, tt.filter, len(got), err, tt.want)
		}
	}
	got, err := search(slapdtest.PeopleBase, goldap.ScopeWholeSubtree, 3, "(uid=*)")
	refused("more than the limit", err, goldap.LDAPResultSizeLimitExceeded)
	if len(got) != 3 {
		t.Errorf("the limit of 3 gave %d entries", len(got))
	}
	if got, err := search(person, goldap.ScopeBaseObject, 0, "(objectClass=*)", "userPassword", "*", "+"); err != nil || got[0].GetAttributeValue("userPassword") != "" || got[0].GetAttributeValue("entryUUID") == "" {
		t.Errorf("reading a person: %+v, %v", got, err)
	}
	_, err = search("dc=weg", goldap.ScopeWholeSubtree, 0, "(objectClass=*)")
	refused("a base that is not there", err, goldap.LDAPResultNoSuchObject)
	_, err = search(slapdtest.Base, goldap.ScopeWholeSubtree, 0, "(uid>=a)")
	refused("a kind of filter that is not known", err, goldap.LDAPResultUnwillingToPerform)
	_, err = search(slapdtest.Base, goldap.ScopeWholeSubtree, 0, strings.Repeat("(&(uid=a)", 40)+strings.Repeat(")", 40))
	if err != nil {
		t.Errorf("a deep filter: %v", err)
	}
	refused("deleting", c.Del(goldap.NewDelRequest(person, nil)), goldap.LDAPResultUnwillingToPerform)
	refused("a wrong password of the service account", c.Bind(slapdtest.ServiceDN, "falsch"), goldap.LDAPResultInvalidCredentials)
	_, err = search(slapdtest.Base, goldap.ScopeWholeSubtree, 0, "(objectClass=*)")
	refused("searching after a failed bind", err, goldap.LDAPResultInsufficientAccessRights)
}

func TestFoundIsCalledBeforeThePasswordIsTried(t *testing.T) {
	s := serve(t, memory.Options{Name: "stadt", Base: slapdtest.PeopleBase, LDIF: slapdtest.LDIF(0)})
	for name, d := range map[string]directory.Directory{"direct": s.Directory, "wire": open(t, s.cfg)} {
		t.Run(name, func(t *testing.T) {
			stop := errors.New("too many tries")
			var found []string
			q := directory.Query{Found: func(p directory.Person) error {
				found = append(found, p.Login)
				if len(found) == 2 {
					return stop
				}
				return s.Join(slapdtest.Helpdesk, p.DN) // nothing is locked meanwhile
			}}
			for _, try := range []struct {
				login, password string
				want            directory.Cause
			}{
				{"WEIß", "weiss-passwort", ""},
				{"weiß", "weiss-passwort", directory.CauseOf(stop)},
				{"weiß", "falsch", directory.WrongPassword},
				{"niemand", "falsch", directory.UnknownLogin},
				{"zwilling", "falsch", directory.AmbiguousLogin},
			} {
				q.Login = try.login
				p, err := d.SignIn(t.Context(), q, try.password)
				wantCause(t, err, try.want)
				if len(found) == 2 && try.password != "falsch" && (!errors.Is(err, stop) || p.StableID == "") {
					t.Errorf("%+v, %v, want the error of Found and the person", p, err)
				}
			}
			if diff := cmp.Diff([]string{"weiß", "weiß", "weiß"}, found); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
		})
	}
}
