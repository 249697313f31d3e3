package ldap

import (
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// shape prints a compiled filter without its values: whatever is typed, it must not change.
func shape(p *ber.Packet) string {
	if p.ClassType == ber.ClassContext && p.Tag <= goldap.FilterNot {
		var parts []string
		for _, c := range p.Children {
			parts = append(parts, shape(c))
		}
		return goldap.FilterMap[uint64(p.Tag)] + "(" + strings.Join(parts, " ") + ")"
	}
	return goldap.FilterMap[uint64(p.Tag)]
}

func FuzzFiltersKeepTheirShape(f *testing.F) {
	for _, seed := range []string{"müller", "*", "*)(objectClass=*", `\2a`, "a\x00b", "(|(a=b))", "\xff\xfe", `DOM\x`, "a@b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		for _, flavour := range directory.Flavours() {
			like := "x"
			if strings.Contains(typed, "@") {
				like = "x@x"
			}
			want, err := goldap.CompileFilter(loginFilter(flavour, like))
			if err != nil {
				t.Fatal(err)
			}
			got, err := goldap.CompileFilter(loginFilter(flavour, typed))
			if err != nil {
				t.Fatalf("login %q makes the filter %s: %v", typed, loginFilter(flavour, typed), err)
			}
			if shape(got) != shape(want) {
				t.Errorf("login %q makes the filter %s", typed, loginFilter(flavour, typed))
			}
		}
		want, err := goldap.CompileFilter(groupFilter("(objectClass=group)", []string{"cn=x"}, "x"))
		if err != nil {
			t.Fatal(err)
		}
		if typed == "" {
			typed = "x" // no login is another filter, on purpose
		}
		got, err := goldap.CompileFilter(groupFilter("(objectClass=group)", []string{typed}, typed))
		if err != nil || shape(got) != shape(want) {
			t.Errorf("DN %q makes the filter %s: %v", typed, groupFilter("(objectClass=group)", []string{typed}, typed), err)
		}
	})
}

func TestJudgeBindActiveDirectory(t *testing.T) {
	d, err := New(directory.Config{Name: "ad", Servers: []string{"ldaps://dc1"}, BindDN: "cn=x", BindPasswordFile: "/pw"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const text = "80090308: LdapErr: DSID-0C090400, comment: AcceptSecurityContext error, data NNN, v1db1\x00"
	for _, tt := range []struct {
		code  string
		cause directory.Cause
		want  proof
	}{
		{"52e", directory.WrongPassword, proof{}},
		{"525", directory.UnknownLogin, proof{}},
		{"530", directory.NotPermitted, proof{}},
		{"531", directory.NotPermitted, proof{}},
		{"532", "", proof{expired: true}},
		{"533", "", proof{ended: directory.EndDisabled}},
		{"701", "", proof{ended: directory.EndExpired}},
		{"773", "", proof{mustChange: true}},
		{"775", directory.Locked, proof{}},
		{"", directory.WrongPassword, proof{}},
		{"999", directory.WrongPassword, proof{}},
	} {
		answer := goldap.NewError(goldap.LDAPResultInvalidCredentials, errorText(strings.ReplaceAll(text, "NNN", tt.code)))
		got, err := d.judgeBind(nil, answer)
		if directory.CauseOf(err) != tt.cause || got != tt.want {
			t.Errorf("data %s: %+v, %v", tt.code, got, err)
		}
	}
}

type errorText string

func (e errorText) Error() string { return string(e) }

func TestJudgeBindOthers(t *testing.T) {
	d, err := New(directory.Config{Name: "x", Servers: []string{"ldaps://dc1"}, BindDN: "cn=x", BindPasswordFile: "/pw"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	policy := func(code int8) *goldap.SimpleBindResult {
		c := goldap.NewControlBeheraPasswordPolicy()
		c.Error = code
		return &goldap.SimpleBindResult{Controls: []goldap.Control{c}}
	}
	for _, tt := range []struct {
		name   string
		result *goldap.SimpleBindResult
		code   uint16
		cause  directory.Cause
		want   proof
	}{
		{"right", policy(-1), 0, "", proof{bound: true}},
		{"right, no control", &goldap.SimpleBindResult{}, 0, "", proof{bound: true}},
		{"right, must change", policy(policyMustChange), 0, "", proof{bound: true, mustChange: true}},
		{"expired", policy(policyPasswordExpired), goldap.LDAPResultInvalidCredentials, "", proof{expired: true}},
		{"locked", policy(policyAccountLocked), goldap.LDAPResultInvalidCredentials, directory.Locked, proof{}},
		{"389 inactive", nil, goldap.LDAPResultUnwillingToPerform, directory.Disabled, proof{}},
		{"389 too many tries", nil, goldap.LDAPResultConstraintViolation, directory.Locked, proof{}},
		{"no password", nil, goldap.LDAPResultInappropriateAuthentication, directory.WrongPassword, proof{}},
		{"vanished", nil, goldap.LDAPResultNoSuchObject, directory.UnknownLogin, proof{}},
		{"busy", nil, goldap.LDAPResultBusy, directory.Unavailable, proof{}},
	} {
		var failure error
		if tt.code != 0 {
			failure = goldap.NewError(tt.code, errorText("diagnostic"))
		}
		got, err := d.judgeBind(tt.result, failure)
		if directory.CauseOf(err) != tt.cause || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

func TestPrimaryGroupSID(t *testing.T) {
	person := "\x01\x05\x00\x00\x00\x00\x00\x05" + "\x15\x00\x00\x00" + "aaaa" + "bbbb" + "cccc" + "\x51\x04\x00\x00"
	got, ok := directory.PrimaryGroupSID(person, "513")
	if want := person[:24] + "\x01\x02\x00\x00"; !ok || got != want {
		t.Errorf("primary group is %x, %v; want %x", got, ok, want)
	}
	for _, bad := range [][2]string{{"", "513"}, {person, ""}, {person[:20], "513"}, {person, "x"}, {"\x01\x01", "1"}} {
		if got, ok := directory.PrimaryGroupSID(bad[0], bad[1]); ok {
			t.Errorf("directory.PrimaryGroupSID(%x, %q) = %x", bad[0], bad[1], got)
		}
	}
}
