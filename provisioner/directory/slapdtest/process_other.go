//go:build unix && !linux

package slapdtest

import (
	"bytes"
	"os/exec"
	"testing"
)

// startProcess starts a child. A test binary that is killed leaves it behind: only Linux can tie the two.
func startProcess(t testing.TB, program string, args ...string) *process {
	t.Helper()
	p := &process{output: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd = exec.Command(program, args...) //nolint:noctx,gosec // it must outlive the test's context: cleanups still use it; the program is slapd
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // it is killed: that it says so is no news
	}()
	return p
}

// stopped cannot be seen here, so the signal's word is taken for it.
func (p *process) stopped() bool { return true }
