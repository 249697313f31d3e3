//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// town is a real server and a file that declares it.
func town(t *testing.T, staffGroup string) (file string) {
	t.Helper()
	s := slapdtest.Start(t, slapdtest.Options{Sync: true, SizeLimit: slapdtest.Unlimited})
	dir := t.TempDir()
	for name, content := range map[string]string{
		"ca.pem": string(s.CAPEM),
		"town.yaml": fmt.Sprintf(`directories:
- name: stadt-ldap
  servers: [%q]
  ca_file: ca.pem
  bind: {dn: %q, password_file: %q}
  base: %q
tenants:
- name: rathaus
  directory: stadt-ldap
  base: "ou=Rathaus,%s"
  staff_group: %q
- name: bauhof
  directory: stadt-ldap
  base: "ou=Bauhof,%s"
  staff_group: %q
`, s.LDAPS, slapdtest.ServiceDN, s.PasswordFile, slapdtest.PeopleBase, slapdtest.PeopleBase, staffGroup, slapdtest.PeopleBase, slapdtest.StaffGroup),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "town.yaml")
}

// heimdraht runs the program in this process.
func heimdraht(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	w := world{in: open("in"), out: open("out"), err: open("err"), env: func(string) string { return "" }}
	status = run(t.Context(), args, w)
	read := func(f *os.File) string {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return status, read(w.out), read(w.err)
}

// steady replaces what differs from run to run.
func steady(s string) string {
	for pattern, with := range map[string]string{
		`127\.0\.0\.1:\d+`: "SERVER", `/\S+/service\.pw`: "PASSWORD-FILE", `\d{4}-\d\d-\d\d: RENEW IT, \d+ days are left`: "DATE",
		`[0-9.]+m?s\n`: "TIME\n", `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`: "UUID",
	} {
		s = regexp.MustCompile(pattern).ReplaceAllString(s, with)
	}
	return s
}

func TestDirectoryTest(t *testing.T) {
	file := town(t, slapdtest.StaffGroup)
	status, out, stderr := heimdraht(t, "directory", "test", "-f", file, "--tenant", "rathaus", "--login", "tief", "--lang", "en")
	const want = `stadt-ldap: ldaps://SERVER
  ok      password file PASSWORD-FILE: readable, and not by everybody
  ok      connection: TLS 1.3, certificate valid until DATE
  ok      service account: signed in as cn=svc-vpn,ou=Dienste,dc=stadt,dc=example
  ok      kind of directory: openldap
  ok      people below ou=Rathaus,ou=Personal,dc=stadt,dc=example: found, with stable id and status readable
  ok      reading everything: to the end: 12 people and 500 groups in dc=stadt,dc=example, in TIME
  ok      noticing changes: at once (syncrepl)
  ok      rathaus, own people, below ou=Rathaus,ou=Personal,dc=stadt,dc=example: 12 people
  ok      rathaus, staff_group cn=Homeoffice,ou=Gruppen,dc=stadt,dc=example: 11 people, also through other groups
  ok      rathaus, tief: stable id: UUID
  ok      rathaus, tief: DN: uid=tief,ou=Rathaus,ou=Personal,dc=stadt,dc=example
  ok      rathaus, tief: name, login, mail: Tim Tief, tief, tief@stadt.example
  ok      rathaus, tief: groups: cn=Homeoffice,ou=Gruppen,dc=stadt,dc=example
  ok      rathaus, tief: status: in order
  ok      rathaus, tief: may enrol a laptop: yes, with the right password
`
	if got := steady(out); status != exitDone || got != want || stderr != "" {
		t.Errorf("status %d\n%s%s", status, got, stderr)
	}
	t.Run("German", func(t *testing.T) {
		status, out, stderr := heimdraht(t, "directory", "test", "-f", file, "--tenant", "rathaus", "--login", "draussen", "--lang", "de")
		for _, line := range []string{
			"  ok      Verbindung: ", "  ok      alles lesen: bis zum Ende: 12 Personen", "  ok      Änderungen bemerken: sofort (syncrepl)\n",
			"  FEHLER  rathaus, draussen: darf einen Laptop anmelden: nein: nicht in staff_group\n          -> Nehmen Sie das Konto in die Gruppe auf: cn=Homeoffice",
		} {
			if !strings.Contains(out, line) {
				t.Errorf("%q is not in\n%s", line, out)
			}
		}
		if status != exitFailed || !strings.Contains(stderr, "Ein Schritt ist nicht in Ordnung.") || !strings.Contains(stderr, "(not-in-order)") {
			t.Errorf("status %d, %s", status, stderr)
		}
	})
	t.Run("all tenants", func(t *testing.T) {
		if status, out, stderr := heimdraht(t, "directory", "test", "-f", file); status != exitDone || !strings.Contains(out, "bauhof, ") {
			t.Errorf("status %d\n%s%s", status, out, stderr)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		_, out, _ := heimdraht(t, "directory", "test", "-f", file, "-o", "json", "--lang", "en")
		var answer struct {
			Steps []struct {
				Directory, Server, What string
				OK                      bool
			}
		}
		if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Steps) != 11 || answer.Steps[1].What != "connection" || !answer.Steps[1].OK {
			t.Errorf("%v, %s", err, out)
		}
	})
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no file", nil, "which files?"},
		{"another directory", []string{"-f", file, "--directory", "kreis"}, "the files name no such directory"},
		{"another tenant", []string{"-f", file, "--tenant", "kreis"}, "the files name no such tenant"},
		{"somebody of any tenant", []string{"-f", file, "--login", "tief"}, "--login needs one tenant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, _, stderr := heimdraht(t, append([]string{"directory", "test", "--lang", "en"}, tt.args...)...); status != exitUsage || !strings.Contains(stderr, tt.want) {
				t.Errorf("status %d, %s", status, stderr)
			}
		})
	}
}

