package memory_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
)

const base = "dc=rathaus,dc=example"

const rathaus = `version: 1
# A town hall with one server.

dn: dc=rathaus,dc=example
objectClass: dcObject
objectClass: organization
dc: rathaus
o: Rathaus

dn: cn=svc,dc=rathaus,dc=example
objectClass: organizationalRole
cn: svc
userPassword: dienst-passwort

dn: uid=anna,dc=rathaus,dc=example
objectClass: inetOrgPerson
entryUUID: 11111111-1111-4111-8111-111111111111
uid: anna
cn: Anna Amt
displayName:: QW5uYSDDhG10
mail: anna.amt@rathaus.exam
 ple
userPassword: annas-passwort

dn: uid=bernd,dc=rathaus,dc=example
objectClass: person
uid: bernd
cn: Bernd Bau
userPassword: {SSHA}Hw2TD9vKQgLKRXjqKTqkjj4in8RzYWx0

dn: cn=staff,dc=rathaus,dc=example
objectClass: groupOfNames
cn: staff
member: cn=amt,dc=rathaus,dc=example

dn: cn=amt,dc=rathaus,dc=example
objectClass: groupOfNames
cn: amt
member: UID=Anna, dc=rathaus,dc=example
member: cn=staff,dc=rathaus,dc=example
`

const (
	anna  = "uid=anna," + base
	bernd = "uid=bernd," + base
	staff = "cn=staff," + base
	amt   = "cn=amt," + base
)

