package wireguard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// These tests run devices on real TUN interfaces, one process in each network namespace: a WireGuard socket belongs to
// the namespace of the thread that opened it. The test's own process starts a gateway in a namespace of its own, and the
// gateway starts the laptop.

// roleVariable tells a process of the test which part it plays.
const roleVariable = "HEIMDRAHT_TEST_ROLE"

// alone runs the test in a process and a network namespace of its own.
func alone(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if os.Getenv(roleVariable) != "" {
		address(t, "lo") // without it, Go takes the host for one without IPv6
		test(t)
		return
	}
	testneed.Root(t)
	testneed.File(t, "/dev/net/tun")
	out, err := inNamespace(t.Context(), t, "gateway").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a network namespace: %v\n%s", err, out)
	}
}

// inNamespace returns the command that runs the same test in another part and in a new network namespace.
func inNamespace(ctx context.Context, t *testing.T, role string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.timeout=3m", "-test.v")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	return cmd
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// address gives an interface an address and switches it on, as package hostnet would.
func address(t testing.TB, name string, prefixes ...string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.LinkSetUp(link))
	for _, prefix := range prefixes {
		parsed, err := netlink.ParseAddr(prefix)
		must(t, err)
		parsed.Flags = unix.IFA_F_NODAD
		must(t, netlink.AddrAdd(link, parsed))
	}
}

// These are the same in both processes.
func testKey(t testing.TB, n byte) PrivateKey {
	t.Helper()
	var k PrivateKey
	for i := range k {
		k[i] = n
	}
	return k
}

func TestDevicesOnTUN(t *testing.T) {
	alone(t, func(t *testing.T) { between(t, Userspace) })
}

// between tests a gateway in the given mode against a laptop on a TUN.
func between(t *testing.T, mode Mode) {
	if os.Getenv(roleVariable) == "laptop" {
		laptopOnTUN(t)
	} else {
		gatewayOnTUN(t, mode)
	}
}

// laptopOnTUN opens a device and does what lines of its standard input say. It answers with one line each.
func laptopOnTUN(t *testing.T) {
	d, err := Open(t.Context(), Options{Mode: Userspace, Name: "hd0", PrivateKey: testKey(t, 2), FirewallMark: 51820})
	must(t, err)
	defer func() { must(t, d.Close()) }()
	gateway := Peer{
		PublicKey: testKey(t, 1).PublicKey(), PresharedKey: psk(1), Keepalive: 25 * time.Second,
		AllowedIPs: prefixes("10.80.0.0/16", "fd80:1::/48"), Endpoint: netip.MustParseAddrPort("192.0.2.1:51820"),
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		answer := "ok"
		switch words := strings.Fields(commands.Text()); words[0] {
		case "up":
			address(t, "far", "192.0.2.2/24")
			address(t, "hd0", "10.80.1.1/16", "fd80:1::1:1/48")
			must(t, d.Apply(t.Context(), []Change{{Peer: gateway}}))
		case "readd":
			must(t, d.Apply(t.Context(), Readd(gateway)))
		case "send": // send PATIENCE ADDRESS: a datagram there, and its echo back
			patience, err := time.ParseDuration(words[1])
			must(t, err)
			answer = roundTrip(words[2], patience)
		}
		_, err := fmt.Fprintln(os.Stdout, "answer:", answer)
		must(t, err)
	}
}

// roundTrip sends a datagram and waits for it to come back.
func roundTrip(to string, patience time.Duration) string {
	conn, err := net.Dial("udp", to)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err.Error()
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err.Error()
	}
	b := make([]byte, 100)
	n, err := conn.Read(b)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "dead"
	case err != nil:
		return err.Error()
	}
	return string(b[:n])
}

