//go:build unix

package app

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the file for this process; flock, because it holds also between
// two control planes of one process. errHeld: somebody else has it.
func tryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errHeld
	}
	return err
}
