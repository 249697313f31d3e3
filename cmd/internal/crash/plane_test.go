//go:build linux

package crash_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"

	"github.com/heimdraht/heimdraht/internal/testprocess"
)

// plane is a control plane in a process of its own.
type plane struct {
	t           testing.TB
	dir         string // configuration, master key and state
	address     string // the same after each start
	fingerprint string
	process     *testprocess.Process // nil: none runs
}

// newHost gives an address of this machine that nobody else has: of 127.0.0.1
// the system might give the control plane's port to somebody's connection while
// the control plane is down.
func newHost() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64+pid>>8&63, pid&255, 1+addresses.Add(1)%250)
}

func newAddress() string { return newHost() + ":8443" }

var addresses atomic.Int32

// database says where a control plane keeps its data.
type database struct {
	name           string
	dsn            string           // empty: a file in the state directory
	password, file string           // of the server
	beside         string           // a DSN for the test itself; empty: the same
	mount          func(dir string) // a disk of its own; nil: none
}

func onSQLite() database { return database{name: "sqlite"} }

func onPostgres(t testing.TB, d postgrestest.Database) database {
	t.Helper()
	file := filepath.Join(t.TempDir(), "database.pw")
	must(t, "writing the database's password", os.WriteFile(file, []byte(d.Password+"\n"), 0o600))
	return database{name: "postgres", dsn: d.DSN, password: d.Password, file: file}
}

// newPlane makes a control plane in dir, as `heimdrahtd init` does, and gives the
// token for its first operator.
func newPlane(t testing.TB, dir string, on database) (*plane, string) {
	t.Helper()
	p := &plane{t: t, dir: dir, address: newAddress()}
	if on.mount != nil {
		must(t, "making "+p.state(), os.Mkdir(p.state(), 0o700))
		on.mount(p.state())
	}
	host, _, _ := strings.Cut(p.address, ":")
	token := filepath.Join(dir, "token")
	args := []string{
		"init", "--config", p.config(), "--state-dir", p.state(), "--master-key", filepath.Join(dir, "master.key"),
		"--listen", p.address, "--metrics", p.metrics(), "--name", host, "--token-file", token,
	}
	if on.dsn != "" {
		args = append(args, "--database", on.dsn, "--database-password-file", on.file)
	}
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("heimdrahtd init: %v\n%s", err, out)
	}
	found := regexp.MustCompile(`Fingerprint +([0-9a-f]{64})`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("heimdrahtd init shows no fingerprint:\n%s", out)
	}
	p.fingerprint = string(found[1])
	content, err := os.ReadFile(token)
	must(t, "reading the operator's token", err)
	t.Cleanup(p.showLog)
	return p, strings.TrimSpace(string(content))
}

// replica is another control plane on the same database: its configuration and
// master key are copies of the first one's, with another address and place.
func (p *plane) replica(dir string) *plane {
	p.t.Helper()
	r := &plane{t: p.t, dir: dir, address: newAddress(), fingerprint: p.fingerprint}
	config, err := os.ReadFile(p.config())
	must(p.t, "reading the configuration", err)
	from, _, _ := strings.Cut(p.address, ":")
	to, _, _ := strings.Cut(r.address, ":")
	text := strings.NewReplacer(p.dir+"/", dir+"/", from, to).Replace(string(config))
	must(p.t, "copying the configuration", os.WriteFile(r.config(), []byte(text), 0o600))
	key, err := os.ReadFile(filepath.Join(p.dir, "master.key"))
	must(p.t, "reading the master key", err)
	must(p.t, "copying the master key", os.WriteFile(filepath.Join(dir, "master.key"), key, 0o600))
	must(p.t, "making the state directory", os.Mkdir(r.state(), 0o700))
	p.t.Cleanup(r.showLog)
	return r
}

// metrics is where it tells how it is.
func (p *plane) metrics() string {
	host, _, _ := strings.Cut(p.address, ":")
	return host + ":9443"
}

// tells asks it there.
func (p *plane) tells(path string) string {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.metrics()+path, nil)
	must(p.t, "asking", err)
	answer, err := http.DefaultClient.Do(request)
	must(p.t, "asking", err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	must(p.t, "reading the answer", err)
	return string(content)
}

func (p *plane) config() string { return filepath.Join(p.dir, "heimdrahtd.yaml") }
func (p *plane) state() string  { return filepath.Join(p.dir, "state") }
func (p *plane) file() string   { return filepath.Join(p.state(), "heimdraht.db") }

// start runs it and returns when it takes calls.
func (p *plane) start() {
	p.t.Helper()
	var err error
	p.process, err = testprocess.Start(exec.Command(program, "run", "--config", p.config()))
	must(p.t, "starting the control plane", err)
	if err := p.process.WaitFor(context.Background(), p.address); err != nil {
		p.kill()
		p.t.Fatalf("the control plane does not come up: %v\n%s", err, p.log())
	}
}

// showLog shows what it wrote if the test has failed.
func (p *plane) showLog() {
	p.kill()
	if p.t.Failed() && p.process != nil {
		p.t.Logf("the control plane %s:\n%s", p.address, p.log())
	}
}

// kill ends it at once. Idempotent.
func (p *plane) kill() {
	if p.process != nil {
		p.process.Kill()
	}
}

// log is what it has written so far.
func (p *plane) log() string { return p.process.Output() }

// terminate ends it in order.
func (p *plane) terminate() {
	p.t.Helper()
	must(p.t, "asking the control plane to end", p.process.Signal(syscall.SIGTERM))
	<-p.process.Done()
	if !strings.Contains(p.log(), "control plane has stopped") {
		p.t.Errorf("the control plane did not end in order:\n%s", p.log())
	}
}

func (p *plane) client() *provisionertest.Client {
	return provisionertest.Connect(p.t, p.address, p.fingerprint)
}

// declare declares the town, whose directory is served by the test.
func declare(t testing.TB, c *provisionertest.Client, directory *provisionertest.DirectoryServer, change func(*heimdrahtv1.Declaration)) {
	t.Helper()
	password := filepath.Join(t.TempDir(), "directory.pw")
	must(t, "writing the directory's password", os.WriteFile(password, []byte(provisionertest.ServicePassword), 0o600))
	d := provisionertest.DeclarationOver(directory.Address, string(directory.CA), password)
	change(d)
	c.Apply(d)
}
