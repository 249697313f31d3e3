package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// process is a heimdrahtd of its own: this test's binary under the program's
// name, which TestMain makes into the program.
type process struct {
	cmd *exec.Cmd
	log *written // what it wrote to standard error

	// Known once it serves.
	address, fingerprint string

	begun chan error // gets nil when it serves, else why it ended
}

func startProcess(environment []string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: &exec.Cmd{Path: self, Args: append([]string{"heimdrahtd"}, args...), Env: environment}, log: new(written), begun: make(chan error, 1)}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.log.done = make(chan struct{})
	go p.read(stderr)
	return p, nil
}

// read keeps the log and looks for the line that says where it serves.
func (p *process) read(stderr io.Reader) {
	defer close(p.log.done)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.log.line(lines.Text())
		if _, rest, ok := strings.Cut(lines.Text(), `msg="control plane serves" address=`); ok {
			p.address, p.fingerprint, _ = strings.Cut(rest, " fingerprint=")
			p.begun <- nil
		}
	}
	select {
	case p.begun <- fmt.Errorf("it ended before it served"):
	default:
	}
}

// serving waits until it serves.
func (p *process) serving() error { return <-p.begun }

// terminate asks it to end, and gives an error unless it ends in order.
func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-p.log.done
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("after SIGTERM: %w\n%s", err, p.log)
	}
	return nil
}

// kill ends it with SIGKILL and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.log.done
	_ = p.cmd.Wait() // says that it was killed
}

// written is a log that grows.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
	done chan struct{} // closed at its end
}

func (w *written) line(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.WriteString(s + "\n")
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}
