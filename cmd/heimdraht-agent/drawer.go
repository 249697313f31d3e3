package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/heimdraht/heimdraht/agent/endpoint"
	"github.com/heimdraht/heimdraht/agent/state"
)

// On a laptop that several share the state directory has a folder for each account, accounts/NUMBER, on Windows accounts/SID.
// What lay in the state directory itself before stays there, and is its owner's; so the laptop can become one account's again.
const (
	accountsDir = "accounts"
	// accountFile is the name under which a folder keeps whose it is.
	accountFile = "account"
)

// savedAccount says whose a folder is.
type savedAccount struct {
	savedOwner

	// Name is by which the system knew the account. A number may be given to somebody else after an account was removed.
	Name string `json:"name"`
	// Missing is since when the system knows no such account. Zero: it does.
	Missing time.Time `json:"missing,omitzero"`
}

// drawer keeps what is one account's. It is made on disk when there is something to keep. It implements control.Store.
type drawer struct {
	path string
	// room holds a token for each that is made.
	room chan struct{}
	// whole is the state directory itself: what is removed is what lies in it.
	whole bool

	mu   sync.Mutex
	of   savedAccount
	dir  *state.Dir // nil: not made, or let go of
	over bool       // it is not to be made any more
}

// openDrawer opens one that was made, if it is that of the account by which it is called.
func openDrawer(path string, room chan struct{}) (*drawer, error) {
	dir, err := state.Open(path)
	if err != nil {
		return nil, err
	}
	d := &drawer{path: path, room: room, dir: dir}
	err = dir.Load(accountFile, &d.of)
	if err == nil && string(d.of.account()) != filepath.Base(path) {
		err = errors.New("it is that of another account")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("looking whose %s is: %w", path, err), dir.Close())
	}
	d.hold()
	return d, nil
}

// hold takes room for one more, if there is.
func (d *drawer) hold() bool {
	select {
	case d.room <- struct{}{}:
		return true
	default:
		return false
	}
}

// name is by which the system knew the account.
func (d *drawer) name() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of.Name
}

// isOf says whether it is that of the account whom the system calls so. Of the state directory itself nobody has noted the name
// as long as the laptop was one account's.
func (d *drawer) isOf(name string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.whole && d.of.Name == "" && name != "" {
		d.of.Name = name
		return true, d.dir.Save(ownerFile, d.of)
	}
	return d.of.Name == name, nil
}

// Path implements what endpoints ask of a store that lies somewhere.
func (d *drawer) Path() string { return d.path }

// Save implements control.Store.
func (d *drawer) Save(name string, value any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.make(); err != nil {
		return err
	}
	return d.dir.Save(name, value)
}

// make makes the folder. Whose it is stands in it before all else. The caller holds the lock.
func (d *drawer) make() error {
	switch {
	case d.over:
		return fmt.Errorf("keeping what is of an account that is gone: %w", fs.ErrClosed)
	case d.dir != nil:
		return nil
	case !d.hold():
		return laptopFull()
	}
	var dir *state.Dir
	err := os.RemoveAll(d.path) // what was not opened is not hers, whatever the number
	if err == nil {
		dir, err = state.Open(d.path)
	}
	if err == nil {
		if err = dir.Save(accountFile, d.of); err == nil {
			d.dir = dir
			return nil
		}
		err = errors.Join(err, dir.Close())
	}
	<-d.room
	return err
}

// Load implements control.Store.
func (d *drawer) Load(name string, value any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dir == nil {
		return fmt.Errorf("reading %s: %w", name, fs.ErrNotExist)
	}
	return d.dir.Load(name, value)
}

// Remove implements control.Store.
func (d *drawer) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dir == nil {
		return nil
	}
	return d.dir.Remove(name)
}

// made says whether anything lies on disk.
func (d *drawer) made() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dir != nil
}

// miss notes since when the system knows no such account. Zero: it does.
func (d *drawer) miss(since time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dir == nil || d.of.Missing.Equal(since) {
		return nil
	}
	d.of.Missing = since
	return d.dir.Save(d.file(), d.of)
}

// file is where it stands whose it is.
func (d *drawer) file() string {
	if d.whole {
		return ownerFile
	}
	return accountFile
}

// missing is since when the system knows no such account. Zero: it does.
func (d *drawer) missing() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of.Missing
}

// close lets go of the folder, for good: who comes late finds it neither empty nor open.
func (d *drawer) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.whole {
		return nil
	}
	d.over = true
	if d.dir == nil {
		return nil
	}
	dir := d.dir
	d.dir = nil
	return dir.Close()
}

// discard removes all that is kept, for good, keys before all else. Nothing is revoked by that.
func (d *drawer) discard() error {
	made := d.made()
	d.mu.Lock()
	d.over = true
	d.mu.Unlock()
	if !made {
		return nil
	}
	err := endpoint.Forget(d)
	if d.whole {
		return errors.Join(err, d.Remove(ownerFile))
	}
	err = errors.Join(err, d.close(), os.RemoveAll(d.path))
	select {
	case <-d.room:
	default: // there were more than there is room for
	}
	return err
}

// isAccountDir says whether a folder can be that of an account.
func isAccountDir(name string) bool {
	number := strings.TrimPrefix(name, "S-1-")
	return number != "" && len(name) <= 200 && strings.Trim(number, "0123456789-") == "" && (number != name || strings.Trim(name, "0123456789") == "")
}
