//go:build linux

package crash_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testprocess"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/audit"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

// collector is a receiver of syslog over TLS that can be stopped and started again.
type collector struct {
	t       testing.TB
	address string
	config  *tls.Config
	caFile  string

	mu       sync.Mutex
	messages []string
	most     int        // messages that it takes; then it reads no further
	moved    *sync.Cond // most has changed, or it stops
	conns    map[net.Conn]bool
	listener net.Listener // nil: stopped
	serving  sync.WaitGroup
}

func newCollector(t testing.TB) *collector {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, "making a key", err)
	host := newHost()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(host)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	must(t, "making a certificate", err)
	c := &collector{
		t: t, address: host + ":6514", caFile: filepath.Join(t.TempDir(), "collector-ca.pem"), conns: make(map[net.Conn]bool),
		config: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12},
	}
	c.moved = sync.NewCond(&c.mu)
	must(t, "writing the CA", os.WriteFile(c.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	t.Cleanup(c.stop)
	return c
}

// start lets it take so many messages and then hang.
func (c *collector) start(most int) {
	c.t.Helper()
	l, err := net.Listen("tcp", c.address)
	must(c.t, "listening", err)
	c.mu.Lock()
	c.listener = l
	c.most = most
	c.mu.Unlock()
	c.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.conns[conn] = true
			c.mu.Unlock()
			c.serving.Go(func() { c.serve(conn) })
		}
	})
}

// stop ends it as a kill does: connections are reset. Idempotent.
func (c *collector) stop() {
	c.mu.Lock()
	if c.listener != nil {
		_ = testprocess.Unlisten(c.listener)
		c.listener = nil
	}
	for conn := range c.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	c.moved.Broadcast()
	c.mu.Unlock()
	c.serving.Wait()
}

// serve takes messages as they come, each with its length before it (RFC 5425).
func (c *collector) serve(plain net.Conn) {
	conn := tls.Server(plain, c.config)
	defer func() {
		_ = conn.Close()
		c.mu.Lock()
		delete(c.conns, plain)
		c.mu.Unlock()
	}()
	in := bufio.NewReader(conn)
	for {
		length, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, " "))
		if err != nil || n > 1<<20 {
			c.t.Errorf("a message begins with %q", length)
			return
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		c.mu.Lock()
		for c.listener != nil && len(c.messages) >= c.most {
			c.moved.Wait()
		}
		c.messages = append(c.messages, string(message))
		c.mu.Unlock()
	}
}

func (c *collector) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.messages...)
}

// takes lets it take so many messages in all.
func (c *collector) takes(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = most
	c.moved.Broadcast()
}

// everything is no bound.
const everything = 1 << 30

var (
	auditMessage = regexp.MustCompile(`^<109>1 (\S+) \S+ heimdrahtd - (audit|checkpoint) \[audit@32473((?: [a-z]+="(?:[^"\\\]]|\\.)*")+)\](?: (.*))?$`)
	auditParam   = regexp.MustCompile(` ([a-z]+)="((?:[^"\\\]]|\\.)*)"`)
)

// chains are the records that came, doubles left out, and the lines of checkpoints.
func (c *collector) chains() (chains map[string][]audit.Record, checkpoints []string) {
	c.t.Helper()
	chains = make(map[string][]audit.Record)
	seen := make(map[string]bool)
	for _, m := range c.all() {
		parts := auditMessage.FindStringSubmatch(m)
		if parts == nil {
			c.t.Fatalf("a message is not as expected: %s", m)
		}
		if parts[2] == "checkpoint" {
			checkpoints = append(checkpoints, parts[4])
			continue
		}
		params := make(map[string]string)
		for _, p := range auditParam.FindAllStringSubmatch(parts[3], -1) {
			params[p[1]] = p[2]
		}
		if id := params["chain"] + " " + params["seq"] + " " + params["hash"]; seen[id] {
			continue
		} else {
			seen[id] = true
		}
		r := audit.Record{Tenant: params["tenant"], Payload: []byte(parts[4])}
		var errs [5]error
		r.Seq, errs[0] = strconv.ParseInt(params["seq"], 10, 64)
		r.At, errs[1] = time.Parse(time.RFC3339, parts[1])
		r.Salt, errs[2] = base64.StdEncoding.DecodeString(params["salt"])
		r.Commitment, errs[3] = audit.ParseHash(params["commitment"])
		r.Hash, errs[4] = audit.ParseHash(params["hash"])
		must(c.t, "reading a message", errors.Join(errs[:]...))
		chains[params["chain"]] = append(chains[params["chain"]], r)
	}
	return chains, checkpoints
}

