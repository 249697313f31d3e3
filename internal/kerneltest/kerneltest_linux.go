// Package kerneltest runs tests on a kernel that has WireGuard, wherever it is: here, or in a virtual machine.
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

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Test is one test that needs the kernel's WireGuard and root's rights.
type Test struct {
	Name string
	Run  func(t *testing.T)
}

// Run runs the tests as subtests of t, which is a test of its own and no subtest. Programs are those that the tests
// start: the virtual machine gets them too.
func Run(t *testing.T, programs []string, tests ...Test) {
	t.Helper()
	lacks := lacksWireGuard()
	if lacks == nil {
		for _, test := range tests {
			t.Run(test.Name, test.Run)
		}
		return
	}
	if os.Getenv(insideVariable) != "" {
		t.Fatalf("in the virtual machine: %v", lacks)
	}
	output, err := runInMachine(t, programs)
	if err != nil {
		t.Errorf("in a virtual machine, because here %v: %v\n%s", lacks, err, output)
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
