package directory

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFoldDN(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"blank", "  ", ""},
		{"case and spaces", "CN=Anna  Muster , OU = Bauamt,DC=Stadt, dc=example", "cn=anna muster,ou=bauamt,dc=stadt,dc=example"},
		{"umlaut", "cn=JÜRGEN", "cn=jürgen"},
		{"escaped comma", `cn=Muster\, Anna,dc=x`, `cn=muster\2c anna,dc=x`},
		{"escaped in hexadecimal", `cn=Muster\2C Anna,dc=x`, `cn=muster\2c anna,dc=x`},
		{"quoted", `cn="Muster, Anna",dc=x`, `cn=muster\2c anna,dc=x`},
		{"UTF-8 in hexadecimal", `cn=J\c3\bcrgen`, "cn=jürgen"},
		{"no UTF-8", `cn=\ff\fe`, `cn=\ff\fe`},
		{"many values in any order", "uid=1+CN=b,dc=x", "cn=b+uid=1,dc=x"},
		{"semicolon", "cn=a;dc=x", "cn=a,dc=x"},
		{"OID", "2.5.4.3=a", "2.5.4.3=a"},
		{"equals in value", "cn=a=b", `cn=a\3db`},
		{"trailing escaped space", `cn=a\ ,dc=x`, "cn=a,dc=x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := FoldDN(tt.in)
			if err != nil || got != tt.want {
				t.Errorf("FoldDN(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
			}
		})
	}
	for _, bad := range []string{"müller", "=x", "cn=a,", "cn=a,b", `cn=a\`, `cn="a`, "c n=a", ","} {
		if got, err := FoldDN(bad); err == nil {
			t.Errorf("FoldDN(%q) = %q, want an error", bad, got)
		}
	}
}

func FuzzFoldDN(f *testing.F) {
	for _, seed := range []string{"cn=a,dc=x", `cn="a,b"+sn=\c3\bc , DC=x`, `cn=\ff`, "cn= ", `cn=#04`, "cn=ſİẞ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, dn string) {
		once, err := FoldDN(dn)
		if err != nil {
			return
		}
		twice, err := FoldDN(once)
		if err != nil || once != twice {
			t.Errorf("FoldDN(%q) = %q, and folded again %q, %v", dn, once, twice, err)
		}
	})
}

func TestUnder(t *testing.T) {
	for _, tt := range []struct {
		dn, base string
		want     bool
	}{
		{"cn=a,dc=x", "dc=x", true},
		{"dc=x", "dc=x", true},
		{"cn=a,dc=x", "", true},
		{`cn=a\2cdc=x`, "dc=x", false},
		{"cn=a,dc=xx", "dc=x", false},
		{"cn=a,odc=x", "dc=x", false},
	} {
		if got := Under(tt.dn, tt.base); got != tt.want {
			t.Errorf("Under(%q, %q) = %v", tt.dn, tt.base, got)
		}
	}
}

// noon is the moment at which the tests judge; ticks are its FILETIME.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

const noonTicks = (1782907200 + 11644473600) * 10_000_000

