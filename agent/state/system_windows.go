package state

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

var errLocked = errors.New("locked")

// lockFile takes the file for this process; the system lets go of it however
// the process ends.
func lockFile(f *os.File) error {
	const all = ^uint32(0)
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, all, all, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}

// private has nothing to look at: modes say nothing on Windows.
func private(string) error { return nil }

// syncDir has nothing to do: NTFS journals its names, and directories cannot
// be forced to disk.
func syncDir(string) error { return nil }
