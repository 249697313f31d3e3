package endpoint

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/firewall"
	"github.com/heimdraht/heimdraht/agent/gateway"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/kerneltest"
)

// TestMoveKernel moves a laptop to another gateway and back, with the kernel's WireGuard on all of them.
func TestMoveKernel(t *testing.T) {
	kerneltest.Run(t, nil, kerneltest.Test{Name: "beside", Run: moveBeside})
}

// site is a network of its own, with a thread that is in it.
type site struct {
	jobs chan func()
	ns   *os.File
}

func newSite(t *testing.T) *site {
	t.Helper()
	p := &site{jobs: make(chan func())}
	begun := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the network ends with the thread
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			p.ns, err = os.Open("/proc/thread-self/ns/net")
		}
		if err == nil {
			err = up("lo")
		}
		begun <- err
		for job := range p.jobs {
			job()
		}
	}()
	check(t, <-begun)
	t.Cleanup(func() { close(p.jobs); p.ns.Close() })
	return p
}

func (p *site) do(t *testing.T, f func() error) {
	t.Helper()
	failed := make(chan error)
	p.jobs <- func() { failed <- f() }
	check(t, <-failed)
}

func up(name string, addresses ...string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, text := range addresses {
		a, err := netlink.ParseAddr(text)
		if err == nil {
			err = netlink.AddrAdd(l, a)
		}
		if err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(l)
}

func route(to, via string) error {
	_, network, err := net.ParseCIDR(to)
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{Dst: network, Gw: net.ParseIP(via)})
}

// wire connects two sites.
func wire(t *testing.T, a *site, nameA, addressA string, b *site, nameB, addressB string) {
	t.Helper()
	a.do(t, func() error {
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: nameA, TxQLen: 1000, MTU: 1500}, PeerName: nameB, PeerNamespace: netlink.NsFd(int(b.ns.Fd()))})
		return errors.Join(err, up(nameA, addressA))
	})
	b.do(t, func() error { return up(nameB, addressB) })
}

// passage is a gateway and the laptop's way over it.
type passage struct {
	*site
	device gateway.Device
	s      *settings
}

// newPassage makes the n-th gateway between a laptop and an intranet, with a session for the laptop.
func newPassage(t *testing.T, n int, laptop, intranet *site, key wireguard.Key) *passage {
	t.Helper()
	r := &passage{site: newSite(t)}
	outside, inside := fmt.Sprintf("203.0.%d.", n), fmt.Sprintf("10.2.%d.", n)
	wire(t, laptop, fmt.Sprint("lan", n), outside+"2/24", r.site, "eth0", outside+"1/24")
	wire(t, r.site, "eth1", inside+"1/24", intranet, fmt.Sprint("gw", n), inside+"2/24")
	own := netip.AddrFrom4([4]byte{10, byte(80 + n), 1, 1})
	private, err := wireguard.GeneratePrivateKey()
	check(t, err)
	r.do(t, func() (err error) {
		setup := gateway.Setup{PrivateKey: private, ListenPort: 51820, MTU: 1420, Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(80 + n), 0, 1}), 16)}}
		if err := route("10.1.0.0/16", inside+"2"); err != nil {
			return err
		}
		if r.device, err = (gateway.Host{Interface: "hd0", Mode: wireguard.Kernel, Logger: slog.New(slog.DiscardHandler)}).Open(t.Context(), setup); err != nil {
			return err
		}
		list := &firewall.List{Name: "stadt", Targets: []firewall.Target{{Prefix: netip.MustParsePrefix("10.1.0.0/16")}}}
		return errors.Join(
			r.device.Filter().Apply([]firewall.Change{{Session: "s", Guard: &firewall.Guard{Addresses: []netip.Addr{own}, List: list}}}),
			r.device.Configure(t.Context(), setup),
			r.device.Apply(t.Context(), []wireguard.Change{{Peer: wireguard.Peer{PublicKey: key, AllowedIPs: []netip.Prefix{netip.PrefixFrom(own, 32)}}}}),
		)
	})
	t.Cleanup(func() { r.do(t, func() error { return r.device.Close() }) })
	intranet.do(t, func() error { return route(fmt.Sprintf("10.%d.0.0/16", 80+n), inside+"1") })
	r.s = &settings{
		Addresses: []netip.Addr{own}, Host: outside + "1", Port: 51820, PublicKey: private.PublicKey(), GatewayName: fmt.Sprint("gw", n),
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, MTU: 1420, Keepalive: 25 * time.Second,
	}
	return r
}

