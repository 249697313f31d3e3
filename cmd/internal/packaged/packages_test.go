package packaged_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree lists what lies in the machine: kind, mode, owner, and of links and small files what is in them. What the system
// itself writes all the time is left out.
const tree = `find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /mnt -o -path /root \
	-o -path /var/log -o -path /var/tmp -o -path /var/cache -o -path '/var/lib/dpkg/*' -o -path '/var/lib/apt/*' \
	-o -path /var/lib/systemd -o -name '*-' -path '/etc/*' -o -name .pwd.lock -o -name '.updated' -o -path /etc/machine-id \) -prune \
	-o -type d -printf '%y %m %U:%G %p\n' -o -printf '%y %m %U:%G %p %l %s\n' | sort`

// registered is what dpkg and the user database know.
const registered = `dpkg-query -W | grep heimdraht || true; sort /etc/passwd /etc/group /etc/shadow /etc/gshadow | cut -d : -f 1-3`

// TestPackages builds the programs once for both kinds of packages.
func TestPackages(t *testing.T) {
	t.Parallel()
	built := programs(t)
	t.Run("deb", func(t *testing.T) {
		t.Parallel()
		debian(t, built)
	})
	t.Run("rpm", func(t *testing.T) {
		t.Parallel()
		redHat(t, built)
	})
}

// debian installs, configures, reloads, upgrades, removes and purges all packages under a real systemd.
func debian(t *testing.T, built string) {
	shared := t.TempDir()
	m := start(t, shared)
	makePackages(t, built, shared, "0.8.0", "FORMATS=deb", "DEPLOY="+formerDeploy(t))
	makePackages(t, built, shared, "0.9.0", "FORMATS=deb")
	before, users := m.run(tree), m.run(registered)

	m.run("cd /mnt/0.8.0\n" + documented(t, "docs/install.md", 0) + "dpkg -i ./heimdraht-agent_*.deb")
	for _, step := range []struct {
		name string
		do   func(*testing.T, *machine)
	}{
		{"files", files}, {"unconfigured", unconfigured}, {"control plane", controlPlane}, {"gateway", gateway}, {"agent", agent},
		{"reload", reload}, {"watchdog", watchdog}, {"restart", restart}, {"upgrade", upgrade}, {"remove", remove},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			inStep := *m
			inStep.t = t
			step.do(t, &inStep)
		}) {
			return
		}
	}
	m.run("dpkg --purge heimdrahtd heimdraht-gateway heimdraht-agent heimdraht")
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(m.run(tree), "\n")); diff != "" {
		t.Errorf("the tree is not as it was before (-before +after purge):\n%s", diff)
	}
	if diff := cmp.Diff(users, m.run(registered)); diff != "" {
		t.Errorf("packages or users (-before +after purge):\n%s", diff)
	}
	m.says("find /etc/systemd /var/lib/systemd /run -name '*heimdraht*' | grep . || echo nothing", "nothing\n")
	m.says("ip link", "lo:")
	if out := m.run("ip -o link"); strings.Contains(out, "hd0") {
		t.Errorf("an interface is left:\n%s", out)
	}
	t.Run("uninstalled", func(t *testing.T) {
		inStep := *m
		inStep.t = t
		uninstalled(t, &inStep)
	})
}

func files(t *testing.T, m *machine) {
	m.says(`stat -c '%a %U:%G %n' /usr/bin/heimdraht* /etc/heimdraht /etc/heimdraht/agent.yaml /var/lib/heimdraht /var/lib/heimdraht-gateway`,
		"755 root:root /usr/bin/heimdrahtd\n", "755 root:root /usr/bin/heimdraht-gateway\n", "755 root:root /usr/bin/heimdraht-agent\n", "755 root:root /usr/bin/heimdraht\n",
		"755 heimdraht:heimdraht /etc/heimdraht\n", "644 root:root /etc/heimdraht/agent.yaml\n",
		"700 heimdraht:heimdraht /var/lib/heimdraht\n", "700 heimdraht-gateway:heimdraht-gateway /var/lib/heimdraht-gateway\n")
	m.says("getent passwd heimdraht heimdraht-gateway", "/usr/sbin/nologin\n")
	for _, p := range []string{"heimdrahtd", "heimdraht-gateway", "heimdraht-agent", "heimdraht"} {
		m.says("zcat /usr/share/doc/"+p+"/changelog.gz", p+" (0.8.0-1)")
		m.says("cat /usr/share/doc/"+p+"/copyright", "License: EUPL-1.2", "EUROPEAN UNION PUBLIC LICENCE")
		if out := m.run("dpkg --verify " + p); out != "" {
			t.Errorf("%s is not as it was packed: %s", p, out)
		}
		m.run(p + " --help")
		m.says("zcat /usr/share/man/man?/"+p+".?.gz", ".SH COMMANDS\n")
		m.says("source /usr/share/bash-completion/completions/"+p+"; complete -p "+p, "complete ")
	}
	m.says("zcat /usr/share/man/de/man1/heimdraht.1.gz", ".SH BEFEHLE\n")
	if out := m.run("systemd-analyze verify heimdrahtd.service heimdraht-gateway.service heimdraht-agent.service heimdraht-backup.service heimdraht-backup.timer 2>&1"); out != "" {
		t.Errorf("systemd says of the units:\n%s", out)
	}
}

