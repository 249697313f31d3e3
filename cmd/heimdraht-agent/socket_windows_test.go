package main

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/heimdraht/heimdraht/agent/control"
)

// freeSocket is where a daemon of the tests can listen.
func freeSocket(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf(`%sheimdraht-test-%d`, pipePrefix, time.Now().UnixNano())
}

// TestPipeTellsWhoCalls: both ends see the user who runs this test.
func TestPipeTellsWhoCalls(t *testing.T) {
	path := freeSocket(t)
	l, err := listen(t.Context(), path)
	check(t, err)
	defer l.Close()
	if _, err := listen(t.Context(), path); !errors.Is(err, daemonRunning(path)) {
		t.Errorf("a second daemon: %v", err)
	}
	heard := make(chan peer, 1)
	failed := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			_, err = conn.Read(make([]byte, 1))
		}
		var who peer
		if err == nil {
			who, err = callerOf(conn)
		}
		heard <- who
		failed <- err
	}()
	conn, err := dialDaemon(t.Context(), path)
	check(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("x"))
	check(t, err)
	var who peer
	select {
	case who = <-heard:
		check(t, <-failed)
	case <-time.After(10 * time.Second): // Wine connects a caller to nobody
		t.Fatal("the daemon hears nothing")
	}
	t.Logf("the caller is %+v, this is %+v", who, self())
	if who != self() || who.account == "" {
		t.Errorf("the caller is %+v, want %+v", who, self())
	}
	daemon, err := daemonOf(conn)
	check(t, err)
	if !daemon.admin && daemon.account != self().account {
		t.Errorf("the pipe is %+v's", daemon)
	}
}

// handleConn is a connection of which nothing but the handle is of interest.
type handleConn struct {
	net.Conn
	handle windows.Handle
}

func (c handleConn) Fd() uintptr { return uintptr(c.handle) }

// TestTokensTell: who calls and who answers is told by the tokens alone, on a pipe that Windows' own calls made.
func TestTokensTell(t *testing.T) {
	path, err := windows.UTF16PtrFromString(freeSocket(t))
	check(t, err)
	descriptor, err := windows.SecurityDescriptorFromString(pipeDescriptor(self()))
	check(t, err)
	attributes := &windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})), SecurityDescriptor: descriptor}
	server, err := windows.CreateNamedPipe(path, windows.PIPE_ACCESS_DUPLEX, windows.PIPE_TYPE_BYTE|windows.PIPE_REJECT_REMOTE_CLIENTS, 1, 512, 512, 0, attributes)
	check(t, err)
	defer func() { _ = windows.CloseHandle(server) }()
	const identification = 0x00010000 // SECURITY_IDENTIFICATION
	client, err := windows.CreateFile(path, 0x12019b, 0, nil, windows.OPEN_EXISTING, windows.SECURITY_SQOS_PRESENT|identification, 0)
	check(t, err)
	defer func() { _ = windows.CloseHandle(client) }()
	var n uint32
	check(t, windows.WriteFile(client, []byte("x"), &n, nil))
	check(t, windows.ReadFile(server, make([]byte, 1), &n, nil))
	who, err := callerOf(handleConn{handle: server})
	check(t, err)
	daemon, err := daemonOf(handleConn{handle: client})
	check(t, err)
	t.Logf("caller %+v, daemon %+v, self %+v", who, daemon, self())
	if who != self() || who.account == "" || daemon.account != self().account && !daemon.admin {
		t.Errorf("caller %+v, daemon %+v, want %+v", who, daemon, self())
	}
}

func TestNoPipe(t *testing.T) {
	if _, err := listen(t.Context(), `C:\agent.sock`); !errors.Is(err, &control.Problem{Code: codeSocketUnusable}) {
		t.Errorf("a file: %v", err)
	}
}
