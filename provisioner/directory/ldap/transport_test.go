package ldap_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/ldap"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

func TestTransport(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{})
	noTLS := slapdtest.Start(t, slapdtest.Options{Config: func(text string) string {
		var kept []string
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "TLS") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}})
	strict := slapdtest.Start(t, slapdtest.Options{Config: func(text string) string { return "security simple_bind=128\n" + text }})
	certificate := func(notBefore, notAfter time.Duration, names ...string) *slapdtest.Server {
		c, err := slapdtest.NewCertificates(time.Now().Add(notBefore), time.Now().Add(notAfter), names...)
		if err != nil {
			t.Fatal(err)
		}
		return slapdtest.Start(t, slapdtest.Options{Certificates: &c})
	}
	old := certificate(-2*time.Hour, -time.Hour)
	early := certificate(time.Hour, 2*time.Hour)
	other := certificate(-time.Hour, time.Hour, "andere.example")
	for _, tt := range []struct {
		name   string
		change func(*directory.Config)
		want   directory.Cause
		says   string
	}{
		{"LDAPS", func(*directory.Config) {}, "", ""},
		{"StartTLS", func(c *directory.Config) { c.Servers = []string{s.LDAP} }, "", ""},
		{"plain by word", func(c *directory.Config) { c.Servers, c.Plain = []string{s.LDAP}, true }, "", ""},
		{"no StartTLS there", func(c *directory.Config) { c.Servers = []string{noTLS.LDAP} }, directory.Misconfigured, "refuses StartTLS"},
		{"no StartTLS there, plain by word", func(c *directory.Config) { c.Servers, c.Plain = []string{noTLS.LDAP}, true }, "", ""},
		{"plain where TLS is demanded", func(c *directory.Config) { c.Servers, c.Plain = []string{strict.LDAP}, true }, directory.Misconfigured, "demands TLS"},
		{"LDAPS on the plain port", func(c *directory.Config) { c.Servers = []string{"ldaps://" + strings.TrimPrefix(s.LDAP, "ldap://")} }, directory.Unavailable, ""},
		{"foreign authority", func(c *directory.Config) { c.CAPEM = other.CAPEM }, directory.Misconfigured, "authority that is not trusted"},
		{"foreign authority, StartTLS", func(c *directory.Config) { c.CAPEM, c.Servers = other.CAPEM, []string{s.LDAP} }, directory.Misconfigured, "authority that is not trusted"},
		{"system's authorities", func(c *directory.Config) { c.CAPEM = nil }, directory.Misconfigured, "authority that is not trusted"},
		{"other name", func(c *directory.Config) { c.CAPEM, c.Servers = other.CAPEM, []string{other.LDAPS} }, directory.Misconfigured, "another name"},
		{"other name, StartTLS", func(c *directory.Config) { c.CAPEM, c.Servers = other.CAPEM, []string{other.LDAP} }, directory.Misconfigured, "another name"},
		{"expired certificate", func(c *directory.Config) { c.CAPEM, c.Servers = old.CAPEM, []string{old.LDAPS} }, directory.Misconfigured, "expired or is not valid yet"},
		{"certificate to come", func(c *directory.Config) { c.CAPEM, c.Servers = early.CAPEM, []string{early.LDAPS} }, directory.Misconfigured, "expired or is not valid yet"},
		{"first server untrusted, second right", func(c *directory.Config) { c.Servers = []string{other.LDAPS, s.LDAPS} }, "", ""},
		{"nobody listens", func(c *directory.Config) { c.Servers = []string{"ldaps://127.0.0.1:1"} }, directory.Unavailable, "127.0.0.1:1 does not answer"},
		{"base that is not there", func(c *directory.Config) { c.Base = "ou=weg," + slapdtest.Base }, directory.Misconfigured, "ou=weg"},
		{"base of another directory", func(c *directory.Config) { c.Base = "dc=anders" }, directory.Misconfigured, "dc=anders"},
		{"password file that is not there", func(c *directory.Config) { c.BindPasswordFile += "x" }, directory.Misconfigured, "bind.password_file"},
		{"anonymous service account", func(c *directory.Config) { c.BindPasswordFile = os.DevNull }, directory.Misconfigured, "is empty"},
		{"unknown service account", func(c *directory.Config) { c.BindDN = "cn=weg," + slapdtest.Base }, directory.Misconfigured, "refuses the service account"},
		{"service account that may read nothing", func(c *directory.Config) { // any person
			c.BindDN, c.BindPasswordFile = "uid=weiß,ou=Rathaus,"+slapdtest.PeopleBase, write(t, "weiss-passwort")
		}, directory.Misconfigured, "hidden from the service account"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := s.Configuration()
			tt.change(&cfg)
			d := open(t, cfg)
			_, err := d.SignIn(t.Context(), directory.Query{Login: "müller"}, "Grüße-aus-Nürnberg")
			wantCause(t, err, tt.want, slapdtest.ServicePassword, "weiss-passwort", "Grüße-aus-Nürnberg")
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the error does not say %q: %v", tt.says, err)
			}
		})
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := slapdtest.Start(t, slapdtest.Options{})
	check := func(change func(*directory.Config)) string {
		cfg := s.Configuration()
		change(&cfg)
		d, err := ldap.New(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		var b strings.Builder
		for _, f := range d.Check(t.Context(), "") {
			if whole := f.Code != "" && f.Next != ""; whole == f.OK || !f.OK && !strings.HasPrefix(f.Code, "directory-") {
				t.Errorf("want a code and a next step where something is wrong, and only there: %+v", f)
			}
			b.WriteString(map[bool]string{true: "ok    ", false: "WRONG "}[f.OK] + f.What + ": " + f.Detail + "\n")
		}
		return b.String()
	}
	port := strings.TrimPrefix(s.LDAPS, "ldaps://")
	for _, tt := range []struct {
		name   string
		change func(*directory.Config)
		want   []string
	}{
		{"all right", func(*directory.Config) {}, []string{
			"ok    password file", "ok    ldaps://" + port + ": connection: TLS 1.3, certificate valid until ", "RENEW IT",
			": service account: signed in as " + slapdtest.ServiceDN, ": kind of directory: openldap\n", "ok    ldaps://" + port + ": people below " + slapdtest.PeopleBase,
		}},
		{"plain", func(c *directory.Config) { c.Servers, c.Plain = []string{s.LDAP}, true }, []string{"NOT ENCRYPTED"}},
		{"wrong password", func(c *directory.Config) { c.BindPasswordFile = write(t, "falsch") }, []string{"WRONG ldaps://" + port + ": service account"}},
		{"no people", func(c *directory.Config) { c.Base = "ou=Leer," + slapdtest.Base }, []string{"WRONG ldaps://" + port + ": people below ou=Leer", "nobody is there"}},
		{"no base", func(c *directory.Config) { c.Base = "ou=weg," + slapdtest.Base }, []string{"WRONG ldaps://" + port + ": people below ou=weg", "correct it"}},
		{"one server down", func(c *directory.Config) { c.Servers = append([]string{"ldaps://127.0.0.1:1"}, c.Servers...) }, []string{"WRONG ldaps://127.0.0.1:1: connection", "ok    ldaps://" + port + ": people"}},
		{"readable by all", func(c *directory.Config) {
			c.BindPasswordFile = write(t, slapdtest.ServicePassword)
			if err := os.Chmod(c.BindPasswordFile, 0o644); err != nil {
				t.Fatal(err)
			}
		}, []string{"WRONG password file", "chmod 0600"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := check(tt.change)
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("the check does not say %q:\n%s", want, got)
				}
			}
		})
	}
}
