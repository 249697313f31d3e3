package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/heimdraht/heimdraht/agent/state"
)

// asOwner does something as the user whose directory it is. Root joins and clears, and the service runs as a user of its
// own: what root left there the service could not read, and what lies there is not root's to trust.
func asOwner(dir string, do func() error) (err error) {
	uid, gid, err := ownerOf(dir)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 || uid == 0 {
		return do()
	}
	if err := syscall.Setegid(gid); err != nil {
		return fmt.Errorf("becoming the owner of %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, syscall.Setegid(0)) }()
	if err := syscall.Seteuid(uid); err != nil {
		return fmt.Errorf("becoming the owner of %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, syscall.Seteuid(0)) }() // the first of the two: only root may
	return do()
}

// ownerOf is whose a directory is. One that is not there yet becomes ours.
func ownerOf(dir string) (uid, gid int, err error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Geteuid(), os.Getegid(), nil
	}
	if err != nil {
		return 0, 0, unreadable(dir, err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return os.Geteuid(), os.Getegid(), nil
	}
	return int(owner.Uid), int(owner.Gid), nil
}

// openAsOwner takes the state directory, in the name of its owner.
func openAsOwner(path string) (dir *state.Dir, err error) {
	err = asOwner(path, func() (err error) {
		dir, err = openState(path)
		return err
	})
	return dir, err
}
