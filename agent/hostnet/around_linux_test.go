package hostnet

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// split is a tunnel to networks in which the gateway and the control plane lie too.
func split() Config {
	return Config{
		Interface: "hd0", Addresses: parse("10.80.1.1/32", "fd80:1::1/128"),
		Routes: parse("10.1.0.0/16", "192.0.2.0/24", "fd80:9::/48", "2001:db8:77::/48"),
	}
}

// TestMarkedGoesAround: what carries the mark never goes through the tunnel, full or split; everything else does, also
// after the host's default routes have been made anew, as network managers do.
func TestMarkedGoesAround(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		before := snapshot(t)
		h := openHost(t, Options{StateDir: t.TempDir()})
		full := split()
		full.FullTunnel = true
		expect := func(elsewhere string) {
			t.Helper()
			for _, to := range []string{"10.1.0.1", "192.0.2.1", "fd80:9::1", "2001:db8:77::1"} {
				if got := way(t, to, 0); got != "hd0" {
					t.Errorf("%s goes over %s", to, got)
				}
				if got := way(t, to, FirewallMark); got != "lan0" {
					t.Errorf("%s with the mark goes over %s", to, got)
				}
			}
			for _, to := range []string{"198.51.100.1", "2001:db8:78::1"} {
				if got := way(t, to, 0); got != elsewhere {
					t.Errorf("%s goes over %s, want %s", to, got, elsewhere)
				}
			}
			if got := way(t, "192.168.178.77", 0); got != "lan0" {
				t.Errorf("the network at home goes over %s", got)
			}
		}
		for _, step := range []struct {
			config    Config
			elsewhere string
		}{{split(), "lan0"}, {full, "hd0"}, {split(), "lan0"}} {
			must(t, h.Set(t.Context(), step.config))
			expect(step.elsewhere)
			once := snapshot(t)
			must(t, h.Set(t.Context(), step.config))
			if diff := cmp.Diff(once, snapshot(t)); diff != "" {
				t.Errorf("setting the same twice changes something:\n%s", diff)
			}
			for _, gateway := range []string{"192.168.178.1", "2001:db8::1"} {
				route := &netlink.Route{LinkIndex: link(t, "lan0").Attrs().Index, Gw: net.ParseIP(gateway)}
				must(t, netlink.RouteDel(route))
				must(t, netlink.RouteAdd(route))
			}
			expect(step.elsewhere)
		}
		must(t, h.Clear(t.Context()))
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}
	})
}

// TestMostPreciseRouteWins compares the kernel's choice with the rule: the longest prefix, whoever has it, and at home
// before the tunnel.
func TestMostPreciseRouteWins(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		before := snapshot(t)
		h := openHost(t, Options{StateDir: t.TempDir()})
		lan := link(t, "lan0")
		// Few addresses, so that networks meet.
		address := func(six bool) *rapid.Generator[netip.Addr] {
			return rapid.Custom(func(t *rapid.T) netip.Addr {
				a, b := byte(rapid.IntRange(0, 3).Draw(t, "a")), byte(rapid.SampledFrom([]int{0, 64, 128, 255}).Draw(t, "b"))
				if six {
					return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x80, 3: a, 5: b, 15: 1})
				}
				return netip.AddrFrom4([4]byte{10, a, b, 1})
			})
		}
		network := rapid.Custom(func(t *rapid.T) netip.Prefix {
			six := rapid.Bool().Draw(t, "six")
			bits := rapid.SampledFrom([]int{8, 9, 15, 16, 17, 24, 31, 32}).Draw(t, "bits")
			if six {
				bits = rapid.SampledFrom([]int{16, 17, 32, 33, 48, 64, 127, 128}).Draw(t, "bits6")
			}
			return netip.PrefixFrom(address(six).Draw(t, "address"), bits).Masked()
		})
		rapid.Check(t, func(rt *rapid.T) {
			config := Config{Interface: "hd0", Addresses: parse("172.16.0.1/32", "fd99::1/128")}
			config.Routes = rapid.SliceOfNDistinct(network, 1, 6, rapid.ID).Draw(rt, "tunnel")
			config.FullTunnel = rapid.Bool().Draw(rt, "full")
			atHome := rapid.SliceOfNDistinct(network, 0, 4, rapid.ID).Draw(rt, "home")
			for _, n := range atHome {
				route := &netlink.Route{LinkIndex: lan.Attrs().Index, Dst: ipNetOf(n), Scope: netlink.SCOPE_LINK}
				if err := netlink.RouteAdd(route); err != nil {
					rt.Fatal(err)
				}
				defer func() { _ = netlink.RouteDel(route) }()
			}
			both := false
			for _, n := range config.Routes {
				both = both || slices.Contains(atHome, n)
			}
			var conflict *ConflictError
			if err := h.Set(t.Context(), config); errors.As(err, &conflict) != both || err != nil && !both {
				rt.Fatalf("a conflict: %v, told: %v", both, err)
			}
			longest := func(list []netip.Prefix, to netip.Addr) int {
				best := -1
				for _, n := range list {
					if n.Contains(to) {
						best = max(best, n.Bits())
					}
				}
				return best
			}
			for range 5 {
				to := address(rapid.Bool().Draw(rt, "family")).Draw(rt, "to")
				want := "lan0"
				tunnel, home := longest(config.Routes, to), longest(atHome, to)
				if tunnel > home || config.FullTunnel && home < 0 {
					want = "hd0"
				}
				if got := way(t, to.String(), 0); got != want {
					rt.Fatalf("%v goes over %s, want %s", to, got, want)
				}
				if got := way(t, to.String(), FirewallMark); got != "lan0" {
					rt.Fatalf("%v with the mark goes over %s", to, got)
				}
			}
		})
		must(t, h.Clear(t.Context()))
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}
	})
}