// TestTheAuditLogReachesItsCollector lets a collector and the control plane die, in turns and
// in the middle of a delivery: every record of every chain arrives, in order, and verifies.
// What the command exports then is whole by the checkpoints that the collector has; cut off, or changed
// in the database, it is not.
func TestTheAuditLogReachesItsCollector(t *testing.T) {
	t.Parallel()
	for _, on := range []func(testing.TB) database{
		func(testing.TB) database { return onSQLite() },
		func(t testing.TB) database { return onPostgres(t, postgrestest.New(t)) },
	} {
		on := on(t)
		t.Run(on.name, func(t *testing.T) {
			t.Parallel()
			w := newAudited(t, on)
			w.looks(20)
			w.collector.start(everything)
			w.arrived("the first records")

			// The collector is away while things happen, and the control plane is killed meanwhile.
			w.collector.stop()
			w.looks(60)
			w.plane.kill()
			w.plane.start()
			w.looks(60)
			eventually(t, "it is noticed", time.Minute, func() error {
				if !strings.Contains(w.plane.log(), "the collector does not get the audit log") || w.says("collector_waiting_records 0") == nil || w.says("collector_failing 1") != nil {
					return errors.New("nothing says that the collector is away")
				}
				return nil
			})
			if n := strings.Count(w.plane.log(), "the collector does not get the audit log"); n != 1 {
				t.Errorf("the log says %d times that it is away", n)
			}
			// Both die in the middle of a delivery.
			for range 3 {
				n := len(w.collector.all()) + 20
				w.collector.start(n)
				w.comes(n)
				w.plane.kill()
				w.plane.start()
				n = len(w.collector.all()) + 20
				w.collector.takes(n)
				w.comes(n)
				w.collector.stop()
			}
			w.collector.start(everything)
			w.arrived("after the kills")
			w.collector.stop()
			w.looks(1)
			eventually(t, "it is noticed", time.Minute, func() error {
				if !strings.Contains(w.plane.log(), "the collector does not get the audit log") {
					return errors.New("nothing says that the collector is away")
				}
				return nil
			})
			w.collector.start(everything)
			eventually(t, "it is noticed", 2*time.Minute, func() error {
				if !strings.Contains(w.plane.log(), "the collector gets the audit log again") {
					return errors.New("nothing says that the collector is back")
				}
				return nil
			})

			// A replica that stops signs how far the log has come, and the next one sends that.
			w.plane.terminate()
			w.plane.start()
			w.verifies()
		})
	}
}

// audited is a control plane with a collector.
type audited struct {
	t         testing.TB
	on        database
	plane     *plane
	client    *provisionertest.Client
	collector *collector
	device    string
	desk      string
}

func newAudited(t testing.TB, on database) *audited {
	w := &audited{t: t, on: on, collector: newCollector(t)}
	directory := provisionertest.ServeDirectory(t, 0)
	var token string
	w.plane, token = newPlane(t, t.TempDir(), on)
	config, err := os.ReadFile(w.plane.config())
	must(t, "reading the configuration", err)
	with := strings.Replace(string(config), "\naudit:\n", "\naudit:\n  collector: {address: \""+w.collector.address+"\", ca_file: "+w.collector.caFile+"}\n", 1)
	must(t, "writing the configuration", os.WriteFile(w.plane.config(), []byte(with), 0o600))
	w.plane.start()
	w.client = w.plane.client()
	w.client.Redeem(token)
	declare(t, w.client, directory, func(*heimdrahtv1.Declaration) {})
	w.desk = w.client.Login(provisionertest.Tenant, provisionertest.Helpdesk)
	w.client.Login(provisionertest.Other, provisionertest.Stranger)
	w.device = w.client.Enrol(provisionertest.Staff, "SN1").ID
	return w
}

// looks makes records of a tenant.
func (w *audited) looks(n int) {
	w.t.Helper()
	desk := heimdrahtv1.NewHelpdeskServiceClient(w.client.Dial(nil))
	for range n {
		_, err := desk.GetDevice(provisionertest.As(w.t.Context(), w.desk), &heimdrahtv1.GetDeviceRequest{DeviceId: w.device})
		must(w.t, "looking at a device", err)
	}
}

// says looks for a line of the control plane's metrics, which may not be served yet.
func (w *audited) says(line string) error {
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+w.plane.metrics()+"/metrics", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || strings.Contains(string(text), "\nheimdraht_audit_"+line+"\n") {
		return err
	}
	return fmt.Errorf("no metric says %s", line)
}

// comes waits until the collector has so many messages.
func (w *audited) comes(n int) {
	w.t.Helper()
	eventually(w.t, "messages come", time.Minute, func() error {
		if len(w.collector.all()) >= n {
			return nil
		}
		return fmt.Errorf("%d of %d", len(w.collector.all()), n)
	})
}

// arrived waits until the collector has everything, and holds that it is whole and in order.
func (w *audited) arrived(when string) {
	w.t.Helper()
	eventually(w.t, when+": everything arrives", 2*time.Minute, func() error {
		return errors.Join(w.says("collector_waiting_records 0"), w.says("collector_failing 0"))
	})
	chains, _ := w.collector.chains()
	if len(chains) != 3 {
		w.t.Errorf("%s: %d chains", when, len(chains))
	}
	for name, list := range chains {
		if _, err := audit.Verify(audit.Head{}, sequence(list), list[len(list)-1].Head()); err != nil {
			w.t.Errorf("%s: the collector's chain %q: %v", when, name, err)
		}
	}
}

