package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	sqlitedriver "modernc.org/sqlite"
)

// ErrDamaged says that a file is no whole database.
var ErrDamaged = errors.New("the database is damaged")

// ErrNoDatabase says that a file is no database of a control plane.
var ErrNoDatabase = errors.New("this is no database of a control plane")

// Content is what a file holds that Copy or Dump wrote.
type Content struct {
	Position
	Schema int64     // version of the schema
	Last   time.Time // of the last record of the audit log; zero: there is none
	Size   int64     // bytes
	SHA256 string    // of the whole file, in hexadecimal digits

	rows map[string]int64 // in each table; of PostgreSQL's only
}

// pagesAtOnce is how much is copied before it is forced to disk: 1 MB. If all of
// it went out at the end, the control plane's own writes to the same disk would
// wait behind it for a second.
const pagesAtOnce = 256

// Copy writes one consistent state of a database into a file that is there,
// empty, while a control plane goes on writing: in WAL mode a reader stands in
// no writer's way. (The write-ahead log cannot be begun anew meanwhile, and
// grows by what is written.) say is told how many of how many pages are done.
func Copy(ctx context.Context, path, to string, say func(done, total int)) (err error) {
	db, err := openFile(ctx, path, lockTime, 1, "query_only(ON)")
	if err != nil {
		return fmt.Errorf("opening the database %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("opening the database %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// The transaction holds one state for all steps. Without it the copy would
	// begin anew with each write of the control plane, and might never end.
	if _, err := conn.ExecContext(ctx, "begin"); err != nil {
		return fmt.Errorf("beginning to read %s: %w", path, err)
	}
	defer func() {
		_, undo := conn.ExecContext(context.WithoutCancel(ctx), "rollback")
		err = errors.Join(err, undo)
	}()
	var n int64
	if err := conn.QueryRowContext(ctx, "select count(*) from allocation").Scan(&n); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if err := conn.Raw(func(c any) error { return copyPages(ctx, c, to, say) }); err != nil {
		return fmt.Errorf("copying the database: %w", err)
	}
	return plain(ctx, to)
}

func copyPages(ctx context.Context, from any, to string, say func(done, total int)) (err error) {
	source, ok := from.(interface {
		NewBackup(dstURI string) (*sqlitedriver.Backup, error)
	})
	if !ok {
		return fmt.Errorf("the driver's connection is a %T, which copies nothing", from)
	}
	file, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	// No journal and a small cache: a copy that was interrupted is thrown away.
	b, err := source.NewBackup(fileURI(to) + "?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=cache_size(-512)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Finish()) }()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err = b.Step(pagesAtOnce); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
		total := b.PageCount()
		say(total-b.Remaining(), total)
	}
	return nil
}

// plain makes a database one file that leaves nothing beside it when it is read.
func plain(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", fileURI(path)+"?_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	var mode string
	err = errors.Join(db.QueryRowContext(ctx, "pragma journal_mode=delete").Scan(&mode), db.Close())
	if err == nil && mode != "delete" {
		err = fmt.Errorf("its journal mode stays %q", mode)
	}
	if err != nil {
		return fmt.Errorf("ending the copy: %w", err)
	}
	return nil
}

func fileURI(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// Inspect reads a whole file that Copy wrote, which nobody may be writing, and
// changes nothing. Errors wrap ErrNoDatabase, ErrDamaged or ErrSchema.
func Inspect(ctx context.Context, path string) (c Content, err error) {
	if c.Size, c.SHA256, err = digest(path); err != nil {
		return c, err
	}
	db, err := sql.Open("sqlite", fileURI(path)+"?mode=ro&immutable=1&_pragma=cache_size(-32000)")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var said string
	if err := db.QueryRowContext(ctx, "pragma integrity_check(1)").Scan(&said); err != nil {
		if ctx.Err() != nil {
			return c, err
		}
		return c, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	if said != "ok" {
		return c, fmt.Errorf("%s: %w: %s", path, ErrDamaged, said)
	}
	// Only what every version of the schema has.
	var horizon, last int64
	err = errors.Join(
		db.QueryRowContext(ctx, "select max(version_id) from goose_db_version where is_applied").Scan(&c.Schema),
		db.QueryRowContext(ctx, "select epoch, revision, horizon, instance from allocation").Scan(&c.Epoch, &c.Revision, &horizon, &c.Instance),
		db.QueryRowContext(ctx, "select coalesce(max(at), 0) from audit").Scan(&last),
	)
	if err != nil {
		return c, fmt.Errorf("%s: %w: %w", path, ErrNoDatabase, err)
	}
	if c.Schema >= schemaChains {
		var ofTenants int64
		if err := db.QueryRowContext(ctx, "select coalesce(max(at), 0) from audit_record").Scan(&ofTenants); err != nil {
			return c, fmt.Errorf("%s: %w: %w", path, ErrNoDatabase, err)
		}
		last = max(last, ofTenants)
	}
	c.Horizon, c.Last = horizon, at(last)
	if err := foreignKeys(ctx, db); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// foreignKeys looks for rows that refer to what is not there.
func foreignKeys(ctx context.Context, db *sql.DB) (err error) {
	rows, err := db.QueryContext(ctx, "pragma foreign_key_check") //nolint:sqlclosecheck // closing does
	if err != nil {
		return err
	}
	defer closing(rows, &err)
	if rows.Next() {
		return fmt.Errorf("%w: rows refer to others that are missing", ErrDamaged)
	}
	return rows.Err()
}

func digest(path string) (size int64, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	hash := sha256.New()
	if size, err = io.Copy(hash, f); err != nil {
		return 0, "", fmt.Errorf("reading %s: %w", path, err)
	}
	return size, hex.EncodeToString(hash.Sum(nil)), nil
}
