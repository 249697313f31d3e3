package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWhoMay: the kernel says whose program connects, over sockets of either family; who may not is hung up on.
func TestWhoMay(t *testing.T) {
	for _, test := range []struct {
		name    string
		allowed bool
	}{{"allowed", true}, {"not allowed", false}} {
		t.Run(test.name, func(t *testing.T) {
			listener, err := Listen(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			seen := make(chan int, 10)
			server := &Server{
				Dial:   func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") },
				May:    func(uid int) bool { seen <- uid; return test.allowed },
				Logger: slog.New(slog.DiscardHandler),
			}
			ctx, cancel := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- server.Serve(ctx, listener) }()
			defer func() {
				cancel()
				if err := <-served; err != nil {
					t.Error(err)
				}
			}()
			to := netip.MustParseAddrPort(listener.Addr().String())
			for _, conn := range []net.Conn{dial4(t, to), dialMapped(t, to)} {
				if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				_, err := conn.Write([]byte{version, 1, methodNone})
				var answer [2]byte
				n := 0
				if err == nil {
					n, _ = conn.Read(answer[:])
				}
				if (n == 2) != test.allowed {
					t.Errorf("answered with %d bytes", n)
				}
				if uid := <-seen; uid != os.Geteuid() {
					t.Errorf("user %d is said to connect", uid)
				}
				_ = conn.Close()
			}
		})
	}
}

func dial4(t *testing.T, to netip.AddrPort) net.Conn {
	conn, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// dialMapped connects as programs do that use sockets of IPv6 for everything.
func dialMapped(t *testing.T, to netip.AddrPort) net.Conn {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()})
	}
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }()
	conn, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestOwnerOfAClosedConnection: a program that has hung up has no owner any more, and above all not root.
func TestOwnerOfAClosedConnection(t *testing.T) {
	listener, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	client := dial4(t, netip.MustParseAddrPort(listener.Addr().String()))
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = accepted.Close() }()
	if uid, err := ownerOf(accepted); err != nil || uid != os.Geteuid() {
		t.Errorf("user %d, %v", uid, err)
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := accepted.Read(make([]byte, 1)); n != 0 || err == nil { // until the end has come here
		t.Errorf("read %d bytes, %v", n, err)
	}
	if uid, err := ownerOf(accepted); !errors.Is(err, errNoOwner) {
		t.Errorf("user %d, %v", uid, err)
	}
}

func FuzzFindOwner(f *testing.F) {
	f.Add("  0: 0100007F:0438 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 20 4 30 10 -1\n")
	f.Add("  0: 0000000000000000FFFF00000100007F:0438 0000000000000000FFFF00000100007F:9C40 01 0:0 0:0 0 4294967295 0 1\n")
	f.Add("sl local_address\n\n: : 01\n")
	near, far := netip.MustParseAddrPort("127.0.0.1:1080"), netip.MustParseAddrPort("127.0.0.1:40000")
	f.Fuzz(func(t *testing.T, list string) {
		uid, err := findOwner(strings.NewReader(list), near, far)
		if err == nil && uid < 0 {
			t.Errorf("user %d", uid)
		}
	})
}
