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
	"strings"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/journal"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// RestoreRequest says which backup to put in place of the database.
type RestoreRequest struct {
	From     string
	Journals []string // files and directories; empty: where this control plane writes its own
	// Replace allows that there is a database; it is moved aside and kept.
	Replace bool
	// AcceptLost goes on although something may come back that was taken.
	AcceptLost bool
}

// Restored is what became of a backup.
type Restored struct {
	Backup  store.Content
	Became  store.Position // of the database in place
	Former  string         // where the database before lies now; empty: there was none
	Doubts  []string       // why something may have come back that was taken
	Replay  Replay
	Journal []string // files that were read
}

// Files of a restore beside the database.
const (
	workSuffix   = ".restoring" // what is being made
	intentSuffix = ".restore"   // it is made, and comes in place whatever happens
)

// RestoreBackup puts a backup in the place of the database, with everything
// taken that was taken since. Until all has been checked and prepared, nothing
// is touched; then one small file, written at once, decides: killed before, the
// database is the former one, killed afterwards, the next start (or RestoreBackup)
// goes on to the end.
func RestoreBackup(ctx context.Context, c config.ControlPlane, r RestoreRequest) (done Restored, err error) {
	if c.OnPostgres() {
		return done, &SetupError{
			Code: "restore-on-server", What: "the database is on PostgreSQL, and this command restores SQLite's only",
			Next: "Put it back with the server's own tools (pg_restore), and then revoke by hand what was revoked after the backup: nothing takes it again by itself.",
		}
	}
	if err := writable(filepath.Dir(c.Database)); err != nil {
		return done, err
	}
	master, err := loadMaster(c.MasterKeyFile)
	if err != nil {
		return done, err
	}
	for _, lock := range []func(config.ControlPlane) (*os.File, error){lockDatabase, ownDatabase} {
		held, refused := lock(c)
		if refused != nil {
			return done, refused
		}
		defer func() { err = errors.Join(err, unlock(held)) }()
	}
	if err := finishRestore(c); err != nil {
		return done, err
	}
	if _, err := os.Lstat(c.Database); err == nil && !r.Replace {
		return done, &SetupError{Code: "database-there", What: "there is a database already: " + c.Database, Next: "If the backup is to take its place, add --replace: it is moved aside and kept."}
	}
	if done.Backup, err = readBackup(ctx, r.From); err != nil {
		return done, err
	}
	work := c.Database + workSuffix
	defer func() {
		if exists(c.Database + intentSuffix) {
			return // it is decided, and the next start goes on
		}
		for _, suffix := range sqliteSuffixes() {
			if gone := os.Remove(work + suffix); !errors.Is(gone, fs.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
	}()
	if err := copyFile(r.From, work); err != nil {
		return done, &SetupError{Code: "restore-failed", What: "the backup could not be copied", Next: "See that the disk of " + c.Database + " is not full.", Err: err}
	}
	if err := prepare(ctx, c, r, master, work, &done); err != nil {
		return done, err
	}
	done.Former, err = putInPlace(c)
	return done, err
}

// readBackup looks through the whole file.
func readBackup(ctx context.Context, file string) (store.Content, error) {
	content, err := store.Inspect(ctx, file)
	const another = "Take another backup."
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return content, &SetupError{Code: "backup-missing", What: "there is no backup " + file, Next: "Name with --from a file that heimdrahtd backup has written."}
	case errors.Is(err, store.ErrNoDatabase):
		return content, &SetupError{Code: "backup-foreign", What: file + " is no backup of a control plane", Next: "Name with --from a file that heimdrahtd backup has written.", Err: err}
	case errors.Is(err, store.ErrDamaged):
		return content, &SetupError{Code: "backup-damaged", What: "the backup is damaged", Next: another, Err: err}
	case err != nil:
		return content, &SetupError{Code: "backup-unreadable", What: "the backup cannot be read", Next: "Give it to the user that runs heimdrahtd (chown), and see that its disk is well.", Err: err}
	}
	sum, err := os.ReadFile(file + sumSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return content, nil
	}
	if err != nil {
		return content, fmt.Errorf("reading the backup's checksum: %w", err)
	}
	if want, _, _ := strings.Cut(string(sum), " "); want != content.SHA256 {
		return content, &SetupError{Code: "backup-damaged", What: "the backup is not what was written: its SHA-256 is " + content.SHA256 + ", and " + file + sumSuffix + " says otherwise", Next: another}
	}
	return content, nil
}

// prepare makes of a copy of the backup the database that is to be.
func prepare(ctx context.Context, c config.ControlPlane, r RestoreRequest, master *keyring.MasterKey, work string, done *Restored) (err error) {
	s, err := store.Open(ctx, store.Options{Database: work, Existing: true, Logger: slog.New(slog.DiscardHandler)})
	if errors.Is(err, store.ErrSchema) {
		return &SetupError{Code: "database-version", What: "cannot use the backup", Next: "Use the version of heimdrahtd that wrote it, or a newer one.", Err: err}
	}
	if err != nil {
		return fmt.Errorf("opening the copy of the backup: %w", err)
	}
	err = func() error {
		if _, err := openKeys(ctx, s, master); err != nil {
			return err
		}
		taken, err := readJournals(ctx, c, r, s, done)
		if err != nil {
			return err
		}
		done.Replay, err = replay(ctx, s, master, taken, done.Backup)
		if err != nil {
			return err
		}
		done.Became, err = store.Read(ctx, s, (*store.Reader).Position)
		return err
	}()
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	if _, err := os.Lstat(work + "-wal"); err == nil {
		return errors.New("the new database was not written to its end: a write-ahead log is left")
	}
	if _, err := store.Inspect(ctx, work); err != nil {
		return fmt.Errorf("looking through the new database: %w", err)
	}
	return syncFile(work)
}

// readJournals finds what was taken that the backup does not know.
func readJournals(ctx context.Context, c config.ControlPlane, r RestoreRequest, s *store.Store, done *Restored) (journal.Taken, error) {
	places := r.Journals
	if len(places) == 0 {
		if dir := journalDir(c); exists(dir) {
			places = []string{dir}
		}
	}
	files, err := journal.ReadAll(places)
	if err != nil {
		return journal.Taken{}, &SetupError{Code: "journal-unreadable", What: "the journal of what was taken cannot be read", Next: "Name with --journal where it lies, file or directory; give it to the user that runs heimdrahtd (chown).", Err: err}
	}
	known, err := store.Read(ctx, s, (*store.Reader).KnownEpochs)
	if err != nil {
		return journal.Taken{}, fmt.Errorf("reading the epochs that the backup knows: %w", err)
	}
	for _, f := range files {
		done.Journal = append(done.Journal, f.Path)
	}
	taken := journal.Since(files, done.Backup.Instance, done.Backup.Epoch, known)
	done.Doubts = taken.Doubts
	if len(done.Doubts) > 0 && !r.AcceptLost {
		return taken, &SetupError{
			Code: "journal-incomplete",
			What: "laptops that were revoked after the backup might come back: " + strings.Join(done.Doubts, "; "),
			Next: "Name further journals with --journal (every replica writes one), or take a newer backup. If there are none: --accept-lost-revocations, and then go through what the helpdesk revoked since " + done.Backup.Last.Format("2006-01-02 15:04") + " UTC.",
		}
	}
	return taken, nil
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
		return nil
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