func TestStatus(t *testing.T) {
	ticks := func(n int64) string { return fmt.Sprint(n) }
	second := int64(10_000_000)
	past, future := noon.Add(-time.Second), noon.Add(time.Second)
	for _, tt := range []struct {
		flavour, name string
		in            Attributes
		want          Status
	}{
		{ActiveDirectory, "in order", Attributes{"useraccountcontrol": {"512"}, "accountexpires": {"9223372036854775807"}, "pwdlastset": {ticks(noonTicks - second)}}, Status{PasswordChangedAt: past}},
		{ActiveDirectory, "never, written as 0", Attributes{"useraccountcontrol": {"512"}, "accountexpires": {"0"}}, Status{}},
		{ActiveDirectory, "disabled", Attributes{"useraccountcontrol": {"514"}}, Status{Ended: EndDisabled}},
		{ActiveDirectory, "expired this very moment", Attributes{"useraccountcontrol": {"512"}, "accountexpires": {ticks(noonTicks)}}, Status{Ended: EndExpired, EndsAt: noon}},
		{ActiveDirectory, "expired", Attributes{"useraccountcontrol": {"512"}, "accountexpires": {ticks(noonTicks - second)}}, Status{Ended: EndExpired, EndsAt: past}},
		{ActiveDirectory, "expires soon", Attributes{"useraccountcontrol": {"512"}, "accountexpires": {ticks(noonTicks + second)}}, Status{EndsAt: future}},
		{ActiveDirectory, "disabled and expired", Attributes{"useraccountcontrol": {"514"}, "accountexpires": {ticks(noonTicks - second)}}, Status{Ended: EndDisabled, EndsAt: past}},
		{ActiveDirectory, "locked out", Attributes{"useraccountcontrol": {"512"}, "msds-user-account-control-computed": {"16"}, "lockouttime": {ticks(noonTicks)}}, Status{SignInBlocked: true}},
		{ActiveDirectory, "was locked out", Attributes{"useraccountcontrol": {"512"}, "msds-user-account-control-computed": {"0"}, "lockouttime": {ticks(noonTicks)}}, Status{}},
		{ActiveDirectory, "password expired", Attributes{"useraccountcontrol": {"512"}, "msds-user-account-control-computed": {"8388608"}, "pwdlastset": {"1"}}, Status{PasswordExpired: true}},
		{ActiveDirectory, "must change", Attributes{"useraccountcontrol": {"512"}, "msds-user-account-control-computed": {"8388608"}, "pwdlastset": {"0"}}, Status{MustChangePassword: true}},
		{ActiveDirectory, "password never set, never expires", Attributes{"useraccountcontrol": {"66048"}, "pwdlastset": {"0"}}, Status{}},
		{ActiveDirectory, "password will expire", Attributes{"useraccountcontrol": {"512"}, "pwdlastset": {"1"}, "msds-userpasswordexpirytimecomputed": {ticks(noonTicks + second)}}, Status{PasswordEndsAt: future}},
		{ActiveDirectory, "password never expires", Attributes{"useraccountcontrol": {"66048"}, "pwdlastset": {"1"}, "msds-userpasswordexpirytimecomputed": {"9223372036854775807"}}, Status{}},
		{OpenLDAP, "in order", Attributes{}, Status{}},
		{OpenLDAP, "password set", Attributes{"pwdchangedtime": {"20260701115959Z"}}, Status{PasswordChangedAt: past}},
		{DirectoryServer, "password set, by Kerberos", Attributes{"krblastpwdchange": {"20260701115959Z"}}, Status{PasswordChangedAt: past}},
		{DirectoryServer, "password set", Attributes{"pwdupdatetime": {"20260701115959Z"}}, Status{PasswordChangedAt: past}},
		{EDirectory, "password set", Attributes{"pwdchangedtime": {"20260701115959Z"}}, Status{PasswordChangedAt: past}},
		{Univention, "password set, by Samba", Attributes{"sambapwdlastset": {strconv.FormatInt(past.Unix(), 10)}}, Status{PasswordChangedAt: past}},
		{Univention, "password set", Attributes{"pwdchangedtime": {"20260701115959Z"}, "sambapwdlastset": {"1"}}, Status{PasswordChangedAt: past}},
		{OpenLDAP, "locked by an administrator", Attributes{"pwdaccountlockedtime": {"000001010000Z"}}, Status{Ended: EndLocked}},
		{OpenLDAP, "locked by wrong passwords", Attributes{"pwdaccountlockedtime": {"20260701115959Z"}}, Status{SignInBlocked: true}},
		{OpenLDAP, "must change", Attributes{"pwdreset": {"TRUE"}}, Status{MustChangePassword: true}},
		{OpenLDAP, "need not change", Attributes{"pwdreset": {"FALSE"}}, Status{}},
		{OpenLDAP, "shadow, yesterday", Attributes{"shadowexpire": {"20634"}}, Status{Ended: EndExpired, EndsAt: time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC)}},
		{OpenLDAP, "shadow, tomorrow", Attributes{"shadowexpire": {"20636"}}, Status{EndsAt: time.Date(2026, 7, 2, 0, 0, 0, 0, time.UTC)}},
		{OpenLDAP, "shadow, never", Attributes{"shadowexpire": {"-1"}}, Status{}},
		{OpenLDAP, "another directory's attribute", Attributes{"nsaccountlock": {"TRUE"}}, Status{}},
		{DirectoryServer, "in order", Attributes{"nsaccountlock": {"FALSE"}}, Status{}},
		{DirectoryServer, "locked", Attributes{"nsaccountlock": {"true"}}, Status{Ended: EndDisabled}},
		{DirectoryServer, "principal expired", Attributes{"krbprincipalexpiration": {"20260701115959Z"}}, Status{Ended: EndExpired, EndsAt: past}},
		{DirectoryServer, "password expired", Attributes{"krbpasswordexpiration": {"20260701115959Z"}}, Status{PasswordExpired: true, PasswordEndsAt: past}},
		{DirectoryServer, "password expired, by one of two dates", Attributes{"krbpasswordexpiration": {"20260701120001Z"}, "passwordexpirationtime": {"20260701115959Z"}}, Status{PasswordExpired: true, PasswordEndsAt: past}},
		{DirectoryServer, "password will expire", Attributes{"passwordexpirationtime": {"20260701120001Z"}}, Status{PasswordEndsAt: future}},
		{DirectoryServer, "password reset", Attributes{"passwordexpirationtime": {"19700101000000Z"}}, Status{MustChangePassword: true}},
		{DirectoryServer, "wrong passwords", Attributes{"accountunlocktime": {"20260701120001Z"}}, Status{SignInBlocked: true}},
		{DirectoryServer, "wrong passwords long ago", Attributes{"accountunlocktime": {"20260701115959Z"}}, Status{}},
		{DirectoryServer, "wrong passwords, for good", Attributes{"accountunlocktime": {"19700101000000Z"}}, Status{SignInBlocked: true}},
		{EDirectory, "disabled", Attributes{"logindisabled": {"TRUE"}}, Status{Ended: EndDisabled}},
		{EDirectory, "expired, password too, intruder", Attributes{"loginexpirationtime": {"20260701115959Z"}, "passwordexpirationtime": {"20260701115959Z"}, "lockedbyintruder": {"TRUE"}},
			Status{Ended: EndExpired, EndsAt: past, PasswordExpired: true, PasswordEndsAt: past, SignInBlocked: true}},
		{Univention, "disabled", Attributes{"sambaacctflags": {"[UD         ]"}, "shadowexpire": {"1"}}, Status{Ended: EndDisabled, EndsAt: time.Unix(86400, 0).UTC()}},
		{Univention, "locked", Attributes{"sambaacctflags": {"[UL         ]"}}, Status{SignInBlocked: true}},
		{Univention, "in order", Attributes{"sambaacctflags": {"[U          ]"}}, Status{}},
	} {
		t.Run(tt.flavour+"/"+tt.name, func(t *testing.T) {
			f, ok := FlavourNamed(tt.flavour)
			if !ok {
				t.Fatal("no such flavour")
			}
			if diff := cmp.Diff(tt.want, f.judge(tt.in, noon)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDisabledStaysDisabledWhateverTheDate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, _ := FlavourNamed(ActiveDirectory)
		a := Attributes{"useraccountcontrol": {"514"}, "accountexpires": {fmt.Sprint(rapid.Int64().Draw(t, "ticks"))}}
		if s := f.judge(a, noon); s.Ended != EndDisabled {
			t.Errorf("%v is %+v", a, s)
		}
	})
}

func TestFlavourOf(t *testing.T) {
	for _, tt := range []struct {
		name          string
		root, context Attributes
		want          string
	}{
		{"Active Directory", Attributes{"supportedcapabilities": {"1.2.840.113556.1.4.1670", "1.2.840.113556.1.4.800"}}, nil, ActiveDirectory},
		{"Samba", Attributes{"supportedcapabilities": {"1.2.840.113556.1.4.800"}, "vendorname": {"Samba Team (https://www.samba.org)"}}, nil, ActiveDirectory},
		{"389", Attributes{"vendorname": {"389 Project"}, "vendorversion": {"389-Directory/2.3.1 B2023"}}, nil, DirectoryServer},
		{"OpenLDAP", Attributes{"objectclass": {"top", "OpenLDAProotDSE"}}, nil, OpenLDAP},
		{"Univention", Attributes{"structuralobjectclass": {"OpenLDAProotDSE"}}, Attributes{"objectclass": {"top", "univentionBase"}}, Univention},
		{"eDirectory", Attributes{"vendorname": {"NetIQ Corporation"}, "directorytreename": {"T=STADT"}}, nil, EDirectory},
		{"silent", Attributes{}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if f, ok := FlavourOf(tt.root, tt.context); f.Name != tt.want || ok != (tt.want != "") {
				t.Errorf("found %q, want %q", f.Name, tt.want)
			}
		})
	}
}

