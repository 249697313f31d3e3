package admission

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unheardFor is how long what we send may stay unacknowledged before the
// connection counts as broken.
const unheardFor = 30 * time.Second

// endSilence has the system end a connection whose other side has vanished. The
// library of gRPC would do it, but does not see through a Conn.
func endSilence(conn net.Conn) {
	withSocket(conn, func(fd int) {
		// Where it cannot be set, pings find out, only later.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unheardFor.Milliseconds()))
	})
}

// left says whether the other side has closed the connection: there is nothing
// to read, and there will be nothing.
func left(conn net.Conn) bool {
	gone := false
	withSocket(conn, func(fd int) {
		var b [1]byte
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		gone = n == 0 && err == nil || err != nil && err != unix.EAGAIN && err != unix.EINTR
	})
	return gone
}

func withSocket(conn net.Conn, do func(fd int)) {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { do(int(fd)) }) // fails when it is closed
}