// gatewayOnTUN makes the wire between the two, opens the gateway and tells the laptop what to do.
func gatewayOnTUN(t *testing.T, mode Mode) {
	// It ends with its standard input; the test's context would kill it before that.
	laptop := inNamespace(context.WithoutCancel(t.Context()), t, "laptop")
	commands, err := laptop.StdinPipe()
	must(t, err)
	out, err := laptop.StdoutPipe()
	must(t, err)
	laptop.Stderr = os.Stderr
	must(t, laptop.Start())
	t.Cleanup(func() {
		_ = commands.Close()
		if err := laptop.Wait(); err != nil {
			t.Errorf("the laptop: %v", err)
		}
	})
	answers := bufio.NewReader(out)
	tell := func(command string) string {
		t.Helper()
		_, err := fmt.Fprintln(commands, command)
		must(t, err)
		for {
			line, err := answers.ReadString('\n')
			if err != nil {
				t.Fatalf("the laptop ended at %q: %v", command, err)
			}
			if answer, ok := strings.CutPrefix(line, "answer: "); ok {
				return strings.TrimSpace(answer)
			}
		}
	}

	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near", MTU: 1500, TxQLen: 1000}, PeerName: "far"}))
	far, err := netlink.LinkByName("far")
	must(t, err)
	must(t, netlink.LinkSetNsPid(far, laptop.Process.Pid))
	address(t, "near", "192.0.2.1/24")

	d, err := Open(t.Context(), Options{Mode: mode, Name: "hd0", PrivateKey: testKey(t, 1), ListenPort: 51820})
	must(t, err)
	defer func() { must(t, d.Close()) }()
	if d.ListenPort() != 51820 || d.Name() != "hd0" || d.Mode() != mode || d.Net() != nil {
		t.Errorf("port %d, name %s, mode %v", d.ListenPort(), d.Name(), d.Mode())
	}
	link, err := netlink.LinkByName("hd0")
	must(t, err)
	if link.Attrs().MTU != 1420 {
		t.Errorf("MTU %d", link.Attrs().MTU)
	}
	address(t, "hd0", "10.80.0.1/16", "fd80:1::1/48")
	peer := Peer{PublicKey: testKey(t, 2).PublicKey(), PresharedKey: psk(1), AllowedIPs: prefixes("10.80.1.1/32", "fd80:1::1:1/128")}
	must(t, d.Apply(t.Context(), []Change{{Peer: peer}}))
	echoDatagrams(t)

	tell("up")
	const alive = "20s"
	for _, to := range []string{"10.80.0.1:7", "[fd80:1::1]:7"} {
		if got := tell("send " + alive + " " + to); got != "hello" {
			t.Fatalf("through the tunnel to %s: %s", to, got)
		}
	}
	dump, err := d.Peers(t.Context())
	must(t, err)
	if len(dump) != 1 || dump[0].Rx == 0 || dump[0].Tx == 0 || dump[0].Endpoint.Addr() != netip.MustParseAddr("192.0.2.2") ||
		time.Since(dump[0].LastHandshake) > time.Minute || len(Plan([]Peer{peer}, Installed(dump))) != 0 {
		t.Errorf("peers: %v", dump)
	}

	// Another preshared key on both sides' next handshake does not matter to the session that runs.
	rekeyed := peer
	rekeyed.PresharedKey = psk(9)
	must(t, d.Apply(t.Context(), Plan([]Peer{rekeyed}, Installed(dump))))
	if got := tell("send " + alive + " 10.80.0.1:7"); got != "hello" {
		t.Errorf("with a changed preshared key: %s", got)
	}

	must(t, d.Apply(t.Context(), []Change{{Remove: true, Peer: peer}}))
	if got := tell("send 300ms 10.80.0.1:7"); got != "dead" {
		t.Errorf("after the removal: %s", got)
	}
	must(t, d.Apply(t.Context(), []Change{{Remove: true, Peer: peer}, {Peer: peer}}))
	start := time.Now()
	tell("readd")
	if got := tell("send " + alive + " 10.80.0.1:7"); got != "hello" {
		t.Errorf("after both sides added the peer again: %s", got)
	}
	if took := time.Since(start); took > 10*time.Second { // one that only updates waits 15 s
		t.Errorf("back only after %v", took)
	}

	must(t, d.Close())
	if _, err := netlink.LinkByName("hd0"); !errors.As(err, &netlink.LinkNotFoundError{}) {
		t.Errorf("the interface is still there: %v", err)
	}
}

// echoDatagrams answers on UDP port 7 of all addresses until the test ends.
func echoDatagrams(t *testing.T) {
	t.Helper()
	conn, err := net.ListenPacket("udp", ":7")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if _, err := conn.WriteTo(b[:n], from); err != nil && !errors.Is(err, io.EOF) {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}

// TestInterfaceTakenAway: whoever deletes the interface ends the device, and its owner is told.
func TestInterfaceTakenAway(t *testing.T) {
	alone(t, func(t *testing.T) {
		d := open(t, Options{Mode: Userspace, Name: "hd0"})
		link, err := netlink.LinkByName("hd0")
		must(t, err)
		must(t, netlink.LinkDel(link))
		select {
		case <-d.Done():
		case <-time.After(patience):
			t.Fatal("the device goes on without its interface")
		}
		if err := d.Apply(t.Context(), []Change{{Peer: Peer{PublicKey: key(1)}}}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v, want net.ErrClosed", err)
		}
	})
}

// TestAutoIsNeverNetstack opens what there is: the kernel's WireGuard, or a TUN.
func TestAutoIsNeverNetstack(t *testing.T) {
	alone(t, func(t *testing.T) {
		d := open(t, Options{Name: "hd0"})
		if d.Mode() != Userspace && d.Mode() != Kernel {
			t.Errorf("mode %v", d.Mode())
		}
		if _, err := netlink.LinkByName("hd0"); err != nil {
			t.Errorf("no interface for the host's programs: %v", err)
		}
		// A second one of the same name is refused, and the first one stays.
		private, err := GeneratePrivateKey()
		must(t, err)
		if d.Mode() == Userspace {
			if _, err := Open(t.Context(), Options{Mode: Userspace, Name: "hd0", PrivateKey: private}); !errors.Is(err, unix.EBUSY) {
				t.Errorf("a second device: error %v, want EBUSY", err)
			}
		}
		apply(t, d, Change{Peer: Peer{PublicKey: key(1)}})
	})
}
