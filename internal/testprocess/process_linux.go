package testprocess

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// start starts a child that dies with the test binary. The kernel sends that
// signal when the thread that made the child ends, so the goroutine keeps its
// thread until the child has ended.
func (p *Process) start() error {
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	p.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
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
	return <-started
}

// stopped reports whether all threads rest in a stop (proc_pid_stat(5): the
// state follows the name in brackets).
func (p *Process) stopped() bool {
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

// shutdown takes a socket out of its state, in every process that has a copy.
func shutdown(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) }
