package packaged_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// whole is all that an agent could leave behind: files with mode and owner and what is in those of /etc, users, units, and the
// network with the kernel's settings that a tunnel needs. The packet filter is asked from outside: the small Debian has no tool.
const whole = tree + `
` + registered + `
find /etc -xdev -type f ! -name '*-' -exec sha256sum {} + | sort -k 2
systemctl list-unit-files --no-legend --no-pager; systemctl list-units --all --no-legend --no-pager --plain 'heimdraht*'
find /run /var/lib/systemd /var/tmp /tmp -name '*heimdraht*' ! -path '*/units/*' | sort
ip -details -N link; ip -N address; ip -N rule; ip -N -6 rule
ip -N route show table all | sort; ip -N -6 route show table all | sort
stat -c '%A %U:%G %N' /etc/resolv.conf; cat /etc/resolv.conf
grep . /proc/sys/net/ipv4/conf/*/src_valid_mark /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/*/disable_ipv6 | sort`

func (m *machine) whole() string {
	m.t.Helper()
	out := m.run(whole)
	filter, err := exec.CommandContext(m.t.Context(), "nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", m.init), "nft", "list", "ruleset").CombinedOutput()
	if err != nil {
		m.t.Fatalf("reading the packet filter: %v\n%s", err, filter)
	}
	return out + string(filter)
}

// planeInside is a control plane in the machine's network, with a gateway that leads everything through the tunnel.
func (m *machine) planeInside() *endpointtest.Plane {
	m.t.Helper()
	var plane *endpointtest.Plane
	entered := make(chan error, 1)
	go func() {
		defer close(entered)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", m.init))
		if err == nil {
			err = unix.Setns(int(network.Fd()), unix.CLONE_NEWNET)
			network.Close()
		}
		if err != nil {
			entered <- err
			return
		}
		plane = endpointtest.NewAt(m.t, netip.MustParseAddr("127.0.0.1"))
	}()
	check(m.t, <-entered)
	if plane == nil {
		m.t.Fatal("there is no control plane")
	}
	plane.Script(func(s *endpointtest.Script) {
		s.Configure = func(c *heimdrahtv1.TunnelConfiguration) {
			c.FullTunnel, c.AllowedIps, c.DnsServers = true, []string{"0.0.0.0/0", "::/0"}, []string{endpointtest.Inside}
		}
	})
	return plane
}

// uninstalled: a laptop with a full tunnel is as before when the agent's package is purged without a word before, whether the
// agent runs or was killed. Nothing is revoked by that: it closes its session, so that nobody waits for its seat, and no more.
func uninstalled(t *testing.T, m *machine) {
	testneed.Program(t, "nft")
	m.run(`ip link add eth0 type veth peer name eth1; ip link set eth1 addrgenmode none; ip link set eth0 addrgenmode none; ip link set eth1 up
		ip address add 192.0.2.2/24 dev eth0; ip address add 2001:db8::2/64 dev eth0 nodad; ip link set eth0 up
		ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8::1
		printf 'nameserver 192.0.2.53\nsearch zuhause.example\n' >/etc/resolv.conf; chmod 0640 /etc/resolv.conf`)
	plane := m.planeInside()
	server, pin, _ := strings.Cut(plane.Address(), "#")
	before := m.whole()
	for _, scene := range []struct{ name, before string }{
		{"while it runs", ""},
		{"after it was killed", `kill -KILL "$(systemctl show -P MainPID heimdraht-agent)"`},
		{"after it was killed with settings that are none", `echo 'rubbish: true' >>/etc/heimdraht/agent.yaml; kill -KILL "$(systemctl show -P MainPID heimdraht-agent)"`},
		{"after it was killed for good", `mkdir -p /run/systemd/system/heimdraht-agent.service.d
			printf '[Service]\nRestart=no\n' >/run/systemd/system/heimdraht-agent.service.d/no.conf; systemctl daemon-reload
			kill -KILL "$(systemctl show -P MainPID heimdraht-agent)"
			while systemctl --quiet is-active heimdraht-agent; do sleep 0.02; done
			rm -r /run/systemd/system/heimdraht-agent.service.d; systemctl daemon-reload`},
	} {
		enrolled := len(plane.Seen().Enrolments)
		m.run("dpkg -i /mnt/0.9.0/heimdraht-agent_*.deb\n" +
			"heimdraht-agent configure --server " + server + " --ca-sha256 " + pin + " --start boot\n" +
			"systemctl restart heimdraht-agent\n" +
			"umask 077; echo '" + endpointtest.Password + "' >/run/password; heimdraht-agent enrol --login erika --password-file /run/password; rm /run/password")
		m.run("heimdraht-agent up") // waits until it is connected
		// What is to be put back is really there.
		m.says("ip -o link; cat /etc/resolv.conf; ip -N rule; ls /var/lib/heimdraht-agent", "hd0", "nameserver "+endpointtest.Inside, "fwmark", "hostnet.json")
		m.run(scene.before)
		closed := len(plane.Seen().Closings)
		m.run("dpkg --purge heimdraht-agent")
		if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(m.whole(), "\n")); diff != "" {
			t.Errorf("%s: not as before (-before +after purge):\n%s", scene.name, diff)
		}
		seen := plane.Seen()
		if len(seen.Enrolments) != enrolled+1 || scene.before == "" && len(seen.Closings) != closed+1 {
			t.Errorf("%s: the control plane saw %d enrolments, %d closings", scene.name, len(seen.Enrolments), len(seen.Closings))
		}
	}
}