func newDirectory(t testing.TB) *memory.Directory {
	t.Helper()
	d, err := memory.New(memory.Options{Name: "rathaus", Base: base, LDIF: []byte(rathaus)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func cause(t testing.TB, err error, want directory.Cause) {
	t.Helper()
	if got := directory.CauseOf(err); got != want {
		t.Errorf("cause is %q, want %q (error: %v)", got, want, err)
	}
}

func TestSignInAndLookup(t *testing.T) {
	d := newDirectory(t)
	got, err := d.SignIn(t.Context(), directory.Query{Login: " ANNA ", StaffGroup: staff, Groups: []string{amt, "cn=weg," + base}}, "annas-passwort")
	if err != nil {
		t.Fatal(err)
	}
	want := directory.Person{
		Directory: "rathaus", StableID: "11111111-1111-4111-8111-111111111111", Login: "anna", DisplayName: "Anna Ämt", Mail: "anna.amt@rathaus.example",
		DN: anna, Groups: []string{staff, amt}, MissingGroups: []string{"cn=weg," + base},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("person (-want +got):\n%s", diff)
	}
	if missing, err := d.MissingGroups(t.Context(), []string{staff, "cn=weg," + base, "no DN"}); err != nil || !cmp.Equal(missing, []string{"cn=weg," + base, "no DN"}) {
		t.Errorf("missing are %v, %v", missing, err)
	}
	_, err = d.SignIn(t.Context(), directory.Query{Login: "anna.amt@rathaus.example"}, norm.NFD.String("annas-passwort"))
	cause(t, err, "")
	_, err = d.SignIn(t.Context(), directory.Query{Login: "anna"}, "Annas-Passwort")
	cause(t, err, directory.WrongPassword)
	_, err = d.SignIn(t.Context(), directory.Query{Login: "anna"}, "")
	cause(t, err, directory.EmptyPassword)
	_, err = d.SignIn(t.Context(), directory.Query{Login: "svc"}, "dienst-passwort")
	cause(t, err, directory.UnknownLogin)
	_, err = d.SignIn(t.Context(), directory.Query{Login: "anna", StaffGroup: "cn=weg," + base}, "annas-passwort")
	cause(t, err, directory.Misconfigured)
	_, err = d.SignIn(t.Context(), directory.Query{Login: "anna", Base: "dc=anders"}, "annas-passwort")
	cause(t, err, directory.Misconfigured)

	again, err := d.Lookup(t.Context(), "", want.StableID, []string{amt})
	if err != nil || !again.In("CN=Amt, "+base) || again.In(staff) {
		t.Errorf("looked up: %+v, %v", again, err)
	}
	_, err = d.Lookup(t.Context(), "", "nobody's", nil)
	cause(t, err, directory.Gone)
	_, err = d.Lookup(t.Context(), staff, want.StableID, nil)
	cause(t, err, directory.Misconfigured) // a base without anybody says nothing
}

func TestChangesAreSeenByTheNextCall(t *testing.T) {
	d := newDirectory(t)
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	signIn := func() directory.Person {
		t.Helper()
		p, err := d.SignIn(t.Context(), directory.Query{Login: "anna", StaffGroup: staff}, "annas-passwort")
		do(err)
		return p
	}
	before := signIn()
	lookup := func(want directory.Cause) directory.Person {
		t.Helper()
		p, err := d.Lookup(t.Context(), "", before.StableID, []string{staff})
		cause(t, err, want)
		return p
	}

	do(d.Leave(amt, anna))
	do(d.Leave(amt, anna))
	if p := lookup(""); p.In(staff) {
		t.Error("still in the staff group")
	}
	do(d.Join(staff, anna))
	do(d.Join(staff, anna))
	if p := lookup(""); !p.In(staff) {
		t.Error("not in the staff group")
	}

	do(d.Disable(anna))
	if p := lookup(""); p.Status.Ended != directory.EndLocked {
		t.Errorf("disabled: %+v", p.Status)
	}
	_, err := d.SignIn(t.Context(), directory.Query{Login: "anna"}, "annas-passwort")
	cause(t, err, directory.Locked)
	do(d.Enable(anna))
	if p := signIn(); p.Status != (directory.Status{}) {
		t.Errorf("enabled again: %+v", p.Status)
	}
	do(d.Set(anna, "pwdReset", "TRUE"))
	if p := signIn(); !p.Status.MustChangePassword {
		t.Error("need not change the password")
	}
	do(d.Set(anna, "pwdReset"))

	d.SetUnavailable(true)
	lookup(directory.Unavailable)
	d.SetUnavailable(false)

	const moved = "uid=anna,cn=svc," + base
	do(d.Rename(anna, moved))
	if p := lookup(""); p.DN != moved || !p.In(staff) {
		t.Errorf("renamed: %+v", p)
	}
	do(d.Delete(moved))
	lookup(directory.Gone)
	do(d.Add([]byte("dn: " + moved + "\nobjectClass: person\nuid: anna\nuserPassword: annas-passwort\n")))
	lookup(directory.Gone)
	if p := signIn(); p.StableID == before.StableID || p.StableID == "" || !p.In(staff) {
		t.Errorf("made anew: %+v", p)
	}

	for what, err := range map[string]error{
		"adding what is there":         d.Add([]byte("dn: " + bernd + "\ncn: x\n")),
		"adding twice":                 d.Add([]byte("dn: cn=a\ncn: x\n\ndn: CN=A\ncn: x\n")),
		"deleting what is not there":   d.Delete("cn=weg"),
		"deleting what has children":   d.Delete("cn=svc," + base),
		"changing what is not there":   d.Set("cn=weg", "cn", "x"),
		"renaming to what is there":    d.Rename(bernd, staff),
		"joining a group not there":    d.Join("cn=weg", anna),
		"disabling what is not there":  d.Disable("cn=weg"),
		"changing what is no DN":       d.Set("weg", "cn", "x"),
		"adding what cannot be parsed": d.Add([]byte("x")),
	} {
		if err == nil {
			t.Errorf("%s went well", what)
		}
	}
	do(d.Close())
	lookup(directory.Unavailable)
}

func TestAccountExpiresOnOurClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory(t)
		if err := d.Set(anna, "shadowExpire", "10958"); err != nil { // 2000-01-02, a day after the bubble begins
			t.Fatal(err)
		}
		id := "11111111-1111-4111-8111-111111111111"
		for _, want := range []directory.EndReason{"", directory.EndExpired} {
			p, err := d.Lookup(t.Context(), "", id, nil)
			if err != nil || p.Status.Ended != want {
				t.Errorf("at %v: %+v, %v; want %q", time.Now(), p.Status, err, want)
			}
			<-time.After(24 * time.Hour)
		}
	})
}

