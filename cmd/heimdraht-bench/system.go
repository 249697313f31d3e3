//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what processes have used so far.
type usage struct {
	cpu time.Duration // user and system, that of children who have ended included
	rss int64         // bytes resident now
}

// ticksPerSecond is what Linux counts processor time in, on every architecture that Go runs on.
const ticksPerSecond = 100

// usageOf reads what one process has used.
func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("reading what process %d has used: %w", pid, err)
	}
	// The name in brackets may contain anything; what follows it are numbers (proc(5)).
	_, rest, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, '('):], []byte(") "))
	fields := strings.Fields(string(rest))
	const user, system, endedUser, endedSystem, rss = 11, 12, 13, 14, 21
	if len(fields) <= rss {
		return usage{}, fmt.Errorf("reading what process %d has used: its state is too short", pid)
	}
	var u usage
	for _, f := range []string{fields[user], fields[system], fields[endedUser], fields[endedSystem]} {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return u, fmt.Errorf("reading what process %d has used: %w", pid, err)
		}
		u.cpu += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	pages, err := strconv.ParseInt(fields[rss], 10, 64)
	u.rss = pages * int64(os.Getpagesize())
	return u, err
}

// usageOfTree adds up a process and those it has started, such as a PostgreSQL server's. One that ends meanwhile is
// left out.
func usageOfTree(pid int) (usage, error) {
	sum, err := usageOf(pid)
	if err != nil {
		return sum, err
	}
	children, err := childrenOf(pid)
	for _, child := range children {
		if u, err := usageOfTree(child); err == nil {
			sum.cpu, sum.rss = sum.cpu+u.cpu, sum.rss+u.rss
		}
	}
	return sum, err
}

func childrenOf(pid int) ([]int, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var list []int
	for _, file := range threads {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(content)) {
			child, err := strconv.Atoi(f)
			if err != nil {
				return nil, err
			}
			list = append(list, child)
		}
	}
	return list, nil
}

// raiseOpenFiles lets this process, and those it starts, have as many open files as the system allows, and gives
// the number.
func raiseOpenFiles() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("reading the limit of open files: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("raising the limit of open files: %w", err)
	}
	return int(min(limit.Cur, 1<<20)), nil
}

// startTied starts a command that ends with this process, even if that is killed, and gives a channel that gets its
// end.
func startTied(cmd *exec.Cmd) (<-chan error, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // Ctrl-C on the terminal is for us; we end it in order
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		// The signal comes when the thread ends that started the process (prctl(2)).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	return ended, <-started
}

// asUser runs a command as another user, which only root can.
func asUser(cmd *exec.Cmd, uid, gid uint32) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
}

// interrupt asks a process to end as its manager would.
func interrupt(p *os.Process, how syscall.Signal) error {
	if err := p.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending process %d: %w", p.Pid, err)
	}
	return nil
}
