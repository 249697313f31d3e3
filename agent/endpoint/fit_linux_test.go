package endpoint

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// hole keeps from everybody that a packet was too large.
const hole = `table inet hole {
	chain out {
		type filter hook output priority 0
		icmp type destination-unreachable drop
		icmpv6 type packet-too-big drop
	}
}
`

// line is a laptop at home, its router, and the provider behind it, where the gateway is. The provider's end of the line
// takes packets of 1,500 bytes and the router's end does not: what is larger is lost, in both directions.
type line struct {
	router, provider *elsewhere
}

// newLine lays it. silent: nobody is told what was too large.
func newLine(t *testing.T, outside netip.Addr, mtu int, silent bool) *line {
	l := &line{router: newElsewhere(t), provider: newElsewhere(t)}
	l.router.atHome()
	thread := make(chan int, 1)
	l.provider.do(func() error { thread <- unix.Gettid(); return nil })
	provider := <-thread
	l.router.do(func() error {
		for _, setting := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+setting, []byte("1"), 0o644); err != nil {
				return err
			}
		}
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "wan", TxQLen: 100, MTU: 1500}, PeerName: "isp"}); err != nil {
			return err
		}
		isp, err := netlink.LinkByName("isp")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetNsPid(isp, provider); err != nil {
			return err
		}
		if silent {
			nft := exec.Command("nft", "-f", "-")
			nft.Stdin = strings.NewReader(hole)
			if out, err := nft.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
		}
		if err := setAddress("wan", "203.0.113.1/24", "2001:db8:3::1/64"); err != nil {
			return err
		}
		return defaultRoutes("wan", "203.0.113.2", "2001:db8:3::2")
	})
	l.provider.do(func() error {
		if err := setAddress("lo", netip.PrefixFrom(outside, outside.BitLen()).String()); err != nil {
			return err
		}
		if err := setAddress("isp", "203.0.113.2/24", "2001:db8:3::2/64"); err != nil {
			return err
		}
		return defaultRoutes("isp", "203.0.113.1", "2001:db8:3::1")
	})
	l.takes(mtu)
	return l
}

func defaultRoutes(name string, gateways ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, gateway := range gateways {
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(gateway)}); err != nil {
			return err
		}
	}
	return nil
}

// takes changes what the line takes.
func (l *line) takes(mtu int) {
	l.router.do(func() error {
		wan, err := netlink.LinkByName("wan")
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(wan, mtu)
	})
}

// TestWhatFits: lines that take less than is usual, and say so or do not. Large transfers work in both directions as soon
// as the laptop is connected, and the next network has its own measure.
func TestWhatFits(t *testing.T) {
	t.Parallel() // it has a process and a network of its own
	testneed.Program(t, "nft")
	if !inNamespace(t) {
		return
	}
	for _, c := range []struct {
		name    string
		outside string
		lan     int // the MTU of the laptop's own network
		line    int
		silent  bool
		want    int
	}{
		{"an ordinary line", "198.51.100.10", 1500, 1500, false, 1420},
		{"a black hole", "198.51.100.10", 1500, 1400, true, 1328}, // 1,340 in steps of 16
		{"a black hole, over IPv6", "2001:db8:2::10", 1500, 1400, true, 1312},
		{"PPPoE", "198.51.100.10", 1500, 1492, true, 1420},
		{"PPPoE, over IPv6", "2001:db8:2::10", 1500, 1492, true, 1408},
		{"PPPoE that says so, over IPv6", "2001:db8:2::10", 1500, 1492, false, 1408},
		{"a laptop in another tunnel", "198.51.100.10", 1400, 1500, false, 1340},
	} {
		t.Run(c.name, func(t *testing.T) { whatFits(t, netip.MustParseAddr(c.outside), c.lan, c.line, c.silent, c.want) })
	}
}

func whatFits(t *testing.T, outside netip.Addr, lan, mtu int, silent bool, want int) {
	l := newLine(t, outside, mtu, silent)
	own, err := netlink.LinkByName("lan0")
	check(t, err)
	check(t, netlink.LinkSetMTU(own, lan))
	s := &harness{t: t}
	l.provider.do(func() error { s.Plane = endpointtest.NewAt(t, outside); return nil })
	s.Script(func(x *endpointtest.Script) {
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) { c.GatewayAddresses = []string{endpointtest.Inside} }
	})
	resolvConf := filepath.Join(t.TempDir(), "resolv.conf")
	check(t, os.WriteFile(resolvConf, nil, 0o644))
	host, err := hostnet.Open(hostnet.Options{StateDir: t.TempDir(), ResolvConf: resolvConf, Bus: "unix:path=/nonexistent"})
	check(t, err)
	changed := make(chan struct{}, 1)
	e := s.laptop(func(o *Options) {
		o.Device, o.Network, o.NetworkChanged = wireguard.Options{Mode: wireguard.Userspace}, host, changed
	})
	awaitServer(t, s)
	s.enrol(e)
	s.up(e)
	awaitMTU(t, want)
	check(t, bulk())
	if mtu != 1400 || outside.Is6() {
		return
	}

	// Into a network that takes all, and back.
	for i, roam := range []struct{ line, want int }{{1500, 1420}, {mtu, want}} {
		l.takes(roam.line)
		former := []int{2, 10}[i]
		for _, pattern := range []string{"192.168.178.%d/24", "2001:db8:1::%d/64"} {
			check(t, netlink.AddrDel(own, address(fmt.Sprintf(pattern, former))))
			check(t, netlink.AddrAdd(own, address(fmt.Sprintf(pattern, 10+i))))
		}
		for _, gateway := range []string{"192.168.178.1", "2001:db8:1::1"} {
			check(t, netlink.RouteReplace(&netlink.Route{LinkIndex: own.Attrs().Index, Gw: net.ParseIP(gateway)}))
		}
		changed <- struct{}{}
		awaitMTU(t, roam.want)
		check(t, bulk())
	}
}