func TestSSHA(t *testing.T) {
	d := newDirectory(t)
	_, err := d.SignIn(t.Context(), directory.Query{Login: "bernd"}, "bernds-passwort")
	cause(t, err, "")
	_, err = d.SignIn(t.Context(), directory.Query{Login: "bernd"}, "{SSHA}Hw2TD9vKQgLKRXjqKTqkjj4in8RzYWx0")
	cause(t, err, directory.WrongPassword)
	for _, stored := range []string{"{SSHA}", "{SSHA}!", "{SSHA}QUJD", "{CRYPT}$6$x", ""} {
		if err := d.Set(bernd, "userPassword", stored); err != nil {
			t.Fatal(err)
		}
		for _, typed := range []string{stored, "bernds-passwort", " "} {
			if typed == "" {
				continue
			}
			_, err := d.SignIn(t.Context(), directory.Query{Login: "bernd"}, typed)
			cause(t, err, directory.WrongPassword)
		}
	}
}

func TestCancelledCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newDirectory(t).Lookup(ctx, "", "x", nil)
	cause(t, err, directory.Unavailable)
}

func TestParseLDIF(t *testing.T) {
	got, err := memory.ParseLDIF([]byte("version: 1\r\n#comment\r\n  that goes on\r\ndn: cn=a\r\ncn: a\r\n b\r\nnote:\r\nraw:: AAE=\r\n\r\n\r\ndn:: Y249w7w=\r\ncn:ü\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []memory.Entry{
		{DN: "cn=a", Attributes: []memory.Attribute{{Name: "cn", Value: "ab"}, {Name: "note", Value: ""}, {Name: "raw", Value: "\x00\x01"}}},
		{DN: "cn=ü", Attributes: []memory.Attribute{{Name: "cn", Value: "ü"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	for text, want := range map[string]string{
		"cn: a":                               "LDIF, line 1: a record begins with dn, not with cn",
		"version: 2":                          `LDIF, line 1: version "2" is not known, only 1 is`,
		"dn: cn=a\n\ndn: cn=b\ncn: b":         `LDIF, line 2: the record "cn=a" has no attributes`,
		"dn: cn=a":                            `LDIF, at the end: the record "cn=a" has no attributes`,
		"\n\ndn: cn=a\nkein Doppelpunkt":      "LDIF, line 4: there is no colon",
		"dn: cn=a\nchangetype: delete":        "LDIF, line 2: this is a change, and only contents are read",
		"dn: cn=a\ncn:< file:///etc/passwd":   "LDIF, line 2: values by URL are not read",
		"dn: cn=a\ncn:: ###":                  "LDIF, line 2: the value of cn is not base64",
		"dn: cn=a\n: x":                       "LDIF, line 2: what stands before the colon is not the name of an attribute",
		"dn: anna\ncn: x":                     "LDIF, line 1: the record's DN is not usable\nthe DN has a part that is not of the form type=value",
		"dn:\ncn: x":                          "LDIF, line 1: the record's DN is not usable",
		"dn: cn=a\n#\n x\ncn: a\nmit mehr: x": "LDIF, line 5: what stands before the colon is not the name of an attribute",
	} {
		if got, err := memory.ParseLDIF([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v\nwant %s", text, got, err, want)
		}
	}
}

func FuzzParseLDIF(f *testing.F) {
	f.Add([]byte(rathaus))
	f.Add([]byte("dn:: Y249w7w=\n\n#\n x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := memory.ParseLDIF(text)
		if err != nil {
			return
		}
		lines := bytes.Count(text, []byte("\n")) + 1
		values := 0
		for _, e := range entries {
			values += 1 + len(e.Attributes)
			if strings.TrimSpace(e.DN) == "" {
				t.Error("an entry without a DN")
			}
		}
		if values > lines {
			t.Errorf("%d values out of %d lines", values, lines)
		}
		// Whatever can be parsed can be held and asked.
		d, err := memory.New(memory.Options{Name: "x", LDIF: text})
		if err != nil {
			return
		}
		_, _ = d.SignIn(t.Context(), directory.Query{Login: "anna", Groups: []string{staff}}, "annas-passwort")
	})
}
