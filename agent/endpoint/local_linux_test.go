package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/endpoint/endpointtest"
	"github.com/heimdraht/heimdraht/agent/hostnet"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	"github.com/heimdraht/heimdraht/internal/testneed"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// printers are where the printer at home listens.
var printers = []string{"192.168.178.1:9100", "[2001:db8:1::1]:9100", "[fe80::1%lan0]:9100"}

// TestLocalNetworks: in a full tunnel the printer at home is reached, or is not, as the policy says; by every way that a
// program can take. Getting an address and the control connection go on, and afterwards all is as before.
func TestLocalNetworks(t *testing.T) {
	t.Parallel() // it has a process and a network of its own
	testneed.Program(t, "nft")
	if !inNamespace(t) {
		return
	}
	for _, denied := range []bool{false, true} {
		t.Run(fmt.Sprintf("denied %v", denied), func(t *testing.T) { localNetworks(t, denied) })
	}
}

func localNetworks(t *testing.T, denied bool) {
	w := newElsewhere(t)
	outside := netip.MustParseAddr("198.51.100.10")
	w.atHome("198.51.100.10/32")
	check(t, setAddress("lan0", "fe80::2/64"))
	dhcp := make(chan error, 1)
	w.do(func() error {
		if err := setAddress("router", "fe80::1/64"); err != nil {
			return err
		}
		return errors.Join(printer(t), dhcpServer(t, dhcp))
	})
	s := &harness{t: t}
	w.do(func() error { s.Plane = endpointtest.NewAt(t, outside); return nil })
	s.Script(func(x *endpointtest.Script) {
		x.RenewEvery = 200 * time.Millisecond
		x.Configure = func(c *heimdrahtv1.TunnelConfiguration) {
			c.FullTunnel, c.AllowedIps, c.LocalNetworksDenied = true, []string{"0.0.0.0/0", "::/0"}, denied
			c.Addresses = append(c.Addresses, "fd80:1::5/128")
		}
	})
	resolvConf := filepath.Join(t.TempDir(), "resolv.conf")
	check(t, os.WriteFile(resolvConf, nil, 0o644))
	host, err := hostnet.Open(hostnet.Options{StateDir: t.TempDir(), ResolvConf: resolvConf, Bus: "unix:path=/nonexistent"})
	check(t, err)
	e := s.laptop(func(o *Options) { o.Device, o.Network = wireguard.Options{Mode: wireguard.Userspace}, host })
	s.enrol(e)
	awaitPrinters(t) // once the cable carries
	before := whole(t, resolvConf)
	s.up(e)
	check(t, fetchAsAnybody(t))
	for _, to := range printers {
		for _, by := range []string{"", "lan0"} {
			if err := prints(t, to, by); (err == nil) == denied {
				t.Errorf("the printer at %s, by %q: %v", to, by, err)
			}
		}
	}
	if err := neighbourCalls(t, w); (err == nil) == denied {
		t.Errorf("a neighbour calls: %v", err)
	}
	check(t, renewAddress(t))
	select {
	case err := <-dhcp:
		check(t, err)
	case <-time.After(5 * time.Second):
		t.Error("the router did not hear that the address is to be renewed")
	}
	for range 3 {
		s.Await("renewed")
	}
	check(t, e.Down(t.Context()))
	awaitClosedTunnel(t, e)
	sameAsBefore(t, before, whole(t, resolvConf))
	for _, to := range printers {
		check(t, prints(t, to, ""))
	}
}

// awaitPrinters waits until they are reached.
func awaitPrinters(t *testing.T) {
	t.Helper()
	patience := time.After(10 * time.Second)
	for _, to := range printers {
		for err := prints(t, to, ""); err != nil; err = prints(t, to, "") {
			select {
			case <-patience:
				t.Fatalf("the printer at %s: %v", to, err)
			case <-time.After(20 * time.Millisecond): // real: the kernel says nothing
			}
		}
	}
}

// printer listens in the present namespace and takes what comes.
func printer(t *testing.T) error {
	for _, at := range []string{"192.168.178.1:9100", "[2001:db8:1::1]:9100", "[fe80::1%router]:9100"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, "ready\n")
				_ = conn.Close()
			}
		}()
	}
	return nil
}

// prints reads what the printer says; by an interface, if one is named.
func prints(t *testing.T, to, by string) error {
	d := net.Dialer{Timeout: 500 * time.Millisecond}
	if by != "" {
		d.Control = boundTo(by)
	}
	conn, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 6))
	return err
}

func boundTo(name string) func(_, _ string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var binding error
		return errors.Join(c.Control(func(fd uintptr) { binding = unix.BindToDevice(int(fd), name) }), binding)
	}
}

// neighbourCalls has the router call a program of the laptop.
func neighbourCalls(t *testing.T, w *elsewhere) error {
	l, err := net.Listen("tcp", "192.168.178.2:0")
	check(t, err)
	defer func() { _ = l.Close() }()
	called := make(chan error, 1)
	w.do(func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		if err == nil {
			err = conn.Close()
		}
		called <- err
		return nil
	})
	return <-called
}

// dhcpServer tells when somebody asks it for an address.
func dhcpServer(t *testing.T, asked chan<- error) error {
	conn, err := net.ListenPacket("udp4", "192.168.178.1:67")
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		_, _, err := conn.ReadFrom(make([]byte, 1500))
		asked <- err
	}()
	return nil
}

// renewAddress sends what a DHCP client of systemd or NetworkManager sends: from its port, bound to its interface.
func renewAddress(t *testing.T) error {
	conn, err := (&net.ListenConfig{Control: boundTo("lan0")}).ListenPacket(t.Context(), "udp4", "192.168.178.2:68")
	if err != nil {
		return err
	}
	_, err = conn.WriteTo([]byte("renew"), &net.UDPAddr{IP: net.ParseIP("192.168.178.1"), Port: 67})
	return errors.Join(err, conn.Close())
}
