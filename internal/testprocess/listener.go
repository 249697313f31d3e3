package testprocess

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// Unlisten closes a TCP listener so that its port can be listened on at once. A child
// that is being started has a copy of the socket until it runs its program, and a copy
// that is merely closed here listens on: whoever comes next is told that the address
// is in use, and whoever connects is taken for connected.
func Unlisten(l net.Listener) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return errors.Join(fmt.Errorf("closing a listener: %T is none of TCP", l), l.Close())
	}
	raw, err := tcp.SyscallConn()
	if err == nil {
		err = raw.Control(shutdown)
	}
	return errors.Join(err, l.Close())
}

// FreeAddress gives an address of 127.0.0.1 on which nobody listened just now.
func FreeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), Unlisten(l)
}
