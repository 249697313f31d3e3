//go:build unix

// Package postgrestest runs a real PostgreSQL server for tests: one for a whole
// test binary, a new database for each test that asks.
//
// What always holds: the server listens on 127.0.0.1 and in a directory of its
// own, writes through to the disk as a real one does, sorts text by German rules
// (so that what relies on bytes is found out), and ends with the test binary.
//
// Not its business: the schema; store brings that.
package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/internal/testprocess"
)

// Database is an empty one.
type Database struct {
	DSN      string // without the password
	Password string
}

// Main runs the tests of a package whose tests call New, and ends the server:
//
//	func TestMain(m *testing.M) { postgrestest.Main(m) }
func Main(m *testing.M) { Run(m) } // which keeps the exit status

// Run is Main for those who do more, and want the exit status.
func Run(m *testing.M) int {
	defer running.stop()
	return m.Run()
}

// New gives a new, empty database; the server is started for the first one.
func New(t testing.TB) Database {
	t.Helper()
	return made(t, func(ctx context.Context) (Database, error) { return running.database(ctx, "template1") })
}

// NewLike gives a copy of a database that fill has made of an empty one. All who
// ask get copies of the first one's.
func NewLike(t testing.TB, fill func(Database) error) Database {
	t.Helper()
	return made(t, func(ctx context.Context) (Database, error) {
		if err := running.filled(ctx, fill); err != nil {
			return Database{}, err
		}
		return running.database(ctx, filled)
	})
}

func made(t testing.TB, database func(context.Context) (Database, error)) Database {
	t.Helper()
	bin := binaries(t)
	if err := running.start(bin); err != nil {
		t.Fatal("starting PostgreSQL: ", err)
	}
	d, err := database(context.Background())
	if err != nil {
		t.Fatal("making a database: ", err)
	}
	return d
}

// Server is one that a test has for itself, to take it away while other tests go
// on with theirs. It ends with the test.
type Server struct{ own server }

// NewServer starts one.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := new(Server)
	t.Cleanup(s.own.stop)
	if err := s.own.start(binaries(t)); err != nil {
		t.Fatal("starting PostgreSQL: ", err)
	}
	return s
}

// Certificate is what a server shows, and the CA that issued it, in PEM.
type Certificate struct{ CA, Leaf, Key []byte }

// NewTLSServer starts one that lets nobody in without TLS. The DSN of its
// databases asks for verify-full, with the CA's file.
func NewTLSServer(t testing.TB, c Certificate) *Server {
	t.Helper()
	s := &Server{own: server{certificate: &c}}
	t.Cleanup(s.own.stop)
	if err := s.own.start(binaries(t)); err != nil {
		t.Fatal("starting PostgreSQL: ", err)
	}
	return s
}

// New gives a new, empty database.
func (s *Server) New(t testing.TB) Database {
	t.Helper()
	d, err := s.own.database(context.Background(), "template1")
	if err != nil {
		t.Fatal("making a database: ", err)
	}
	return d
}

// Address is where it listens, host and port.
func (s *Server) Address() string { return s.own.address }

// Kill ends it at once, with all that it does for its clients.
func (s *Server) Kill() {
	// Its children end with it, and are gone when it is.
	_ = s.own.process.Signal(syscall.SIGQUIT)
	<-s.own.process.Done()
}

// Restart starts it again after Kill.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.own.run(); err != nil {
		t.Fatal("starting PostgreSQL again: ", err)
	}
}

// binaries finds the directory of the newest server that is installed.
func binaries(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return filepath.Dir(testneed.Program(t, "postgres"))
	}
	return filepath.Dir(found[len(found)-1])
}

// server is the one of this test binary.
type server struct {
	mu       sync.Mutex
	bin, dir string
	// certificate is what it shows; nil: it has no TLS.
	certificate *Certificate
	owner       *syscall.Credential // nil: ourselves
	address     string
	password    string
	made        int
	fill        sync.Once
	fillErr     error
	process     *testprocess.Process
}

var running server //nolint:gochecknoglobals // one of a test binary; tests that know nothing of each other share it

func (s *server) start(bin string) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return nil
	}
	s.bin, s.password = bin, rand.Text()
	if s.dir, err = os.MkdirTemp("", "heimdraht-postgres-"); err != nil {
		return err
	}
	if s.owner, err = unprivileged(); err != nil {
		return err
	}
	if err := s.makeCluster(); err != nil {
		return err
	}
	if s.address, err = testprocess.FreeAddress(context.Background()); err != nil {
		return err
	}
	return s.runLocked()
}

