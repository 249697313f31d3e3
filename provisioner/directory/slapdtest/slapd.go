//go:build unix

package slapdtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/internal/testprocess"
	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Options say what kind of server a test wants. The zero value is one with the Members and nobody else.
type Options struct {
	People       int                 // generated people besides Members
	LDIF         []byte              // the whole content; empty: LDIF(People)
	SizeLimit    int                 // of the service account; zero: slapd's own, 500; Unlimited: none
	Sync         bool                // it offers syncrepl (overlay syncprov)
	SessionLog   int                 // with Sync: how many changes it remembers while it runs; zero: none
	MemberOf     bool                // it keeps memberOf, and takes who is deleted or renamed out of groups or renames her there
	Certificates *Certificates       // nil: made for this server
	Config       func(string) string // changes the text of slapd.conf; nil: leaves it
}

// Unlimited is a SizeLimit: as many entries as there are.
const Unlimited = -1

// Server is a running slapd.
type Server struct {
	LDAPS        string // URL
	LDAP         string // URL, for StartTLS or plain
	CAPEM        []byte
	PasswordFile string // contains ServicePassword
	*Admin

	t       testing.TB
	program string
	config  string
	db      string
	process *testprocess.Process
}

// Start loads the content and starts a server, which ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	program := testneed.Program(t, "slapd")
	s := &Server{t: t, program: program}
	s.prepare(o)
	s.Run()
	t.Cleanup(s.Stop)
	return s
}

// Configuration is what it takes to use this server, over LDAPS.
func (s *Server) Configuration() directory.Config {
	return directory.Config{
		Name: "stadt", Servers: []string{s.LDAPS}, CAPEM: s.CAPEM, BindDN: ServiceDN, BindPasswordFile: s.PasswordFile, Base: PeopleBase,
	}
}

