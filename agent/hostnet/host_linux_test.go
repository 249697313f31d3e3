package hostnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// inNamespace runs the test in a process of its own, in a network namespace of its own that has only lo, and with
// mounts of its own.
func inNamespace(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	const inside = "HEIMDRAHT_TEST_IN_NAMESPACE"
	if os.Getenv(inside) == t.Name() {
		must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		must(t, netlink.LinkSetUp(lo(t)))
		test(t)
		return
	}
	testneed.Root(t)
	testneed.File(t, "/dev/net/tun")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.timeout=60s", "-test.v")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a network namespace: %v\n%s", err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

// home makes a laptop at home: lan0 with a default route, and the tunnel's interface hd0.
func home(t *testing.T) {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan0", TxQLen: 100, MTU: 1500}, PeerName: "router"}))
	lan := link(t, "lan0")
	must(t, netlink.LinkSetUp(link(t, "router")))
	must(t, netlink.LinkSetUp(lan))
	for _, address := range []string{"192.168.178.2/24", "2001:db8::2/64"} {
		prefix := netip.MustParsePrefix(address)
		must(t, netlink.AddrAdd(lan, &netlink.Addr{IPNet: ipNetOf(prefix), Flags: unix.IFA_F_NODAD}))
	}
	for _, gateway := range []string{"192.168.178.1", "2001:db8::1"} {
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: lan.Attrs().Index, Gw: net.ParseIP(gateway)}))
	}
	makeTUN(t)
}

func makeTUN(t *testing.T) {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: "hd0"}, Mode: netlink.TUNTAP_MODE_TUN, Flags: netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_NO_PI,
	}))
}

// snapshot is everything that Set may change. What the kernel does by itself, link-local, is left out.
func snapshot(t *testing.T) string {
	t.Helper()
	var lines []string
	links, err := netlink.LinkList()
	must(t, err)
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
		for _, family := range families() {
			list, err := netlink.AddrList(l, family)
			must(t, err)
			for _, a := range list {
				lines = append(lines, fmt.Sprintf("address %s %v", l.Attrs().Name, a.IPNet))
			}
		}
	}
	for _, family := range families() {
		list, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		must(t, err)
		for _, r := range list {
			if r.Table != unix.RT_TABLE_LOCAL {
				lines = append(lines, fmt.Sprintf("route %v %s table %d type %d proto %d", r.Dst, names[r.LinkIndex], r.Table, r.Type, r.Protocol))
			}
		}
		rules, err := netlink.RuleList(family)
		must(t, err)
		for _, r := range rules {
			lines = append(lines, fmt.Sprintf("rule %d family %d table %d mark %d not %v suppress %d", r.Priority, family, r.Table, r.Mark, r.Invert, r.SuppressPrefixlen))
		}
	}
	lines = append(lines, "src_valid_mark "+read(t, filepath.Join(sysctlRoot, validMark)))
	filter, err := nftables.New()
	must(t, err)
	tables, err := filter.ListTables()
	must(t, err)
	for _, table := range tables {
		chains, err := filter.ListChainsOfTableFamily(table.Family)
		must(t, err)
		for _, chain := range chains {
			rules, err := filter.GetRules(chain.Table, chain)
			must(t, err)
			lines = append(lines, fmt.Sprintf("filter %s %s %d rules", chain.Table.Name, chain.Name, len(rules)))
		}
	}
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return strings.Contains(line, " fe80::") || strings.Contains(line, "route ff00::")
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// way returns the interface over which a packet would leave, or the error of the kernel.
func way(t *testing.T, to string, mark uint32) string {
	t.Helper()
	list, err := netlink.RouteGetWithOptions(net.ParseIP(to), &netlink.RouteGetOptions{Mark: mark})
	if err != nil {
		return err.Error()
	}
	l, err := netlink.LinkByIndex(list[0].LinkIndex)
	must(t, err)
	return l.Attrs().Name
}

