//go:build linux || darwin

package hostnet

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// segment fits into the least packet that IPv6 asks of every link, with headers of 60 bytes.
const segment = 1220

// SmallSegments keeps a TCP connection, in both directions, to packets that come through where larger ones are lost
// without a word: what waits there for a certificate waits for ever. Other sockets stay as they are.
func SmallSegments(network string, conn syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var setting error
	err := conn.Control(func(fd uintptr) {
		setting = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, segment)
	})
	if err := errors.Join(err, setting); err != nil {
		return fmt.Errorf("asking for small segments: %w", err)
	}
	return nil
}