// talk is a connection to the intranet, which answers each line with the address from which it came.
type talk struct {
	net.Conn
	in *bufio.Reader
}

func (p *site) talk(t *testing.T) *talk {
	t.Helper()
	c := &talk{}
	p.do(t, func() (err error) {
		c.Conn, err = net.DialTimeout("tcp4", "10.1.0.9:80", 20*time.Second)
		return err
	})
	c.in = bufio.NewReader(c.Conn)
	return c
}

func (c *talk) comesFrom(t *testing.T, want netip.Addr) {
	t.Helper()
	check(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	for range 3 {
		_, err := fmt.Fprintln(c, "who am I?")
		check(t, err)
		got, err := c.in.ReadString('\n')
		check(t, err)
		if strings.TrimSpace(got) != want.String() {
			t.Errorf("it comes from %q, want %v", got, want)
		}
	}
}

func answer(c net.Conn) {
	defer c.Close()
	from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
	for lines := bufio.NewScanner(c); lines.Scan(); {
		fmt.Fprintln(c, from)
	}
}

func moveBeside(t *testing.T) {
	laptop, intranet := newSite(t), newSite(t)
	key, err := wireguard.GeneratePrivateKey()
	check(t, err)
	passages := []*passage{newPassage(t, 0, laptop, intranet, key.PublicKey()), newPassage(t, 1, laptop, intranet, key.PublicKey())}
	intranet.do(t, func() error {
		if err := up("lo", "10.1.0.9/32"); err != nil {
			return err
		}
		l, err := net.Listen("tcp4", "10.1.0.9:80")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				go answer(c)
			}
		}()
		return nil
	})

	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	var tunnel *hostTunnel
	var before string
	state := func() (text string, err error) {
		links, err := netlink.LinkList()
		for _, l := range links {
			text += l.Attrs().Name + "\n"
		}
		rules, failed := netlink.RuleList(netlink.FAMILY_ALL)
		for _, r := range rules {
			text += r.String() + "\n"
		}
		routes, worse := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		for _, r := range routes {
			text += r.String() + "\n"
		}
		return text, errors.Join(err, failed, worse)
	}
	laptop.do(t, func() (err error) {
		if before, err = state(); err != nil {
			return err
		}
		host, err := hostnet.Open(hostnet.Options{StateDir: dir, ResolvConf: filepath.Join(dir, "resolv.conf"), Logger: log})
		if err != nil {
			return err
		}
		tunnel = newHostTunnel(Options{Device: wireguard.Options{Mode: wireguard.Kernel, Name: "hd0"}, Network: host, Logger: log})
		return errors.Join(tunnel.prepare(t.Context(), key), tunnel.install(t.Context(), passages[0].s, true))
	})
	last := laptop.talk(t)
	last.comesFrom(t, passages[0].s.Addresses[0])
	for i, name := range []string{"hd1", "hd0"} { // there and back
		was, next := passages[i%2].s, passages[(i+1)%2].s
		laptop.do(t, func() error { return tunnel.installBeside(t.Context(), next, "former") })
		if tunnel.device.Mode() != wireguard.Kernel || tunnel.device.Name() != name {
			t.Fatalf("the next tunnel is %s, %v", tunnel.device.Name(), tunnel.device.Mode())
		}
		fresh := laptop.talk(t)
		fresh.comesFrom(t, next.Addresses[0])
		last.comesFrom(t, was.Addresses[0])
		fresh.comesFrom(t, next.Addresses[0])
		var read formerReading
		look := func() error { read = tunnel.former(); return nil }
		if laptop.do(t, look); !read.there || read.connections != 1 || read.moved == 0 {
			t.Errorf("of the former one it is told %+v", read)
		}
		check(t, last.Close())
		for end := time.Now().Add(20 * time.Second); read.connections > 0; laptop.do(t, look) {
			if time.Now().After(end) {
				t.Fatalf("%d connections are left", read.connections)
			}
		}
		laptop.do(t, func() error { return tunnel.letGo(t.Context(), "former") })
		laptop.do(t, func() error {
			if _, err := netlink.LinkByName(map[string]string{"hd0": "hd1", "hd1": "hd0"}[name]); err == nil {
				return errors.New("the former interface is left")
			}
			return nil
		})
		fresh.comesFrom(t, next.Addresses[0])
		last = fresh
	}
	check(t, last.Close())
	laptop.do(t, func() error {
		err := errors.Join(tunnel.remove(t.Context()), tunnel.close())
		after, failed := state()
		if after != before {
			t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
		}
		return errors.Join(err, failed)
	})
}