func parse(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestSplitTunnel(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		before := snapshot(t)
		state := t.TempDir()
		path := filepath.Join(t.TempDir(), "resolv.conf")
		write(t, path, homeResolvConf)
		h := openHost(t, Options{StateDir: state, ResolvConf: path})
		config := Config{
			Interface: "hd0", MTU: 1400, Addresses: parse("10.80.1.1/32", "fd80:1::1/128"),
			Routes: parse("10.1.2.3/16", "10.2.0.10/32", "fd80:9::/48", "10.1.0.0/16"),
			DNS:    DNS{Servers: addrs("10.1.0.53"), Domains: []string{"stadt.example"}},
		}
		must(t, h.Set(t.Context(), config))
		once := snapshot(t)
		must(t, h.Set(t.Context(), config))
		if diff := cmp.Diff(once, snapshot(t)); diff != "" {
			t.Errorf("setting the same twice changes something:\n%s", diff)
		}
		for to, want := range map[string]string{
			"10.1.77.1": "hd0", "10.2.0.10": "hd0", "fd80:9::1": "hd0", "10.2.0.11": "lan0", "192.0.2.1": "lan0", "2001:db8:77::1": "lan0", "192.168.178.77": "lan0",
		} {
			if got := way(t, to, 0); got != want {
				t.Errorf("%s goes over %s, want %s", to, got, want)
			}
		}
		if mtu := link(t, "hd0").Attrs().MTU; mtu != 1400 {
			t.Errorf("MTU %d", mtu)
		}
		if !strings.Contains(read(t, path), "nameserver 10.1.0.53") {
			t.Errorf("resolv.conf: %q", read(t, path))
		}

		// Another session, with another address and other networks. A route that somebody else made stays.
		foreign := &netlink.Route{LinkIndex: link(t, "hd0").Attrs().Index, Dst: ipNetOf(netip.MustParsePrefix("10.99.0.0/16")), Protocol: unix.RTPROT_STATIC}
		must(t, netlink.RouteAdd(foreign))
		config.Addresses, config.Routes, config.DNS = parse("10.80.1.2/32"), parse("10.2.0.0/16"), DNS{}
		must(t, h.Set(t.Context(), config))
		if got := way(t, "10.99.0.1", 0); got != "hd0" {
			t.Errorf("the route of somebody else is gone: %s", got)
		}
		for to, want := range map[string]string{"10.1.77.1": "lan0", "10.2.0.10": "hd0", "fd80:9::1": "lan0"} {
			if got := way(t, to, 0); got != want {
				t.Errorf("then %s goes over %s, want %s", to, got, want)
			}
		}
		if now := snapshot(t); strings.Contains(now, "10.80.1.1") || strings.Contains(now, "fd80:") || !strings.Contains(now, "10.80.1.2") {
			t.Errorf("addresses of the former session stayed:\n%s", now)
		}
		if got := read(t, path); got != homeResolvConf {
			t.Errorf("resolv.conf: %q", got)
		}

		for range 2 {
			must(t, h.Clear(t.Context()))
		}
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}
		if _, err := os.Stat(filepath.Join(state, journalName)); !os.IsNotExist(err) {
			t.Errorf("the journal is still there: error %v", err)
		}
	})
}

func TestFullTunnel(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		before := snapshot(t)
		state := t.TempDir()
		h := openHost(t, Options{StateDir: state})
		config := Config{Interface: "hd0", Addresses: parse("10.80.1.1/32"), FullTunnel: true}
		ways := func(want map[string]string) {
			t.Helper()
			for to, want := range want {
				if got := way(t, to, 0); got != want {
					t.Errorf("%s goes over %s, want %s", to, got, want)
				}
			}
			if got := way(t, "192.0.2.1", FirewallMark); got != "lan0" {
				t.Errorf("a marked packet goes over %s", got)
			}
			if got := way(t, "2001:db8:77::1", FirewallMark); got != "lan0" {
				t.Errorf("a marked IPv6 packet goes over %s", got)
			}
		}
		noIPv6 := map[string]string{
			"192.0.2.1": "hd0", "10.9.9.9": "hd0", "192.168.178.77": "lan0", "2001:db8:77::1": unix.EHOSTUNREACH.Error(), "2001:db8::77": "lan0",
		}
		must(t, h.Set(t.Context(), config))
		once := snapshot(t)
		must(t, h.Set(t.Context(), config))
		if diff := cmp.Diff(once, snapshot(t)); diff != "" {
			t.Errorf("setting the same twice changes something:\n%s", diff)
		}
		ways(noIPv6)
		config.Addresses = parse("10.80.1.1/32", "fd80:1::1/128")
		must(t, h.Set(t.Context(), config))
		ways(map[string]string{"192.0.2.1": "hd0", "2001:db8:77::1": "hd0", "2001:db8::77": "lan0"})
		config.Addresses = parse("10.80.1.1/32")
		must(t, h.Set(t.Context(), config))
		ways(noIPv6)

		// Killed: the interface goes with the process, the rules and the closed family stay.
		must(t, netlink.LinkDel(link(t, "hd0")))
		h = openHost(t, Options{StateDir: state})
		must(t, h.Clear(t.Context()))
		makeTUN(t)
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}

		// From full to split without clearing.
		must(t, h.Set(t.Context(), config))
		config.FullTunnel = false
		must(t, h.Set(t.Context(), config))
		if got := way(t, "192.0.2.1", 0); got != "lan0" {
			t.Errorf("after the full tunnel, packets go over %s", got)
		}
		must(t, h.Clear(t.Context()))
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}
	})
}

