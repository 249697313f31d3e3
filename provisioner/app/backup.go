package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Backup is what was written.
type Backup struct {
	store.Content
	File string
	Took time.Duration
}

// sumSuffix is that of the file beside a backup which holds its checksum, as
// sha256sum reads it.
const sumSuffix = ".sha256"

// WriteBackup writes one consistent state of the database into a new file, or
// into a directory under a name that tells time and revision, while a control
// plane may run. The file is there, whole and looked through, or not at all, and
// takes the place of no other. say is told how much of how much is copied.
//
// The control plane's keys in it are sealed: without the master key file, which
// is not in it, nothing can be made of it.
func WriteBackup(ctx context.Context, c config.ControlPlane, to string, say func(done, total int)) (b Backup, err error) {
	began := time.Now()
	if err := databaseThere(c); err != nil {
		return b, err
	}
	use, err := useDatabase(c)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, unlock(use)) }()
	dir, name := filepath.Split(to)
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		dir, name = to, ""
	}
	if dir == "" {
		dir = "."
	}
	if name != "" {
		if _, err := os.Lstat(to); err == nil {
			return b, backupThere(to)
		}
	}
	part, err := os.CreateTemp(dir, ".heimdraht-backup-*") // mode 0600
	if err != nil {
		return b, &SetupError{Code: "backup-unwritable", What: "cannot write the backup", Next: "Name with --to a file or a directory whose directory is there and which the user that runs heimdrahtd may write into.", Err: err}
	}
	defer func() {
		if gone := os.Remove(part.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	if err := part.Close(); err != nil {
		return b, fmt.Errorf("making the backup's file: %w", err)
	}
	if b.Content, err = copyDatabase(ctx, c, part.Name(), say); err != nil {
		return b, backupFailed(ctx, err)
	}
	if name == "" {
		// By the millisecond: two backups of one second are two.
		name = fmt.Sprintf("heimdraht-%s-r%d.backup", began.UTC().Format("20060102T150405.000Z"), b.Revision)
	}
	b.File = filepath.Join(dir, name)
	if err := giveName(part.Name(), b.File); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return b, backupThere(b.File)
		}
		return b, backupFailed(ctx, err)
	}
	if err := writeSum(b.File, b.SHA256); err != nil {
		return b, backupFailed(ctx, err)
	}
	b.Took = time.Since(began)
	return b, nil
}

// copyDatabase writes one state of the database into a file, and reads that again
// from where it was written: what is not whole is no backup.
func copyDatabase(ctx context.Context, c config.ControlPlane, to string, say func(done, total int)) (store.Content, error) {
	if c.OnPostgres() {
		o, err := onServer(c)
		if err != nil {
			return store.Content{}, err
		}
		content, err := store.Dump(ctx, o, to, say)
		if errors.Is(err, store.ErrDamaged) {
			return content, err // it is what we have just written
		}
		return content, serverProblem(err)
	}
	if err := errors.Join(store.Copy(ctx, c.Database, to, say), syncFile(to)); err != nil {
		return store.Content{}, err
	}
	return store.Inspect(ctx, to)
}

func backupThere(file string) error {
	return &SetupError{Code: "file-there", What: file + " is there already, and a backup never overwrites a file", Next: "Name another file with --to, or a directory, in which each backup gets a name of its own."}
}

func backupFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &SetupError{Code: "interrupted", What: "the backup was interrupted, and nothing is left of it", Next: "Run the command again."}
	}
	var refused *SetupError
	if errors.As(err, &refused) {
		return refused
	}
	return &SetupError{Code: "backup-failed", What: "the backup could not be made", Next: "See that the disk is not full, and that the database is whole: heimdrahtd check", Err: err}
}

// giveName gives a file its name, if nothing has it.
func giveName(part, file string) error {
	// A link, unlike a rename, does not replace what is there.
	err := os.Link(part, file)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		// A file system without links.
		if _, missing := os.Lstat(file); !errors.Is(missing, fs.ErrNotExist) {
			return err
		}
		err = os.Rename(part, file)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// writeSum writes the checksum of a backup beside it. Whoever finds none can
// restore the backup nevertheless.
func writeSum(file, sum string) error {
	f, err := os.OpenFile(file+sumSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing the backup's checksum: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s  %s\n", sum, filepath.Base(file))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the backup's checksum: %w", err)
	}
	return syncDir(filepath.Dir(file))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
