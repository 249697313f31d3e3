package main

import (
	"errors"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/internal/testprocess"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

func TestMain(m *testing.M) {
	testscript.Main(withPostgres{m}, map[string]func(){"heimdrahtd": main})
}

// withPostgres ends the server that tests started.
type withPostgres struct{ *testing.M }

func (w withPostgres) Run() int { return postgrestest.Run(w.M) }

// onServer says where a database is.
func onServer(ts *testscript.TestScript, d postgrestest.Database) {
	ts.Setenv("DSN", d.DSN)
	ts.Setenv("DEMANDING", strings.Replace(d.DSN, "sslmode=disable", "sslmode=require", 1))
	ts.Check(os.WriteFile(ts.MkAbs("database.password"), []byte(d.Password+"\n"), 0o600))
}

func tlsServer(ts *testscript.TestScript, _ bool, names []string) {
	c, err := slapdtest.NewCertificates(time.Now().Add(-time.Hour), time.Now().Add(time.Hour), names...)
	ts.Check(err)
	t := worldOf(ts).t
	onServer(ts, postgrestest.NewTLSServer(t, postgrestest.Certificate{CA: c.CA, Leaf: c.Cert, Key: c.Key}).New(t))
	other, err := slapdtest.NewCertificates(time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("other.pem"), other.CA, 0o600))
}

var update = flag.Bool("update", false, "write the outputs as they are into the scripts")

// TestScripts runs the program as people do. Beside testscript's own commands
// there are
//
//	refused ARG...     runs the program, which must end with status 1
//	misused ARG...     runs the program, which must end with status 2
//	powerless ARG...   like refused, without root's right to write everywhere
//	server             makes an empty database on PostgreSQL: $DSN, the password in the file database.password;
//	                   $DEMANDING is the DSN that asks for TLS
//	tlsserver [NAME]   is like server, and nobody gets in without TLS; its certificate is for NAME, or for where it listens;
//	                   other.pem is a CA that has nothing to do with it
//	made [ARG...]      makes a control plane: heimdrahtd init
//	serve [LOG]        runs it, and waits until it serves
//	halt               ends it by SIGTERM, which must leave status 0
//	declare FILE [AT]  declares the town, whose directory has the CA in FILE and is at AT
//	append FILE LINE   adds a line
//	modes MODE PATH... fails unless these have the mode
//	hidden FILE TEXT   fails if the file has what the other one has, or lines of it
func TestScripts(t *testing.T) {
	directory := provisionertest.ServeDirectory(t, 0)
	setpriv := ""
	if os.Geteuid() == 0 {
		setpriv = testneed.Program(t, "setpriv")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			busy, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(func() { busy.Close() })
			w := &world{t: t, env: env, config: filepath.Join(env.WorkDir, "etc", "heimdrahtd.yaml"), directory: directory, setpriv: setpriv}
			env.Values[worldKey{}] = w
			env.Defer(w.stop)
			env.Setenv("CONFIG", w.config)
			env.Setenv("STATE", filepath.Join(env.WorkDir, "state"))
			env.Setenv("KEY", filepath.Join(env.WorkDir, "etc", "master.key"))
			env.Setenv("BUSY", busy.Addr().String())
			env.Setenv("DIRECTORY", directory.Address)
			// With the race detector each process would wait a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("DOWN", freeAddress(t))
			return w.lay()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"refused":   func(ts *testscript.TestScript, _ bool, args []string) { exits(ts, exitFailed, "heimdrahtd", args...) },
			"misused":   func(ts *testscript.TestScript, _ bool, args []string) { exits(ts, exitUsage, "heimdrahtd", args...) },
			"powerless": powerless,
			"server":    func(ts *testscript.TestScript, _ bool, _ []string) { onServer(ts, postgrestest.New(worldOf(ts).t)) },
			"tlsserver": tlsServer,
			"made": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(ts.Exec("heimdrahtd", append(initArgs(ts), args...)...))
			},
			"serve":   func(ts *testscript.TestScript, _ bool, args []string) { worldOf(ts).serve(ts, args) },
			"halt":    func(ts *testscript.TestScript, _ bool, _ []string) { worldOf(ts).halt(ts) },
			"declare": func(ts *testscript.TestScript, _ bool, args []string) { worldOf(ts).declare(ts, args) },
			"append": func(ts *testscript.TestScript, _ bool, args []string) {
				f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY|os.O_APPEND, 0)
				ts.Check(err)
				_, err = f.WriteString(args[1] + "\n")
				ts.Check(errors.Join(err, f.Close()))
			},
			"modes": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, name := range args[1:] {
					info, err := os.Stat(ts.MkAbs(name))
					ts.Check(err)
					if got := info.Mode().Perm().String(); got != args[0] {
						ts.Fatalf("%s has mode %s", name, got)
					}
				}
			},
			"hidden": func(ts *testscript.TestScript, _ bool, args []string) {
				secret := strings.TrimSpace(ts.ReadFile(args[1]))
				if secret == "" || strings.Contains(ts.ReadFile(args[0]), secret) {
					ts.Fatalf("%s shows what is in %s", args[0], args[1])
				}
			},
		},
	})
}

