package hostnet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// TestManager is a table of worlds that exist.
func TestManager(t *testing.T) {
	for name, test := range map[string]struct {
		world world
		want  dnsManager
	}{
		"Ubuntu, Fedora: the stub":                            {world{target: "../run/systemd/resolve/stub-resolv.conf", servers: addrs("127.0.0.53"), resolvedRuns: true}, byResolved},
		"resolved lists the servers of the links itself":      {world{target: "/run/systemd/resolve/resolv.conf", servers: addrs("192.168.178.1"), resolvedRuns: true}, byResolved},
		"the distribution's own file with the stub":           {world{target: "../usr/lib/systemd/resolv.conf", servers: addrs("127.0.0.53"), resolvedRuns: true}, byResolved},
		"a written file that names the stub":                  {world{servers: addrs("127.0.0.53"), resolvedRuns: true}, byResolved},
		"a written file that names the proxy stub":            {world{servers: addrs("127.0.0.54"), resolvedRuns: true}, byResolved},
		"Debian: no resolved, ifupdown's file":                {world{servers: addrs("192.168.178.1")}, byFile},
		"resolved runs, but the file names a server":          {world{servers: addrs("10.0.0.1"), resolvedRuns: true}, byFile},
		"resolved runs, the file names the stub and a server": {world{servers: addrs("127.0.0.53", "10.0.0.1"), resolvedRuns: true}, byFile},
		"the stub of a resolved that is stopped":              {world{target: "../run/systemd/resolve/stub-resolv.conf", servers: addrs("127.0.0.53")}, byFile},
		"NetworkManager writes the file":                      {world{target: "/run/NetworkManager/resolv.conf", servers: addrs("192.168.178.1"), resolvedRuns: true}, byFile},
		"resolvconf wrote the file, and is gone":              {world{target: "/run/resolvconf/resolv.conf", servers: addrs("192.168.178.1")}, byFile},
		"resolvconf writes the file":                          {world{target: "/run/resolvconf/resolv.conf", servers: addrs("192.168.178.1"), resolvconf: true}, byResolvconf},
		"resolvconf, before resolved":                         {world{servers: addrs("127.0.0.53"), resolvconf: true, resolvedRuns: true}, byResolvconf},
		"our own file, from before resolvconf was installed":  {world{ours: true, resolvconf: true}, byFile},
		"dnsmasq on the host":                                 {world{servers: addrs("127.0.0.1"), resolvedRuns: true}, byFile},
		"no file, resolved is not asked by anybody":           {world{resolvedRuns: true}, byFile},
		"a container":                 {world{servers: addrs("127.0.0.11")}, byFile},
		"our own file, whatever else": {world{ours: true, servers: addrs("127.0.0.53"), resolvedRuns: true}, byFile},
	} {
		if got := test.world.manager(); got != test.want {
			t.Errorf("%s: told %s, want %s", name, got, test.want)
		}
	}
}

// lo stands for the tunnel's link where only its index counts.
func lo(t *testing.T) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func openHost(t *testing.T, o Options) *Host {
	t.Helper()
	if o.Bus == "" {
		o.Bus = "unix:path=" + filepath.Join(t.TempDir(), "no-bus")
	}
	o.Logger = slog.New(slog.DiscardHandler)
	h, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const homeResolvConf = "# home\nnameserver 192.168.178.1\n"

// resolvWorlds are ways in which a resolv.conf can be there. Each makes one and returns a check that it is back.
var resolvWorlds = map[string]func(t *testing.T, path string) func(t *testing.T){
	"a file": func(t *testing.T, path string) func(t *testing.T) {
		write(t, path, homeResolvConf)
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		return func(t *testing.T) {
			info, err := os.Lstat(path)
			if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o640 || read(t, path) != homeResolvConf {
				t.Errorf("the file is not what it was: %v %q, error %v", info.Mode(), read(t, path), err)
			}
		}
	},
	"a link": func(t *testing.T, path string) func(t *testing.T) {
		target := filepath.Join(filepath.Dir(path), "run-resolv.conf")
		write(t, target, homeResolvConf)
		if err := os.Symlink("run-resolv.conf", path); err != nil {
			t.Fatal(err)
		}
		return func(t *testing.T) {
			if got, err := os.Readlink(path); err != nil || got != "run-resolv.conf" || read(t, path) != homeResolvConf {
				t.Errorf("the link is not what it was: %q, error %v", got, err)
			}
		}
	},
	"a link into nowhere": func(t *testing.T, path string) func(t *testing.T) {
		if err := os.Symlink("nowhere", path); err != nil {
			t.Fatal(err)
		}
		return func(t *testing.T) {
			if got, err := os.Readlink(path); err != nil || got != "nowhere" {
				t.Errorf("the link is not what it was: %q, error %v", got, err)
			}
		}
	},
	"nothing": func(_ *testing.T, path string) func(t *testing.T) {
		return func(t *testing.T) {
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Errorf("there is a file that was not there: error %v", err)
			}
		}
	},
	"a mount of its own": func(t *testing.T, path string) func(t *testing.T) {
		testneed.Root(t)
		source := filepath.Join(filepath.Dir(path), "mounted")
		write(t, source, homeResolvConf)
		write(t, path, "covered\n")
		if err := unix.Mount(source, path, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(path, 0); err != nil {
				t.Error(err)
			}
		})
		return func(t *testing.T) {
			if read(t, source) != homeResolvConf || read(t, path) != homeResolvConf {
				t.Errorf("the mounted file is not what it was: %q", read(t, source))
			}
		}
	},
}

