package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// The test binary plays several parts; the environment says which.
const (
	roleVariable     = "HEIMDRAHT_E2E_ROLE"
	programsVariable = "HEIMDRAHT_E2E_PROGRAMS" // where the built programs lie
	refusedVariable  = "HEIMDRAHT_E2E_REFUSED"  // why there are no namespaces to be had

	roleStage   = "stage"   // runs the tests, as the first process of new namespaces
	roleMachine = "machine" // keeps a machine's namespaces alive
	roleFetch   = "fetch"   // a machine's web browser
	roleExpire  = "expire"  // on the control plane's machine: makes a certificate that has expired
)

// programs are built once for all tests.
var programs = []string{"heimdrahtd", "heimdraht-gateway", "heimdraht-agent", "heimdraht"}

// TestMain runs the tests in new namespaces of processes, mounts and network:
// the kernel ends everything in them with the first process.
func TestMain(m *testing.M) {
	os.Exit(play(m)) //nolint:forbidigo // the program's main, as far as a test has one
}

func play(m *testing.M) int {
	var err error
	switch os.Getenv(roleVariable) {
	case roleMachine:
		err = beMachine(os.Args[1])
	case roleFetch:
		err = fetch(os.Args[1], os.Stdout)
	case roleExpire:
		err = makeExpired(os.Stdin, os.Stdout)
	case roleStage:
		if err = furnish(); err == nil {
			return m.Run()
		}
	default:
		return outside(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// outside builds the programs and starts the stage. Where no namespaces are to
// be had the tests run here, to be skipped with their reason.
func outside(m *testing.M) int {
	if os.Geteuid() != 0 {
		return m.Run()
	}
	code := 1
	dir, err := build()
	if err == nil {
		var refused error
		if code, refused = stage(dir); refused != nil {
			err = os.Setenv(refusedVariable, refused.Error())
			code = m.Run()
		}
	}
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// build makes the programs. It happens outside: a machine that has not yet
// downloaded the modules can do so only there.
func build() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "heimdraht-e2e-"); err != nil {
		return "", fmt.Errorf("making a directory for the programs: %w", err)
	}
	tags, err := os.ReadFile("../../../build/agent-tags")
	if err != nil {
		return dir, fmt.Errorf("reading how the laptop's agent is built: %w", err)
	}
	for _, p := range programs {
		args := []string{"build", "-ldflags=-s -w", "-o", dir + "/"}
		if p == "heimdraht-agent" {
			args = append(args, "-tags="+strings.TrimSpace(string(tags)))
		}
		cmd := exec.Command("go", append(args, "github.com/heimdraht/heimdraht/cmd/"+p)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as they are shipped
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("building the programs: %w\n%s", err, out)
		}
	}
	return dir, nil
}

// stage runs this program again in new namespaces and returns its exit code.
func stage(programs string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	// The signal comes when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"="+roleStage, programsVariable+"="+programs)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// needs ends the test where it cannot run. It returns the directory of the
// programs.
func needs(t testing.TB) string {
	t.Helper()
	testneed.Root(t)
	testneed.File(t, "/dev/net/tun")
	for _, p := range []string{"slapd", "ip", "nsenter", "ping", "getent"} {
		testneed.Program(t, p)
	}
	if why := os.Getenv(refusedVariable); why != "" {
		testneed.Missing(t, "no namespaces to be had: "+why)
	}
	return os.Getenv(programsVariable)
}

// furnish makes the stage's own world: nothing that is mounted or written from
// here on shows outside.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	return private("stage")
}

// ownFiles are what a machine has of the real one's /etc; the rest it has not,
// least of all secrets.
var ownFiles = []string{
	"passwd", "group", "host.conf", "gai.conf", "protocols", "services", "localtime", "ssl", "alternatives", "ld.so.cache",
	"ld.so.conf", "ld.so.conf.d", "iproute2", "ldap", "login.defs", "pam.conf", "pam.d", "security",
}

// private lays empty directories over those that programs write to, and names
// the machine.
func private(hostname string) error {
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("naming the machine: %w", err)
	}
	// Filled beside, then moved to its place: /etc is needed to fill /etc.
	const beside = "/mnt"
	if err := unix.Mount("tmpfs", beside, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting a new /etc: %w", err)
	}
	for _, name := range ownFiles {
		if _, err := os.Lstat(filepath.Join("/etc", name)); err != nil {
			continue
		}
		if out, err := exec.Command("cp", "-a", filepath.Join("/etc", name), beside).CombinedOutput(); err != nil {
			return fmt.Errorf("copying /etc/%s: %w\n%s", name, err, out)
		}
	}
	for name, content := range map[string]string{
		"hostname": hostname + "\n", "hosts": "127.0.0.1 localhost " + hostname + "\n::1 localhost\n", "resolv.conf": "",
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	} {
		if err := os.WriteFile(filepath.Join(beside, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	if err := unix.Mount(beside, "/etc", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the new /etc to its place: %w", err)
	}
	for _, dir := range []string{"/run", "/var/lib", "/usr/local"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mounting a new %s: %w", dir, err)
		}
	}
	// Without /sys of its own network a machine would show the real one's. A
	// machine in the stage's network has the right one: busy.
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mounting /sys: %w", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("starting the loopback interface: %w\n%s", err, out)
	}
	return nil
}

// beMachine furnishes the namespaces that this process was born into, says
// so, and holds them until its standard input ends.
func beMachine(hostname string) error {
	if err := private(hostname); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// environment of programs on machines: nothing of the person who runs the test.
func environment(home string) []string {
	return []string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + home, "LANG=en_GB.UTF-8", "TZ=UTC",
		"PATH=" + strings.Join([]string{os.Getenv(programsVariable), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}, ":"),
	}
}
