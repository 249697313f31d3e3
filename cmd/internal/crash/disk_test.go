//go:build linux

package crash_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// TestDiskFull fills the disk under the control plane's database. Nothing more
// is written down and nothing is answered that was not; people are told, and
// tunnels stand. When there is room again, all goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	on := onSQLite()
	on.mount = func(dir string) { mountMemory(t, dir, 24) }
	w := newWorking(t, newTrioOn(t, 1, on))
	fill := filepath.Join(w.planes[0].state(), "fill")
	must(t, "filling the disk", fillUp(fill))
	// What the database had to itself is used up first.
	eventually(t, "the database is full", time.Minute, func() error {
		err := w.enrols()
		if told := isUnavailable(err); told == nil {
			return nil
		}
		if err != nil {
			t.Fatal("enrolling while the disk fills up: ", err)
		}
		return errors.Join(errors.New("somebody was still enrolled"), fillUp(fill))
	})
	w.outOfOrder()
	other := w.trio.laptop(w.planes[0])
	_, err := other.Enrol(t.Context(), endpoint.EnrolRequest{Login: provisionertest.Second, Password: provisionertest.Password})
	must(t, "a laptop is told what is the matter", isUnavailable(err))
	if p, ok := control.AsProblem(err); !ok || !strings.Contains(p.Text("en").Sentence, "cannot write") {
		t.Errorf("the laptop says %v", err)
	}
	w.check(w.books, "while the disk is full")
	must(t, "making room", os.Remove(fill))
	w.inOrderAgain()
	w.planes[0].kill()
	for _, line := range []string{"the database cannot be written", "the database can be written again"} {
		if !strings.Contains(w.planes[0].log(), line) {
			t.Errorf("the log does not say that %s", line)
		}
	}
}

// mountMemory gives a directory a small disk of its own.
func mountMemory(t testing.TB, dir string, megabytes int) {
	t.Helper()
	needMounts(t)
	must(t, "mounting a disk", unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", megabytes)))
	t.Cleanup(func() { must(t, "unmounting the disk", unix.Unmount(dir, unix.MNT_DETACH)) })
}

// needMounts demands that mounts are ours alone, and end with us.
func needMounts(t testing.TB) {
	t.Helper()
	testneed.Root(t)
	if os.Getenv(apartVariable) == "" {
		testneed.Missing(t, "no mount namespace to be had")
	}
}

// fillUp makes a file as large as the disk allows.
func fillUp(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		_, err := f.Write(block)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			block = block[:len(block)/2]
		case err != nil:
			return fmt.Errorf("filling %s: %w", name, err)
		}
	}
	return nil
}
