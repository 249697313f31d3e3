//go:build linux || darwin

package state

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

var errLocked = errors.New("locked")

// lockFile takes the file for this process. flock, because the kernel lets go
// of it however the process ends, and because it holds also between two opens
// of one process, which record locks do not.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// makeDir makes the directory, and those above it that are missing.
func makeDir(path string) error { return os.MkdirAll(path, 0o700) }

// private refuses a directory into which others can look, or that another
// user could exchange.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return unwritable(path, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &notPrivate{path, fmt.Sprintf("its mode is %#o", mode), "chmod 700 " + path}
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return &notPrivate{path, fmt.Sprintf("it belongs to user %d, and this program runs as user %d", s.Uid, os.Geteuid()),
			fmt.Sprintf("chown %d %s", os.Geteuid(), path)}
	}
	return nil
}

// Trusted is content: where settings lie here, only root makes files.
func Trusted(string) error { return nil }

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
