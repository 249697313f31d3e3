//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/control"
)

// The laptops that hold a stream live in a process of their own. They would be machines of their own; in one process
// with the gateways and the operator they would all wait for each other, and it would look as if they waited for the
// control plane.

// crowdCommand is the first argument of such a process. It is nothing for people.
const crowdCommand = "play-a-crowd"

// crowd is this process's side of it.
type crowd struct {
	pid   int
	calls *rpc.Client
	ended <-chan error
}

// startCrowd starts the process, if it does not run yet.
func (r *runner) startCrowd(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("starting the laptops' process: %w", err)
		}
	}()
	if r.crowd.pid != 0 {
		return nil
	}
	// Not with the context: it ends when its input does.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/proc/self/exe", crowdCommand)
	cmd.Stderr = r.say
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	ended, err := startTied(cmd)
	if err != nil {
		return err
	}
	// The processor of a laptop is its own. What little it takes of ours it takes when nobody else wants it.
	if err := unix.Setpriority(unix.PRIO_PGRP, cmd.Process.Pid, 10); err != nil {
		return err
	}
	over := make(chan error, 1)
	r.crowd = crowd{pid: cmd.Process.Pid, calls: jsonrpc.NewClient(pipes{out, in}), ended: over}
	r.background("laptops' process", func(context.Context) error {
		err := <-ended
		over <- err
		return err
	})
	return nil
}

// close ends the process, and with it all its laptops, who say no goodbye.
func (c *crowd) close() error {
	if c.pid == 0 {
		return nil
	}
	err := c.calls.Close()
	return errors.Join(err, <-c.ended)
}

// call does one thing there.
func (c *crowd) call(ctx context.Context, method string, request, answer any) error {
	under := c.calls.Go("Crowd."+method, request, answer, make(chan *rpc.Call, 1))
	select {
	case <-under.Done:
		if under.Error != nil {
			return fmt.Errorf("in the laptops' process: %w", under.Error)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hold lets a laptop live in the crowd, and says what connecting it took.
func (c *crowd) hold(ctx context.Context, l *laptop) (took time.Duration, err error) {
	store, err := json.Marshal(l.store)
	if err != nil {
		return 0, err
	}
	return took, c.call(ctx, "Connect", CrowdLaptop{Number: l.n, Tenant: l.tenant, Serial: l.serial, Store: store}, &took)
}

// state asks how the laptops are.
func (c *crowd) state(ctx context.Context) (s CrowdState, err error) {
	return s, c.call(ctx, "State", struct{}{}, &s)
}

// pipes are a process's input and output.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

// Close closes both.
func (p pipes) Close() error { return errors.Join(p.WriteCloser.Close(), p.ReadCloser.Close()) }

// Read and Write are those of the two.
func (p pipes) Read(b []byte) (int, error)  { return p.ReadCloser.Read(b) }
func (p pipes) Write(b []byte) (int, error) { return p.WriteCloser.Write(b) }

// playCrowd is the other side: it does what it is asked until its input ends, and gives the exit status.
func playCrowd(in io.ReadCloser, out io.WriteCloser, errOut io.Writer) int {
	always, end := context.WithCancel(context.Background())
	defer end()
	server := rpc.NewServer()
	if err := server.RegisterName("Crowd", &Crowd{always: always}); err != nil {
		fmt.Fprintf(errOut, "heimdraht-bench %s: %v\n", crowdCommand, err)
		return exitFailed
	}
	server.ServeCodec(jsonrpc.NewServerCodec(pipes{untilEnd{in, end}, out}))
	return exitDone
}

// untilEnd ends everything with the input: calls under way would be waited for.
type untilEnd struct {
	io.ReadCloser
	end context.CancelFunc
}

// Read implements io.Reader.
func (u untilEnd) Read(b []byte) (int, error) {
	n, err := u.ReadCloser.Read(b)
	if err != nil {
		u.end()
	}
	return n, err
}

// Crowd are the laptops of this process. Its methods are called from the other one.
type Crowd struct {
	always context.Context
	fleet  fleet

	mu      sync.Mutex
	laptops []*laptop
}

// CrowdLaptop is an enrolled laptop, with its keys.
type CrowdLaptop struct {
	Number int
	Tenant string
	Serial string
	Store  json.RawMessage
}

// CrowdState says how many laptops hold no stream, and on how many connections the server has answered so far.
type CrowdState struct {
	Away, Answered int
}

// Connect lets a laptop hold a stream from now on, and says what connecting took.
func (c *Crowd) Connect(one CrowdLaptop, took *time.Duration) error {
	store := new(control.MemoryStore)
	if err := json.Unmarshal(one.Store, store); err != nil {
		return err
	}
	l, err := c.fleet.laptop(one.Number, one.Tenant, one.Serial, store)
	if err != nil {
		return err
	}
	began := time.Now()
	go func() {
		_ = l.endpoint.Run(c.always) // ends with its context, and fails only if it was started twice
	}()
	if err := l.endpoint.Up(c.always); err != nil {
		return fmt.Errorf("connecting laptop %d: %w", l.n, err)
	}
	*took = time.Since(began)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.laptops = append(c.laptops, l)
	return nil
}

// State counts.
func (c *Crowd) State(_ struct{}, s *CrowdState) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.laptops {
		if !l.endpoint.Attached() {
			s.Away++
		}
	}
	s.Answered = int(c.fleet.answered.Load())
	return nil
}
