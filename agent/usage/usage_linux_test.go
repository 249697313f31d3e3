package usage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// running starts a program of that name, which runs until the test ends: a copy of
// cat, or a script.
func running(t testing.TB, name string, script bool) (pid int, file string) {
	t.Helper()
	content := []byte("#!/bin/sh\nread nothing\necho\nread nothing\n")
	if !script {
		var err error
		if content, err = os.ReadFile(testneed.Program(t, "cat")); err != nil {
			t.Fatal(err)
		}
	}
	file = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, content, 0o700); err != nil {
		t.Fatal(err)
	}
	return start(t, file), file
}

// start starts a program that gives a line back, and runs until the test ends.
func start(t testing.TB, file string) (pid int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), file)
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		_ = cmd.Wait()
	})
	// Once it answers it has its name: it is begun before that.
	if _, err = io.WriteString(input, "\n"); err == nil {
		_, err = io.ReadFull(output, make([]byte, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// look is a second Look, once the versions are known.
func look(t *testing.T, m *Meter, products []Product) []Use {
	t.Helper()
	_, err := m.look(products)
	m.learn()
	uses, again := m.look(products)
	if err = errors.Join(err, again); err != nil {
		t.Fatal(err)
	}
	return uses
}

func TestLookSeesWhatRuns(t *testing.T) {
	running(t, "hd-short", false)
	running(t, "hd-a-name-longer-than-fifteen", false)
	running(t, "hd-a-script-longer-than-fifteen", true)
	_, file := running(t, "hd-updated", false)
	if err := os.Remove(file); err != nil { // as an update does
		t.Fatal(err)
	}
	m := &Meter{}
	got := look(t, m, []Product{
		{Name: "short", Processes: []string{"wfica32.exe", "hd-short"}},
		{Name: "long", Processes: []string{"hd-a-name-longer-than-fifteen"}},
		{Name: "script", Processes: []string{"hd-a-script-longer-than-fifteen"}},
		{Name: "updated", Processes: []string{"hd-updated"}},
		{Name: "its beginning", Processes: []string{"hd-a-name-longe"}},
		{Name: "another with its beginning", Processes: []string{"hd-a-name-longer-than-that"}},
		{Name: "in capitals", Processes: []string{"HD-SHORT"}},
		{Name: "not running", Processes: []string{"hd-nothing"}},
	})
	want := []Use{{Product: "short", InUse: true}, {Product: "long", InUse: true}, {Product: "script", InUse: true}, {Product: "updated", InUse: true},
		{Product: "its beginning"}, {Product: "another with its beginning"}, {Product: "in capitals"}, {Product: "not running"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := m.Look(nil); got != nil {
		t.Errorf("where nothing is asked for, %v was seen", got)
	}
}

// At a laptop that several share a program counts as its own account's.
func TestLookSeesOneAccounts(t *testing.T) {
	running(t, "hd-of-one", false)
	products := []Product{{Name: "hers", Processes: []string{"hd-of-one"}}}
	for account, want := range map[string]bool{"": true, strconv.Itoa(os.Geteuid()): true, "424242": false} {
		if got := look(t, &Meter{Account: account}, products); got[0].InUse != want {
			t.Errorf("for account %q: %v", account, got)
		}
	}
}

// The version is the package's, also to those who do not run dpkg; a script's is not its
// interpreter's.
func TestVersionsOfWhatRuns(t *testing.T) {
	cat := testneed.Program(t, "cat")
	start(t, cat)
	running(t, "hd-script", true)
	want := ""
	if real, err := filepath.EvalSymlinks(cat); err == nil {
		want = plain(packageVersion("/var/lib/dpkg", real))
	}
	got := look(t, &Meter{}, []Product{{Name: "packaged", Processes: []string{"cat"}}, {Name: "script", Processes: []string{"hd-script"}}})
	if diff := cmp.Diff([]Use{{Product: "packaged", InUse: true, Version: want}, {Product: "script", InUse: true}}, got); diff != "" {
		t.Error(diff)
	}
}

// What has ended and is not buried yet is in use no more; nor is what the kernel does.
func TestLookPassesTheDead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hd-dead")
	content, err := os.ReadFile(testneed.Program(t, "true"))
	if err == nil {
		err = os.WriteFile(file, content, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), file)
	output, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := output.Read(make([]byte, 1)); err == nil { // until it has ended
		t.Fatal("it prints something")
	}
	if got := look(t, &Meter{}, []Product{{Name: "dead", Processes: []string{"hd-dead"}}, {Name: "kernel", Processes: []string{"kthreadd"}}}); len(got) != 2 || got[0].InUse || got[1].InUse {
		t.Errorf("%+v", got)
	}
	_ = cmd.Wait()
}

// Without root's rights the file of another's process cannot be read; its name can.
func TestNamesOfOthersProcesses(t *testing.T) {
	proc := t.TempDir()
	for pid, p := range map[int]struct{ comm, cmdline string }{
		1: {"systemd", "/sbin/init\x00"},
		2: {"wfica", "/opt/Citrix/ICAClient/wfica\x00-file\x00x.ica\x00"},
		3: {"virtual-desktop", "/usr/bin/python3\x00/usr/bin/virtual-desktop-client\x00"},
		4: {"zombie", ""},
		5: {"main", "/usr/lib/office/soffice.bin\x00--writer\x00"},
		6: {"sh", "sh\x00-c\x00phone\x00"},
	} {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		err := os.Mkdir(dir, 0o755)
		for name, content := range map[string]string{"comm": p.comm + "\n", "cmdline": p.cmdline, "exe": "no link, so it cannot be read"} {
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for pid, file := range map[int]string{7: "/opt/client/updated-client (deleted)", 8: ""} { // our own; and the kernel's
		dir := filepath.Join(proc, strconv.Itoa(pid))
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "comm"), []byte(map[int]string{7: "main\n", 8: "kworker\n"}[pid]), 0o600)
		}
		if err == nil && file != "" {
			err = os.Symlink(file, filepath.Join(dir, "exe"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w := newWanted([]Product{{Name: "p", Processes: []string{"updated-client", "wfica", "virtual-desktop-client", "virtual-desktop", "zombie", "soffice.bin", "phone", "x.ica", "kworker"}}})
	found := make(map[string]bool)
	if err := programsIn(proc, func(p program) { p.is(w, func(name string) { found[name] = true }) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"wfica": true, "virtual-desktop-client": true, "soffice.bin": true, "updated-client": true}, found); diff != "" {
		t.Error(diff)
	}
	if err := programsIn(filepath.Join(proc, "missing"), func(program) {}); err == nil {
		t.Error("no /proc is no error")
	}
}

// While a look hangs nobody waits for it, and no other one is begun.
func TestLookThatHangs(t *testing.T) {
	m := &Meter{looking: true}
	if got := m.Look([]Product{{Name: "p", Processes: []string{"x"}}}); got != nil {
		t.Errorf("saw %v", got)
	}
	m.end(nil)
	if got := m.Look([]Product{{Name: "p", Processes: []string{"x"}}}); len(got) != 1 {
		t.Errorf("saw %v", got)
	}
}

// BenchmarkPackageVersion is what the version of a program costs, once.
func BenchmarkPackageVersion(b *testing.B) {
	for b.Loop() {
		packageVersion("/var/lib/dpkg", "/usr/bin/cat")
	}
}

// BenchmarkLook looks for as many products as a tenant may list, among all processes of
// this machine and some more.
func BenchmarkLook(b *testing.B) {
	const processes = 500
	all := 0
	count := func() {
		all = 0
		if err := programs(func(program) { all++ }); err != nil {
			b.Fatal(err)
		}
	}
	for count(); all < processes; all++ {
		running(b, "hd-bench", true)
	}
	var products []Product
	for i := range 50 {
		p := Product{Name: fmt.Sprint("p", i)}
		for j := range 20 {
			p.Processes = append(p.Processes, fmt.Sprintf("program-%d-%d%s", i, j, strings.Repeat("x", 20)))
		}
		products = append(products, p)
	}
	count()
	m := &Meter{}
	for b.Loop() {
		if _, err := m.look(products); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(all), "processes")
}
