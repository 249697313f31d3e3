package hostnet

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

// wayFrom is way for a packet that has its sender's address already.
func wayFrom(t *testing.T, from, to string) string {
	t.Helper()
	list, err := netlink.RouteGetWithOptions(net.ParseIP(to), &netlink.RouteGetOptions{SrcAddr: net.ParseIP(from)})
	if err != nil {
		return err.Error()
	}
	l, err := netlink.LinkByIndex(list[0].LinkIndex)
	must(t, err)
	return l.Attrs().Name
}

func makeSecond(t *testing.T, name string) {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: name}, Mode: netlink.TUNTAP_MODE_TUN, Flags: netlink.TUNTAP_DEFAULTS | netlink.TUNTAP_NO_PI,
	}))
}

// Two tunnels at once: what comes from an address of the former one leaves by it, and
// everything else as if the present one were alone, name servers too. Nothing of it is
// left when it is let go of, nor after a process was killed in that time.
func TestTwoTunnels(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		home(t)
		state := t.TempDir()
		path := t.TempDir() + "/resolv.conf"
		write(t, path, homeResolvConf)
		before := snapshot(t)
		options := Options{StateDir: state, ResolvConf: path}
		for name, full := range map[string]bool{"split": false, "full": true} {
			t.Run(name, func(t *testing.T) {
				h := openHost(t, options)
				config := func(name, v4, v6, dns string) Config {
					c := Config{Interface: name, Addresses: parse(v4, v6), Routes: parse("10.1.0.0/16", "fd80:9::/48"), DNS: DNS{Servers: addrs(dns)}, FullTunnel: full}
					if full {
						c.Routes = nil
					}
					return c
				}
				first := config("hd0", "10.80.1.1/32", "fd80:1::1/128", "10.1.0.53")
				must(t, h.Set(t.Context(), first))
				alone := snapshot(t)
				for range 2 { // the first time it comes to nothing
					must(t, h.Set(t.Context(), first))
					if diff := cmp.Diff(alone, snapshot(t)); diff != "" {
						t.Errorf("left of an interface that was about to be used:\n%s", diff)
					}
					must(t, h.Reserve("hd1"))
					makeSecond(t, "hd1")
					h = openHost(t, options)
				}
				second := config("hd1", "10.81.1.1/32", "fd81:1::1/128", "10.1.0.54")
				second.Former = Former{Interface: "hd0", Addresses: first.Addresses, Routes: first.Routes, FullTunnel: full}
				for range 2 {
					must(t, h.Set(t.Context(), second))
				}
				for to, own := range map[string][2]string{"10.1.77.1": {"10.80.1.1", "10.81.1.1"}, "fd80:9::1": {"fd80:1::1", "fd81:1::1"}} {
					if got := way(t, to, 0); got != "hd1" {
						t.Errorf("what is new goes to %s over %s", to, got)
					}
					if got := wayFrom(t, own[0], to); got != "hd0" {
						t.Errorf("what is from %s goes to %s over %s", own[0], to, got)
					}
					if got := wayFrom(t, own[1], to); got != "hd1" {
						t.Errorf("what is from %s goes to %s over %s", own[1], to, got)
					}
					// It takes the new address.
					list, err := netlink.RouteGet(net.ParseIP(to))
					must(t, err)
					if !list[0].Src.Equal(net.ParseIP(own[1])) {
						t.Errorf("what is new has the address %s", list[0].Src)
					}
				}
				if got := way(t, "192.0.2.1", FirewallMark); got != "lan0" {
					t.Errorf("a marked packet goes over %s", got)
				}
				if got := read(t, path); !strings.Contains(got, "10.1.0.54") || strings.Contains(got, "10.1.0.53") {
					t.Errorf("resolv.conf: %q", got)
				}

				// Back to the former one, where the second comes to nothing: because somebody else has the second table, too.
				must(t, h.Set(t.Context(), first))
				if diff := cmp.Diff(alone, snapshot(t)); diff != "" {
					t.Errorf("left of the second:\n%s", diff)
				}
				makeSecond(t, "hd1")
				foreign := &netlink.Route{LinkIndex: link(t, "lan0").Attrs().Index, Dst: ipNetOf(netip.MustParsePrefix("10.99.0.0/16")), Table: formerTable}
				must(t, netlink.RouteAdd(foreign))
				err := h.Set(t.Context(), second)
				var taken *TakenError
				if !errors.As(err, &taken) || taken.Table != formerTable || taken.Interface != "lan0" {
					t.Errorf("the table of somebody else: %v", err)
				}
				must(t, netlink.RouteDel(foreign))
				must(t, h.Set(t.Context(), first))
				if diff := cmp.Diff(alone, snapshot(t)); diff != "" {
					t.Errorf("left of the second that could not be:\n%s", diff)
				}
				makeSecond(t, "hd1")
				must(t, h.Set(t.Context(), second))

				// It is let go of. What is there is as if the second had been alone.
				second.Former = Former{}
				must(t, netlink.LinkDel(link(t, "hd0")))
				must(t, h.Set(t.Context(), second))
				let := snapshot(t)
				must(t, h.Clear(t.Context()))
				must(t, h.Set(t.Context(), second))
				if diff := cmp.Diff(snapshot(t), let); diff != "" {
					t.Errorf("left by the former one:\n%s", diff)
				}

				// Back over the other interface, and killed with both.
				makeTUN(t)
				first.Former = Former{Interface: "hd1", Addresses: second.Addresses, Routes: second.Routes, FullTunnel: full}
				must(t, h.Set(t.Context(), first))
				if got := wayFrom(t, "10.81.1.1", "10.1.77.1"); got != "hd1" {
					t.Errorf("then what is from the former goes over %s", got)
				}
				h = openHost(t, options)
				if h.Interface() != "hd0" {
					t.Errorf("the journal knows the interface %q", h.Interface())
				}
				must(t, h.Clear(t.Context()))
				if diff := cmp.Diff(before, snapshot(t)); diff != "" {
					t.Errorf("not as before:\n%s", diff)
				}
				if got := read(t, path); got != homeResolvConf {
					t.Errorf("resolv.conf: %q", got)
				}
				if _, err := netlink.LinkByName("hd1"); err == nil {
					t.Error("the former interface is still there")
				}
			})
		}
	})
}

// Connections are told by their own end, over whatever socket; one that is over counts no more.
func TestConnections(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		h := openHost(t, Options{})
		own := []netip.Addr{netip.MustParseAddr("127.0.0.7"), netip.MustParseAddr("::1")}
		counted := func(want int) {
			t.Helper()
			if n, err := h.Connections(own); err != nil || n != want {
				t.Errorf("%d connections, %v, want %d", n, err, want)
			}
		}
		counted(0)
		for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
			l, err := net.Listen("tcp", at)
			must(t, err)
			dialer := net.Dialer{}
			want := 1
			if strings.HasPrefix(at, "127") {
				dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP("127.0.0.7")}
			} else {
				want = 2 // both ends have that address
			}
			c, err := dialer.Dial("tcp", l.Addr().String())
			must(t, err)
			other, err := l.Accept()
			must(t, err)
			counted(want)
			must(t, c.Close())
			must(t, other.Close())
			must(t, l.Close())
			counted(0)
		}
	})
}