func address(prefix string) *netlink.Addr {
	a, err := netlink.ParseAddr(prefix)
	if err != nil {
		panic(err)
	}
	a.Flags |= unix.IFA_F_NODAD
	return a
}

// awaitMTU waits until the tunnel's interface has it. Mostly it has when the laptop is connected; on a busy machine a little
// later.
func awaitMTU(t *testing.T, want int) {
	t.Helper()
	patience := time.After(10 * time.Second)
	for {
		link, err := netlink.LinkByName("hd0")
		check(t, err)
		if link.Attrs().MTU == want {
			return
		}
		select {
		case <-patience:
			t.Fatalf("the MTU is %d, want %d", link.Attrs().MTU, want)
		case <-time.After(10 * time.Millisecond): // real: the kernel says nothing
		}
	}
}

// awaitServer waits until all cables carry.
func awaitServer(t *testing.T, s *harness) {
	t.Helper()
	patience := time.After(10 * time.Second)
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", s.Server.String())
		if err == nil {
			check(t, conn.Close())
			return
		}
		select {
		case <-patience:
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond): // real: the kernel says nothing
		}
	}
}

// TestWaitingForWhatFits: whoever waits for a connection waits a second at most for that, and not at all where it is not measured.
func TestWaitingForWhatFits(t *testing.T) {
	alive, before := time.Now(), time.Now().Add(-fitAwaited)
	for i, c := range []struct {
		reading reading
		since   time.Time
		want    bool
	}{
		{reading{}, time.Time{}, false}, {reading{handshake: alive}, time.Time{}, true},
		{reading{handshake: alive, unfit: true}, time.Time{}, false}, {reading{handshake: alive, unfit: true}, before, true},
	} {
		if got := answersAlready(c.reading, &c.since); got != c.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}

// bulk sends and fetches a quarter of a megabyte, as every program on the host does.
func bulk() error {
	const much = 256 << 10
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Post("http://"+endpointtest.Inside+fmt.Sprintf("/%d", much), "", bytes.NewReader(make([]byte, much)))
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && n != much+int64(len(endpointtest.Page)) {
		err = fmt.Errorf("%d bytes came", n)
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	return err
}

// TestSizesThatAreTried: bounded in number, none is below what IPv6 needs or above what holds, and each can be told from
// its neighbour behind WireGuard's padding.
func TestSizesThatAreTried(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mtu := rapid.IntRange(minMTU, maxMTU).Draw(t, "mtu")
		sizes := sizesUpTo(mtu)
		if len(sizes) > 15 || sizes[0] != min(minMTU, mtu) || sizes[len(sizes)-1] != mtu {
			t.Fatalf("up to %d: %v", mtu, sizes)
		}
		for i := 1; i < len(sizes); i++ {
			padded := func(n int) int { return min((n+fitStep-1)/fitStep*fitStep, mtu) }
			if padded(sizes[i]) <= padded(sizes[i-1]) || padded(sizes[i]) != sizes[i] {
				t.Fatalf("up to %d: %v", mtu, sizes)
			}
		}
	})
}

// TestWithoutIPv4: gateway and control plane were given as addresses of IPv4, and the network has none: they are reached by
// those that it translates.
func TestWithoutIPv4(t *testing.T) {
	t.Parallel() // it has a process and a network of its own
	if !inNamespace(t) {
		return
	}
	w := newElsewhere(t)
	outside := netip.MustParseAddr("64:ff9b::198.51.100.10")
	w.atHome(outside.String() + "/128")
	own, err := netlink.LinkByName("lan0")
	check(t, err)
	check(t, netlink.AddrDel(own, address("192.168.178.2/24")))
	s := &harness{t: t}
	w.do(func() error { s.Plane = endpointtest.NewAt(t, outside); return nil })
	s.Script(func(x *endpointtest.Script) {
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) {
			_, port, err := net.SplitHostPort(c.GatewayEndpoint)
			check(t, err)
			c.GatewayEndpoint = "198.51.100.10:" + port
		}
	})
	resolvConf := filepath.Join(t.TempDir(), "resolv.conf")
	check(t, os.WriteFile(resolvConf, nil, 0o644))
	host, err := hostnet.Open(hostnet.Options{StateDir: t.TempDir(), ResolvConf: resolvConf, Bus: "unix:path=/nonexistent"})
	check(t, err)
	resolve := func(_ context.Context, _, name string) ([]netip.Addr, error) {
		if name != knownName {
			return nil, fmt.Errorf("asked for %s", name)
		}
		return []netip.Addr{embed(outside, 12, knownAddresses()[1])}, nil
	}
	e := s.laptop(func(o *Options) {
		o.Device, o.Network, o.Resolve = wireguard.Options{Mode: wireguard.Userspace}, host, resolve
	})
	awaitServer(t, s)
	s.enrol(e)
	s.up(e)
	check(t, bulk())
	conn, err := newDialer(Options{Network: host, Resolve: resolve}).dial(t.Context(), "tcp", fmt.Sprintf("198.51.100.10:%d", s.Server.Port))
	check(t, err)
	check(t, conn.Close())
}
