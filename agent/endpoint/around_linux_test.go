package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// elsewhere is another network namespace, at the other end of a cable.
type elsewhere struct {
	t    *testing.T
	work chan func()
}

// newElsewhere makes it. What is done in it is done by one thread, which ends with the test.
func newElsewhere(t *testing.T) *elsewhere {
	w := &elsewhere{t: t, work: make(chan func())}
	ready := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range w.work {
			f()
		}
	}()
	t.Cleanup(func() { close(w.work) })
	check(t, <-ready)
	return w
}

// do does something there. It must not end the test.
func (w *elsewhere) do(f func() error) {
	w.t.Helper()
	done := make(chan error, 1)
	w.work <- func() { done <- f() }
	check(w.t, <-done)
}

func setAddress(name string, addresses ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, address := range addresses {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		parsed.Flags |= unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, parsed); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
	}
	return nil
}

// atHome makes this namespace a laptop at home, and the other one its router and the internet behind it.
func (w *elsewhere) atHome(internet ...string) {
	thread := make(chan int, 1)
	w.do(func() error { thread <- unix.Gettid(); return nil })
	check(w.t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "lan0", TxQLen: 100, MTU: 1500}, PeerName: "router"}))
	lan, err := netlink.LinkByName("lan0")
	check(w.t, err)
	w.t.Cleanup(func() { check(w.t, netlink.LinkDel(lan)) })
	peer, err := netlink.LinkByName("router")
	check(w.t, err)
	check(w.t, netlink.LinkSetNsPid(peer, <-thread))
	// An address of its own would come some time later, and look like something left behind.
	check(w.t, os.WriteFile("/proc/sys/net/ipv6/conf/lan0/addr_gen_mode", []byte("1"), 0o644))
	check(w.t, setAddress("lan0", "192.168.178.2/24", "2001:db8:1::2/64"))
	w.do(func() error {
		if err := setAddress("lo", internet...); err != nil {
			return err
		}
		return setAddress("router", "192.168.178.1/24", "2001:db8:1::1/64")
	})
	for _, gateway := range []string{"192.168.178.1", "2001:db8:1::1"} {
		check(w.t, netlink.RouteAdd(&netlink.Route{LinkIndex: lan.Attrs().Index, Gw: net.ParseIP(gateway)}))
	}
}

// strictFilter is firewalld's IPv6_rpfilter, at its priority.
const strictFilter = `table inet others {
	chain rpfilter {
		type filter hook prerouting priority mangle + 10
		meta nfproto ipv6 fib saddr . mark . iif oif missing drop
	}
}
`

// TestAroundTheTunnel: gateway and control plane lie in the very networks that go through the tunnel, or everything
// does. Traffic flows, the control connection stays up and comes back, and nothing is left behind; all this where it is
// checked strictly from where packets come: by the kernel for IPv4, by the packet filter, as firewalld does, for IPv6.
func TestAroundTheTunnel(t *testing.T) {
	t.Parallel() // it has a process and a network of its own
	nft := testneed.Program(t, "nft")
	if !inNamespace(t) {
		return
	}
	filter := exec.CommandContext(t.Context(), nft, "-f", "-")
	filter.Stdin = strings.NewReader(strictFilter)
	if out, err := filter.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, outside := range []string{"198.51.100.10", "2001:db8:2::10"} {
		for _, full := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s full %v", outside, full), func(t *testing.T) {
				aroundTheTunnel(t, netip.MustParseAddr(outside), full)
			})
		}
	}
}