func TestStableIDs(t *testing.T) {
	ad, _ := FlavourNamed(ActiveDirectory)
	raw := "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff"
	a := Attributes{"objectguid": {raw}, "samaccountname": {"anna"}, "useraccountcontrol": {"512"}}
	p, err := ad.Person("ad", "cn=anna", a, noon)
	if err != nil || p.StableID != "33221100-5544-7766-8899-aabbccddeeff" {
		t.Errorf("objectGUID became %q, %v", p.StableID, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		for _, f := range Flavours() {
			raw := string(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "raw"))
			if f.id == idText || f.id == idFour {
				raw = rapid.StringMatching("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").Draw(t, "uuid")
			}
			text, err := f.idText(raw)
			if err != nil {
				t.Fatal(err)
			}
			back, err := f.IDValue(text)
			if err != nil || back != raw {
				t.Errorf("%s: %q became %q became %q, %v", f.Name, raw, text, back, err)
			}
		}
	})
	for _, bad := range []string{"", "x", "33221100-5544-7766-8899-aabbccddee", strings.Repeat("0", 34)} {
		if v, err := ad.IDValue(bad); err == nil {
			t.Errorf("IDValue(%q) = %q", bad, v)
		}
	}
}

func TestEntriesThatCannotBeReadAreFaults(t *testing.T) {
	ad, _ := FlavourNamed(ActiveDirectory)
	whole := Attributes{"objectguid": {strings.Repeat("x", 16)}, "samaccountname": {"anna"}, "useraccountcontrol": {"512"}}
	for missing := range whole {
		part := Attributes{}
		for k, v := range whole {
			if k != missing {
				part[k] = v
			}
		}
		if p, err := ad.Person("ad", "cn=anna", part, noon); err == nil {
			t.Errorf("without %s the entry was judged: %+v", missing, p)
		}
	}
}

