package slapdtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// startProcess starts a child that dies with the test binary. The kernel sends that signal when the thread that
// made the child ends, so the goroutine keeps its thread until the child has ended.
func startProcess(t testing.TB, program string, args ...string) *process {
	t.Helper()
	p := &process{output: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(program, args...) //nolint:noctx,gosec // it must outlive the test's context: cleanups still use it; the program is slapd
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // it is killed: that it says so is no news
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	return p
}

// stopped reports whether all threads rest in a stop (proc_pid_stat(5): the state follows the name in brackets).
func (p *process) stopped() bool {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		return false
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err != nil {
			return false
		}
		end := bytes.LastIndexByte(line, ')')
		if end < 0 || !bytes.HasPrefix(line[end:], []byte(") T")) {
			return false
		}
	}
	return true
}
