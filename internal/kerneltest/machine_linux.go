package kerneltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

const (
	// insideVariable tells the test binary that it runs in the virtual machine.
	insideVariable = "HEIMDRAHT_TEST_IN_MACHINE"
	// machineTime is the most for starting the machine and running the tests: many times what two idle cores take.
	machineTime = 5 * time.Minute
	// reportTime is what remains of the test run's own deadline to say what went wrong.
	reportTime = 15 * time.Second
	// consoleTail is how many bytes of the kernel's own messages a failure shows.
	consoleTail = 4000
)

// runInMachine runs the test in a virtual machine and returns what its test binary printed. The error says why the test
// did not pass as a whole.
func runInMachine(t *testing.T, programs []string) (string, error) {
	t.Helper()
	qemu, kernel := needs(t)
	limit := machineTime
	if deadline, ok := t.Deadline(); ok {
		limit = min(limit, time.Until(deadline)-reportTime)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	dir := t.TempDir()
	image := filepath.Join(dir, "initrd")
	if err := writeImage(ctx, t, image, kernel, programs, limit*3/4); err != nil {
		return "", fmt.Errorf("putting the virtual machine together: %w", err)
	}
	console := filepath.Join(dir, "console")
	var printed, complaints bytes.Buffer
	// The kernel speaks on the first serial line, the tests on the second.
	cmd := exec.CommandContext(ctx, qemu, //nolint:gosec // the program is qemu
		"-M", "pc", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024",
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none",
		"-serial", "file:"+console, "-serial", "stdio",
		"-kernel", filepath.Join(kernel, "vmlinuz"), "-initrd", image,
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on")
	cmd.Stdout, cmd.Stderr = &printed, &complaints
	cmd.WaitDelay = 5 * time.Second
	// A test that is killed takes the machine with it. The signal comes when the thread ends that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()

	output := strings.ReplaceAll(printed.String(), "\r", "")
	if ctx.Err() != nil {
		err = fmt.Errorf("not done within %v", limit)
	}
	if err == nil {
		err = exitOf(output)
	}
	if err != nil {
		err = fmt.Errorf("%w\nqemu: %s\nkernel: %s", err, complaints.Bytes(), tail(console))
	}
	return output, err
}

// needs demands what the virtual machine is made of: qemu, and the directory that build/test-kernel.sh fills.
func needs(t *testing.T) (qemu, kernel string) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		testneed.Missing(t, "the kernel has no WireGuard (or root's rights are missing), and the virtual machine that has it is for amd64")
	}
	qemu = testneed.Program(t, "qemu-system-x86_64")
	cache, err := os.UserCacheDir()
	if err != nil {
		testneed.Missing(t, "no directory for the kernel of the virtual machine: "+err.Error())
	}
	kernel = filepath.Join(cache, "heimdraht", "test-kernel")
	if _, err := os.Stat(filepath.Join(kernel, "vmlinuz")); err != nil {
		testneed.Missing(t, "no kernel for the virtual machine in "+kernel+" (build/test-kernel.sh fetches it)")
	}
	return qemu, kernel
}

// exitOf finds the line with which the machine's first process ends.
func exitOf(output string) error {
	found := regexp.MustCompile(`(?m)^kerneltest: exit (-?\d+)$`).FindStringSubmatch(output)
	if found == nil {
		return errors.New("the virtual machine ended before its tests did")
	}
	if code, err := strconv.Atoi(found[1]); err != nil || code != 0 {
		return fmt.Errorf("the tests ended with exit code %s", found[1])
	}
	return nil
}

// tail returns the end of a file, or why there is none.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-consoleTail):])
}
