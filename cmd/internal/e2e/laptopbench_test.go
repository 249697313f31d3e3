package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// idleFor is how long an idle agent is watched. Go collects what is left over after two minutes at the latest.
const idleFor = 150 * time.Second

// mostProgram is what the agent's program may have, in bytes, as it is shipped (docs/benchmarks.md). It is to become smaller,
// not larger.
const mostProgram = 20_000_000

func TestTheAgentStaysSmall(t *testing.T) {
	program, err := os.Stat(filepath.Join(needs(t), "heimdraht-agent"))
	if err != nil {
		t.Fatal(err)
	}
	if program.Size() > mostProgram {
		t.Errorf("the program has %d bytes, and may have %d", program.Size(), mostProgram)
	}
}

// TestThePackagedAgentHasNoProxy: it says where there is one.
func TestThePackagedAgentHasNoProxy(t *testing.T) {
	dir := t.TempDir()
	run := exec.CommandContext(t.Context(), filepath.Join(needs(t), "heimdraht-agent"),
		"run", "--userspace-proxy", "127.0.0.1:0", "--state", dir+"/state", "--socket", dir+"/socket", "--lang", "en")
	out, err := run.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("error %v, wanted exit code 1", err)
	}
	if text := string(out); !strings.Contains(text, "(proxy-missing)") || !strings.Contains(text, "it is in the archive") {
		t.Errorf("it said %q", text)
	}
	status := exec.CommandContext(t.Context(), filepath.Join(needs(t), "heimdraht-agent"), "status", "--socket", dir+"/socket", "--lang", "en")
	if out, err := status.CombinedOutput(); err == nil || !strings.Contains(string(out), "(service-not-running)") || strings.Contains(string(out), "proxy") {
		t.Errorf("error %v; without a service it said %q", err, out)
	}
}

// mostResident is what an idle agent may have resident, in MB, however often it has connected.
const mostResident = 25

// between keeps a laptop below the 30 openings a minute after which it has to wait.
const between = 2100 * time.Millisecond

// BenchmarkLaptop measures the laptop's agent as it is shipped: the real programs, each on a machine of its own, which
// here are namespaces of one. A command's time has the start of its process in it.
func BenchmarkLaptop(b *testing.B) {
	w := newTown(b)
	w.beginControlPlane(b)
	w.beginTenant(b)
	w.beginGateway(b)
	w.lap1.startAgent(b)
	w.lap1.comeIn(b, w.address)

	b.Run("up", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			b.StopTimer()
			w.lap1.quietly(b, "down")
			time.Sleep(between) // real: the control plane counts openings by its own clock
			b.StartTimer()
			began := time.Now()
			w.lap1.quietly(b, "up")
			if err := w.lap1.firstByte(b.Context()); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		report(b, took)
	})
	b.Run("status", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			began := time.Now()
			w.lap1.quietly(b, "status")
			took = append(took, time.Since(began))
		}
		report(b, took)
	})
	b.Run("idle", func(b *testing.B) {
		pid := w.lap1.agent.cmd.Process.Pid
		before := processorTime(b, pid)
		began := time.Now()
		time.Sleep(idleFor) // real: what it does meanwhile is what is measured
		busy := processorTime(b, pid) - before
		b.ReportMetric(100*busy.Seconds()/time.Since(began).Seconds(), "%-core")
		for key, unit := range map[string]string{"VmRSS": "MB-resident", "RssAnon": "MB-anonymous"} {
			b.ReportMetric(kilobytes(b, pid, key)/1000, unit)
		}
		if resident := kilobytes(b, pid, "VmRSS") / 1000; resident > mostResident {
			b.Errorf("the agent has %.1f MB resident, and may have %d", resident, mostResident)
		}
		program, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(program.Size())/1e6, "MB-program")
		b.ReportMetric(0, "ns/op")
	})
}

// quietly runs a command of the agent that must succeed.
func (l *laptop) quietly(b *testing.B, args ...string) {
	b.Helper()
	if out, err := l.command(b.Context(), append([]string{"heimdraht-agent"}, args...)...).CombinedOutput(); err != nil {
		b.Fatalf("heimdraht-agent %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// firstByte asks the intranet's page and waits for the first byte of its answer.
func (l *laptop) firstByte(ctx context.Context) error {
	c, err := l.dial(ctx, "tcp", net.JoinHostPort(intranetV4, "80"))
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}

// processorTime is what a process has used of it (proc(5)): fields 14 and 15, in hundredths of a second.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	sum := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

// kilobytes reads a line of a process's status.
func kilobytes(b *testing.B, pid int, key string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == key+":" {
			n, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			return n * 1.024
		}
	}
	b.Fatalf("the process has no %s", key)
	return 0
}
