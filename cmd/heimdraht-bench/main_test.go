//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tiny is a load that takes seconds.
func tiny(args ...string) []string {
	return append([]string{"--devices", "20", "--gateways", "2", "--tenants", "3", "--window", "1s", "--limit", "2m"}, args...)
}

// TestMain builds one heimdrahtd for all tests, as it is shipped. The program that
// a test starts as the laptops' process is this one.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args[1:], crowdCommand) {
		os.Exit(playCrowd(os.Stdin, os.Stdout, os.Stderr)) //nolint:forbidigo // the program's main, as far as a test has one
	}
	os.Exit(play(m)) //nolint:forbidigo // the program's main, as far as a test has one
}

func play(m *testing.M) (status int) {
	dir, err := os.MkdirTemp("", "heimdraht-bench-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}()
	program = filepath.Join(dir, "heimdrahtd")
	build := exec.Command("go", "build", "-o", program, programName)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building heimdrahtd:", err)
		return 1
	}
	return m.Run()
}

// program is the file of the heimdrahtd that TestMain has built.
var program string

// line is one of benchmark output as benchstat reads it (Go proposal 14313): name, runs, and values with units. With few
// laptops memory may shrink.
func line() *regexp.Regexp {
	return regexp.MustCompile(`^Benchmark(\S+)-\d+\t +\d+\t +\d+ ns/op(\t +-?[\d.]+ \S+)*$`)
}

// TestTinyLoad runs every benchmark on a small fleet, end to end, with the real control plane and real devices.
func TestTinyLoad(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	profiles := t.TempDir()
	var out, errOut bytes.Buffer
	if status := start(t.Context(), tiny("--heimdrahtd", program, "--profile", profiles), &out, &errOut); status != exitDone {
		t.Fatalf("exit status %d:\n%s%s", status, out.String(), errOut.String())
	}
	found := make(map[string]bool)
	for text := range strings.Lines(out.String()) {
		text = strings.TrimSuffix(text, "\n")
		if m := line().FindStringSubmatch(text); m != nil {
			found[m[1]] = true
		} else if !regexp.MustCompile(`^(goos|goarch|pkg): \S+$`).MatchString(text) {
			t.Errorf("not a line of benchmarks: %q", text)
		}
	}
	for _, name := range []string{
		"Enrol/db=sqlite/devices=10/connections=kept-64", "Enrol/db=sqlite/devices=10/connections=new", "Start/db=sqlite/devices=20",
		"Hold/db=sqlite/laptops=15", "Renew/db=sqlite/laptops=15", "Open/db=sqlite/writers=5", "Storm/db=sqlite/laptops=15",
	} {
		if !found[name] {
			t.Errorf("no line for %s in:\n%s", name, out.String())
		}
	}
	if !regexp.MustCompile(`(?m)^BenchmarkTake/db=sqlite/devices=\d+/gateways=2-`).MatchString(out.String()) {
		t.Errorf("no line for the tenant that is cut off in:\n%s", out.String())
	}
	for _, what := range []string{"do=open/connection=ready", "do=open/connection=new", "do=revoke", "do=enrol", "do=import/tenants=3"} {
		if !regexp.MustCompile(`(?m)^BenchmarkLatency/\S+/` + what + `-`).MatchString(out.String()) {
			t.Errorf("no line of latencies for %s in:\n%s", what, out.String())
		}
	}
	if !strings.Contains(errOut.String(), "laptops come back, 0 of 15") {
		t.Errorf("no progress on standard error:\n%s", errOut.String())
	}
	if info, err := os.Stat(filepath.Join(profiles, "end.heap")); err != nil || info.Size() == 0 {
		t.Errorf("no profile of the heap: %v", err)
	}
	empty(t, temporary)
}

func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind in the temporary directory: %v, %v", left, err)
	}
}

