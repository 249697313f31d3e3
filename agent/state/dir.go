package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	lockName   = "lock"
	tempPrefix = ".new-"
)

// Dir is an open state directory. Its methods are safe for concurrent use;
// of two that save the same name at the same time, one wins.
type Dir struct {
	path string
	lock *os.File
}

// notPrivate is the error of a directory into which others can look.
type notPrivate struct{ path, why, mend string }

// Error says what is wrong, and how to put it right.
func (e *notPrivate) Error() string {
	return "the state directory " + e.path + " is " + ErrNotPrivate.Error() + ": " + e.why + "; run: " + e.mend
}

// Unwrap makes it ErrNotPrivate.
func (*notPrivate) Unwrap() error { return ErrNotPrivate }

// Mend is the command that puts it right, for messages in other languages.
func (e *notPrivate) Mend() string { return e.mend }

// Open opens the directory, makes it with mode 0700 if it is not there, and
// takes it for this process. Its errors wrap ErrInUse, ErrUnwritable and
// ErrNotPrivate, and say what to do.
func Open(path string) (*Dir, error) {
	d := &Dir{path: path}
	if err := makeDir(path); err != nil {
		return nil, unwritable(path, err)
	}
	if err := private(path); err != nil {
		return nil, err
	}
	if err := d.take(); err != nil {
		return nil, err
	}
	if err := d.removeLeftovers(); err != nil {
		d.lock.Close()
		return nil, unwritable(path, err)
	}
	return d, nil
}

// unwritable names the cause without the paths of temporary files in it.
func unwritable(path string, cause error) error {
	var pathErr *fs.PathError
	if errors.As(cause, &pathErr) {
		cause = pathErr.Err
	}
	return fmt.Errorf("the state directory %s %w (%w): give it to the user this program runs as, with mode 0700, on a disk with room", path, ErrUnwritable, cause)
}

func (d *Dir) take() error {
	f, err := os.OpenFile(filepath.Join(d.path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return unwritable(d.path, err)
	}
	if err := lockFile(f); err != nil {
		f.Close()
		if errors.Is(err, errLocked) {
			return fmt.Errorf("the state directory %s is %w: only one agent can run on it", d.path, ErrInUse)
		}
		return fmt.Errorf("locking the state directory %s: %w", d.path, err)
	}
	d.lock = f
	return nil
}

// removeLeftovers removes the new files of writes that were interrupted, and
// finds out whether files can be made at all.
func (d *Dir) removeLeftovers() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			if err := os.Remove(filepath.Join(d.path, e.Name())); err != nil {
				return err
			}
		}
	}
	f, err := os.CreateTemp(d.path, tempPrefix)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Path is where the directory lies.
func (d *Dir) Path() string { return d.path }

// Close lets go of the directory, so that another process can take it.
// Journals are to be closed before; nothing may be called afterwards.
func (d *Dir) Close() error {
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("letting go of the state directory %s: %w", d.path, err)
	}
	return nil
}

// file gives the path of a name, which consists of lower-case letters, digits
// and hyphens: it can lead nowhere else, and means the same on every system.
func file(dir, name, suffix string) (string, error) {
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", fmt.Errorf("the name %q is no name of a state file", name)
	}
	return filepath.Join(dir, name+suffix), nil
}

// replace writes a file whole: a new one beside it, forced to disk, takes its
// name, and the directory is forced to disk as well. fill writes the content.
// placed tells whether the new file has the name, which it can have also after
// an error: nobody knows then which of the two a power loss would leave.
func (d *Dir) replace(path string, fill func(*os.File) error) (placed bool, err error) {
	f, err := os.CreateTemp(d.path, tempPrefix) // mode 0600
	if err != nil {
		return false, unwritable(d.path, err)
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		if removing := os.Remove(f.Name()); removing != nil {
			err = errors.Join(err, removing)
		}
		return false, unwritable(d.path, err)
	}
	return true, d.sync()
}

// sync forces the directory's names to disk.
func (d *Dir) sync() error {
	if err := syncDir(d.path); err != nil {
		return unwritable(d.path, err)
	}
	return nil
}