// TestFamilyWithoutAddress: a split tunnel's networks of a family in which the interface has no address are closed,
// and programs notice at once.
func TestFamilyWithoutAddress(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		h := openHost(t, Options{StateDir: t.TempDir()})
		config := split()
		config.Addresses = parse("10.80.1.1/32")
		must(t, h.Set(t.Context(), config))
		for to, want := range map[string]string{"10.1.0.1": "hd0", "fd80:9::1": unix.EHOSTUNREACH.Error(), "2001:db8:78::1": "lan0"} {
			if got := way(t, to, 0); got != want {
				t.Errorf("%s goes over %s, want %s", to, got, want)
			}
		}
		config.Addresses = parse("10.80.1.1/32", "fd80:1::1/128")
		must(t, h.Set(t.Context(), config))
		if got := way(t, "fd80:9::1", 0); got != "hd0" {
			t.Errorf("with an address it goes over %s", got)
		}
	})
}

// TestIPv6SwitchedOff: where the administrator has switched IPv6 off, everything works without it.
func TestIPv6SwitchedOff(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		write(t, filepath.Join(sysctlRoot, "ipv6/conf/all/disable_ipv6"), "1")
		before := snapshot(t)
		h := openHost(t, Options{StateDir: t.TempDir()})
		for _, full := range []bool{false, true} {
			config := split()
			config.FullTunnel = full
			must(t, h.Set(t.Context(), config))
			if got := way(t, "10.1.0.1", 0); got != "hd0" {
				t.Errorf("the office goes over %s", got)
			}
		}
		must(t, h.Clear(t.Context()))
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}
	})
}

// TestTableTaken: a full tunnel of wg-quick is named, and nothing of it is touched.
func TestTableTaken(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		must(t, netlink.LinkAdd(&netlink.Tuntap{
			LinkAttrs: netlink.LinkAttrs{Name: "wg0"}, Mode: netlink.TUNTAP_MODE_TUN, Flags: netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_NO_PI,
		}))
		wg0 := link(t, "wg0")
		must(t, netlink.LinkSetUp(wg0))
		// As wg-quick(8) does it.
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: wg0.Attrs().Index, Dst: ipNetOf(everything(netlink.FAMILY_V4)), Table: 51820}))
		rule := netlink.NewRule()
		rule.Table, rule.Mark, rule.Invert, rule.Priority = 51820, 51820, true, 32765
		must(t, netlink.RuleAdd(rule))
		before := snapshot(t)
		state := t.TempDir()
		h := openHost(t, Options{StateDir: state})
		err := h.Set(t.Context(), split())
		var taken *TakenError
		if !errors.As(err, &taken) || taken.Interface != "wg0" || !strings.Contains(err.Error(), "the routing table 51820 is used by the interface wg0") {
			t.Errorf("error %v", err)
		}
		if got := way(t, "198.51.100.1", 0); got != "wg0" {
			t.Errorf("the other tunnel is gone: %s", got)
		}
		must(t, h.Clear(t.Context()))
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}

		// The other one has ended, but left its rule: that does no harm.
		must(t, netlink.LinkDel(wg0))
		must(t, h.Set(t.Context(), split()))
		if got, other := way(t, "10.1.0.1", 0), way(t, "198.51.100.1", 0); got != "hd0" || other != "lan0" {
			t.Errorf("the office over %s, the rest over %s", got, other)
		}
		must(t, h.Clear(t.Context()))
	})
}