func TestResolvConfComesBack(t *testing.T) {
	dns := DNS{Servers: addrs("10.1.0.53"), Domains: []string{"stadt.example"}}
	for name, world := range resolvWorlds {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, killed %v", name, killed), func(t *testing.T) {
				dir, state := t.TempDir(), t.TempDir()
				path := filepath.Join(dir, "resolv.conf")
				isBack := world(t, path)
				h := openHost(t, Options{StateDir: state, ResolvConf: path})
				for range 2 {
					if err := h.setDNS(t.Context(), lo(t), dns); err != nil {
						t.Fatal(err)
					}
				}
				conf := parseResolvConf([]byte(read(t, path)))
				if len(conf.servers) == 0 || conf.servers[0] != dns.Servers[0] || conf.search[0] != "stadt.example" {
					t.Errorf("the file does not name the tunnel's server first: %q", read(t, path))
				}
				if killed { // a new process knows only the journal
					h = openHost(t, Options{StateDir: state, ResolvConf: path})
				}
				for range 2 {
					if err := h.clearDNS(t.Context(), lo(t)); err != nil {
						t.Fatal(err)
					}
				}
				isBack(t)
				left, err := filepath.Glob(path + ".*")
				if err != nil || len(left) > 0 {
					t.Errorf("files left over: %v, error %v", left, err)
				}
			})
		}
	}
}

// TestKilledBetweenJournalAndFile is the other instant at which a process can die.
func TestKilledBetweenJournalAndFile(t *testing.T) {
	path, state := filepath.Join(t.TempDir(), "resolv.conf"), t.TempDir()
	write(t, path, homeResolvConf)
	h := openHost(t, Options{StateDir: state, ResolvConf: path})
	if err := h.record(journal{Interface: "lo", DNS: byFile, ResolvConf: &former{Content: "older\n", Mode: 0o644}}); err != nil {
		t.Fatal(err)
	}
	h = openHost(t, Options{StateDir: state, ResolvConf: path})
	if err := h.clearDNS(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != homeResolvConf {
		t.Errorf("an untouched file was changed to %q", got)
	}
}

func TestSomebodyElseWritesResolvConf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write(t, path, homeResolvConf)
	h := openHost(t, Options{StateDir: t.TempDir(), ResolvConf: path})
	dns := DNS{Servers: addrs("10.1.0.53"), Domains: []string{"stadt.example"}}
	set := func() {
		t.Helper()
		if err := h.setDNS(t.Context(), lo(t), dns); err != nil {
			t.Fatal(err)
		}
	}
	set()
	const café = "# the café's\nnameserver 172.16.0.1\n"
	write(t, path, café)
	set()
	if got := parseResolvConf([]byte(read(t, path))).servers; !cmp.Equal(got, addrs("10.1.0.53", "172.16.0.1"), cmp.Comparer(func(a, b string) bool { return a == b }), cmp.Transformer("text", fmt.Stringer.String)) {
		t.Errorf("servers %v: the newer file counts", got)
	}
	if err := h.clearDNS(t.Context(), lo(t)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != café {
		t.Errorf("came back: %q", got)
	}

	set()
	write(t, path, homeResolvConf)
	if err := h.clearDNS(t.Context(), lo(t)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != homeResolvConf {
		t.Errorf("a newer file of somebody else was replaced by %q", got)
	}
}

func TestResolvConfNeedsAJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write(t, path, homeResolvConf)
	dns := DNS{Servers: addrs("10.1.0.53")}
	if err := openHost(t, Options{ResolvConf: path}).setDNS(t.Context(), lo(t), dns); err == nil || read(t, path) != homeResolvConf {
		t.Errorf("error %v, file %q", err, read(t, path))
	}
	// The journal was lost while our file was there: nothing is known that could come back.
	write(t, path, mark+"\nnameserver 10.1.0.53\n")
	h := openHost(t, Options{StateDir: t.TempDir(), ResolvConf: path})
	if err := h.setDNS(t.Context(), lo(t), dns); err == nil || !strings.Contains(err.Error(), "journal is gone") {
		t.Errorf("error %v", err)
	}
}

func TestBrokenJournal(t *testing.T) {
	state := t.TempDir()
	write(t, filepath.Join(state, journalName), `{"interface":`)
	if _, err := Open(Options{StateDir: state}); err == nil || !strings.Contains(err.Error(), journalName) {
		t.Errorf("error %v, want one that names the file", err)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"interface":"hd0","full_tunnel":true,"dns":"resolv.conf","resolv_conf":{"content":"x","mode":420}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var j, again journal
		if json.Unmarshal(b, &j) != nil {
			return
		}
		encoded, err := json.Marshal(j)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(encoded, &again); err != nil || !cmp.Equal(j, again) {
			t.Errorf("a journal does not survive its writing: %v", err)
		}
	})
}