// unconfigured: nothing runs that has nothing to do, and to start it does no harm.
func unconfigured(_ *testing.T, m *machine) {
	m.says("systemctl is-enabled heimdrahtd heimdraht-gateway heimdraht-agent || true", "disabled\ndisabled\nenabled\n")
	m.run("systemctl start heimdrahtd heimdraht-gateway")
	m.says("systemctl show -P ConditionResult heimdrahtd heimdraht-gateway", "no\n\nno\n")
	m.active("heimdrahtd", "inactive")
	m.active("heimdraht-gateway", "inactive")
	m.active("heimdraht-gateway-tunnels", "inactive")
}

// holds fails unless the service runs as that user, with these capabilities, and can get no further ones; and is never given up.
func (m *machine) holds(unit, user, capabilities string) {
	m.t.Helper()
	pid := m.pid(unit)
	m.says("systemctl show -P StartLimitIntervalUSec "+unit, "0\n") // it is started again for as long as it takes
	m.says("stat -c %U /proc/"+pid, user+"\n")
	m.says("cat /proc/"+pid+"/status", "CapEff:\t"+capabilities+"\n", "CapBnd:\t"+capabilities+"\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n")
}

func controlPlane(t *testing.T, m *machine) {
	out := m.run(`runuser -u heimdraht -- heimdrahtd init --name localhost --token-file /etc/heimdraht/operator.token
		systemctl enable --now heimdrahtd`)
	at := strings.Index(out, "localhost:8443#")
	if at < 0 {
		t.Fatalf("no address: %s", out)
	}
	m.run("echo " + strings.Fields(out[at:])[0] + " >/run/address")
	m.holds("heimdrahtd", "heimdraht", "0000000000000000")
	// Started means that it serves: no waiting here.
	m.run(`heimdraht login "$(cat /run/address)" --token-file /etc/heimdraht/operator.token`)
	m.run(`systemctl start heimdraht-backup.service; ls /var/lib/heimdraht/backup/heimdraht-*.backup`)
}

func gateway(_ *testing.T, m *machine) {
	// The directory does not answer: a gateway does not need it.
	m.run(`install -m 0600 -o heimdraht -g heimdraht /dev/null /etc/heimdraht/directory.password
		echo secret >/etc/heimdraht/directory.password
		cat >/etc/heimdraht/rathaus.yaml <<END
directories:
- {name: rathaus, servers: ["ldaps://localhost"], bind: {dn: "cn=vpn", password_file: /etc/heimdraht/directory.password}, base: "dc=rathaus"}
tenants:
- {name: rathaus, directory: rathaus, mail_domains: [rathaus.example], staff_group: "cn=staff,dc=rathaus", networks: [{group: all, allow: ["10.1.0.0/16"]}]}
gateways:
- {name: gw1, endpoint: "localhost:51820", sessions: 200, aggregate: {v4: 10.80.0.0/16}, masquerade: true, tenants: [rathaus]}
END
		heimdraht apply -f /etc/heimdraht/rathaus.yaml
		heimdraht gateway token gw1 >/run/gateway.token
		heimdraht-gateway join "$(cat /run/address)" --token-file /run/gateway.token
		systemctl enable --now heimdraht-gateway`)
	m.holds("heimdraht-gateway", "heimdraht-gateway", "0000000000001000")
	m.connected()
	m.eventually("an interface with its address", func() error { // it is made once the control plane has said with what
		if out, err := m.try("ip -o address show hd0; cat /proc/sys/net/ipv4/ip_forward"); err != nil || !strings.Contains(out, "10.80.0.1/16") || !strings.Contains(out, "\n1\n") {
			return errors.New(out)
		}
		return nil
	})
}

func (m *machine) connected() {
	m.t.Helper()
	m.eventually("a connected gateway", func() error {
		if out, err := m.try("heimdraht-gateway status"); err != nil {
			return errors.New(out)
		}
		return nil
	})
}

