//go:build unix

package app

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the file for this process; flock, because it holds also between
// two control planes of one process. errHeld: somebody else has it.
func tryLock(f *os.File) error { return flock(f, syscall.LOCK_EX) }

// tryShare takes the file together with others who share it.
func tryShare(f *os.File) error { return flock(f, syscall.LOCK_SH) }

func flock(f *os.File, how int) error {
	err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errHeld
	}
	return err
}
