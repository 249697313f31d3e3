package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/config"
)

// errHeld says that another process holds a lock.
var errHeld = errors.New("another process holds the lock")

// lockDatabase keeps a second control plane from the same database: each would
// wake only its own streams, judge leases by its own start and say of the other's
// gateways that they are not connected. The kernel gives the lock back however
// the process ends; the file stays, because to remove it would let two processes
// hold locks on two files of one name. Commands that only look, or make a token,
// do not take it. On PostgreSQL control planes know of each other: there is no
// lock, and nil to close.
func lockDatabase(c config.ControlPlane) (*os.File, error) {
	if c.OnPostgres() {
		return nil, nil
	}
	name := c.Database + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if readOnly := diskReadOnly(filepath.Dir(name), err); readOnly != nil {
		return nil, readOnly
	}
	if err != nil {
		return nil, &SetupError{Code: "lock-unusable", What: "cannot lock the database", Next: "Give " + name + " to the user that runs heimdrahtd (chown).", Err: err}
	}
	if err := tryLock(f); err != nil {
		e := &SetupError{Code: "lock-unusable", What: "cannot lock the database", Next: "Keep the database on a disk of this machine: files on the network cannot be locked reliably.", Err: err}
		if errors.Is(err, errHeld) {
			e = &SetupError{
				Code: "database-in-use",
				What: "another heimdrahtd " + holderOf(f) + "runs on " + c.Database,
				Next: "Stop it first (systemctl stop heimdrahtd); heimdrahtd check and heimdrahtd operator-token work beside it.",
			}
		}
		return nil, errors.Join(e, f.Close())
	}
	// For people who want to know who holds it; nothing depends on it.
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return nil, errors.Join(fmt.Errorf("writing %s: %w", name, err), f.Close())
	}
	return f, nil
}

// useDatabase is for commands that use the database beside a control plane: as
// long as one of them does, none is put in its place. SQLite tidies up by names,
// so that who still has the former one open would damage the new one. On PostgreSQL
// there is nothing to lock, and nil to close.
func useDatabase(c config.ControlPlane) (*os.File, error) {
	if c.OnPostgres() {
		return nil, nil
	}
	f, err := openUse(c)
	if err != nil {
		return nil, err
	}
	if err := tryShare(f); err != nil {
		e := &SetupError{Code: "lock-unusable", What: "cannot lock the database", Next: "Keep the database on a disk of this machine: files on the network cannot be locked reliably.", Err: err}
		if errors.Is(err, errHeld) {
			e = &SetupError{Code: "database-in-use", What: "a restore is putting another database in the place of " + c.Database, Next: "Wait until it has ended."}
		}
		return nil, errors.Join(e, f.Close())
	}
	return f, nil
}

// ownDatabase is useDatabase for the one who puts another database in place: it
// needs the other lock too.
func ownDatabase(c config.ControlPlane) (*os.File, error) {
	if c.OnPostgres() {
		return nil, nil
	}
	f, err := openUse(c)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		e := &SetupError{Code: "lock-unusable", What: "cannot lock the database", Next: "Keep the database on a disk of this machine: files on the network cannot be locked reliably.", Err: err}
		if errors.Is(err, errHeld) {
			e = &SetupError{Code: "database-in-use", What: "another command (check, operator-token, backup or rollover) is using " + c.Database, Next: "Wait until it has ended, and begin again."}
		}
		return nil, errors.Join(e, f.Close())
	}
	return f, nil
}

// unlock gives a lock back; nil is none.
func unlock(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

func openUse(c config.ControlPlane) (*os.File, error) {
	name := c.Database + ".use"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if readOnly := diskReadOnly(filepath.Dir(name), err); readOnly != nil {
		return nil, readOnly
	}
	if err != nil {
		return nil, &SetupError{Code: "lock-unusable", What: "cannot lock the database", Next: "Give " + name + " to the user that runs heimdrahtd (chown).", Err: err}
	}
	return f, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// holderOf names the process that holds a lock as far as it can be read, with a
// space behind it.
func holderOf(f *os.File) string {
	content, err := io.ReadAll(io.LimitReader(f, 32))
	pid, number := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || number != nil {
		return ""
	}
	return fmt.Sprintf("(process %d) ", pid)
}