// TestDefaultTaken: another VPN leads everything in halves, as OpenVPN does. A full tunnel, which would lead nothing, names it and
// touches nothing; a split one has its networks all the same, and one that denies local networks has everything.
func TestDefaultTaken(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		must(t, netlink.LinkAdd(&netlink.Tuntap{
			LinkAttrs: netlink.LinkAttrs{Name: "tun7"}, Mode: netlink.TUNTAP_MODE_TUN, Flags: netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_NO_PI,
		}))
		other := link(t, "tun7")
		must(t, netlink.LinkSetUp(other))
		for _, half := range []string{"0.0.0.0/1", "128.0.0.0/1"} {
			must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: other.Attrs().Index, Dst: ipNetOf(netip.MustParsePrefix(half)), Scope: netlink.SCOPE_LINK}))
		}
		before := snapshot(t)
		h := openHost(t, Options{StateDir: t.TempDir()})
		full := split()
		full.FullTunnel = true
		var taken *TakenError
		if err := h.Set(t.Context(), full); !errors.As(err, &taken) || !strings.Contains(err.Error(), "everything is led elsewhere by the interface tun7") {
			t.Errorf("error %v", err)
		}
		must(t, h.Set(t.Context(), split()))
		if got, rest := way(t, "10.1.0.1", 0), way(t, "198.51.100.1", 0); got != "hd0" || rest != "tun7" {
			t.Errorf("the office over %s, the rest over %s", got, rest)
		}
		full.LocalDenied = true
		must(t, h.Set(t.Context(), full))
		if got, atHome := way(t, "198.51.100.1", 0), way(t, "192.168.178.77", 0); got != "hd0" || atHome != "hd0" {
			t.Errorf("the rest over %s, what is at home over %s", got, atHome)
		}
		must(t, h.Clear(t.Context()))
		must(t, netlink.LinkSetDown(link(t, "hd0")))
		if diff := cmp.Diff(before, snapshot(t)); diff != "" {
			t.Errorf("not as before:\n%s", diff)
		}
	})
}

// TestKilled: whatever a killed process leaves, with the interface or without, the next one takes it away.
func TestKilled(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		state := t.TempDir()
		path := filepath.Join(t.TempDir(), "resolv.conf")
		write(t, path, homeResolvConf)
		before := snapshot(t)
		for _, full := range []bool{false, true} {
			for _, withLink := range []bool{false, true} {
				config := split()
				config.FullTunnel, config.DNS = full, DNS{Servers: addrs("10.1.0.53")}
				config.Addresses = config.Addresses[:1] // IPv6 is closed: routes that do not go with the interface
				must(t, openHost(t, Options{StateDir: state, ResolvConf: path}).Set(t.Context(), config))
				if !withLink {
					must(t, netlink.LinkDel(link(t, "hd0")))
				}
				must(t, openHost(t, Options{StateDir: state, ResolvConf: path}).Clear(t.Context()))
				if !withLink {
					makeTUN(t)
				} else {
					must(t, netlink.LinkSetDown(link(t, "hd0")))
				}
				if diff := cmp.Diff(before, snapshot(t)); diff != "" {
					t.Errorf("full %v, with the interface %v: not as before:\n%s", full, withLink, diff)
				}
				if got := read(t, path); got != homeResolvConf {
					t.Errorf("resolv.conf: %q", got)
				}
				if left, err := os.ReadDir(state); err != nil || len(left) != 0 {
					t.Errorf("left in the state directory: %v, %v", left, err)
				}
			}
		}
	})
}

// TestMarksOfOthers: the kernel's setting stays where somebody else routes by marks by now.
func TestMarksOfOthers(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		h := openHost(t, Options{StateDir: t.TempDir()})
		must(t, h.Set(t.Context(), split()))
		rule := netlink.NewRule()
		rule.Table, rule.Mark, rule.Invert, rule.Priority = 51821, 51821, true, 32765
		must(t, netlink.RuleAdd(rule))
		must(t, h.Clear(t.Context()))
		if got := read(t, filepath.Join(sysctlRoot, validMark)); got != "1\n" {
			t.Errorf("src_valid_mark is %q", got)
		}
	})
}

// TestFullDisk: what cannot be noted is not done; what was done is taken back without writing a note.
func TestFullDisk(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		state, etc := t.TempDir(), t.TempDir()
		must(t, unix.Mount("tmpfs", state, "tmpfs", 0, "size=8k"))
		defer func() { must(t, unix.Unmount(state, 0)) }()
		path, ballast := filepath.Join(etc, "resolv.conf"), filepath.Join(state, "ballast")
		write(t, path, homeResolvConf)
		fill := func() {
			if err := os.WriteFile(ballast, make([]byte, 16<<10), 0o600); !errors.Is(err, unix.ENOSPC) {
				t.Fatalf("the disk is not full: %v", err)
			}
		}
		before := snapshot(t)
		config := split()
		config.DNS = DNS{Servers: addrs("10.1.0.53")}

		fill()
		h := openHost(t, Options{StateDir: state, ResolvConf: path})
		if err := h.Set(t.Context(), config); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "noting what changes on this host") {
			t.Errorf("error %v", err)
		}
		if diff := cmp.Diff(before, snapshot(t)); diff != "" || read(t, path) != homeResolvConf {
			t.Errorf("something was done:\n%s", diff)
		}
		must(t, h.Clear(t.Context()))

		must(t, os.Remove(ballast))
		must(t, h.Set(t.Context(), config))
		fill()
		must(t, h.Clear(t.Context()))
		must(t, netlink.LinkSetDown(link(t, "hd0")))
		if diff := cmp.Diff(before, snapshot(t)); diff != "" || read(t, path) != homeResolvConf {
			t.Errorf("not as before:\n%s", diff)
		}
	})
}
