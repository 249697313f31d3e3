package packaged_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// boot makes a machine of the tree $1, with a layer in memory over it and the host's directory $2 in /mnt, and becomes its
// systemd. It runs in namespaces of its own; the first lines give systemd a corner of the host's control groups.
const boot = `set -e
if [ "$3" = outside ]; then
	for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
		[ -e $hierarchy/cgroup.procs ] || continue
		mkdir $hierarchy/$4
		echo $$ >$hierarchy/$4/cgroup.procs
	done
	exec unshare --pid --mount --uts --ipc --net --cgroup --fork --kill-child bash -c "$5" boot "$1" "$2" inside
fi
mount --make-rprivate /
mount -t tmpfs -o size=2g tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/tree
mount -t overlay overlay -o lowerdir="$1",upperdir=/mnt/upper,workdir=/mnt/work /mnt/tree
mount --bind "$2" /mnt/tree/mnt
cd /mnt/tree
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ -e sys/fs/cgroup/cgroup.procs ] || [ ! -d /sys/fs/cgroup/systemd ]; then
	mount -t cgroup2 cgroup2 sys/fs/cgroup
else
	mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
	mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
	mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
	mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm dev/net
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mknod -m 666 dev/net/tun c 10 200 # as udev makes it
for device in null zero full random urandom tty; do
	touch dev/$device
	mount --bind /dev/$device dev/$device
done
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
ip link set lo up
echo 0 >/proc/sys/net/ipv4/ip_forward # it comes from the host
hostname rathaus
echo 127.0.0.1 localhost rathaus >etc/hosts
rm -f etc/resolv.conf
mkdir /mnt/tree/oldroot
pivot_root . oldroot
umount -l /oldroot
rmdir /oldroot
exec env -i container=other PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --log-target=console
`

// machine is the small Debian, running.
type machine struct {
	init int // systemd, seen from outside
	t    *testing.T
}

// start boots one. It ends with the test.
func start(t *testing.T, shared string) *machine {
	t.Helper()
	testneed.Root(t)
	testneed.File(t, "/dev/net/tun")
	for _, program := range []string{"unshare", "nsenter", "ip", "bash"} {
		testneed.Program(t, program)
	}
	cache, err := os.UserCacheDir()
	check(t, err)
	tree := filepath.Join(cache, "heimdraht", "test-tree")
	if _, err := os.Stat(tree); err != nil {
		testneed.Missing(t, "no Debian for the tests (build/test-tree.sh)")
	}
	corner := "heimdraht-test-" + strconv.Itoa(os.Getpid())
	said, err := os.Create(filepath.Join(t.TempDir(), "console"))
	check(t, err)
	t.Cleanup(func() { said.Close() })
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "bash", "-c", boot, "boot", tree, shared, "outside", corner, boot)
	cmd.Stdout, cmd.Stderr = said, said
	check(t, cmd.Start())
	m := &machine{t: t}
	t.Cleanup(func() {
		if m.init != 0 {
			_ = syscall.Kill(m.init, syscall.SIGKILL) // and with it everything in there
		} else {
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait() // killed, as it should be
		removeCorner(t, corner)
		if t.Failed() {
			console, _ := os.ReadFile(said.Name()) // what there is of it
			t.Logf("the machine's console:\n%s", tail(string(console), 60))
		}
	})
	children := fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid)
	m.eventually("a first process", func() error {
		b, err := os.ReadFile(children)
		if err != nil {
			return err
		}
		m.init, err = strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			return err
		}
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", m.init)); err != nil || !strings.HasSuffix(exe, "/systemd/systemd") {
			return errors.New("no systemd yet: " + exe)
		}
		return nil
	})
	m.eventually("a running system", func() error {
		out, _ := m.try("systemctl is-system-running") // the word says it
		if word := strings.TrimSpace(out); word != "running" && word != "degraded" {
			return errors.New(word)
		}
		return nil
	})
	return m
}

// removeCorner removes the control groups of a machine that has ended.
func removeCorner(t *testing.T, corner string) {
	t.Helper()
	for _, hierarchy := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"} {
		var all []string
		_ = filepath.WalkDir(filepath.Join(hierarchy, corner), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append([]string{path}, all...)
			}
			return nil
		})
		for _, dir := range all {
			if err := syscall.Rmdir(dir); err != nil {
				t.Errorf("a control group is left: %s: %v", dir, err)
			}
		}
	}
}

// try runs a script in the machine.
func (m *machine) try(script string) (string, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(m.init), "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup",
		"env", "-i", "PATH=/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "bash", "-c", "set -eu\ncd /\n"+script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	return out.String(), err
}

// run is try for what must succeed.
func (m *machine) run(script string) string {
	m.t.Helper()
	out, err := m.try(script)
	if err != nil {
		m.t.Fatalf("%v:\n%s\n%s\n%s", err, script, out, m.journal())
	}
	return out
}

// says fails unless the script's output has the words.
func (m *machine) says(script string, words ...string) {
	m.t.Helper()
	out := m.run(script)
	for _, w := range words {
		if !strings.Contains(out, w) {
			m.t.Errorf("%s\ndoes not say %q but\n%s", script, w, out)
		}
	}
}

// active waits until a unit is in a state of systemd's.
func (m *machine) active(unit, state string) {
	m.t.Helper()
	m.eventually(unit+" "+state, func() error {
		out, _ := m.try("systemctl is-active " + unit) // the word says it
		if got := strings.TrimSpace(out); got != state {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

func (m *machine) pid(unit string) string {
	m.t.Helper()
	return strings.TrimSpace(m.run("systemctl show -P MainPID " + unit))
}

func (m *machine) journal() string {
	out, _ := m.try("journalctl --no-pager -q -o cat -n 25") // for a failure only
	return out
}

func (m *machine) eventually(what string, f func() error) {
	m.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			m.t.Fatalf("waited too long for %s: %v\n%s", what, err, m.journal())
		}
	}
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
