package hostnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/net/route"
	"golang.org/x/sys/unix"
)

// Watch tells, by each value, that addresses or routes have changed, those of tunnels (utun) excepted: ours is one, and
// gets its name only when it is made. It ends with the context.
func Watch(ctx context.Context, _ string) (<-chan struct{}, error) {
	changed := make(chan struct{}, 1)
	socket, err := unix.Socket(unix.AF_ROUTE, unix.SOCK_RAW, unix.AF_UNSPEC)
	if err != nil {
		return changed, fmt.Errorf("watching routes and addresses: %w", err)
	}
	// Closing it would not end a read that waits; shutting it down does.
	context.AfterFunc(ctx, func() { _ = unix.Shutdown(socket, unix.SHUT_RDWR) })
	go func() {
		defer unix.Close(socket) //nolint:errcheck // it was read only
		buffer := make([]byte, 64<<10)
		for ctx.Err() == nil {
			n, err := unix.Read(socket, buffer)
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS) {
				continue // of what was lost, the next message tells enough
			}
			if err != nil || n == 0 {
				return
			}
			if matters(buffer[:n]) {
				select {
				case changed <- struct{}{}:
				default: // it is known already
				}
			}
		}
	}()
	return changed, nil
}

// matters says whether messages tell of another interface than a tunnel. What is not understood does.
func matters(raw []byte) bool {
	messages, err := route.ParseRIB(route.RIBTypeRoute, raw)
	if err != nil {
		return true
	}
	for _, message := range messages {
		var index int
		switch m := message.(type) {
		case *route.RouteMessage:
			// What the kernel remembers of destinations comes and goes all the time.
			if m.Flags&(unix.RTF_WASCLONED|unix.RTF_LLINFO) != 0 || m.Type == unix.RTM_GET {
				continue
			}
			index = m.Index
		case *route.InterfaceAddrMessage:
			index = m.Index
		default:
			continue
		}
		i, err := net.InterfaceByIndex(index)
		if err != nil || !strings.HasPrefix(i.Name, "utun") {
			return true
		}
	}
	return false
}