func TestDirectoryTestWithAHiddenGroup(t *testing.T) {
	file := town(t, slapdtest.HiddenGroup)
	status, out, stderr := heimdraht(t, "directory", "test", "-f", file, "--lang", "en")
	if status != exitFailed || !strings.Contains(stderr, "One step is not in order.") ||
		!strings.Contains(out, "  NOT OK  rathaus, staff_group "+slapdtest.HiddenGroup+": There is no such group, or it is hidden") {
		t.Errorf("status %d\n%s%s", status, out, stderr)
	}
}

// TestDirectoryTestOfWhatIsWrong changes one thing each in what is in order. Nothing of the password is ever shown.
func TestDirectoryTestOfWhatIsWrong(t *testing.T) {
	file := town(t, slapdtest.StaffGroup)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	right := string(content)
	dir := filepath.Dir(file)
	put := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other, err := slapdtest.NewCertificates(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	put("other.pem", string(other.CA), 0o600)
	const wrongPassword = "wrong-of-the-service"
	password := regexp.MustCompile(`password_file: "[^"]*"`)
	passwordIn := func(path string) string {
		return password.ReplaceAllString(right, fmt.Sprintf("password_file: %q", path))
	}
	server := regexp.MustCompile(`servers: \[[^]]*\]`)
	open := put("open.pw", slapdtest.ServicePassword, 0o644)
	if err := os.Chmod(open, 0o644); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		code       string // of what is not in order; empty: the file is not taken
		says       string
	}{
		{"empty", "", "", "the file is empty"},
		{"no YAML", "directories: [", "", "not valid YAML"},
		{"no text", "a: \xff\xfe", "", "not valid UTF-8"},
		{"only text", "stadt", "", "wanted keys and values"},
		{"a wrong key", strings.Replace(right, "ca_file", "cafile", 1), "", `unknown key \"cafile\" in a directory; did you mean \"ca_file\"?`},
		{"a server that is none", server.ReplaceAllString(right, `servers: ["http://dc1"]`), "", "is not an address such as ldaps://"},
		{"a CA file that is not there", strings.Replace(right, "ca.pem", "weg.pem", 1), "", "ca_file: stat "},
		{"a CA file without a certificate", strings.Replace(right, "ca.pem", "open.pw", 1), "", "holds no certificate"},
		{"another CA", strings.Replace(right, "ca.pem", "other.pem", 1), "directory-connection", "authority that is not trusted"},
		{"nobody answers", server.ReplaceAllString(right, `servers: ["ldaps://127.0.0.1:1"]`), "directory-connection", "does not answer"},
		{"no password file", passwordIn(filepath.Join(dir, "weg.pw")), "directory-password-file", "no such file"},
		{"a directory as password file", passwordIn(dir), "directory-password-file", "is a directory"},
		{"an empty password file", passwordIn(put("empty.pw", "\n", 0o600)), "directory-password-file", "is empty"},
		{"a password file for everybody", passwordIn(open), "directory-password-file", "chmod 0600"},
		{"a wrong password", passwordIn(put("wrong.pw", wrongPassword, 0o600)), "directory-service-account", "refuses the service account"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := put("try.yaml", tt.text, 0o600)
			status, out, stderr := heimdraht(t, "directory", "test", "-f", path, "--lang", "en", "-o", "json")
			said := out + stderr
			if status != exitFailed || strings.Contains(said, wrongPassword) || strings.Contains(said, slapdtest.ServicePassword) {
				t.Errorf("status %d, or a password is shown\n%s", status, said)
			}
			if tt.code == "" {
				if out != "" || !strings.Contains(stderr, tt.says) || !strings.Contains(stderr, "file-invalid") {
					t.Errorf("said %s%s, want %q", out, stderr, tt.says)
				}
				return
			}
			type step struct {
				OK                 bool
				Code, Detail, Next string
			}
			var answer struct{ Steps []step }
			if err := json.Unmarshal([]byte(out), &answer); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			i := slices.IndexFunc(answer.Steps, func(s step) bool { return !s.OK })
			if i < 0 || answer.Steps[i].Code != tt.code || !strings.Contains(answer.Steps[i].Detail, tt.says) || answer.Steps[i].Next == "" || !strings.Contains(stderr, "not-in-order") {
				t.Errorf("want first %s with %q\n%s", tt.code, tt.says, said)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		for _, path := range []string{filepath.Join(dir, "weg.yaml"), dir} {
			if status, _, stderr := heimdraht(t, "directory", "test", "-f", path, "--lang", "en"); status != exitFailed || !strings.Contains(stderr, "(file-unusable)") {
				t.Errorf("%s: status %d, %s", path, status, stderr)
			}
		}
	})
}
