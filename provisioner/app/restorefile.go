package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Files of a restore beside the database.
const (
	workSuffix   = ".restoring" // what is being made
	intentSuffix = ".restore"   // it is made, and comes in place whatever happens
)

// filePlace is that of an SQLite database.
type filePlace struct {
	c     config.ControlPlane
	locks []*os.File
}

func takeFile(c config.ControlPlane) (_ *filePlace, err error) {
	if err := writable(filepath.Dir(c.Database)); err != nil {
		return nil, err
	}
	p := &filePlace{c: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.unlock())
		}
	}()
	for _, lock := range []func(config.ControlPlane) (*os.File, error){lockDatabase, ownDatabase} {
		held, err := lock(c)
		if err != nil {
			return nil, err
		}
		p.locks = append(p.locks, held)
	}
	return p, finishRestore(c)
}

func (p *filePlace) unlock() error {
	var errs []error
	for _, f := range p.locks {
		errs = append(errs, unlock(f))
	}
	return errors.Join(errs...)
}

func (p *filePlace) occupied(context.Context) (bool, error) { return exists(p.c.Database), nil }

func (p *filePlace) work() string { return p.c.Database + workSuffix }

func (p *filePlace) load(ctx context.Context, file string, _ store.Content) (*store.Store, error) {
	if err := copyFile(file, p.work()); err != nil {
		return nil, &SetupError{Code: "restore-failed", What: "the backup could not be copied", Next: "See that the disk of " + p.c.Database + " is not full.", Err: err}
	}
	s, err := store.Open(ctx, store.Options{Database: p.work(), Existing: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("opening the copy of the backup: %w", err)
	}
	return s, nil
}

func (p *filePlace) swap(ctx context.Context) (former string, err error) {
	if exists(p.work() + "-wal") {
		return "", errors.New("the new database was not written to its end: a write-ahead log is left")
	}
	if _, err := store.Inspect(ctx, p.work()); err != nil {
		return "", fmt.Errorf("looking through the new database: %w", err)
	}
	if err := syncFile(p.work()); err != nil {
		return "", err
	}
	return putInPlace(p.c)
}

func (p *filePlace) close() (err error) {
	defer func() { err = errors.Join(err, p.unlock()) }() // last
	if exists(p.c.Database + intentSuffix) {
		return nil // it is decided, and the next start goes on
	}
	for _, suffix := range sqliteSuffixes() {
		if gone := os.Remove(p.work() + suffix); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// copyFile copies a file into one that nobody else can read.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// sqliteSuffixes are those of the files that make up a database.
func sqliteSuffixes() []string { return []string{"", "-wal", "-shm"} }

// putInPlace decides, and does what was decided. It tells where the former
// database lies now.
func putInPlace(c config.ControlPlane) (former string, err error) {
	former = c.Database + ".before-" + time.Now().UTC().Format("20060102T150405.000Z")
	intent := c.Database + intentSuffix
	f, err := os.CreateTemp(filepath.Dir(intent), ".restore-*")
	if err != nil {
		return "", fmt.Errorf("deciding the restore: %w", err)
	}
	_, err = f.WriteString(former)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("deciding the restore: %w", errors.Join(err, os.Remove(f.Name())))
	}
	// Of the files that are there by now, the names must be on disk as well.
	if err := syncDir(filepath.Dir(intent)); err != nil {
		return "", fmt.Errorf("deciding the restore: %w", err)
	}
	if err := os.Rename(f.Name(), intent); err != nil {
		return "", fmt.Errorf("deciding the restore: %w", err)
	}
	if err := finishRestore(c); err != nil {
		return "", err
	}
	if !exists(former) {
		former = ""
	}
	return former, nil
}

// finishRestore does what a restore has decided, if one has: each step of it may
// have been done already. The database's lock must be held.
func finishRestore(c config.ControlPlane) error {
	if c.OnPostgres() {
		return nil // there, all of it is one transaction
	}
	intent, work, dir := c.Database+intentSuffix, c.Database+workSuffix, filepath.Dir(c.Database)
	content, err := os.ReadFile(intent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading what a restore has decided: %w", err)
	}
	// Only now: nothing may be moved for a decision that a power loss takes back.
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("finishing a restore: %w", err)
	}
	// As long as the new one has another name, what has the database's name is the
	// former one. Its log goes with it: it must not be taken for the new one's.
	if exists(work) {
		for _, suffix := range sqliteSuffixes() {
			err := os.Rename(c.Database+suffix, string(content)+suffix)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("moving the former database aside: %w", err)
			}
		}
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("moving the former database aside: %w", err)
		}
		if err := os.Rename(work, c.Database); err != nil {
			return fmt.Errorf("putting the new database in its place: %w", err)
		}
	}
	if err := errors.Join(syncDir(dir), os.Remove(intent), syncDir(dir)); err != nil {
		return fmt.Errorf("finishing a restore: %w", err)
	}
	return nil
}

// noRestoreUnfinished refuses a database in whose place another one is to come.
func noRestoreUnfinished(c config.ControlPlane) error {
	if c.OnPostgres() || !exists(c.Database+intentSuffix) {
		return nil
	}
	return &SetupError{Code: "restore-unfinished", What: "a restore of " + c.Database + " was interrupted when all was decided", Next: "Start heimdrahtd, or run heimdrahtd restore again: both finish it."}
}
