package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machine is one computer: its own network, files in /etc, /run, /var/lib and
// /usr/local, and name. It ends with the test.
type machine struct {
	name   string
	home   string
	pid    int
	holder *exec.Cmd
	t      testing.TB
}

func newMachine(t testing.TB, name string) *machine {
	t.Helper()
	return makeMachine(t, name, unix.CLONE_NEWNET)
}

// newServer makes a machine in the stage's own network. There it reaches slapd,
// which a test starts on the loopback interface; two at a time would get into
// each other's way.
func newServer(t testing.TB, name string) *machine {
	t.Helper()
	return makeMachine(t, name, 0)
}

func makeMachine(t testing.TB, name string, network uintptr) *machine {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{name: name, home: filepath.Join(t.TempDir(), name), t: t}
	if err := os.Mkdir(m.home, 0o700); err != nil {
		t.Fatal(err)
	}
	m.holder = exec.Command(self, name)
	m.holder.Env = append(environment(m.home), roleVariable+"="+roleMachine)
	m.holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | network}
	said := &transcript{}
	m.holder.Stderr = said
	stdin, err := m.holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := m.holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.holder.Start(); err != nil {
		t.Fatalf("starting machine %s: %v", name, err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = m.holder.Wait() // all it says is that its input ended
	})
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		t.Fatalf("furnishing machine %s: %v\n%s", name, err, said)
	}
	m.pid = m.holder.Process.Pid
	return m
}

// command runs a program on the machine. The process is the program itself:
// signals reach it.
func (m *machine) command(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{"--target", fmt.Sprint(m.pid), "--net", "--mount", "--uts", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = environment(m.home)
	cmd.Dir = "/"
	return cmd
}

// result is how a command ended.
type result struct {
	line   string
	stdout string
	stderr string
	code   int
}

func (r result) String() string {
	return fmt.Sprintf("$ %s (exit %d)\n%s%s", r.line, r.code, r.stdout, r.stderr)
}

// try runs a command to its end, with input, and returns how it went.
func (m *machine) try(t testing.TB, input string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := m.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	err := cmd.Run()
	r := result{line: m.name + ": " + strings.Join(args, " "), stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%v: %v", r, errors.Join(err, ctx.Err()))
	}
	t.Log(r)
	return r
}

// run is try for commands that must succeed; it returns the standard output.
func (m *machine) run(t testing.TB, args ...string) string {
	t.Helper()
	return m.runWith(t, "", args...)
}

func (m *machine) runWith(t testing.TB, input string, args ...string) string {
	t.Helper()
	r := m.try(t, input, args...)
	if r.code != 0 {
		t.Fatalf("must succeed:\n%v", r)
	}
	return r.stdout
}

// ip runs the program of that name, quietly: there are many.
func (m *machine) ip(t testing.TB, args ...string) string {
	t.Helper()
	out, err := m.command(t.Context(), append([]string{"ip"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: ip %s: %v\n%s", m.name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// path is where a file of the machine is seen from outside.
func (m *machine) path(name string) string { return fmt.Sprintf("/proc/%d/root%s", m.pid, name) }

func (m *machine) write(t testing.TB, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(m.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// inside runs f on a thread in the machine's network. A socket stays in the
// network in which it was made, so f makes it and anybody uses it.
func (m *machine) inside(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := m.enter(); err != nil {
			done <- fmt.Errorf("entering the network of %s: %w", m.name, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// enter brings the calling thread into the machine's network.
func (m *machine) enter() error {
	network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.pid))
	if err != nil {
		return err
	}
	defer network.Close()
	return unix.Setns(int(network.Fd()), unix.CLONE_NEWNET)
}

// dial connects from the machine to a literal address.
func (m *machine) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = m.inside(func() error {
		var d net.Dialer
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

func (m *machine) listen(t testing.TB, network, address string) net.Listener {
	t.Helper()
	var l net.Listener
	if err := m.inside(func() (err error) {
		var c net.ListenConfig
		l, err = c.Listen(t.Context(), network, address)
		return err
	}); err != nil {
		t.Fatalf("listening on %s: %v", m.name, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func (m *machine) listenPacket(t testing.TB, network, address string) net.PacketConn {
	t.Helper()
	var p net.PacketConn
	if err := m.inside(func() (err error) {
		var c net.ListenConfig
		p, err = c.ListenPacket(t.Context(), network, address)
		return err
	}); err != nil {
		t.Fatalf("listening on %s: %v", m.name, err)
	}
	t.Cleanup(func() { _ = p.Close() }) // it has nothing to lose
	return p
}

// process is a program that runs until it is ended.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *transcript
	done chan struct{}
}

// start runs a program in the background. If the test fails, what it said is
// shown.
func (m *machine) start(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{name: m.name + ": " + filepath.Base(args[0]), out: &transcript{}, done: make(chan struct{})}
	p.cmd = m.command(context.WithoutCancel(t.Context()), args...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", p.name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended stands in ProcessState
	}()
	// On the machine's test, not on the scene's: programs outlive scenes.
	m.t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if m.t.Failed() {
			m.t.Logf("%s said:\n%s", p.name, p.out.tail(60))
		}
	})
	return p
}

// end sends a signal and waits until the process has gone.
func (p *process) end(s os.Signal) {
	_ = p.cmd.Process.Signal(s) // it may have ended by itself
	<-p.done
}

// stopped is an error as long as the process runs.
func (p *process) stopped() error {
	select {
	case <-p.done:
		return nil
	default:
		return fmt.Errorf("%s still runs", p.name)
	}
}

// transcript collects what a process says.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *transcript) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *transcript) tail(lines int) string {
	all := strings.Split(strings.TrimRight(o.String(), "\n"), "\n")
	if len(all) > lines {
		all = append([]string{fmt.Sprintf("(%d lines before)", len(all)-lines)}, all[len(all)-lines:]...)
	}
	return strings.Join(all, "\n")
}

// eventually polls until f has no objection any more. The limit is generous:
// it is for machines that are slow, and only failures take so long.
func eventually(t testing.TB, limit time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		}
	}
}

// throughout returns when the time is over, or fails as soon as f objects. It
// is for what must not happen.
func throughout(t testing.TB, d time.Duration, what string, f func() error) {
	t.Helper()
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-tick.C:
		case <-end.C:
			return
		}
	}
}
