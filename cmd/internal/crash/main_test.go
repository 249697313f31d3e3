//go:build linux

package crash_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/kerneltest"
	"github.com/heimdraht/heimdraht/provisioner/store/postgrestest"
)

// The test binary plays several parts; the environment says which.
const (
	roleVariable = "HEIMDRAHT_CRASH_ROLE"
	// apartVariable says that there is a mount namespace of our own.
	apartVariable = "HEIMDRAHT_CRASH_APART"

	roleGateway = "gateway" // a gateway's agent
	roleDuty    = "duty"    // a replica that has nothing but a duty
)

// program is heimdrahtd, built once; package kerneltest puts it into the virtual
// machine under its own name.
var program string

func TestMain(m *testing.M) {
	if err := play(m); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // the program's main, as far as a test has one
	}
}

func play(m *testing.M) error {
	switch os.Getenv(roleVariable) {
	case roleGateway:
		return beGateway(os.Args[1], os.Args[2])
	case roleDuty:
		return beDuty(os.Args[1], os.Getenv(passwordVariable))
	}
	if kerneltest.Inside() {
		program = "/bin/heimdrahtd"
		postgrestest.Main(m)
		return nil
	}
	if os.Geteuid() == 0 && os.Getenv(apartVariable) == "" {
		if err := apart(); err != nil {
			return err
		}
	}
	dir, err := build()
	if err == nil {
		// Most of what these tests do is to wait: for a minute to pass, for a disk.
		err = flag.Set("test.parallel", "8")
	}
	if err == nil {
		postgrestest.Main(m)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// apart begins anew in a mount namespace of our own: disks that are mounted are
// seen by nobody else and end with us. Where none is to be had, it returns.
func apart() error {
	runtime.LockOSThread() // the namespace is a thread's; the program goes on in this one
	defer runtime.UnlockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil // tests that need it say so
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), apartVariable+"=1"))
}

// build makes the control plane as it is shipped.
func build() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "heimdraht-crash-"); err != nil {
		return "", fmt.Errorf("making a directory for the program: %w", err)
	}
	program = filepath.Join(dir, "heimdrahtd")
	cmd := exec.Command("go", "build", "-o", program, "github.com/heimdraht/heimdraht/cmd/heimdrahtd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("building heimdrahtd: %w\n%s", err, out)
	}
	return dir, nil
}

// must ends the test upon an error.
func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// eventually looks again and again until there is no error, for as long as is
// generous on a busy machine.
func eventually(t testing.TB, what string, within time.Duration, look func() error) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
	}
}
