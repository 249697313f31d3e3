//go:build unix

package dirsrvtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/internal/testprocess"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

const (
	share    = "/usr/share/dirsrv" // template and schema of the package 389-ds-base
	settings = "/etc/dirsrv/config"
	adminDN  = "cn=Directory Manager"
)

// Options say what kind of server a test wants.
type Options struct {
	People int  // as slapdtest.Person names them, in ou=Rathaus
	Sync   bool // it offers syncrepl
}

// Server is a running 389 Directory Server. It holds the units, the service account and the groups StaffGroup and
// Helpdesk of package slapdtest, under the same names. StaffGroup has everybody, Helpdesk the person number 0.
type Server struct {
	*slapdtest.Admin
	PasswordFile string

	t       testing.TB
	program string
	dir     string
	process *testprocess.Process
}

// Start starts a server, which ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, program: testneed.Program(t, "ns-slapd"), dir: t.TempDir()}
	template := testneed.File(t, filepath.Join(share, "data/template-dse.ldif"))
	address, err := testprocess.FreeAddress(t.Context())
	s.must(err)
	s.Admin = &slapdtest.Admin{T: t, URL: "ldap://" + address, DN: adminDN, Password: slapdtest.AdminPassword}
	s.PasswordFile = filepath.Join(s.dir, "service.pw")
	s.must(os.WriteFile(s.PasswordFile, []byte(slapdtest.ServicePassword), 0o600))
	s.configure(template, address, o)
	s.Run()
	t.Cleanup(s.Stop)
	s.fill(o.People)
	return s
}

// Configuration is what it takes to use this server.
func (s *Server) Configuration() directory.Config {
	return directory.Config{
		Name: "stadt", Servers: []string{s.URL}, Plain: true, BindDN: slapdtest.ServiceDN, BindPasswordFile: s.PasswordFile, Base: slapdtest.PeopleBase,
	}
}

// Run starts the server, also again after Stop. It returns when the server answers.
func (s *Server) Run() {
	s.t.Helper()
	var err error
	s.process, err = testprocess.Start(exec.Command(s.program, "-D", s.dir, "-d", "0")) //nolint:noctx,gosec // it must outlive the test's context: cleanups still use it; the program is ns-slapd
	s.must(err)
	if err := s.process.WaitFor(s.t.Context(), strings.TrimPrefix(s.URL, "ldap://")); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log/errors")) // empty: then what it printed must do
		s.t.Fatalf("starting 389 Directory Server: %v\n%s\n%s", err, s.process.Output(), log)
	}
}

// Stop kills the server. It is idempotent.
func (s *Server) Stop() {
	s.HangUp()
	s.process.Kill()
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// configure fills in the template as dscreate would.
func (s *Server) configure(template, address string, o Options) {
	s.t.Helper()
	raw, err := os.ReadFile(template)
	s.must(err)
	_, port, _ := strings.Cut(address, ":")
	pairs := []string{
		"%schema_dir%", filepath.Join(s.dir, "schema"), "%cert_dir%", s.dir, "%inst_dir%", s.dir, "%config_dir%", s.dir,
		"%db_dir%", filepath.Join(s.dir, "db"), "%db_home_dir%", filepath.Join(s.dir, "db"), "%db_lib%", "bdb",
		"%fqdn%", "localhost", "%ds_port%", port, "%ds_user%", "dirsrv", "%rootdn%", adminDN, "%ds_passwd%", slapdtest.SSHA(slapdtest.AdminPassword),
		"%ldapi_enabled%", "off", "%ldapi%", filepath.Join(s.dir, "ldapi"), "%ldapi_autobind%", "off", "%ds_suffix%", slapdtest.Base,
	}
	for _, name := range []string{"lock", "tmp", "ldif", "bak", "run", "log"} {
		pairs = append(pairs, "%"+name+"_dir%", filepath.Join(s.dir, name))
		s.must(os.Mkdir(filepath.Join(s.dir, name), 0o700))
	}
	s.must(os.Mkdir(filepath.Join(s.dir, "db"), 0o700))
	text := strings.NewReplacer(pairs...).Replace(string(raw))
	if o.Sync {
		text = enable(text, "Retro Changelog Plugin", "Content Synchronization")
	}
	text = strings.TrimSpace(enable(text, "referential integrity postoperation")) + backend
	s.must(os.WriteFile(filepath.Join(s.dir, "dse.ldif"), []byte(text), 0o600))
	s.must(os.CopyFS(filepath.Join(s.dir, "schema"), os.DirFS(filepath.Join(share, "schema"))))
	s.must(os.CopyFS(s.dir, os.DirFS(settings)))
	own := exec.CommandContext(s.t.Context(), "chown", "-R", "dirsrv", s.dir) //nolint:gosec // the test's own directory
	if out, err := own.CombinedOutput(); err != nil {
		testneed.Missing(s.t, "389 Directory Server starts only for root: "+strings.TrimSpace(string(out)))
	}
	s.must(os.Chmod(filepath.Dir(s.dir), 0o755)) // it runs as another user, who must get there
}

func enable(text string, plugins ...string) string {
	for _, name := range plugins {
		before, after, _ := strings.Cut(text, "dn: cn="+name+",")
		text = before + "dn: cn=" + name + "," + strings.Replace(after, "nsslapd-pluginenabled: off", "nsslapd-pluginenabled: on", 1)
	}
	return text
}

const backend = `

dn: cn=userRoot,cn=ldbm database,cn=plugins,cn=config
objectclass: top
objectclass: extensibleObject
objectclass: nsBackendInstance
cn: userRoot
nsslapd-suffix: ` + slapdtest.Base + `

dn: cn="` + slapdtest.Base + `",cn=mapping tree,cn=config
objectclass: top
objectclass: extensibleObject
objectclass: nsMappingTree
cn: ` + slapdtest.Base + `
nsslapd-state: backend
nsslapd-backend: userRoot
`

// fill adds the content. The first connection may come before the database is ready.
func (s *Server) fill(people int) {
	s.t.Helper()
	s.Add(slapdtest.Base, "objectClass: dcObject", "objectClass: organization", "dc: stadt", "o: Stadt Beispiel",
		`aci: (targetattr != "userPassword")(version 3.0; acl "service"; allow (read, search, compare) userdn = "ldap:///`+slapdtest.ServiceDN+`";)`)
	for _, ou := range []string{"ou=Personal", "ou=Gruppen", "ou=Dienste", "ou=Leer", "ou=Rathaus,ou=Personal", "ou=Bauhof,ou=Personal"} {
		name, _, _ := strings.Cut(strings.TrimPrefix(ou, "ou="), ",")
		s.Add(ou+","+slapdtest.Base, "objectClass: organizationalUnit", "ou: "+name)
	}
	s.Add(slapdtest.ServiceDN, "objectClass: applicationProcess", "objectClass: simpleSecurityObject", "cn: svc-vpn", "userPassword: "+slapdtest.ServicePassword, "nsSizeLimit: -1")
	staff := []string{"objectClass: groupOfNames", "cn: Homeoffice"}
	for n := range people {
		login, _ := slapdtest.Person(n)
		s.AddPerson(slapdtest.PersonDN(n), login, fmt.Sprintf("Vorname%d Nachname%d", n, n))
		staff = append(staff, "member: "+slapdtest.PersonDN(n))
	}
	s.Add(slapdtest.StaffGroup, staff...)
	s.Add(slapdtest.Helpdesk, "objectClass: groupOfNames", "cn: Helpdesk", "member: "+slapdtest.PersonDN(0))
}
