// Package kerneltest runs tests on a kernel that has WireGuard, wherever it is: here, or in a virtual machine; and tests that
// set a machine's clock, in the virtual machine alone.
//
// What always holds: where the running kernel has WireGuard and the test may use it, the tests run in place. Elsewhere
// one virtual machine (qemu without hardware help, hence any amd64 machine, and no root) runs the same test binary
// under the distribution's own kernel, and its verdicts become those of the subtests here, one by one. A test of which
// nothing was heard has failed. What the machine lacks is said by package testneed. Everything ends within a stated time.
//
// Fetching qemu and the kernel is not its business: build/test-packages.sh and build/test-kernel.sh do.
package kerneltest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Test is one test that needs the kernel's WireGuard and root's rights.
type Test struct {
	Name string
	Run  func(t *testing.T)
}

// Run runs the tests as subtests of t, which is a test of its own and no subtest. Programs are those that the tests
// start, by name or, those that the test has built, by path: the virtual machine gets them too, in /bin.
func Run(t *testing.T, programs []string, tests ...Test) {
	t.Helper()
	lacks := lacksWireGuard()
	if lacks == nil {
		for _, test := range tests {
			t.Run(test.Name, test.Run)
		}
		return
	}
	if Inside() {
		t.Fatalf("in the virtual machine: %v", lacks)
	}
	judge(t, programs, fmt.Sprintf("because here %v", lacks), tests)
}

// RunInMachine is Run for what no other machine may suffer, whatever its kernel has: the tests always run in the virtual
// machine, which has nothing but a loopback interface.
func RunInMachine(t *testing.T, programs []string, tests ...Test) {
	t.Helper()
	if !Inside() {
		judge(t, programs, "which such tests take", tests)
		return
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal("bringing up the loopback interface: ", err)
	}
	for _, test := range tests {
		t.Run(test.Name, test.Run)
	}
}

// Inside reports whether this is the virtual machine.
func Inside() bool {
	if os.Getenv(insideVariable) == "" {
		return false
	}
	// A variable alone could be anybody's.
	first, err := os.Readlink("/proc/1/exe")
	return err == nil && first == "/init"
}

// SetClock sets the clock of the virtual machine, and of no other.
func SetClock(t testing.TB, now time.Time) {
	t.Helper()
	if !Inside() {
		t.Fatal("the clock of this machine is not a test's to set")
	}
	at := unix.NsecToTimespec(now.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &at); err != nil {
		t.Fatal("setting the clock: ", err)
	}
}

// judge runs the tests in the virtual machine and makes its verdicts those of the subtests here.
func judge(t *testing.T, programs []string, why string, tests []Test) {
	t.Helper()
	output, err := runInMachine(t, programs)
	if err != nil {
		t.Errorf("in a virtual machine, %s: %v\n%s", why, err, output)
	}
	for _, test := range tests {
		t.Run(test.Name, func(t *testing.T) {
			switch verdict, took := verdictOn(output, t.Name()); verdict {
			case "PASS":
				t.Log("in a virtual machine", took)
			case "":
				t.Error("the virtual machine said nothing of this test")
			default:
				t.Errorf("%s in the virtual machine", verdict)
			}
		})
	}
}

// lacksWireGuard says why the running kernel's WireGuard cannot be used, by making an interface where it is in nobody's way.
func lacksWireGuard() error {
	answer := make(chan error)
	go func() {
		// Never unlocked: the thread, and its namespace with what is in it, ends with the goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			answer <- fmt.Errorf("a network namespace cannot be made: %w", err)
			return
		}
		err := netlink.LinkAdd(&netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: "probe"}})
		switch {
		case errors.Is(err, unix.EOPNOTSUPP):
			err = errors.New("the kernel has no WireGuard")
		case err != nil:
			err = fmt.Errorf("an interface cannot be made: %w", err)
		}
		answer <- err
	}()
	return <-answer
}

// verdictOn finds how a test ended in what a test binary printed: PASS, FAIL, SKIP or nothing, and "(1.25s)".
func verdictOn(output, name string) (verdict, took string) {
	for line := range strings.Lines(output) {
		// "--- PASS: TestKernel/auto (1.25s)"
		if words := strings.Fields(line); len(words) == 4 && words[0] == "---" && words[2] == name {
			return strings.TrimSuffix(words[1], ":"), words[3]
		}
	}
	return "", ""
}