func TestHomeNetworkLikeTheOffice(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		before := snapshot(t)
		h := openHost(t, Options{StateDir: t.TempDir()})
		config := Config{Interface: "hd0", Addresses: parse("10.80.1.1/32"), Routes: parse("192.168.178.0/24", "2001:db8::/64", "10.1.0.0/16")}
		err := h.Set(t.Context(), config)
		var conflict *ConflictError
		if !errors.As(err, &conflict) || conflict.Network != config.Routes[0] || conflict.Interface != "lan0" {
			t.Errorf("error %v, want a conflict with lan0", err)
		}
		if got := way(t, "192.168.178.77", 0); got != "lan0" {
			t.Errorf("the home network was taken away: it goes over %s", got)
		}
		if got := way(t, "10.1.0.1", 0); got != "hd0" {
			t.Errorf("the other network goes over %s", got)
		}
		must(t, h.Clear(t.Context()))
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}
	})
}

func TestGateway(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		learns := filepath.Join(sysctlRoot, "ipv6/conf/lan0/accept_ra")
		write(t, learns, "1\n")
		h := openHost(t, Options{StateDir: t.TempDir()})
		// Two addresses of one subnet, of which the kernel would drop the second with the first.
		must(t, h.Set(t.Context(), Config{Interface: "hd0", Addresses: parse("10.80.0.2/16", "10.80.0.1/16")}))
		config := Config{
			Interface: "hd0", Addresses: parse("10.80.0.1/16", "fd80:1::1/48"), Routes: parse("10.80.0.0/16", "fd80:1::/48", "10.81.0.0/16"), Forward: true,
		}
		for range 2 {
			must(t, h.Set(t.Context(), config))
		}
		if now := snapshot(t); !strings.Contains(now, "address hd0 10.80.0.1/16") || strings.Contains(now, "10.80.0.2") {
			t.Errorf("addresses are wrong:\n%s", now)
		}
		for path, want := range map[string]string{"ipv4/ip_forward": "1\n", "ipv6/conf/all/forwarding": "1\n", "ipv6/conf/lan0/accept_ra": "2\n"} {
			if got := read(t, filepath.Join(sysctlRoot, path)); got != want {
				t.Errorf("%s is %q, want %q", path, got, want)
			}
		}
		for to, want := range map[string]string{"10.80.77.1": "hd0", "10.81.0.1": "hd0", "fd80:1:0:77::1": "hd0", "192.0.2.1": "lan0"} {
			if got := way(t, to, 0); got != want {
				t.Errorf("%s goes over %s, want %s", to, got, want)
			}
		}
	})
}

func TestSetWithoutInterface(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		h := openHost(t, Options{})
		err := h.Set(t.Context(), Config{Interface: "hd0"})
		if err == nil || !strings.HasPrefix(err.Error(), "setting up the network of hd0: finding the interface") {
			t.Errorf("error %v", err)
		}
		must(t, h.Clear(t.Context()))
	})
}

func TestAround(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		var mark int
		dialer := net.Dialer{ControlContext: func(_ context.Context, network, address string, conn syscall.RawConn) error {
			if err := Around(network, address, conn); err != nil {
				return err
			}
			var reading error
			err := conn.Control(func(fd uintptr) { mark, reading = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK) })
			return errors.Join(err, reading)
		}}
		conn, err := dialer.DialContext(t.Context(), "udp", "127.0.0.1:9")
		must(t, err)
		must(t, conn.Close())
		if mark != FirewallMark {
			t.Errorf("mark %d", mark)
		}
	})
}
