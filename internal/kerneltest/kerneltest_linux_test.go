package kerneltest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// TestKernel is a module's whole way: it is there, and what the verdict says is what the test did.
func TestKernel(t *testing.T) {
	Run(t, nil, Test{Name: "interface", Run: func(t *testing.T) {
		link := &netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: "hdprobe"}}
		if err := netlink.LinkAdd(link); err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkDel(link); err != nil {
			t.Error(err)
		}
	}})
}

func TestVerdicts(t *testing.T) {
	const output = `=== RUN   TestKernel/auto
--- FAIL: TestKernel (2.00s)
    --- PASS: TestKernel/auto (0.50s)
    --- FAIL: TestKernel/auto-more (1.50s)
    --- SKIP: TestKernel/other (0.00s)
a test talks of --- PASS: TestKernel/silent (0.00s) and more
`
	for name, want := range map[string]string{
		"TestKernel": "FAIL", "TestKernel/auto": "PASS", "TestKernel/auto-more": "FAIL", "TestKernel/other": "SKIP", "TestKernel/silent": "",
	} {
		if got, _ := verdictOn(output, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestExitOfTheMachine(t *testing.T) {
	for output, want := range map[string]string{
		"PASS\n\nkerneltest: exit 0\n":  "",
		"FAIL\n\nkerneltest: exit 1\n":  "exit code 1",
		"FAIL\n\nkerneltest: exit -1\n": "exit code -1",
		"PASS\n":                        "ended before its tests did",
		"says kerneltest: exit 0 too":   "ended before its tests did",
	} {
		err := exitOf(output)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", output, err, want)
		}
	}
}

// TestArchive compares with what the format's description says, entry by entry.
func TestArchive(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	a := newArchive(&b)
	a.text("/etc/a", "123")
	a.copy("/etc/b", source)
	if err := a.end(); err != nil {
		t.Fatal(err)
	}
	const zeros = "00000000"
	header := func(inode, mode, size, name string) string {
		return "070701" + inode + mode + zeros + zeros + "00000001" + zeros + size + zeros + zeros + zeros + zeros + name + zeros
	}
	want := header("00000001", "000041ED", zeros, "00000004") + "etc\x00\x00\x00" +
		header("00000002", "000081ED", "00000003", "00000006") + "etc/a\x00" + "123\x00" +
		header("00000003", "000081ED", "00000005", "00000006") + "etc/b\x00" + "12345\x00\x00\x00" +
		header("00000004", zeros, zeros, "0000000B") + "TRAILER!!!\x00\x00\x00\x00"
	if got := b.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	a = newArchive(&b)
	a.copy("/c", filepath.Join(t.TempDir(), "missing"))
	a.text("/d", "")
	if err := a.end(); err == nil {
		t.Error("a file that is missing was not noticed")
	}
}

func TestModulesThatAreMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := withDependencies(dir, moduleNames()); err == nil || !strings.Contains(err.Error(), "no wireguard.ko") {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "wireguard.ko"), []byte("no module"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := withDependencies(dir, moduleNames()); err == nil || !strings.Contains(err.Error(), "reading the module") {
		t.Errorf("error %v", err)
	}
}

// refused is a test that has been ended.
type refused struct {
	testing.TB
	said chan string
}

func (refused) Helper() {}
func (r refused) Fatal(args ...any) {
	r.said <- fmt.Sprint(args...)
	runtime.Goexit()
}

// TestClockIsSetNowhereElse has a clock set to what it shows, in case that it is.
func TestClockIsSetNowhereElse(t *testing.T) {
	for _, inside := range []string{"", "1"} { // somebody else's variable is not enough
		t.Setenv(insideVariable, inside)
		r := refused{TB: t, said: make(chan string, 1)}
		go func() {
			defer close(r.said)
			SetClock(r, time.Now())
		}()
		if said := <-r.said; !strings.Contains(said, "not a test's to set") {
			t.Errorf("with the variable %q: %q", inside, said)
		}
	}
}