func agent(_ *testing.T, m *machine) {
	m.active("heimdraht-agent", "active")
	m.holds("heimdraht-agent", "root", "0000000000083001")
	m.says("stat -c '%a %U' /run/heimdraht /run/heimdraht/agent.sock /var/lib/heimdraht-agent", "755 root\n666 root\n700 root\n")
	m.says("runuser -u nobody -- heimdraht-agent status || true", "not enrolled")
	// Where it is, with what it may: resolv.conf can be replaced, nothing else of the system can, and people's programs are seen.
	m.says(`other=$(systemctl show -P MainPID dbus)
		nsenter --target "$(systemctl show -P MainPID heimdraht-agent)" --mount \
			setpriv --inh-caps=-all --bounding-set=-all,+net_admin,+chown,+sys_ptrace -- sh -c "
				touch /etc/resolv.conf.new && mv /etc/resolv.conf.new /etc/resolv.conf && rm /etc/resolv.conf
				touch /usr/bin/x /var/lib/x || true
				readlink /proc/$other/exe" 2>&1`,
		"'/usr/bin/x': Read-only file system", "'/var/lib/x': Read-only file system", "dbus-daemon\n")
}

// reload takes up what may change, in the process that runs, and says of the rest what it takes.
func reload(t *testing.T, m *machine) {
	m.run(documented(t, "docs/operation.md", 1))
	for _, s := range []struct{ unit, file, change, refused, why string }{
		{"heimdrahtd", "heimdrahtd.yaml", `s/^log_level: .*/log_level: "debug"/`, `s/^listen: .*/listen: ":8444"/`, "changing listen takes a restart"},
		{"heimdraht-gateway", "gateway.yaml", `s/^log_level: .*/log_level: "debug"/`, `s/^mode: .*/mode: "kernel"/`, "changing mode takes a restart"},
		{"heimdraht-agent", "agent.yaml", `s/^log_level: .*/log_level: "debug"/`, `s/^start: .*/start: "boot"/`, "changing start takes a restart"},
	} {
		pid := m.pid(s.unit)
		reloaded := func(want string) {
			m.eventually(s.unit+" to say "+want, func() error {
				if out := m.run("systemctl show -P StatusText " + s.unit + "; journalctl -q -u " + s.unit); !strings.Contains(out, want) {
					return errors.New(tail(out, 5))
				}
				return nil
			})
		}
		m.run("sed -i '" + s.change + "' /etc/heimdraht/" + s.file + " && systemctl reload " + s.unit)
		reloaded("the configuration was read again")
		m.run("cp -p /etc/heimdraht/" + s.file + " /run/kept && sed -i '" + s.refused + "' /etc/heimdraht/" + s.file + " && systemctl reload " + s.unit)
		reloaded("not reloaded: ")
		m.says("systemctl show -P StatusText "+s.unit, s.why)
		m.run("echo 'rubbish: true' >>/etc/heimdraht/" + s.file + " && systemctl reload " + s.unit)
		reloaded("rubbish")
		m.run("cp -p /run/kept /etc/heimdraht/" + s.file + " && systemctl reload " + s.unit)
		m.eventually("no complaint", func() error {
			if out := m.run("systemctl show -P StatusText " + s.unit); strings.TrimSpace(out) != "" {
				return errors.New(out)
			}
			return nil
		})
		if now := m.pid(s.unit); now != pid {
			t.Errorf("%s was restarted", s.unit)
		}
		m.active(s.unit, "active")
	}
}

// watchdog: a process that does nothing any more is replaced; one that does its work is not.
func watchdog(t *testing.T, m *machine) {
	units := []string{"heimdrahtd", "heimdraht-gateway", "heimdraht-agent"}
	for _, u := range units {
		m.run("mkdir -p /run/systemd/system/" + u + ".service.d && printf '[Service]\\nWatchdogSec=4s\\n' >/run/systemd/system/" + u + ".service.d/soon.conf")
	}
	m.run("systemctl daemon-reload && systemctl restart " + strings.Join(units[:2], " "))
	stopped := make(map[string]string)
	for _, u := range units[:2] {
		stopped[u] = m.pid(u)
		m.run("kill -STOP " + stopped[u])
	}
	for _, u := range units[:2] {
		m.eventually(u+" to be replaced", func() error {
			if now := m.pid(u); now == stopped[u] || now == "0" {
				return errors.New("it is " + now)
			}
			return nil
		})
		m.active(u, "active")
		m.says("systemctl show -P NRestarts "+u, "1\n")
	}
	m.run("rm -r /run/systemd/system/heimdraht*.service.d && systemctl daemon-reload && systemctl restart " + strings.Join(units[:2], " "))
	m.connected()
}

