package endpoint

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// TestKilledLaptop: a laptop's agent is killed while it is connected, in a tunnel of each kind. What the next process takes
// back leaves the whole machine as it was before, resolv.conf with its owner, its mode and what it points to included.
func TestKilledLaptop(t *testing.T) {
	t.Parallel() // it has a process and a network of its own
	testneed.Program(t, "nft")
	if server := os.Getenv("ENDPOINT_VICTIM"); server != "" {
		victim(t, server)
		return
	}
	if !inNamespace(t) {
		return
	}
	dir := t.TempDir()
	resolvConf, target := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "of-the-router")
	check(t, os.WriteFile(target, []byte("nameserver 192.0.2.1\n"), 0o640))
	check(t, os.Chown(target, 65534, 4))
	for _, kind := range []struct {
		name   string
		linked bool
		change func(*heimdrahtv1.TunnelConfiguration)
	}{
		{"split", false, func(*heimdrahtv1.TunnelConfiguration) {}},
		{"full", true, func(c *heimdrahtv1.TunnelConfiguration) {
			c.FullTunnel, c.AllowedIps = true, []string{"0.0.0.0/0", "::/0"}
		}},
		{"without what is at home", false, func(c *heimdrahtv1.TunnelConfiguration) {
			c.FullTunnel, c.AllowedIps, c.LocalNetworksDenied = true, []string{"0.0.0.0/0", "::/0"}, true
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			s := newHarness(t)
			s.Script(func(x *endpointtest.Script) {
				x.Configure = func(c *heimdrahtv1.TunnelConfiguration) {
					c.DnsServers = []string{"10.80.0.53"}
					kind.change(c)
				}
			})
			_ = os.Remove(resolvConf) // of the kind before
			if kind.linked {
				check(t, os.Symlink(target, resolvConf))
			} else {
				check(t, os.Rename(copyOf(t, target), resolvConf))
			}
			before := whole(t, resolvConf)
			state := filepath.Join(t.TempDir(), "state")
			check(t, os.Mkdir(state, 0o700))
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledLaptop$", "-test.v", "-test.timeout=60s")
			command.Env = append(os.Environ(), "ENDPOINT_VICTIM="+s.Server.String(), "ENDPOINT_PIN="+s.Pin().String(), "ENDPOINT_STATE="+state, "ENDPOINT_RESOLV="+resolvConf)
			out, err := command.StdoutPipe()
			check(t, err)
			check(t, command.Start())
			lines := bufio.NewScanner(out)
			for lines.Scan() && !strings.Contains(lines.Text(), "connected") {
			}
			during := whole(t, resolvConf)
			check(t, command.Process.Kill())
			_ = command.Wait() // killed, as it should be
			if !strings.Contains(during, "hd0") || !strings.Contains(during, "10.80.0.53") {
				t.Fatalf("it was not connected:\n%s", during)
			}
			host, err := hostnet.Open(hostnet.Options{StateDir: state, ResolvConf: resolvConf, Bus: "unix:path=/nonexistent"})
			check(t, err)
			check(t, host.Clear(t.Context()))
			sameAsBefore(t, before, whole(t, resolvConf))
			if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
				t.Errorf("left in the state directory: %v, %v", left, err)
			}
		})
	}
}

// copyOf copies a file with its owner and mode.
func copyOf(t *testing.T, path string) string {
	t.Helper()
	to := path + ".copy"
	if out, err := exec.CommandContext(t.Context(), "cp", "-p", path, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// victim connects, says so, and waits to be killed.
func victim(t *testing.T, server string) {
	host, err := hostnet.Open(hostnet.Options{StateDir: os.Getenv("ENDPOINT_STATE"), ResolvConf: os.Getenv("ENDPOINT_RESOLV"), Bus: "unix:path=/nonexistent"})
	check(t, err)
	o := bare()
	at, err := control.ParseServer(server)
	check(t, err)
	o.Servers = []control.Server{at}
	o.Pin, err = control.ParseFingerprint(os.Getenv("ENDPOINT_PIN"))
	check(t, err)
	o.Device, o.Network = wireguard.Options{Mode: wireguard.Userspace}, host
	e, err := New(o)
	check(t, err)
	s := &harness{t: t}
	s.run(e)
	s.enrol(e)
	s.up(e)
	os.Stdout.WriteString("connected\n") //nolint:errcheck // whoever does not hear it says so
	select {}
}
