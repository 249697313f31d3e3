// Package testprocess runs the servers that tests need as children of the test
// binary.
//
// What always holds: a child ends with the test binary at the latest, however
// that ends (on Linux), and is ended by its process id.
//
// Not its business: which server, and with what content.
package testprocess

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a child that has an owner: the goroutine that waits for it.
type Process struct {
	cmd    *exec.Cmd
	output output // complete when done is closed
	done   chan struct{}
}

// output may be read while it is written.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// Start starts cmd, which must not have been made with a context that ends
// before the test's cleanups. What it prints is kept for Output.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	return p, p.start()
}

// Output is what the process has printed so far; it is complete after Kill, or
// when Done is closed.
func (p *Process) Output() string { return p.output.String() }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the process at once. Idempotent.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Pause stops the process with SIGSTOP: connections stay open and nothing
// answers. It returns when each of its threads has stopped, which takes a moment
// after the signal.
func (p *Process) Pause(ctx context.Context) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !p.stopped() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the process does not stop")
		}
	}
	return nil
}

// Resume lets a paused process go on.
func (p *Process) Resume() error { return p.Signal(syscall.SIGCONT) }

// WaitFor returns when all TCP addresses take connections.
func (p *Process) WaitFor(ctx context.Context, addresses ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(addresses) > 0 {
		var dialer net.Dialer
		if c, err := dialer.DialContext(ctx, "tcp", addresses[0]); err == nil {
			c.Close()
			addresses = addresses[1:]
			continue
		}
		select {
		case <-tick.C:
		case <-p.done:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
