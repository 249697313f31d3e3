package gateway

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/kerneltest"
	"github.com/heimdraht/heimdraht/internal/testneed"
)

// TestHost gives a gateway its place on a host: a TUN device with its
// addresses, the aggregate routed to it, forwarding on, and all gone after
// Close.
func TestHost(t *testing.T) {
	testneed.Root(t)
	testneed.File(t, "/dev/net/tun")
	testHost(t, wireguard.Userspace)
}

// TestHostKernel does the same with the kernel's WireGuard, which production
// gateways use.
func TestHostKernel(t *testing.T) {
	kerneltest.Run(t, []string{"ip", "nft"},
		kerneltest.Test{Name: "host", Run: func(t *testing.T) { testHost(t, wireguard.Kernel) }},
		kerneltest.Test{Name: "tenants", Run: func(t *testing.T) { testTenantsApart(t, wireguard.Kernel) }})
}

// inNamespace runs a test in a process of its own, in a network namespace of its own.
func inNamespace(t *testing.T, test func(*testing.T)) {
	const inside = "HEIMDRAHT_TEST_IN_NAMESPACE"
	if os.Getenv(inside) == "" {
		testneed.Program(t, "ip")
		testneed.Program(t, "nft")
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.timeout=3m", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("in a network namespace: %v\n%s", err, out)
		}
		return
	}
	command(t, "ip", "link", "set", "lo", "up")
	test(t)
}

func testHost(t *testing.T, mode wireguard.Mode) {
	inNamespace(t, func(t *testing.T) { placeOnHost(t, mode) })
}

func placeOnHost(t *testing.T, mode wireguard.Mode) {
	private, err := wireguard.GeneratePrivateKey()
	check(t, err)
	setup := Setup{PrivateKey: private, ListenPort: 51820, MTU: 1420, Masquerade: true, Addresses: []netip.Prefix{
		netip.MustParsePrefix("10.80.0.1/16"), netip.MustParsePrefix("fd80:1::1/48")}}
	host := Host{Interface: "hd0", Mode: mode}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	device, err := host.Open(ctx, setup)
	check(t, err)
	check(t, device.Configure(ctx, setup))
	if f := device.Facts(); f.Interface != "hd0" || f.Mode != mode.String() || f.ListenPort != 51820 {
		t.Errorf("facts %+v", f)
	}
	expect(t, "inet 10.80.0.1/16", "ip", "addr", "show", "hd0")
	expect(t, "mtu 1420", "ip", "addr", "show", "hd0")
	expect(t, "10.80.0.0/16 dev hd0", "ip", "route")
	expect(t, "fd80:1::/48 dev hd0", "ip", "-6", "route")
	expect(t, "ip saddr 10.80.0.0/16", "nft", "list", "ruleset")
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if b, err := os.ReadFile("/proc/sys/net/" + name); err != nil || strings.TrimSpace(string(b)) != "1" {
			t.Errorf("%s is %q, %v", name, b, err)
		}
	}

	// Another port in use is said by its name.
	taken, err := net.ListenUDP("udp", &net.UDPAddr{Port: 4711})
	check(t, err)
	defer closing(t, taken)
	other := setup
	other.ListenPort = 4711
	if _, err := (Host{Interface: "hd1", Mode: mode}).Open(ctx, other); deviceProblem(other, err).Code != CodePortInUse {
		t.Errorf("a port in use gives %v", err)
	}

	// So is an interface of that name, which is not touched.
	command(t, "ip", "link", "add", "hd2", "mtu", "1300", "type", "veth", "peer", "name", "hd3")
	command(t, "ip", "tuntap", "add", "hd4", "mode", "tun") // it outlives who made it
	for _, name := range []string{"hd2", "hd4"} {
		before := command(t, "ip", "-details", "addr", "show", name)
		if _, err := (Host{Interface: name, Mode: mode}).Open(ctx, other); deviceProblem(other, err).Code != CodeNameTaken || !strings.Contains(err.Error(), name) {
			t.Errorf("an interface of that name gives %v", err)
		}
		if after := command(t, "ip", "-details", "addr", "show", name); after != before {
			t.Errorf("somebody else's interface was touched:\n%s\n%s", before, after)
		}
		command(t, "ip", "link", "delete", name)
	}

	setup.Masquerade = false
	setup.Addresses = setup.Addresses[:1]
	check(t, device.Configure(ctx, setup))
	if out := command(t, "nft", "list", "ruleset"); strings.Contains(out, "masquerade") || !strings.Contains(out, `iifname "hd0" goto from_laptops`) {
		t.Errorf("still masquerading, or not filtering:\n%s", out)
	}
	if out := command(t, "ip", "-6", "addr", "show", "hd0"); strings.Contains(out, "fd80:1::1") {
		t.Errorf("an address that is no longer wanted stays:\n%s", out)
	}
	for range 2 {
		check(t, device.Close())
	}
	if out := command(t, "ip", "link"); strings.Contains(out, "hd0") {
		t.Errorf("the interface stays:\n%s", out)
	}
	if out := command(t, "nft", "list", "ruleset"); strings.Contains(out, "heimdraht") {
		t.Errorf("the table stays:\n%s", out)
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testneed.Program(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func expect(t *testing.T, want, name string, args ...string) {
	t.Helper()
	if out := command(t, name, args...); !strings.Contains(out, want) {
		t.Errorf("%s %v does not say %q:\n%s", name, args, want, out)
	}
}
