// Package testneed says what a test needs of the machine: a program, root's rights, a device file.
//
// What always holds: no test is skipped silently. A test whose need is not met is skipped where a person
// works, and fails where completeness counts, which is when CI or HEIMDRAHT_NO_SKIP is set. Each skip is
// also written, with its reason, to the file that HEIMDRAHT_SKIP_LOG names; `make test` prints that file
// in its last lines.
//
// Installing what is missing is not its business: build/test-packages.sh does.
package testneed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// TB is what testneed uses of a testing.TB.
type TB interface {
	Helper()
	Name() string
	Skip(args ...any)
	Fatal(args ...any)
}

// Program returns the path of the named program. It also looks into the directories of system programs,
// which are not in everybody's PATH: slapd lies in one.
func Program(t TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	Missing(t, "the program "+name+" is not installed")
	return ""
}

// Root demands root's rights, which network namespaces and TUN devices take.
func Root(t TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "needs root's rights")
	}
}

// File demands that a file exists and returns its path: /dev/net/tun, say.
func File(t TB, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		Missing(t, err.Error())
	}
	return path
}

// Missing ends the test because reason keeps it from running: it fails where nothing may be skipped, and is
// skipped and recorded elsewhere. A reason names what is missing, in a few words on one line.
func Missing(t TB, reason string) {
	t.Helper()
	if set("CI") || set("HEIMDRAHT_NO_SKIP") {
		t.Fatal("cannot run here, and nothing may be skipped: " + reason)
		return
	}
	if err := record(t.Name(), reason); err != nil {
		t.Fatal(fmt.Errorf("recording a skip: %w", err))
		return
	}
	t.Skip(reason)
}

// set follows what CI systems do: they set CI=true, and people turn it off with an empty value, 0 or false.
func set(name string) bool {
	switch os.Getenv(name) {
	case "", "0", "false":
		return false
	}
	return true
}

// record appends one line. Test binaries of many packages write at the same time; a short write to a file
// opened for appending arrives whole.
//
// The variable is read only here, so that Go's test cache re-runs, for a log of a new name, exactly those
// packages that have something to record.
func record(test, reason string) error {
	path := os.Getenv("HEIMDRAHT_SKIP_LOG")
	if path == "" {
		return nil
	}
	dir, err := os.Getwd() // of a test: the directory of its package
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%s\t%s\t%s\n", strings.ReplaceAll(reason, "\n", " "), dir, test)
	if _, err := f.WriteString(line); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
