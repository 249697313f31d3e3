package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

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

// RestoreBackup puts a backup in the place of the database, with everything
// taken that was taken since. Until all has been checked and prepared, nothing
// is touched; then one thing decides, a small file that is written at once, or on
// PostgreSQL a transaction. Killed before, the database is the former one; killed
// afterwards, it is the new one, which the next start (or RestoreBackup) puts in
// place to the end.
func RestoreBackup(ctx context.Context, c config.ControlPlane, r RestoreRequest) (done Restored, err error) {
	master, err := loadMaster(c.MasterKeyFile)
	if err != nil {
		return done, err
	}
	p, err := takePlace(ctx, c)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	occupied, err := p.occupied(ctx)
	if err != nil {
		return done, err
	}
	if occupied && !r.Replace {
		return done, &SetupError{Code: "database-there", What: "there is a database already: " + c.Database, Next: "If the backup is to take its place, add --replace: it is moved aside and kept."}
	}
	if done.Backup, err = readBackup(ctx, c, r.From); err != nil {
		return done, err
	}
	if err := prepare(ctx, c, r, master, p, &done); err != nil {
		return done, err
	}
	done.Former, err = p.swap(ctx)
	return done, err
}

// place is where the database is, on either engine. Its owner has it alone, until
// close gives it back and throws away what did not come in place.
type place interface {
	// occupied reports whether there is a database.
	occupied(context.Context) (bool, error)
	// load opens, beside the database, what a backup holds.
	load(ctx context.Context, file string, content store.Content) (*store.Store, error)
	// swap puts what was loaded, and closed since, in the place of the database. It
	// tells where the former one is kept; empty: there was none.
	swap(context.Context) (former string, err error)
	close() error
}

func takePlace(ctx context.Context, c config.ControlPlane) (place, error) {
	if c.OnPostgres() {
		return takeServer(ctx, c)
	}
	return takeFile(c)
}

// readBackup looks through the whole file.
func readBackup(ctx context.Context, c config.ControlPlane, file string) (store.Content, error) {
	inspect := store.Inspect
	if c.OnPostgres() {
		inspect = store.InspectDump
	}
	content, err := inspect(ctx, file)
	const another = "Take another backup."
	var tool *store.ToolError
	switch {
	case errors.As(err, &tool):
		return content, serverProblem(err)
	case errors.Is(err, fs.ErrNotExist):
		return content, &SetupError{Code: "backup-missing", What: "there is no backup " + file, Next: "Name with --from a file that heimdrahtd backup has written."}
	case errors.Is(err, store.ErrNoDatabase):
		return content, &SetupError{Code: "backup-foreign", What: file + " is no backup of a control plane", Next: "Name with --from a file that heimdrahtd backup has written, of a database of the same kind: SQLite's do not go to PostgreSQL, nor the other way.", Err: err}
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
func prepare(ctx context.Context, c config.ControlPlane, r RestoreRequest, master *keyring.MasterKey, p place, done *Restored) (err error) {
	s, err := p.load(ctx, r.From, done.Backup)
	if errors.Is(err, store.ErrSchema) {
		return &SetupError{Code: "database-version", What: "cannot use the backup", Next: "Use the version of heimdrahtd that wrote it, or a newer one.", Err: err}
	}
	if err != nil {
		return err
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
	return errors.Join(err, s.Close())
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
