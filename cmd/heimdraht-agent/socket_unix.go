//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// dialWithin bounds the look for another daemon on the socket.
const dialWithin = 2 * time.Second

// self is who this process is.
func self() peer { return unixPeer(os.Geteuid()) }

// listen opens the socket. What an earlier daemon left behind is removed; one that still runs is not disturbed.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, socketUnusable(path, err)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, socketUnusable(path, errors.New("it is another file"))
		}
		if conn, err := (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, "unix", path); err == nil {
			return nil, errors.Join(daemonRunning(path), conn.Close())
		} else if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, socketUnusable(path, err)
		}
		if err := os.Remove(path); err != nil {
			return nil, socketUnusable(path, err)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, socketUnusable(path, err)
	}
	return l, nil
}

// admit sets the socket's rights: for the user, or for everybody where the laptop is no single one's.
func admit(socket string, user, self account) error {
	mode := fs.FileMode(0o600)
	if user == "" {
		user, mode = self, 0o666
	}
	// The mode of what is another's takes a capability more, so it is ours meanwhile.
	if os.Geteuid() == 0 {
		if err := os.Chown(socket, 0, -1); err != nil {
			return fmt.Errorf("taking the socket back: %w", err)
		}
	}
	if err := os.Chmod(socket, mode); err != nil {
		return fmt.Errorf("setting the socket's rights: %w", err)
	}
	if user == self {
		return nil
	}
	uid, err := strconv.Atoi(string(user))
	if err == nil {
		err = os.Chown(socket, uid, -1)
	}
	if err != nil {
		return fmt.Errorf("giving the socket to the laptop's user: %w", err)
	}
	return nil
}

// dialDaemon connects a command to the daemon.
func dialDaemon(ctx context.Context, path string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

// callerOf is who calls the daemon.
func callerOf(conn net.Conn) (peer, error) { return otherEnd(conn) }

// daemonOf is who answers a command.
func daemonOf(conn net.Conn) (peer, error) { return otherEnd(conn) }

// otherEnd asks the kernel which user is at the other end.
func otherEnd(conn net.Conn) (peer, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return peer{}, errors.New("looking who calls: it is no Unix socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return peer{}, fmt.Errorf("looking who calls: %w", err)
	}
	uid := -1
	var asking error
	err = raw.Control(func(fd uintptr) { uid, asking = peerUID(int(fd)) })
	if err := errors.Join(err, asking); err != nil {
		return peer{}, fmt.Errorf("looking who calls: %w", err)
	}
	return unixPeer(uid), nil
}
