//go:build unix

package sambatest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/internal/testprocess"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

// Where things are in the domain, and the passwords of its accounts.
const (
	Base       = "DC=stadt,DC=example"
	PeopleBase = "OU=Personal," + Base // with OU=Rathaus and OU=Bauhof below it
	TownHall   = "OU=Rathaus," + PeopleBase
	Depot      = "OU=Bauhof," + PeopleBase
	Former     = "OU=Ehemalige," + Base // beside PeopleBase
	GroupsBase = "OU=Gruppen," + Base
	// NetBIOS is the domain as it stands in NETBIOS\login.
	NetBIOS = "STADT"
	// DNSName is the domain in user principal names and mail addresses.
	DNSName = "stadt.example"

	AdminDN       = "CN=Administrator,CN=Users," + Base
	AdminPassword = "Verwaltung-2026" //nolint:gosec // of a test's server
	// ServiceDN has the rights that every account of the domain has.
	ServiceDN = "CN=svc-vpn,OU=Dienste," + Base
	// SyncDN has the right Replicating Directory Changes besides.
	SyncDN          = "CN=svc-abgleich,OU=Dienste," + Base
	ServicePassword = "Dienst-Konto-2026" //nolint:gosec // of a test's server

	// LockedAfter is how many wrong passwords lock an account, for half an hour.
	LockedAfter = 3
)

// Options say what a test wants. The zero value is a domain without people.
type Options struct {
	// People are made in OU=Rathaus with the logins of PersonLogin; they have no password, and it never expires.
	People int
}

// PersonLogin is the login of the n-th person of Options.People.
func PersonLogin(n int) string { return fmt.Sprintf("p%04d", n) }

// PersonDN is where she is.
func PersonDN(n int) string { return "CN=" + PersonLogin(n) + "," + TownHall }

// Server is a running domain controller.
type Server struct {
	LDAPS        string // URL
	LDAP         string // URL, for StartTLS; without it binds are refused
	CAPEM        []byte
	PasswordFile string // contains ServicePassword, which both service accounts have

	t       testing.TB
	program string
	dir     string
	process *testprocess.Process
	admin   *goldap.Conn // nil: none yet, or the server was stopped
}

// Start starts a server, which ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	testneed.Root(t)
	s := &Server{t: t, program: testneed.Program(t, "samba"), dir: t.TempDir()}
	tree, err := template(t, s.program, o.People)
	s.must("provisioning a domain", err)
	s.must("copying the domain", os.CopyFS(s.dir, os.DirFS(tree)))
	s.PasswordFile = filepath.Join(s.dir, "service.pw")
	s.must("writing the password", os.WriteFile(s.PasswordFile, []byte(ServicePassword+"\n"), 0o600))
	s.Run()
	t.Cleanup(s.Stop)
	return s
}

// Configuration is what it takes to use this server, over LDAPS, with ordinary rights.
func (s *Server) Configuration() directory.Config {
	return directory.Config{
		Name: "stadt", Servers: []string{s.LDAPS}, CAPEM: s.CAPEM, BindDN: ServiceDN, BindPasswordFile: s.PasswordFile, Base: PeopleBase,
	}
}

// SyncConfiguration is Configuration with the account that may replicate changes.
func (s *Server) SyncConfiguration() directory.Config {
	c := s.Configuration()
	c.BindDN = SyncDN
	return c
}

// Run starts the server, also again after Stop, at the same address. It returns when the server answers.
func (s *Server) Run() {
	s.t.Helper()
	for attempt := 1; ; attempt++ {
		if s.LDAP == "" || attempt > 1 {
			s.settle()
		}
		host := hostOf(s.LDAP)
		var err error
		s.process, err = testprocess.Start(exec.Command(s.program, "-i", "-M", "single", "-s", filepath.Join(s.dir, runDir, "smb.conf"))) //nolint:noctx,gosec // it must outlive the test's context: cleanups still use it; the program is samba
		s.must("starting Samba", err)
		if err = s.process.WaitFor(s.t.Context(), host+":389", host+":636"); err == nil {
			return
		}
		s.process.Kill()
		// Somebody else may have taken the address between choosing and using it.
		if attempt == 3 {
			s.t.Fatalf("starting Samba: %v\n%s", err, s.process.Output())
		}
	}
}