// unprivileged is who runs the server if we are root, as whom it refuses to run.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(uidErr, gidErr)
	}
	return nil, errors.New("there is no user to run it as")
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) command(program string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, program), args...) //nolint:noctx,gosec // it outlives every test; the programs are PostgreSQL's
	c.Dir = s.dir
	c.Env = []string{"PATH=" + s.bin + ":/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	if s.owner != nil {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	}
	return c
}

func (s *server) makeCluster() error {
	pw := filepath.Join(s.dir, "pw")
	if err := os.WriteFile(pw, []byte(s.password), 0o600); err != nil {
		return err
	}
	if s.owner != nil {
		if err := errors.Join(os.Chown(s.dir, int(s.owner.Uid), int(s.owner.Gid)), os.Chown(pw, int(s.owner.Uid), int(s.owner.Gid))); err != nil {
			return err
		}
	}
	out, err := s.command("initdb", "--no-sync", "--auth=scram-sha-256", "--username=heimdraht", "--pwfile="+pw, "--encoding=UTF8",
		"--locale-provider=icu", "--icu-locale=de", "--pgdata="+s.data()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return errors.Join(os.Remove(pw), s.demandTLS())
}

// demandTLS has a server with a certificate show it, and let nobody in without.
func (s *server) demandTLS() error {
	if s.certificate == nil {
		return nil
	}
	for name, content := range map[string][]byte{
		s.roots(): s.certificate.CA, filepath.Join(s.data(), "server.crt"): s.certificate.Leaf, filepath.Join(s.data(), "server.key"): s.certificate.Key,
		filepath.Join(s.data(), "pg_hba.conf"): []byte("hostssl all all 127.0.0.1/32 scram-sha-256\n"),
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return err
		}
		if s.owner != nil {
			if err := os.Chown(name, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *server) roots() string { return filepath.Join(s.dir, "ca.pem") }

func (s *server) run() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runLocked()
}

func (s *server) runLocked() error {
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return err
	}
	// The lock of one that was killed is of no consequence.
	s.process, err = testprocess.Start(s.command("postgres", "-D", s.data(), "-k", s.dir, "-h", host, "-p", port,
		"-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "autovacuum_naptime=10s", "-c", fmt.Sprint("ssl=", s.certificate != nil)))
	if err != nil {
		return err
	}
	if err := s.process.WaitFor(context.Background(), s.address); err != nil {
		s.process.Kill()
		return fmt.Errorf("%w\n%s", err, s.process.Output())
	}
	return s.answers()
}

// answers waits until the server has recovered and takes connections.
func (s *server) answers() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		conn, err := s.connect(context.Background())
		if err == nil {
			return conn.Close(context.Background())
		}
		if !strings.Contains(err.Error(), "57P03") { // cannot_connect_now
			return err
		}
		select {
		case <-tick.C:
		case <-deadline:
			return err
		}
	}
}

func (s *server) dsn(database string) string {
	tls := "sslmode=disable"
	if s.certificate != nil {
		tls = "sslmode=verify-full&sslrootcert=" + url.QueryEscape(s.roots())
	}
	return fmt.Sprintf("postgres://heimdraht@%s/%s?%s", s.address, database, tls)
}

func (s *server) connect(ctx context.Context) (*pgx.Conn, error) {
	// Its certificate may be for another name.
	c, err := pgx.ParseConfig(strings.Replace(s.dsn("postgres"), "verify-full", "verify-ca", 1))
	if err != nil {
		return nil, err
	}
	c.Password = s.password
	return pgx.ConnectConfig(ctx, c)
}

func (s *server) database(ctx context.Context, like string) (Database, error) {
	s.mu.Lock()
	s.made++
	name := fmt.Sprint("test", s.made)
	s.mu.Unlock()
	return s.databaseNamed(ctx, name, like)
}

const filled = "filled"

func (s *server) filled(ctx context.Context, fill func(Database) error) error {
	s.fill.Do(func() {
		var d Database
		if d, s.fillErr = s.databaseNamed(ctx, filled, "template1"); s.fillErr == nil {
			s.fillErr = fill(d)
		}
	})
	return s.fillErr
}

func (s *server) databaseNamed(ctx context.Context, name, like string) (Database, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return Database{}, err
	}
	_, err = conn.Exec(ctx, "create database "+name+" template "+like)
	return Database{DSN: s.dsn(name), Password: s.password}, errors.Join(err, conn.Close(ctx))
}

func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		_ = s.process.Signal(syscall.SIGQUIT) // at once, children included
		<-s.process.Done()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
