package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	// workSchema is where a restore prepares what is to come in place. What one
	// that was killed has left there is thrown away by the next.
	workSchema = "heimdraht_restoring"
	// formerSchema begins the name of the one in which the former tables are kept.
	formerSchema = "heimdraht_before_"
	// swapTime is how long a restore waits for somebody who still reads the former
	// tables.
	swapTime = "10s"
)

// ErrRights says that the database's user may not do what a restore needs.
var ErrRights = errors.New("the user of the database lacks rights")

// Replacement puts another database in the place of one on PostgreSQL. It needs
// no rights but those of the database's owner: the new tables are made in a schema
// of their own, and change places with the former ones in one transaction. Until
// that has been committed nothing of the former is touched; and a replacement that
// was killed leaves nothing that stands in anybody's way.
type Replacement struct {
	o    Options
	conn *pgx.Conn // holds the lock
	home string    // the schema in use
}

// Replace takes the database for this process alone. Errors are an InUseError, or
// wrap ErrUnreachable or what the server said. Close must follow.
func Replace(ctx context.Context, o Options) (*Replacement, error) {
	conn, err := connectTools(ctx, o, "heimdrahtd restore")
	if err != nil {
		return nil, err
	}
	r := &Replacement{o: o, conn: conn}
	r.o.Logger = slog.New(slog.DiscardHandler)
	r.o.schema = workSchema
	err = waitForOthers(ctx, func() error { return ownDatabase(ctx, conn) })
	if err == nil {
		err = conn.QueryRow(ctx, `select coalesce(current_schema(), '')`).Scan(&r.home)
	}
	if err == nil && (r.home == "" || r.home == workSchema) {
		err = fmt.Errorf("the database's search_path leads to %q, which is no schema for it", r.home)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return r, nil
}

// Occupied reports whether there is something to be replaced.
func (r *Replacement) Occupied(ctx context.Context) (bool, error) {
	tables, err := r.tables(ctx, r.home)
	return len(tables) > 0, err
}

func (r *Replacement) tables(ctx context.Context, schema string) ([]string, error) {
	list, err := tablesIn(ctx, r.conn, schema)
	if err != nil {
		return nil, fmt.Errorf("looking what is in the schema %s: %w", schema, err)
	}
	return list, nil
}

// Load makes what is to come in place out of a file that Dump wrote, and opens it.
// The tables are those of our own migrations; of the file, rows are taken and
// nothing else. content is what InspectDump said of it. Errors wrap ErrNoDatabase,
// ErrDamaged, ErrSchema or ErrRights, or are a ToolError.
func (r *Replacement) Load(ctx context.Context, path string, content Content) (*Store, error) {
	if err := r.exec(ctx, "drop schema if exists "+workSchema+" cascade", "create schema "+workSchema); err != nil {
		return nil, fmt.Errorf("making a schema for the new database: %w", rightsProblem(err))
	}
	if err := r.migrateTo(ctx, content.Schema); err != nil {
		return nil, fmt.Errorf("making the tables of the new database: %w", err)
	}
	if err := r.fill(ctx, path, content); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && (refused.Code[:2] == "22" || refused.Code[:2] == "23") { // data exception, integrity violation
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, fmt.Errorf("filling the new database: %w", err)
	}
	o := r.o
	o.Existing = true
	return Open(ctx, o)
}

func (r *Replacement) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := r.conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func rightsProblem(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42501" { // insufficient_privilege
		return fmt.Errorf("%w: %w", ErrRights, err)
	}
	return err
}

// migrateTo makes the tables as the program made them that wrote the backup.
func (r *Replacement) migrateTo(ctx context.Context, version int64) error {
	files, err := fs.Sub(migrations, "migrations/postgres")
	if err != nil {
		return err
	}
	config := r.conn.Config().Copy()
	config.RuntimeParams["search_path"] = workSchema
	db := stdlib.OpenDB(*config)
	p, err := goose.NewProvider(goose.DialectPostgres, db, files)
	if err == nil {
		if sources := p.ListSources(); version > sources[len(sources)-1].Version {
			err = fmt.Errorf("%w: the backup has version %d, this program knows %d: use the newer program", ErrSchema, version, sources[len(sources)-1].Version)
		} else {
			_, err = p.UpTo(ctx, version)
		}
	}
	return errors.Join(err, db.Close())
}