func (s *Server) prepare(o Options) {
	s.t.Helper()
	dir := s.t.TempDir()
	certs := o.Certificates
	if certs == nil {
		made, err := NewCertificates(time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
		s.must("making certificates", err)
		certs = &made
	}
	content := o.LDIF
	if content == nil {
		content = LDIF(o.People)
	}
	text := configuration(dir, o)
	if o.Config != nil {
		text = o.Config(text)
	}
	s.CAPEM = certs.CA
	s.config = filepath.Join(dir, "slapd.conf")
	s.db = filepath.Join(dir, "db")
	s.PasswordFile = filepath.Join(dir, "service.pw")
	for name, data := range map[string][]byte{
		"slapd.conf": []byte(text), "data.ldif": content, "service.pw": []byte(ServicePassword + "\n"),
		"ca.pem": certs.CA, "cert.pem": certs.Cert, "key.pem": certs.Key,
	} {
		s.must("writing "+name, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	s.must("making the database directory", os.Mkdir(s.db, 0o700))
	// slapadd is slapd under another name, and not everybody's PATH has it.
	data := filepath.Join(dir, "data.ldif")
	load := exec.CommandContext(s.t.Context(), s.program, "-T", "add", "-q", "-w", "-f", s.config, "-l", data) //nolint:gosec // the program is slapd
	if out, err := load.CombinedOutput(); err != nil {
		s.t.Fatalf("loading the directory: %v\n%s", err, out)
	}
}

func (s *Server) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// Run starts the server, also again after Stop, on the same ports. It returns when the server answers.
func (s *Server) Run() {
	s.t.Helper()
	for attempt := 1; ; attempt++ {
		if s.LDAP == "" || attempt > 1 {
			s.LDAP, s.LDAPS = "ldap://"+s.freeAddress(), "ldaps://"+s.freeAddress()
			s.Admin = &Admin{T: s.t, URL: s.LDAP, DN: AdminDN, Password: AdminPassword}
		}
		var err error
		s.process, err = testprocess.Start(exec.Command(s.program, "-d", "0", "-f", s.config, "-h", s.LDAP+" "+s.LDAPS)) //nolint:noctx,gosec // it must outlive the test's context: cleanups still use it; the program is slapd
		s.must("starting slapd", err)
		err = s.process.WaitFor(s.t.Context(), strings.TrimPrefix(s.LDAP, "ldap://"), strings.TrimPrefix(s.LDAPS, "ldaps://"))
		if err == nil {
			return
		}
		s.process.Kill()
		// Somebody else may have taken a port between choosing and using it.
		if attempt == 3 {
			s.t.Fatalf("starting slapd: %v\n%s", err, s.process.Output())
		}
	}
}

// Pause stops the process with SIGSTOP: connections stay open and nothing answers.
func (s *Server) Pause() {
	s.t.Helper()
	s.must("pausing slapd", s.process.Pause(s.t.Context()))
}

// Resume lets a paused server go on.
func (s *Server) Resume() { s.must("resuming slapd", s.process.Resume()) }

// Stop kills the server. It is idempotent.
func (s *Server) Stop() {
	s.HangUp()
	s.process.Kill()
}

func (s *Server) freeAddress() string {
	s.t.Helper()
	address, err := testprocess.FreeAddress(s.t.Context())
	s.must("finding a free port", err)
	return address
}

// Quit ends the server in an orderly way: it writes down how far it was. It is idempotent.
func (s *Server) Quit() {
	s.t.Helper()
	s.HangUp()
	select {
	case <-s.process.Done():
		return
	default:
	}
	s.must("ending slapd", s.process.Signal(syscall.SIGTERM))
	select {
	case <-s.process.Done():
	case <-time.After(20 * time.Second):
		s.t.Fatal("slapd does not end")
	}
}

// Reconfigure changes the text of slapd.conf, for the next Run.
func (s *Server) Reconfigure(change func(string) string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	s.must("reading slapd.conf", err)
	s.must("writing slapd.conf", os.WriteFile(s.config, []byte(change(string(text))), 0o600))
}

// Backup copies the database of a server that does not run, and returns what brings it back.
func (s *Server) Backup() (restore func()) {
	s.t.Helper()
	saved := filepath.Join(s.t.TempDir(), "db")
	s.copy(s.db, saved)
	return func() {
		s.t.Helper()
		s.must("removing the database", os.RemoveAll(s.db))
		s.copy(saved, s.db)
	}
}

// copy copies a database, which is a file of a gigabyte with next to nothing in it.
func (s *Server) copy(from, to string) {
	s.t.Helper()
	if out, err := exec.CommandContext(s.t.Context(), "cp", "-R", "--sparse=always", from, to).CombinedOutput(); err != nil { //nolint:gosec // of the test's own directories
		s.t.Fatalf("copying the database: %v\n%s", err, out)
	}
}

func configuration(dir string, o Options) string {
	limit := ""
	switch {
	case o.SizeLimit == Unlimited:
		limit = fmt.Sprintf("limits dn.exact=%q size=unlimited\n", ServiceDN)
	case o.SizeLimit > 0:
		limit = fmt.Sprintf("limits dn.exact=%q size=%d\n", ServiceDN, o.SizeLimit)
	}
	modules, overlays := "", ""
	if o.Sync {
		modules += "moduleload syncprov\n"
		overlays += "overlay syncprov\n"
		if o.SessionLog > 0 {
			overlays += fmt.Sprintf("syncprov-sessionlog %d\n", o.SessionLog)
		}
	}
	if o.MemberOf {
		modules += "moduleload memberof\nmoduleload refint\n"
		overlays += "overlay memberof\noverlay refint\nrefint_attributes member uniqueMember\nrefint_nothing \"cn=nobody," + Base + "\"\n"
	}
	return fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
%[9]spidfile %[1]s/slapd.pid
TLSCACertificateFile %[1]s/ca.pem
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
database mdb
suffix %[2]q
rootdn %[3]q
rootpw %[4]s
directory %[1]s/db
maxsize 1073741824
dbnosync
index objectClass eq
index uid,cn,mail,member,uniqueMember,memberUid,entryUUID,entryCSN eq
%[5]saccess to attrs=userPassword by anonymous auth by * none
access to dn.exact=%[6]q by * none
access to * by dn.exact=%[7]q read by anonymous auth by * none
overlay ppolicy
ppolicy_default "cn=standard,ou=Richtlinien,%[8]s"
ppolicy_use_lockout
%[10]s`, dir, Base, AdminDN, AdminPassword, limit, HiddenGroup, ServiceDN, Base, modules, overlays)
}