// fakeResolved notes what systemd-resolved would have been told.
type fakeResolved struct {
	mu    sync.Mutex
	calls []string
}

func (f *fakeResolved) note(format string, args ...any) *dbus.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return nil
}

func (f *fakeResolved) SetLinkDNS(link int32, servers []linkServer) *dbus.Error {
	return f.note("servers %d %v", link, servers)
}

func (f *fakeResolved) SetLinkDomains(link int32, domains []linkDomain) *dbus.Error {
	return f.note("domains %d %v", link, domains)
}

func (f *fakeResolved) SetLinkDefaultRoute(link int32, on bool) *dbus.Error {
	return f.note("default route %d %v", link, on)
}

func (f *fakeResolved) RevertLink(link int32) *dbus.Error {
	if link == 7777 {
		return dbus.NewError(resolvedName+".NoSuchLink", []any{"no such link"})
	}
	return f.note("revert %d", link)
}

// startBus runs a bus of the test's own.
func startBus(t *testing.T) string {
	t.Helper()
	program := testneed.Program(t, "dbus-daemon")
	dir := t.TempDir()
	config := filepath.Join(dir, "bus.conf")
	write(t, config, `<busconfig><type>session</type><listen>unix:path=`+filepath.Join(dir, "bus")+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`)
	ctx, cancel := context.WithCancel(context.Background())
	daemon := exec.CommandContext(ctx, program, "--config-file="+config, "--nofork", "--print-address")
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = daemon.Wait() // killed, which it says
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

func TestResolved(t *testing.T) {
	address := startBus(t)
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write(t, path, "nameserver 127.0.0.53\noptions edns0 trust-ad\n")
	h := openHost(t, Options{StateDir: t.TempDir(), ResolvConf: path, Bus: address})
	link := lo(t)
	index := link.Attrs().Index

	if w, err := h.look(t.Context()); err != nil || w.resolvedRuns {
		t.Fatalf("resolved is said to run on an empty bus: %+v, error %v", w, err)
	}
	bus, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bus.Close() })
	fake := &fakeResolved{}
	if err := bus.Export(fake, resolvedPath, resolvedName+".Manager"); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.RequestName(resolvedName, 0); err != nil {
		t.Fatal(err)
	}

	split := DNS{Servers: addrs("10.1.0.53", "fd00::53"), Domains: []string{"stadt.example"}}
	if err := h.setDNS(t.Context(), link, split); err != nil {
		t.Fatal(err)
	}
	if err := h.setDNS(t.Context(), link, DNS{Servers: addrs("10.1.0.53")}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.setDNS(t.Context(), link, DNS{}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		fmt.Sprintf("servers %d [{2 [10 1 0 53]} {10 [253 0 0 0 0 0 0 0 0 0 0 0 0 0 0 83]}]", index),
		fmt.Sprintf("domains %d [{stadt.example false}]", index),
		fmt.Sprintf("default route %d false", index),
		fmt.Sprintf("servers %d [{2 [10 1 0 53]}]", index),
		fmt.Sprintf("domains %d [{. true}]", index),
		fmt.Sprintf("default route %d true", index),
		fmt.Sprintf("revert %d", index),
	}
	fake.mu.Lock()
	defer fake.mu.Unlock()
	if diff := cmp.Diff(want, fake.calls); diff != "" {
		t.Errorf("resolved was told (-want +got):\n%s", diff)
	}
	if got := read(t, path); !strings.HasPrefix(got, "nameserver 127.0.0.53") {
		t.Errorf("resolv.conf was written all the same: %q", got)
	}
	if err := revertResolved(t.Context(), address, 7777); err != nil {
		t.Errorf("an interface that is gone: %v", err)
	}
}
