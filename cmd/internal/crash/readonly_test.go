//go:build linux

package crash_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// TestDiskTurnsReadOnly has the file system under the control plane's database
// turn read-only, as one does that met an error of its disk. Nothing more is
// written down, people are told, what is read is read, and tunnels stand. On that
// disk nothing starts, and says why; checked and mounted again, it holds all that
// was answered.
func TestDiskTurnsReadOnly(t *testing.T) {
	t.Parallel()
	disk := newDisk(t, 64)
	on := onSQLite()
	on.mount = func(dir string) { disk.dir = dir; disk.mount("rw") }
	w := newWorking(t, newTrioOn(t, 1, on))
	disk.fail()
	eventually(t, "the database is read-only", time.Minute, func() error { return isUnavailable(w.enrols()) })
	w.outOfOrder()
	list, err := heimdrahtv1.NewAdminServiceClient(w.clients[0].Dial(nil)).ListGateways(
		provisionertest.As(t.Context(), w.clients[0].Operator), &heimdrahtv1.ListGatewaysRequest{})
	if err != nil || len(list.GetGateways()) != 1 {
		t.Errorf("reading meanwhile: %v, %v", list, err)
	}
	p := w.planes[0]
	if is := p.tells("/healthz"); is != "ok\n" {
		t.Errorf("what only reads is well, and it says %q", is)
	}
	if !strings.Contains(p.tells("/metrics"), "\nheimdraht_database_writable 0\n") {
		t.Error("the metrics do not say that the database cannot be written")
	}
	p.kill()
	if n := strings.Count(p.log(), "the database cannot be written"); n != 1 {
		t.Errorf("the log says %d times that the database cannot be written", n)
	}
	must(t, "closing the books", w.books.db.Close())

	disk.unmount()
	disk.repair()
	disk.mount("ro")
	out, err := exec.CommandContext(t.Context(), program, "run", "--config", p.config()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is mounted read-only") || !strings.Contains(string(out), "fsck") {
		t.Errorf("on a disk that is mounted read-only: %v\n%s", err, out)
	}
	disk.unmount()
	disk.mount("rw")
	p.start()
	*w.books = *openBooks(t, p, on)
	w.check(w.books, "on the disk as it was found")
	w.inOrderAgain()
	if !strings.Contains(p.tells("/metrics"), "\nheimdraht_database_writable 1\n") {
		t.Error("the metrics do not say that the database can be written again")
	}
}

// disk is a file system with a journal, in a file.
type disk struct {
	t          testing.TB
	image, dir string
	mounted    bool
}

func newDisk(t testing.TB, megabytes int64) *disk {
	t.Helper()
	needMounts(t)
	testneed.File(t, "/dev/loop-control")
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "disk")}
	f, err := os.Create(d.image)
	must(t, "making a disk", err)
	must(t, "making a disk", errors.Join(f.Truncate(megabytes<<20), f.Close()))
	d.run("mkfs.ext4", "-q", "-F", d.image)
	return d
}

// mount mounts it; the loop device goes when it is unmounted, which happens at
// the end of our mount namespace at the latest.
func (d *disk) mount(how string) {
	d.t.Helper()
	d.run("mount", "-t", "ext4", "-o", "loop,errors=remount-ro,"+how, d.image, d.dir)
	if d.mounted = true; how == "rw" {
		must(d.t, "making the disk ours alone", os.Chmod(d.dir, 0o700))
	}
	d.t.Cleanup(func() {
		if d.mounted {
			must(d.t, "unmounting the disk", unix.Unmount(d.dir, unix.MNT_DETACH))
			d.mounted = false
		}
	})
}

// fail has the file system do what it does upon an error, at a time when all that
// was written before has reached the disk: pages that are shared between database
// connections in memory cannot become dirty again either.
func (d *disk) fail() {
	d.t.Helper()
	dir, err := os.Open(d.dir)
	must(d.t, "opening the disk", err)
	must(d.t, "writing the disk out", errors.Join(unix.Syncfs(int(dir.Fd())), dir.Close()))
	must(d.t, "failing the disk", unix.Mount("", d.dir, "", unix.MS_REMOUNT, "abort"))
}

func (d *disk) unmount() {
	d.t.Helper()
	must(d.t, "unmounting the disk", unix.Unmount(d.dir, 0))
	d.mounted = false
}

// repair does what a system does that starts.
func (d *disk) repair() {
	d.t.Helper()
	out, err := exec.CommandContext(d.t.Context(), testneed.Program(d.t, "fsck.ext4"), "-p", d.image).CombinedOutput()
	var exited *exec.ExitError
	const corrected = 1
	if err != nil && (!errors.As(err, &exited) || exited.ExitCode() != corrected) {
		d.t.Fatal(fmt.Errorf("checking the disk: %w\n%s", err, out))
	}
}

func (d *disk) run(name string, args ...string) {
	d.t.Helper()
	out, err := exec.CommandContext(d.t.Context(), testneed.Program(d.t, name), args...).CombinedOutput()
	must(d.t, name+"\n"+string(out), err)
}
