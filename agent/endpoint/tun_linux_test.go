package endpoint

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// inNamespace runs the test once more in a network namespace of its own, and says whether this is that run.
func inNamespace(t *testing.T) bool {
	t.Helper()
	testneed.Root(t)
	testneed.File(t, "/dev/net/tun")
	if os.Getenv("ENDPOINT_NAMESPACE") == t.Name() {
		lo, err := netlink.LinkByName("lo")
		check(t, err)
		check(t, netlink.LinkSetUp(lo))
		return true
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	command.Env = append(os.Environ(), "ENDPOINT_NAMESPACE="+t.Name())
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("in the namespace: %v\n%s", err, out)
	}
	return false
}

// network is all that a tunnel could leave behind.
func network(t *testing.T, resolvConf string) string {
	t.Helper()
	var b strings.Builder
	links, err := netlink.LinkList()
	check(t, err)
	for _, link := range links {
		b.WriteString(link.Attrs().Name + "\n")
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: syscall.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		check(t, err)
		for _, route := range routes {
			b.WriteString(route.String() + "\n")
		}
		rules, err := netlink.RuleList(family)
		check(t, err)
		for _, rule := range rules {
			b.WriteString(rule.String() + "\n")
		}
	}
	text, err := os.ReadFile(resolvConf)
	check(t, err)
	return b.String() + string(text)
}

// TestOnTheHost runs a laptop with a real interface: ordinary programs reach the office, and nothing is left
// behind afterwards, nor after a full tunnel, nor after the interface was taken away.
func TestOnTheHost(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	s := newHarness(t)
	stateDir := t.TempDir()
	resolvConf := filepath.Join(t.TempDir(), "resolv.conf")
	check(t, os.WriteFile(resolvConf, []byte("nameserver 192.0.2.1\n"), 0o644))
	host, err := hostnet.Open(hostnet.Options{StateDir: stateDir, ResolvConf: resolvConf, Bus: "unix:path=/nonexistent"})
	check(t, err)
	before := network(t, resolvConf)
	e := s.laptop(func(o *Options) {
		o.Device, o.Network = wireguard.Options{Mode: wireguard.Userspace}, host
	})
	s.enrol(e)
	s.Script(func(x *endpointtest.Script) {
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) {
			c.DnsServers, c.DnsDomains = []string{"10.80.0.53"}, []string{"stadt.example"}
		}
	})
	s.up(e)
	check(t, fetchAsAnybody(t))
	if now := network(t, resolvConf); !strings.Contains(now, "hd0") || !strings.Contains(now, "10.80.0.53") {
		t.Errorf("while connected:\n%s", now)
	}

	// Somebody takes the interface away: it comes back.
	link, err := netlink.LinkByName("hd0")
	check(t, err)
	check(t, netlink.LinkDel(link))
	back := time.After(40 * time.Second)
	for fetchAsAnybody(t) != nil {
		select {
		case <-back:
			t.Fatalf("the tunnel did not come back: %+v", e.Status("en"))
		default:
			e.nudgeTend()
		}
	}

	check(t, e.Down(t.Context()))
	awaitClosedTunnel(t, e)
	if after := network(t, resolvConf); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}

	// The whole internet through the tunnel; the gateway itself stays outside by its mark.
	s.Script(func(x *endpointtest.Script) {
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) {
			c.FullTunnel, c.AllowedIps = true, []string{"0.0.0.0/0", "::/0"}
		}
	})
	s.up(e)
	check(t, fetchAsAnybody(t))
	check(t, e.Down(t.Context()))
	awaitClosedTunnel(t, e)
	if after := network(t, resolvConf); after != before {
		t.Errorf("left behind by the full tunnel:\n%s\nbefore:\n%s", after, before)
	}

	// Revoked: gone as well.
	s.up(e)
	s.Revoke("device-revoked")
	eventually(t, e, "the refusal", inState(Refused))
	if fetchAsAnybody(t) == nil {
		t.Error("the office is still reached")
	}
}

// nudgeTend looks after the tunnel now, and not within the next half minute.
func (e *Endpoint) nudgeTend() { e.tunnel.tend(context.Background()) }

// awaitClosedTunnel waits for the interface to go, which follows the end of the tunnel.
func awaitClosedTunnel(t *testing.T, e *Endpoint) {
	t.Helper()
	eventually(t, e, "the interface to go", func(Status) bool {
		_, err := netlink.LinkByName("hd0")
		return err != nil
	})
}

// fetchAsAnybody fetches the page as every program on the host does.
func fetchAsAnybody(t *testing.T) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + endpointtest.Inside + "/")
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err == nil && string(body) != endpointtest.Page {
		t.Errorf("fetched %q", body)
	}
	return response.Body.Close()
}

// TestWithoutRights: a laptop that may not make an interface says so before it takes a seat.
func TestWithoutRights(t *testing.T) {
	testneed.Root(t)
	if os.Getenv("ENDPOINT_STRANGER") == "" {
		dir, err := os.MkdirTemp("", "hd")
		check(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		check(t, os.Chmod(dir, 0o777))
		program := filepath.Join(dir, "test")
		raw, err := os.ReadFile(os.Args[0])
		check(t, err)
		check(t, os.WriteFile(program, raw, 0o755))
		command := exec.CommandContext(t.Context(), program, "-test.run=^TestWithoutRightsInside$", "-test.v", "-test.timeout=60s")
		command.Env, command.Dir = []string{"ENDPOINT_STRANGER=" + dir, "TMPDIR=" + dir}, dir
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestWithoutRightsInside") {
			t.Errorf("as another user: %v\n%s", err, out)
		}
	}
}

// TestWithoutRightsInside is the other user's half of TestWithoutRights.
func TestWithoutRightsInside(t *testing.T) {
	dir := os.Getenv("ENDPOINT_STRANGER")
	if dir == "" {
		return
	}
	s := newHarness(t)
	host, err := hostnet.Open(hostnet.Options{StateDir: dir})
	check(t, err)
	for _, mode := range []wireguard.Mode{wireguard.Auto, wireguard.Userspace} {
		e := s.laptop(func(o *Options) {
			o.Device, o.Network, o.Store = wireguard.Options{Mode: mode}, host, &control.MemoryStore{}
			o.Logger = slog.New(slog.DiscardHandler)
		})
		s.enrol(e)
		if err := e.Up(t.Context()); !isProblem(err, CodeNoRights) {
			t.Errorf("%v: %v", mode, err)
		}
	}
	if n := len(s.Seen().Openings); n != 0 {
		t.Errorf("%d sessions were asked for", n)
	}
}