// verifies exports with the command, and verifies that with nothing but files.
func (w *audited) verifies() {
	w.t.Helper()
	dir := w.t.TempDir()
	build := exec.CommandContext(w.t.Context(), "go", "build", "-o", filepath.Join(dir, "heimdraht"), "github.com/heimdraht/heimdraht/cmd/heimdraht")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	must(w.t, "building heimdraht: "+string(out), err)
	run := func(want int, args ...string) string {
		w.t.Helper()
		cmd := exec.CommandContext(w.t.Context(), filepath.Join(dir, "heimdraht"), args...)
		cmd.Dir, cmd.Env = dir, []string{"XDG_CONFIG_HOME=" + filepath.Join(dir, "config"), "LANG=en_GB.UTF-8"}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if got := cmd.ProcessState.ExitCode(); got != want || err != nil && !errors.As(err, &exit) {
			w.t.Fatalf("heimdraht %v: exit status %d, want %d: %v\n%s", args, got, want, err, out)
		}
		return string(out)
	}
	out, err = exec.CommandContext(w.t.Context(), program, "operator-token", "--config", w.plane.config(), "--token-file", filepath.Join(dir, "token")).CombinedOutput()
	must(w.t, "making an operator's token: "+string(out), err)
	run(0, "login", w.plane.address+"#"+w.plane.fingerprint, "--token-file", "token")
	must(w.t, "keeping the key", os.WriteFile(filepath.Join(dir, "key.pem"), []byte(run(0, "audit", "key")), 0o600))
	run(0, "audit", "export", "--file", "log.jsonl", "--reason", "end of the year")
	info, err := os.Stat(filepath.Join(dir, "log.jsonl"))
	if err != nil || info.Mode().Perm() != 0o600 {
		w.t.Errorf("the file: %v, %v", info, err)
	}

	w.arrived("after the restart")
	var checkpoints []string
	eventually(w.t, "checkpoints arrive", time.Minute, func() error {
		if _, checkpoints = w.collector.chains(); len(checkpoints) < 3 {
			return fmt.Errorf("%d have", len(checkpoints))
		}
		return nil
	})
	must(w.t, "keeping the checkpoints", os.WriteFile(filepath.Join(dir, "checkpoints"), []byte(strings.Join(checkpoints, "\n")+"\n"), 0o600))
	w.plane.kill()
	said := run(0, "audit", "verify", "log.jsonl", "--key", "key.pem", "--checkpoint", "checkpoints")
	if !strings.Contains(said, "No record is changed") || !strings.Contains(said, "heads of the checkpoints") {
		w.t.Errorf("verify says:\n%s", said)
	}
	if said := run(0, "audit", "verify", "log.jsonl"); !strings.Contains(said, "cut off together with its checkpoint") || !strings.Contains(said, "The key is the file's own") {
		w.t.Errorf("verify without anything says:\n%s", said)
	}

	whole, err := os.ReadFile(filepath.Join(dir, "log.jsonl"))
	must(w.t, "reading the file", err)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	tampered := bytes.Join(append(lines[:8:8], lines[9:]...), nil)
	must(w.t, "writing the file", os.WriteFile(filepath.Join(dir, "tampered.jsonl"), tampered, 0o600))
	if said := run(1, "audit", "verify", "tampered.jsonl", "--key", "key.pem"); !strings.Contains(said, "(missing)") && !strings.Contains(said, "(cut off)") {
		w.t.Errorf("verify of a file with a line less says:\n%s", said)
	}
	w.changedInTheDatabase(run)
}

// changedInTheDatabase lets somebody write history anew who can write the database and has no key.
func (w *audited) changedInTheDatabase(run func(int, ...string) string) {
	w.t.Helper()
	books := openBooks(w.t, w.plane, w.on)
	_, err := books.db.ExecContext(w.t.Context(), `update audit_record set at = at + 1 where tenant = 'stadt' and seq = (select max(seq) from audit_record where tenant = 'stadt')`)
	must(w.t, "changing the database", err)
	w.plane.start()
	w.looks(1)
	run(0, "audit", "export", "--file", "changed.jsonl", "--tenant", provisionertest.Tenant, "--reason", "why does the log complain?")
	if said := run(1, "audit", "verify", "changed.jsonl", "--key", "key.pem"); !strings.Contains(said, "record") {
		w.t.Errorf("verify of what was changed in the database says:\n%s", said)
	}
	if !strings.Contains(w.plane.log(), "the audit log was changed in the database") || w.says("broken_chains 1") != nil {
		w.t.Error("nothing says that the database was changed")
	}
}
