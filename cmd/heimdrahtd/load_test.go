package main

import (
	"crypto/tls"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

var killSeed = flag.Uint64("kill-seed", 20270101, "decides when the program is killed and what it is doing then")

// load is a control plane in a process of its own and what it has answered.
type load struct {
	*provisionertest.Client

	t        *testing.T
	config   string
	database store.Options
	process  *process
	gateway  *provisionertest.Gateway

	mu      sync.Mutex
	killed  bool // from now on errors are to be expected
	people  int  // next one
	answers int
	enough  int // answers that somebody waits for
	reached chan struct{}
	devices []*device
}

// device is what was answered of one device, and what was asked without an
// answer yet.
type device struct {
	provisionertest.Laptop

	sessions     []*session // in the order of opening
	revokeAsked  bool
	revokeAnswer bool
}

type session struct {
	id          string
	closeAsked  bool // by its owner, or by an opening after it
	closeAnswer bool
}

func newLoad(t *testing.T, people int) *load { return newLoadOn(t, people, nil) }

// newLoadOn puts it on PostgreSQL; nil: on SQLite.
func newLoadOn(t *testing.T, people int, server *postgrestest.Database) *load {
	dir := t.TempDir()
	directory := provisionertest.ServeDirectory(t, people)
	l := &load{t: t, config: filepath.Join(dir, "heimdrahtd.yaml")}
	args := []string{
		"init", "--config", l.config, "--state-dir", filepath.Join(dir, "state"), "--master-key", filepath.Join(dir, "master.key"),
		"--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--name", "127.0.0.1", "--token-file", filepath.Join(dir, "token"),
	}
	l.database.Database = filepath.Join(dir, "state", "heimdraht.db")
	if server != nil {
		l.database.Database, l.database.Password = server.DSN, server.Password
		password := filepath.Join(dir, "database.password")
		if err := os.WriteFile(password, []byte(server.Password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--database", server.DSN, "--database-password-file", password)
	}
	made, err := startProcess(childEnvironment(), args...)
	if err != nil {
		t.Fatal(err)
	}
	<-made.log.done
	if err := made.cmd.Wait(); err != nil {
		t.Fatal(err, made.log)
	}
	t.Cleanup(func() {
		if l.process != nil {
			l.process.kill()
		}
	})
	l.start()
	token, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(dir, "directory.password")
	if err := os.WriteFile(password, []byte(provisionertest.ServicePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Redeem(strings.TrimSpace(string(token)))
	d := provisionertest.DeclarationOver(directory.Address, string(directory.CA), password)
	d.LicencePools[0].Contracts[0].Seats, d.Gateways[0].Sessions = 100_000, 10_000
	l.Apply(d)
	l.gateway = l.JoinGateway("gw1")
	l.kill()
	return l
}

// childEnvironment is that of the program: without the race detector's wait at
// its end.
func childEnvironment() []string { return append(os.Environ(), "GORACE=atexit_sleep_ms=0") }

// start runs the program and points the client at it.
func (l *load) start() {
	l.t.Helper()
	p, err := startProcess(childEnvironment(), "run", "--config", l.config)
	if err != nil {
		l.t.Fatal(err)
	}
	l.process = p
	if err := p.serving(); err != nil {
		l.t.Fatal(err, p.log)
	}
	if l.Client == nil {
		l.Client = provisionertest.Connect(l.t, p.address, p.fingerprint)
	}
	l.Moved(p.address)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.killed, l.answers, l.enough, l.reached = false, 0, -1, make(chan struct{})
}

func (l *load) kill() {
	l.mu.Lock()
	l.killed = true
	l.mu.Unlock()
	l.process.kill()
	l.process = nil
}

// answered waits for n answers since the start.
func (l *load) answered(n int) {
	l.t.Helper()
	l.mu.Lock()
	l.enough = n
	l.tell()
	l.mu.Unlock()
	select {
	case <-l.reached:
	case <-time.After(time.Minute):
		l.t.Fatalf("%d answers in a minute, waiting for %d", l.answers, n)
	}
}

// tell wakes who waits for answers; l.mu is held.
func (l *load) tell() {
	if l.enough >= 0 && l.answers >= l.enough {
		l.enough = -1
		close(l.reached)
	}
}

// note keeps an answer, or reports an error that has no excuse; it tells
// whether to go on.
func (l *load) note(what string, err error, keep func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if !l.killed {
			l.t.Errorf("%s: %v", what, err)
		}
		return false
	}
	keep()
	l.answers++
	l.tell()
	return true
}

// before keeps what is asked before it is.
func (l *load) before(keep func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	keep()
}

func (l *load) attempt(certificate tls.Certificate, resume string) (*heimdrahtv1.AttachResponse, error) {
	conn := l.Dial(&certificate)
	defer conn.Close()
	stream, err := heimdrahtv1.NewSessionServiceClient(conn).Attach(l.t.Context())
	if err != nil {
		return nil, err
	}
	return provisionertest.Open(stream, resume)
}