func TestParseGeneralized(t *testing.T) {
	for in, want := range map[string]time.Time{
		"20260701120000Z":       noon,
		"202607011200Z":         noon,
		"2026070112Z":           noon,
		"20260701120000.5Z":     noon,
		"20260701120000,25Z":    noon,
		"20260701140000+0200":   noon,
		"20260701140000+02":     noon,
		"20260701063000.0-0530": noon,
	} {
		if got, err := parseGeneralized(in); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, %v; want %v", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "Z", "20260701120000", "20261301120000Z", "20260701250000Z", "20260701120000+2", "2026-07-01", "20260701120000ZZ"} {
		if got, err := parseGeneralized(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func FuzzParseGeneralized(f *testing.F) {
	f.Add("20260701140000.123+0200")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := parseGeneralized(s); err == nil && (got.Year() < -1 || got.Year() > 10000) {
			t.Errorf("%q is %v", s, got)
		}
	})
}

func TestValidate(t *testing.T) {
	good := Config{Name: "stadt", Servers: []string{"ldaps://dc1.stadt.example", "ldap://[fd00::1]:3389"}, BindDN: "cn=svc", BindPasswordFile: "/pw", Base: "dc=stadt"}
	if err := good.Validate(); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	for _, tt := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Name = "" }, "name is empty"},
		{func(c *Config) { c.Servers = nil }, "servers is empty: name at least one, as ldaps://host"},
		{func(c *Config) { c.Servers = []string{"dc1.stadt.example"} }, `server "dc1.stadt.example": begin it with ldaps:// (or with ldap://, which means StartTLS)`},
		{func(c *Config) { c.Servers = []string{"https://dc1"} }, `server "https://dc1": begin it with ldaps:// (or with ldap://, which means StartTLS)`},
		{func(c *Config) { c.Servers = []string{"ldaps://dc1/dc=stadt"} }, `server "ldaps://dc1/dc=stadt": write ldaps://host or ldaps://host:port and nothing more`},
		{func(c *Config) { c.Servers = []string{"ldaps://"} }, `server "ldaps://": write ldaps://host or ldaps://host:port and nothing more`},
		{func(c *Config) { c.Servers = []string{"ldaps://dc1:70000"} }, `server "ldaps://dc1:70000": the port is not between 1 and 65535`},
		{func(c *Config) { c.CAPEM = []byte("x") }, "ca_file contains no certificate in PEM form"},
		{func(c *Config) { c.BindDN = "" }, "bind.dn is empty: searching takes a service account"},
		{func(c *Config) { c.BindPasswordFile = "" }, "bind.password_file is empty"},
		{func(c *Config) { c.Base = "stadt" }, "base: the DN has a part that is not of the form type=value"},
		{func(c *Config) { c.Flavour = "ad" }, `flavour "ad" is not known; one of: activedirectory, openldap, 389ds, edirectory, univention`},
		{func(c *Config) { c.Timeout = -1 }, "timeout is negative"},
		{func(c *Config) { c.Name, c.BindDN = "", "" }, "name is empty\nbind.dn is empty: searching takes a service account"},
	} {
		c := good
		tt.change(&c)
		if err := c.Validate(); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

func TestErrorsSayWhatAndWhatToDo(t *testing.T) {
	cause := errors.New("connection refused")
	e := &Error{Cause: Unavailable, Directory: "stadt-ad", Detail: "ldaps://dc1 does not answer", Advice: "check that it runs", Err: cause}
	if got, want := e.Error(), "directory stadt-ad: ldaps://dc1 does not answer: connection refused; check that it runs"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(e, cause) || !e.Fault() || CauseOf(fmt.Errorf("enrolling: %w", e)) != Unavailable || CauseOf(nil) != "" || CauseOf(cause) != Unavailable {
		t.Error("the error is not understood")
	}
}
