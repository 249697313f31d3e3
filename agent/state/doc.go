// Package state keeps what an agent must not forget on disk: small private
// values (keys, certificates) and an append-only journal.
//
// What always holds:
//
//   - Only the agent's own user can read it: the directory has mode 0700 and
//     every file 0600. A directory that others may enter is refused, not
//     silently repaired: what lay in it may have been read.
//   - What Save, Append or Compact have answered is on disk and survives
//     kill -9 and power loss; what they were interrupted in is there wholly or
//     not at all, and never takes earlier things with it.
//   - A file that was damaged otherwise is reported (ErrDamaged), never read
//     as if it were shorter.
//   - One process at a time has the directory open.
//
// On Windows the directory's access list stands in for the modes: the system,
// administrators and, where it is none of both, the agent's own user.
//
// What the values and records mean is not its business.
package state

import "errors"

// What can be wrong with a state directory or a file in it. A value that was
// never saved is fs.ErrNotExist.
var (
	// ErrInUse says that another process has the directory open.
	ErrInUse = errors.New("in use by another process")
	// ErrUnwritable says that nothing can be kept there.
	ErrUnwritable = errors.New("cannot be written")
	// ErrNotPrivate says that other users may look into it or own it.
	ErrNotPrivate = errors.New("not private")
	// ErrDamaged says that a file is not as it was written.
	ErrDamaged = errors.New("damaged")
	// ErrOtherVersion says that a file was written in a format that this
	// program does not know: it is older than the one that wrote it.
	ErrOtherVersion = errors.New("written by another version of this program")
)
