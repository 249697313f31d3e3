package kerneltest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// writeImage writes the archive that is the virtual machine's file system: the first process, the kernel's modules, and
// the test binary and other programs with their libraries, each where it lies here. The test binary gives up
// after its limit.
func writeImage(ctx context.Context, t *testing.T, file, kernel string, programs []string, limit time.Duration) error {
	t.Helper()
	first := filepath.Join(t.TempDir(), "init")
	build := exec.CommandContext(ctx, testneed.Program(t, "go"), "build", "-race=false", "-buildvcs=false", "-o", first, //nolint:gosec // the program is go
		"github.com/heimdraht/heimdraht/internal/kerneltest/init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the first process: %w\n%s", err, out)
	}
	// This very binary, race detector included: another build would take longer than the tests.
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	modules, err := withDependencies(filepath.Join(kernel, "modules"), moduleNames())
	if err != nil {
		return err
	}
	files := map[string]string{"/init": first, "/test": binary}
	for _, program := range programs {
		files["/bin/"+filepath.Base(program)] = testneed.Program(t, program)
	}
	if err := addLibraries(ctx, t, files); err != nil {
		return err
	}
	var order strings.Builder
	for i, module := range modules {
		name := fmt.Sprintf("/modules/%03d-%s", i, filepath.Base(module))
		files[name] = module
		order.WriteString(name + "\n")
	}

	out, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	a := newArchive(w)
	a.text("/modules/order", order.String())
	a.text("/arguments", strings.Join([]string{
		"-test.run=^" + t.Name() + "$", "-test.v", "-test.count=1", "-test.timeout=" + limit.String(),
	}, "\n"))
	for name, source := range files {
		a.copy(name, source)
	}
	return errors.Join(a.end(), w.Flush(), out.Close())
}

// addLibraries adds the shared libraries of all programs among the files. A static program has none.
func addLibraries(ctx context.Context, t *testing.T, files map[string]string) error {
	t.Helper()
	ldd := testneed.Program(t, "ldd")
	libraries := map[string]string{}
	for _, program := range files {
		out, err := exec.CommandContext(ctx, ldd, program).CombinedOutput() //nolint:gosec // the program is ldd
		if err != nil && !strings.Contains(string(out), "not a dynamic executable") {
			return fmt.Errorf("libraries of %s: %w\n%s", program, err, out)
		}
		for word := range strings.FieldsSeq(string(out)) {
			// "libc.so.6 => /lib/libc.so.6 (0x7f)", and the loader's path alone. Programs are named with a colon behind.
			if filepath.IsAbs(word) && !strings.HasSuffix(word, ":") {
				libraries[word] = word
			}
		}
	}
	for name, source := range libraries {
		files[name] = source
	}
	return nil
}

// archive writes files in the format of initial file systems: cpio's "newc". The first error stays.
type archive struct {
	w      io.Writer
	inode  int
	made   map[string]bool
	failed error
}

const (
	modeDirectory = 0o040755
	modeProgram   = 0o100755
)

func newArchive(w io.Writer) *archive {
	return &archive{w: w, made: map[string]bool{"/": true, ".": true}}
}

func (a *archive) text(name, content string) {
	a.entry(name, modeProgram, int64(len(content)), strings.NewReader(content))
}

// copy adds the content of a file on this machine.
func (a *archive) copy(name, source string) {
	f, err := os.Open(source)
	if err != nil {
		a.failed = errors.Join(a.failed, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		a.failed = errors.Join(a.failed, err)
		return
	}
	a.entry(name, modeProgram, info.Size(), f)
}

// entry writes one file or directory, after the directories it lies in.
func (a *archive) entry(name string, mode int, size int64, content io.Reader) {
	if dir := filepath.Dir(name); !a.made[dir] {
		a.made[dir] = true
		a.entry(dir, modeDirectory, 0, strings.NewReader(""))
	}
	if a.failed != nil {
		return
	}
	a.inode++
	name = strings.TrimPrefix(name, "/")
	const links, headerSize = 1, 110
	// Inode, mode, owner, group, links, time, size, four device numbers, length of the name with its zero, and no checksum.
	_, a.failed = fmt.Fprintf(a.w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00%s",
		a.inode, mode, 0, 0, links, 0, size, 0, 0, 0, 0, len(name)+1, 0, name, padding(int64(headerSize+len(name)+1)))
	if a.failed != nil {
		return
	}
	written, err := io.Copy(a.w, content)
	if err == nil && written != size {
		err = fmt.Errorf("%s changed while it was read", name)
	}
	if err == nil {
		_, err = io.WriteString(a.w, padding(size))
	}
	a.failed = err
}

// end writes the entry that ends an archive.
func (a *archive) end() error {
	a.entry("TRAILER!!!", 0, 0, strings.NewReader(""))
	return a.failed
}

// padding fills up to a multiple of four bytes.
func padding(size int64) string { return "\x00\x00\x00"[:(4-size%4)%4] }