// fill takes the rows in. Foreign keys are set aside for that, since tables come
// in no order that they would allow, and hold again afterwards.
func (r *Replacement) fill(ctx context.Context, path string, content Content) error {
	tables, err := r.tables(ctx, workSchema)
	if err != nil {
		return err
	}
	if err := r.exec(ctx, "begin", "set local search_path = "+workSchema); err != nil {
		return err
	}
	keys, err := r.foreignKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := r.exec(ctx, "alter table "+k.table+" drop constraint "+k.name); err != nil {
			return err
		}
	}
	for _, table := range tables { // migrations put rows in some
		if err := r.exec(ctx, "delete from "+table); err != nil {
			return err
		}
	}
	filled := make(map[string]int64)
	if err := readArchive(ctx, path, func(t *tableRows) (err error) {
		filled[t.table], err = r.copyIn(ctx, t, tables)
		return err
	}); err != nil {
		return err
	}
	want := make(map[string]int64)
	for _, table := range tables {
		want[table] = content.rows[table]
	}
	if wrong := sameRows(want, filled); wrong != "" {
		return fmt.Errorf("%w: %s", ErrDamaged, wrong)
	}
	for _, k := range keys {
		if err := r.exec(ctx, "alter table "+k.table+" add constraint "+k.name+" "+k.definition); err != nil {
			return err
		}
	}
	return r.exec(ctx,
		// The one number that the database draws.
		"select setval(pg_get_serial_sequence('goose_db_version', 'id'), (select max(id) from goose_db_version))",
		"analyze "+strings.Join(tables, ", "), // or the first plans would walk whole tables
		"commit")
}

// copyIn takes in the rows of one table and tells how many. A table that no
// version of the program has is somebody else's, and stays where it is.
func (r *Replacement) copyIn(ctx context.Context, t *tableRows, tables []string) (int64, error) {
	if !slices.Contains(tables, t.table) {
		return 0, nil
	}
	columns := make([]string, len(t.columns))
	for i, c := range t.columns {
		columns[i] = pgx.Identifier{c}.Sanitize()
	}
	tag, err := r.conn.PgConn().CopyFrom(ctx, t, "copy "+pgx.Identifier{workSchema, t.table}.Sanitize()+" ("+strings.Join(columns, ", ")+") from stdin")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42703" { // undefined_column
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return tag.RowsAffected(), err
}

// foreignKey is a rule that rows refer to others that are there.
type foreignKey struct{ table, name, definition string }

func (r *Replacement) foreignKeys(ctx context.Context) ([]foreignKey, error) {
	rows, err := r.conn.Query(ctx, `select conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) from pg_constraint
		where contype = 'f' and connamespace = '`+workSchema+`'::regnamespace order by 1, 2`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k foreignKey, err error) {
		err = row.Scan(&k.table, &k.name, &k.definition)
		return k, err
	})
}

// Swap puts what Load made, which must have been closed, in the place of the
// former database, and tells in which schema that is kept; empty: there was none.
// After an error it is the former one still, unless the connection broke while it
// was being committed.
func (r *Replacement) Swap(ctx context.Context) (former string, err error) {
	began := false
	defer func() {
		if err != nil && began {
			_, _ = r.conn.Exec(context.WithoutCancel(ctx), "rollback") // without it, too, nothing is done
		}
		err = rightsProblem(err)
	}()
	came, err := r.tables(ctx, workSchema)
	if err != nil {
		return "", err
	}
	began = true
	if err := r.exec(ctx, "begin", "set local lock_timeout = '"+swapTime+"'"); err != nil {
		return "", err
	}
	went, err := r.tables(ctx, r.home)
	if err != nil {
		return "", err
	}
	if len(went) > 0 {
		former = formerSchema + strings.NewReplacer(".", "_").Replace(time.Now().UTC().Format("20060102_150405.000"))
		if err := r.exec(ctx, "create schema "+former); err != nil {
			return "", err
		}
	}
	// Schemas stay, tables move: `public` belongs to the server's administrator
	// before version 15, and what extensions have in it stays where it is.
	for _, move := range []struct {
		tables   []string
		from, to string
	}{{went, r.home, former}, {came, workSchema, r.home}} {
		for _, table := range move.tables {
			if err := r.exec(ctx, "alter table "+pgx.Identifier{move.from, table}.Sanitize()+" set schema "+pgx.Identifier{move.to}.Sanitize()); err != nil {
				return "", err
			}
		}
	}
	if err := r.exec(ctx, "drop schema "+workSchema, "commit"); err != nil {
		return "", err
	}
	return former, nil
}

// Close throws away what did not come in place, and lets others use the database.
func (r *Replacement) Close() error {
	ctx := context.Background()
	var err error
	if !r.conn.IsClosed() {
		// Of what failed in a transaction, the end.
		err = r.exec(ctx, "rollback", "drop schema if exists "+workSchema+" cascade")
	}
	return errors.Join(err, r.conn.Close(ctx))
}