func aroundTheTunnel(t *testing.T, outside netip.Addr, full bool) {
	w := newElsewhere(t)
	w.atHome(outside.String() + fmt.Sprintf("/%d", outside.BitLen()))
	check(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("1"), 0o644))
	s := &harness{t: t}
	w.do(func() error { s.Plane = endpointtest.NewAt(t, outside); return nil })
	s.Script(func(x *endpointtest.Script) {
		x.RenewEvery = 200 * time.Millisecond
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) {
			c.AllowedIps = append(c.AllowedIps, "198.51.100.0/24", "2001:db8:2::/48")
			c.Addresses = append(c.Addresses, "fd80:1::5/128")
			if full {
				c.FullTunnel, c.AllowedIps = true, []string{"0.0.0.0/0", "::/0"}
			}
		}
	})
	resolvConf := filepath.Join(t.TempDir(), "resolv.conf")
	check(t, os.WriteFile(resolvConf, nil, 0o644))
	before := network(t, resolvConf)
	for !strings.Contains(before, "Dst: 2001:db8:1::2/128") { // once the cable carries
		select {
		case <-t.Context().Done():
			t.Fatal("the cable does not carry")
		case <-time.After(10 * time.Millisecond):
			before = network(t, resolvConf)
		}
	}
	host, err := hostnet.Open(hostnet.Options{StateDir: t.TempDir(), ResolvConf: resolvConf, Bus: "unix:path=/nonexistent"})
	check(t, err)
	changed := make(chan struct{}, 1)
	e := s.laptop(func(o *Options) {
		o.Device, o.Network, o.NetworkChanged = wireguard.Options{Mode: wireguard.Userspace}, host, changed
	})
	s.enrol(e)
	s.up(e)
	check(t, fetchAsAnybody(t))
	for range 5 {
		s.Await("renewed")
	}

	// Programs of the laptop do go through the tunnel, at whose end nobody has these addresses.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Server.String()); err == nil {
		t.Errorf("a program reached %v past the tunnel", conn.RemoteAddr())
		check(t, conn.Close())
	}

	// The control connection breaks, and is made anew while the tunnel stands.
	s.Kill()
	eventually(t, e, "the note", func(s Status) bool { return len(s.Notes) == 1 })
	check(t, fetchAsAnybody(t))
	w.do(func() error { s.Restart(); return nil })
	eventually(t, e, "the stream", func(s Status) bool { return s.ControlPlane })
	check(t, fetchAsAnybody(t))
	if seen := s.Seen(); seen.Session != "s-1" {
		t.Errorf("%s is open", seen.Session)
	}

	// Another network, and somebody has cleared away what he did not know: it is put right again.
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: hostnet.FirewallMark}, netlink.RT_FILTER_TABLE)
	check(t, err)
	for _, route := range routes {
		check(t, netlink.RouteDel(&route))
	}
	if len(routes) == 0 || fetchAsAnybody(t) == nil {
		t.Errorf("%d routes were of no matter", len(routes))
	}
	changed <- struct{}{}
	patience := time.After(10 * time.Second)
	for fetchAsAnybody(t) != nil {
		select {
		case <-patience:
			t.Fatal("the routes did not come back")
		case <-time.After(50 * time.Millisecond):
		}
	}

	// A neighbour in the same network does not reach the laptop's address inside, on which programs may listen.
	inside, err := net.Listen("tcp", endpointtest.Laptop+":0")
	check(t, err)
	defer func() { check(t, inside.Close()) }()
	w.do(func() error {
		router, err := netlink.LinkByName("router")
		if err != nil {
			return err
		}
		to, err := netlink.ParseIPNet(endpointtest.Laptop + "/32")
		if err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: router.Attrs().Index, Dst: to, Gw: net.ParseIP("192.168.178.2")}); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", inside.Addr().String())
		if err == nil {
			return errors.Join(errors.New("a neighbour reached the address inside"), conn.Close())
		}
		return nil
	})

	check(t, e.Down(t.Context()))
	awaitClosedTunnel(t, e)
	if after := network(t, resolvConf); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
	if valid, err := os.ReadFile("/proc/sys/net/ipv4/conf/all/src_valid_mark"); err != nil || strings.TrimSpace(string(valid)) != "0" {
		t.Errorf("src_valid_mark is %q: %v", valid, err)
	}
}