// restart: what the kernel carries is left to the next process by a restart, and by nothing else.
func restart(t *testing.T, m *machine) {
	const since = "systemctl show -P ActiveEnterTimestampMonotonic heimdraht-gateway-tunnels"
	before := m.run(since)
	m.run("systemctl restart heimdraht-gateway")
	m.run("kill -KILL " + m.pid("heimdraht-gateway"))
	m.connected()
	if after := m.run(since); after != before {
		t.Errorf("the tunnels were taken away by a restart")
	}
	m.run("systemctl stop heimdraht-gateway")
	m.active("heimdraht-gateway-tunnels", "inactive")
	m.says("systemctl show -P ExecStop heimdraht-gateway-tunnels", "code=exited ; status=0")
	// A version before ran as root.
	m.run("chown -R root:root /var/lib/heimdraht-gateway; systemctl start heimdraht-gateway")
	m.connected()
	m.says("find /var/lib/heimdraht-gateway ! -user heimdraht-gateway | grep . || echo all", "all\n")
}

func upgrade(t *testing.T, m *machine) {
	units := []string{"heimdrahtd", "heimdraht-gateway", "heimdraht-agent"}
	pids := make(map[string]string)
	for _, u := range units {
		pids[u] = m.pid(u)
	}
	tunnels := m.run("systemctl show -P ActiveEnterTimestampMonotonic heimdraht-gateway-tunnels")
	m.run("cp /etc/heimdraht/heimdrahtd.yaml /run/was.yaml; cd /mnt/0.9.0\n" + documented(t, "docs/operation.md", 0) + "dpkg --force-confold -i ./heimdraht-agent_*.deb")
	for _, u := range units {
		m.active(u, "active")
		if m.pid(u) == pids[u] {
			t.Errorf("%s still runs the former program", u)
		}
	}
	m.connected()
	if now := m.run("systemctl show -P ActiveEnterTimestampMonotonic heimdraht-gateway-tunnels"); now != tunnels {
		t.Error("the upgrade took the tunnels away")
	}
	m.run("cmp /run/was.yaml /etc/heimdraht/heimdrahtd.yaml")
	// The administrator's changes survive, and the new words lie beside them.
	m.says("cat /etc/heimdraht/agent.yaml", "# As it was.", `log_level: "debug"`)
	m.run("grep -q 'log_level: \"info\"' /etc/heimdraht/agent.yaml.dpkg-dist && ! grep -q 'As it was' /etc/heimdraht/agent.yaml.dpkg-dist")
	m.says("dpkg-query -W", "heimdrahtd\t0.9.0-1", "heimdraht-gateway\t0.9.0-1")
	m.says("systemctl is-enabled heimdrahtd heimdraht-gateway heimdraht-agent", "enabled\nenabled\nenabled\n")
}

// remove keeps what would be missed.
func remove(t *testing.T, m *machine) {
	// A daemon that was killed has left the host's resolv.conf changed.
	m.run(`systemctl stop heimdraht-agent
		printf 'nameserver 192.0.2.1\n' >/etc/resolv.conf; cp -p /etc/resolv.conf /run/resolv.was
		printf '# Written by Heimdraht while its tunnel is up; the former file comes back when it goes down.\nnameserver 10.1.0.53\n' >/etc/resolv.conf
		printf '{"interface":"hd1","dns":"resolv.conf","resolv_conf":{"content":"nameserver 192.0.2.1\\n","mode":420}}' >/var/lib/heimdraht-agent/hostnet.json`)
	m.run("dpkg --remove heimdrahtd heimdraht-gateway heimdraht-agent heimdraht")
	m.run("cmp /run/resolv.was /etc/resolv.conf; rm /etc/resolv.conf")
	m.says(`ls /etc/heimdraht /var/lib/heimdraht /var/lib/heimdraht-gateway; [ ! -e /usr/bin/heimdrahtd ]`,
		"master.key", "heimdrahtd.yaml", "gateway.yaml", "agent.yaml", "heimdraht.db", "identity")
	if out := m.run("ip -o link; systemctl list-units --all --no-legend 'heimdraht*' | cat"); strings.Contains(out, "hd0") || strings.Contains(out, "heimdraht") {
		t.Errorf("after the removal there is still\n%s", out)
	}
	if out := m.run("ls -l /proc/[0-9]*/exe 2>/dev/null | grep heimdraht || true"); out != "" {
		t.Errorf("still running: %s", out)
	}
}