// settle chooses an address and writes configuration and certificates for it. Samba's ports are fixed, so each
// server has an address of its own.
func (s *Server) settle() {
	s.t.Helper()
	host, err := freeHost()
	s.must("finding a free address", err)
	certs, err := slapdtest.NewCertificates(time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour), host)
	s.must("making certificates", err)
	s.LDAP, s.LDAPS, s.CAPEM = "ldap://"+host, "ldaps://"+host, certs.CA
	s.must("writing the configuration", configure(s.dir, host, certs))
}

func hostOf(url string) string { return url[len("ldap://"):] }

// freeHost gives an address of 127.0.0.0/8 at which nobody serves LDAP just now.
func freeHost() (string, error) {
	for range 20 {
		host := net.IPv4(127, byte(64+rand.N(128)), byte(rand.N(256)), byte(1+rand.N(254))).String()
		free := true
		for _, port := range []string{"389", "636", "3268", "3269"} {
			l, err := net.Listen("tcp", net.JoinHostPort(host, port)) //nolint:noctx // it is closed at once
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return host, nil
		}
	}
	return "", errors.New("something serves LDAP at all addresses")
}

// Pause stops the process with SIGSTOP: connections stay open and nothing answers.
func (s *Server) Pause() {
	s.t.Helper()
	s.must("pausing Samba", s.process.Pause(s.t.Context()))
}

// Resume lets a paused server go on.
func (s *Server) Resume() { s.must("resuming Samba", s.process.Resume()) }

// Stop kills the server. It is idempotent.
func (s *Server) Stop() {
	if s.admin != nil {
		_ = s.admin.Close()
		s.admin = nil
	}
	s.process.Kill()
}

// Backup keeps what a stopped server has. The function it returns puts it back, as somebody does who sets a virtual
// machine back behind the domain's back; the server must be stopped for that, too.
func (s *Server) Backup() (restore func()) {
	s.t.Helper()
	kept, data := s.t.TempDir(), filepath.Join(s.dir, "private")
	s.must("removing sockets", removeSockets(s.dir))
	s.must("keeping the database", os.CopyFS(kept, os.DirFS(data)))
	return func() {
		s.t.Helper()
		s.must("removing the database", os.RemoveAll(data))
		s.must("putting the database back", os.CopyFS(data, os.DirFS(kept)))
	}
}

// removeSockets removes what cannot be copied.
func removeSockets(dir string) error {
	return errors.Join(os.RemoveAll(filepath.Join(dir, "private", "ldapi")), os.RemoveAll(filepath.Join(dir, "private", "ldap_priv")))
}

func (s *Server) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// runDir is where in a server's directory that lies which is its own: the rest is a copy.
const runDir = "run"

// configure writes smb.conf and what it names. Only the LDAP service runs.
func configure(dir, host string, certs slapdtest.Certificates) error {
	text := fmt.Sprintf(`[global]
netbios name = DC1
realm = %[1]s
workgroup = %[2]s
server role = active directory domain controller
server services = ldap
dcerpc endpoint servers = none
interfaces = %[3]s/8
bind interfaces only = yes
private dir = %[4]s/private
state directory = %[4]s/state
cache directory = %[4]s/cache
lock directory = %[4]s/run
pid directory = %[4]s/run
ncalrpc dir = %[4]s/run/ncalrpc
winbindd socket directory = %[4]s/run/winbindd
ntp signd socket directory = %[4]s/run/ntp
log file = %[4]s/run/log
log level = 0
tls enabled = yes
tls cafile = %[4]s/run/ca.pem
tls certfile = %[4]s/run/cert.pem
tls keyfile = %[4]s/run/key.pem
tls dh params file = %[4]s/run/dh.pem
ldb:nosync = yes
`, DNSName, NetBIOS, host, dir)
	if err := os.MkdirAll(filepath.Join(dir, runDir), 0o700); err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"smb.conf": []byte(text), "ca.pem": certs.CA, "cert.pem": certs.Cert, "key.pem": certs.Key, "dh.pem": []byte(ffdhe2048),
	} {
		if err := os.WriteFile(filepath.Join(dir, runDir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ffdhe2048 are the parameters of RFC 7919, appendix A.1: without them Samba makes its own, for minutes.
const ffdhe2048 = `-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
`