// initArgs make a control plane that touches nothing outside of the script's
// directory and no fixed port.
func initArgs(ts *testscript.TestScript) []string {
	return []string{
		"init", "--config", ts.Getenv("CONFIG"), "--state-dir", ts.Getenv("STATE"), "--master-key", ts.Getenv("KEY"),
		"--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--name", "127.0.0.1", "--token-file", ts.MkAbs("token"),
	}
}

func exits(ts *testscript.TestScript, status int, program string, args ...string) {
	err := ts.Exec(program, args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != status {
		ts.Fatalf("ended with %v, want exit status %d", err, status)
	}
}

// powerless takes from root what lets it write and read everywhere, so that
// modes count.
func powerless(ts *testscript.TestScript, _ bool, args []string) {
	if os.Geteuid() != 0 {
		exits(ts, exitFailed, "heimdrahtd", args...)
		return
	}
	exits(ts, exitFailed, worldOf(ts).setpriv, append([]string{"--bounding-set=-dac_override,-dac_read_search", "heimdrahtd"}, args...)...)
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// world is what a script's commands share.
type world struct {
	t         *testing.T
	env       *testscript.Env
	config    string
	directory *provisionertest.DirectoryServer
	setpriv   string // takes rights from root; empty where we are not root
	running   *process
	log       string // where halt writes what was logged
}

func (w *world) serve(ts *testscript.TestScript, args []string) {
	p, err := startProcess(w.env.Vars, "run", "--config", w.config)
	ts.Check(err)
	w.running = p
	if err := p.serving(); err != nil {
		ts.Fatalf("%v\n%s", err, p.log.String())
	}
	w.log = ""
	if len(args) > 0 {
		w.log = ts.MkAbs(args[0])
	}
}

func (w *world) halt(ts *testscript.TestScript) {
	p := w.running
	w.running = nil
	ts.Check(p.terminate())
	if w.log != "" {
		ts.Check(os.WriteFile(w.log, []byte(p.log.String()), 0o600))
	}
}

// lay lays certificates where scripts find them: of the directory's authority, of
// a foreign one, and two for the control plane, one of which soon ends.
func (w *world) lay() error {
	files := map[string][]byte{"ca.pem": w.directory.CA}
	for name, left := range map[string]time.Duration{"tls": 90 * 24 * time.Hour, "ending": 24 * time.Hour} {
		made, err := slapdtest.NewCertificates(time.Now().Add(-time.Hour), time.Now().Add(left))
		if err != nil {
			return err
		}
		files[name+".pem"], files[name+".key"], files["foreign.pem"] = made.Cert, made.Key, made.CA
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(w.env.WorkDir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// freeAddress is one where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := testprocess.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// stop ends what a script that failed left running.
func (w *world) stop() {
	if w.running != nil {
		w.running.kill()
	}
}

// declare signs in as the operator and declares a town without gateways.
func (w *world) declare(ts *testscript.TestScript, args []string) {
	p := w.running
	c := provisionertest.Connect(w.t, p.address, p.fingerprint)
	c.Redeem(strings.TrimSpace(ts.ReadFile("token")))
	ts.Check(os.WriteFile(ts.MkAbs("directory.password"), []byte(provisionertest.ServicePassword+"\n"), 0o600))
	at := ts.Getenv("DIRECTORY")
	if len(args) > 1 {
		at = args[1]
	}
	d := provisionertest.DeclarationOver(at, ts.ReadFile(args[0]), ts.MkAbs("directory.password"))
	d.Gateways = nil
	c.Apply(d)
}
