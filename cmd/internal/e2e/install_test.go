package e2e_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/internal/testneed"
	"github.com/heimdraht/heimdraht/provisioner/directory/slapdtest"
)

const repository = "../../.."

// block is a fenced block of a document that a test takes part in.
type block struct {
	file string
	line int
	// kind is what stands behind "test": "", "values", "laptop", or "fails": the last command must. "package" is for
	// another test, which has a tree to install into: cmd/internal/packaged.
	kind     string
	commands string
	expected []string // lines that the output must contain in this order
}

// blocks takes them out of a document: "sh test" are commands, "text expected"
// is what the commands before print.
func blocks(t *testing.T, file string) []block {
	t.Helper()
	f, err := os.Open(filepath.Join(repository, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []block
	var text []string
	var fence string
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimPrefix(lines.Text(), "   ") // of a list's item
		info, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && fence == "":
			fence, text = info, nil
			if kind, ok := strings.CutPrefix(info, "sh test"); ok {
				all = append(all, block{file: file, line: n, kind: strings.TrimSpace(kind)})
			} else if info != "text expected" {
				t.Errorf("%s:%d: a block %q that no test runs", file, n, info)
			}
		case isFence && fence == "text expected":
			all[len(all)-1].expected, fence = text, ""
		case isFence:
			all[len(all)-1].commands, fence = strings.Join(text, "\n")+"\n", ""
		case fence != "":
			text = append(text, line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// fakeSystemd starts what a unit says, as the user and with the capabilities
// that it says: on the machines of a test no systemd runs.
const fakeSystemd = `#!/bin/sh
set -eu
[ "$1" = daemon-reload ] && exit 0
if [ "$1" = stop ]; then
	pid=$(cat "/run/unit-$2.pid")
	kill "$pid"
	# Nobody collects what has ended; it has no program any more.
	while readlink "/proc/$pid/exe" >/dev/null; do sleep 0.1; done
	exit 0
fi
case "$1 $2" in
"enable --now") name=$3 ;;
start\ *) name=$2 ;;
*) echo "systemctl $*: unexpected" >&2; exit 1 ;;
esac
if [ "${name%.timer}" != "$name" ]; then
	[ -f "/etc/systemd/system/$name" ]
	exit
fi
name=${name%.service}
unit=/etc/systemd/system/$name.service
get() { sed -n "s/^$1=//p" "$unit"; }
user=$(get User) group=$(get Group)
for kind in State Runtime; do
	for name in $(get ${kind}Directory); do
		directory=$([ $kind = State ] && echo /var/lib || echo /run)/$name
		install -d -m "$(get ${kind}DirectoryMode | grep . || echo 0755)" "$directory"
		[ -z "$user" ] || chown -R "$user:$group" "$directory"
	done
done
name=${unit##*/} name=${name%.service}
set --
if grep -q ^CapabilityBoundingSet= "$unit"; then
	keep=$(get CapabilityBoundingSet | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
	given=$(get AmbientCapabilities | tr 'A-Z ' 'a-z,' | sed 's/cap_/+/g')
	set -- "$@" --inh-caps="-all${given:+,$given}" --bounding-set="-all${keep:+,$keep}" ${given:+--ambient-caps="$given"}
fi
[ -z "$user" ] || set -- "$@" --reuid="$user" --regid="$group" --init-groups
if [ "$(get Type)" = oneshot ]; then
	setpriv "$@" -- $(get ExecStart)
	exit
fi
setsid setpriv "$@" -- $(get ExecStart) </dev/null >>/run/units.log 2>&1 &
echo $! >"/run/unit-$name.pid"
echo $! >>/run/units.pid
# What a service manager is told, here is seen.
[ "$name" != heimdraht-agent ] || until [ -S /run/heimdraht/agent.sock ]; do sleep 0.1; done
`

// TestInstall runs the commands of docs/install.md as they stand there, on a
// server and a laptop that have nothing of ours yet, and then those of
// docs/operation.md on that server.
func TestInstall(t *testing.T) {
	programs := needs(t)
	for _, p := range []string{"curl", "useradd", "runuser", "setpriv"} {
		testneed.Program(t, p)
	}
	server, lap, inside := newServer(t, "rathaus"), newMachine(t, "laptop"), &intranet{machine: newMachine(t, "intra")}
	w := &town{t: t}
	w.wire(server, "eth0", lap, "eth0")
	w.wire(server, "eth1", inside.machine, "eth0")
	server.ip(t, "address", "add", hqAddress+"/24", "dev", "eth0")
	server.ip(t, "address", "add", "10.1.0.1/16", "dev", "eth1")
	lap.ip(t, "address", "add", "203.0.113.101/24", "dev", "eth0")
	inside.ip(t, "address", "add", intranetV4+"/16", "dev", "eth0")
	inside.ip(t, "address", "add", intranetV6+"/64", "dev", "eth0", "nodad") // a tentative address cannot be listened on
	inside.ip(t, "route", "add", "10.80.0.0/16", "via", "10.1.0.1")
	inside.serve(t)
	slapd := slapdtest.Start(t, slapdtest.Options{People: 10, Sync: true, SizeLimit: slapdtest.Unlimited})
	login, password := slapdtest.Person(2)

	values := map[string]string{
		"SERVER": controlName, "DIRECTORY": slapd.LDAPS, "DIRECTORY_CA": "/root/dc-ca.pem",
		"BIND_DN": slapdtest.ServiceDN, "BIND_PASSWORD_FILE": "/root/svc-vpn.password", "BASE": slapdtest.PeopleBase,
		"STAFF_GROUP": slapdtest.StaffGroup, "HELPDESK_GROUP": slapdtest.Helpdesk, "MAIL_DOMAIN": "stadt.example",
		"INSIDE": "10.1.0.0/16", "INSIDE_DNS": intranetV4, "SEATS": "25",
	}
	for _, m := range []*machine{server, lap} {
		m.furnishForInstall(t, programs)
		m.write(t, "/etc/hosts", "127.0.0.1 localhost\n"+hqAddress+" "+controlName+"\n", 0o644)
		t.Cleanup(func() { m.endUnits(t) })
	}
	server.write(t, "/root/dc-ca.pem", string(slapd.CAPEM), 0o644)
	server.write(t, "/root/svc-vpn.password", slapdtest.ServicePassword+"\n", 0o600)

	shells := map[string]*shell{"": {machine: server}, "laptop": {machine: lap}}
	all := append(blocks(t, "docs/install.md"), blocks(t, "docs/operation.md")...)
	for _, b := range all {
		if b.kind == "package" {
			continue
		}
		where := b.kind
		if where == "values" {
			b.commands = ourValues(t, b, values)
			shells["laptop"].remember("PROGRAMS=bin\nLOGIN=" + login + "@stadt.example\n")
		}
		if where != "laptop" {
			where = ""
		}
		if where == "laptop" && strings.Contains(b.commands, " enrol ") {
			// Somebody types; here it comes from a file.
			b.commands = strings.Replace(b.commands, `--login "$LOGIN"`, `--login "$LOGIN" --password-file /run/password`, 1)
			lap.write(t, "/run/password", password+"\n", 0o600)
			address := regexp.MustCompile(`\S+#[0-9a-f]{64}`).FindString(server.read(t, "/root/heimdraht-address.txt"))
			shells["laptop"].remember("ADDRESS=" + address + "\n")
		}
		out := shells[where].run(t, b)
		for _, want := range b.expected {
			at := strings.Index(out, want)
			if at < 0 {
				t.Fatalf("%s:%d: the output lacks %q:\n%s", b.file, b.line, want, out)
			}
			out = out[at+len(want):]
		}
		if strings.Contains(b.commands, "heimdraht-agent status") {
			if err := page(t.Context(), lap, intranetV4); err != nil {
				t.Errorf("the page through the tunnel: %v", err)
			}
		}
	}
}

// ourValues keeps the names that the document sets, with values of the test.
func ourValues(t *testing.T, b block, values map[string]string) string {
	t.Helper()
	var out strings.Builder
	for n, line := range strings.Split(strings.TrimSpace(b.commands), "\n") {
		name, _, _ := strings.Cut(line, "=")
		value, ok := values[name]
		if !ok {
			t.Fatalf("docs/install.md:%d: the test has no value of its own for %s", b.line+1+n, name)
		}
		fmt.Fprintf(&out, "%s='%s'\n", name, value)
	}
	return out.String()
}

// furnishForInstall gives the machine what a fresh server has, and the unpacked
// archive.
func (m *machine) furnishForInstall(t *testing.T, programs string) {
	t.Helper()
	m.run(t, "mount", "-t", "tmpfs", "tmpfs", "/root")
	m.run(t, "mkdir", "-p", "/root/heimdraht/bin", "/usr/local/sbin")
	// As udev makes it: for everybody, as making an interface takes a capability anyway.
	m.run(t, "sh", "-c", "mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200")
	m.run(t, "sh", "-c", "cp "+programs+"/* /root/heimdraht/bin/")
	deploy, err := filepath.Abs(filepath.Join(repository, "deploy"))
	if err != nil {
		t.Fatal(err)
	}
	m.run(t, "cp", "-r", deploy, "/root/heimdraht/deploy")
	m.write(t, "/usr/local/sbin/systemctl", fakeSystemd, 0o755)
	m.write(t, "/etc/shadow", "", 0o600)
	m.write(t, "/etc/gshadow", "", 0o600)
}

// endUnits ends what fakeSystemd started.
func (m *machine) endUnits(t *testing.T) {
	t.Helper()
	pids, err := os.ReadFile(m.path("/run/units.pid"))
	if err != nil {
		return // nothing was started
	}
	for _, line := range strings.Fields(string(pids)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Errorf("reading %q: %v", line, err)
			continue
		}
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
	if t.Failed() {
		if said, err := os.ReadFile(m.path("/run/units.log")); err == nil {
			t.Logf("units of %s said:\n%s", m.name, said)
		}
	}
}

// shell runs blocks one after the other, in one place, with the variables of
// those before.
type shell struct {
	*machine
	variables string
}

func (s *shell) remember(assignments string) { s.variables += assignments }

func (s *shell) run(t *testing.T, b block) string {
	t.Helper()
	// Assignments are carried on as text: that needs no shell that lives on.
	script := "set -eu\ncd /root/heimdraht\n" + s.variables + b.commands
	for _, line := range strings.Split(b.commands, "\n") {
		if regexp.MustCompile(`^[A-Z_]+=`).MatchString(line) {
			s.remember(line + "\n")
		}
	}
	begin := time.Now()
	s.write(t, "/run/block", script, 0o600)
	r := s.try(t, "", "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "XDG_CONFIG_HOME=", "bash", "/run/block")
	if failed := r.code != 0; failed != (b.kind == "fails") {
		t.Fatalf("%s:%d:\n%v", b.file, b.line, r)
	}
	t.Logf("%s:%d took %v", b.file, b.line, time.Since(begin).Round(time.Millisecond))
	return r.stdout + r.stderr
}
