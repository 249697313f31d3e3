// Command init is the first and only process of package kerneltest's virtual machine: it loads the kernel's modules, runs
// the test binary on the second serial line, says there how that ended, and switches the machine off.
//
// What always holds: the machine goes off, whatever went wrong. Run anywhere else it does nothing.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: this is the first process of a virtual machine, and no other")
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kerneltest:", err) // the kernel's console
	}
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintln(os.Stderr, "kerneltest: switching off:", err)
	}
}

func run() error {
	for _, m := range []struct{ kind, where string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"},
	} {
		if err := os.MkdirAll(m.where, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.where, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", m.where, err)
		}
	}
	order, err := os.ReadFile("/modules/order")
	if err != nil {
		return err
	}
	for file := range strings.FieldsSeq(string(order)) {
		if err := load(file); err != nil {
			return err
		}
	}
	line, err := os.OpenFile("/dev/ttyS1", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer line.Close()
	code, err := test(line)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(line, "\nkerneltest: exit %d\n", code)
	return err
}

// load gives one module to the kernel.
func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
		return fmt.Errorf("loading %s: %w", file, err)
	}
	return nil
}

// test runs the test binary to its end.
func test(line *os.File) (code int, err error) {
	arguments, err := os.ReadFile("/arguments")
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("/test", strings.Split(string(arguments), "\n")...) //nolint:gosec,noctx // what package kerneltest wrote there, with a time limit of its own
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/tmp", line, line
	// Nothing may be skipped in here: what the machine lacks is our mistake.
	cmd.Env = []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/tmp", "HEIMDRAHT_NO_SKIP=1", "HEIMDRAHT_TEST_IN_MACHINE=1"}
	var exited *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exited) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}