// TestMemoryGateways: without devices the same happens.
func TestMemoryGateways(t *testing.T) {
	var out, errOut bytes.Buffer
	args := tiny("--heimdrahtd", program, "--gateway-mode", "memory", "--bench", "Latency|Open")
	if status := start(t.Context(), args, &out, &errOut); status != exitDone || !strings.Contains(out.String(), "do=revoke") {
		t.Fatalf("exit status %d:\n%s%s", status, out.String(), errOut.String())
	}
}

// TestInterrupted: Ctrl-C ends everything at once, and says so.
func TestInterrupted(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errOut := &trigger{at: "connecting 15 laptops", pull: cancel}
	if status := start(ctx, tiny("--heimdrahtd", program, "--bench", "Renew", "--window", "1h"), io.Discard, errOut); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
	if said := errOut.String(); !strings.Contains(said, "interrupted; what was started has ended") {
		t.Errorf("it said:\n%s", said)
	}
	empty(t, temporary)
	children, err := childrenOf(os.Getpid())
	if err != nil || len(children) > 0 {
		t.Errorf("processes left behind: %v, %v", children, err)
	}
}

// trigger is a writer that does something when a text has been written.
type trigger struct {
	at   string
	pull func()

	mu   sync.Mutex
	said bytes.Buffer
}

func (w *trigger) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.Contains(string(b), w.at) {
		w.pull()
	}
	return w.said.Write(b)
}

func (w *trigger) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}

// TestLimit: what takes too long is given up.
func TestLimit(t *testing.T) {
	var out, errOut bytes.Buffer
	args := tiny("--heimdrahtd", program, "--bench", "Renew", "--window", "1h", "--limit", "5s")
	began := time.Now()
	if status := start(t.Context(), args, &out, &errOut); status != exitFailed || !strings.Contains(errOut.String(), "Renew: took longer than 5s") {
		t.Errorf("exit status %d:\n%s", status, errOut.String())
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--help"}, exitDone, "--gateway-mode"},
		{[]string{"--list"}, exitDone, "Storm"},
		{[]string{"--list", "--server", "127.0.0.1:1#00", "--token-file", "t"}, exitDone, "Latency"},
		{[]string{"--devises", "5"}, exitUsage, "unknown flag --devises"},
		{[]string{"more"}, exitUsage, "unexpected argument more"},
		{[]string{"--devices", "0"}, exitUsage, "--devices is 1 to 60000"},
		{[]string{"--devices", "20", "--laptops", "21"}, exitUsage, "--laptops is 0 to the number of devices"},
		{[]string{"--gateways", "17"}, exitUsage, "--gateways is 1 to 16"},
		{[]string{"--tenants", "0"}, exitUsage, "--tenants is 1 to 1000"},
		{[]string{"--window", "1ms"}, exitUsage, "at least 1s"},
		{[]string{"--bench", "("}, exitUsage, "no regular expression"},
		{[]string{"--bench", "Nichts"}, exitUsage, `no benchmark matches "Nichts"`},
		{[]string{"--gateway-mode", "kernel"}, exitUsage, `must be one of "device","memory"`},
		{[]string{"--server", "127.0.0.1:1"}, exitUsage, "--server wants --token-file"},
		{[]string{"--database", "/var/lib/x.db"}, exitUsage, `--database is "postgres" or postgres://`},
		{[]string{"--database-password-file", "x"}, exitUsage, "--database-password-file is for"},
		{[]string{"--pid", "1"}, exitUsage, "--token-file and --pid are for --server"},
		{tiny("--heimdrahtd", "/nowhere/heimdrahtd"), exitFailed, "starting /nowhere/heimdrahtd"},
	} {
		var said bytes.Buffer
		if status := start(t.Context(), c.args, &said, &said); status != c.status || !strings.Contains(said.String(), c.says) {
			t.Errorf("%q ends with %d and says %q, want %d and %q", c.args, status, said.String(), c.status, c.says)
		}
	}
	var said bytes.Buffer
	if start(t.Context(), []string{"--list", "--server", "127.0.0.1:1#00", "--token-file", "t"}, &said, &said); strings.Contains(said.String(), "Storm") {
		t.Error("a control plane that is not ours would be killed")
	}
}
