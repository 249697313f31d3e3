package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ErrUnreachable says that the database's server cannot be reached, or does not let
// us in.
var ErrUnreachable = errors.New("the database's server cannot be reached")

// Dump has pg_dump write one consistent state of a database on PostgreSQL into a
// file that is there, empty, while control planes go on writing; then it reads the
// file from its beginning to its end. Content is what was read: the position and
// the number of rows in each table are held against the database's own at that
// state. say is told how many kilobytes of the tables are done.
//
// Errors are a ToolError, ErrEmpty, ErrNoDatabase, ErrRestoring,
// ErrUnreachable, or wrap what the server said.
func Dump(ctx context.Context, o Options, to string, say func(done, total int)) (c Content, err error) {
	t, err := findTool(ctx, "pg_dump", toolPlaces())
	if err != nil {
		return c, err
	}
	conn, err := connectTools(ctx, o, "heimdrahtd backup")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := t.newEnough(conn); err != nil {
		return c, err
	}
	if err := waitForOthers(ctx, func() error { return shareDatabase(ctx, conn) }); err != nil {
		return c, err
	}
	// What is said is what is in it: pg_dump reads the very state of this
	// transaction, which must be open until it has begun.
	s, err := takeSnapshot(ctx, conn)
	if err != nil {
		return c, fmt.Errorf("reading the database: %w", err)
	}
	if err := t.dump(ctx, o, s, to, say); err != nil {
		return c, err
	}
	if c, err = InspectDump(ctx, to); err != nil {
		return c, err
	}
	if c.Position != s.position {
		return c, fmt.Errorf("%w: it holds %+v instead of %+v", ErrDamaged, c.Position, s.position)
	}
	if wrong := sameRows(s.rows, c.rows); wrong != "" {
		return c, fmt.Errorf("%w: %s", ErrDamaged, wrong)
	}
	return c, nil
}

// connectTools makes a connection for long work that is no replica's.
func connectTools(ctx context.Context, o Options, name string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(encrypted(o.Database))
	if err != nil {
		return nil, withoutDSN(err)
	}
	if o.Password != "" {
		config.Password = o.Password
	}
	config.ConnectTimeout = connectTime
	for setting, value := range map[string]string{
		"application_name": name, "statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "synchronous_commit": "on",
	} {
		config.RuntimeParams[setting] = value
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, withoutDSN(err))
	}
	return conn, nil
}

// newEnough refuses a program that does not know the server's version.
func (t tool) newEnough(conn *pgx.Conn) error {
	// "15.4 (Debian 15.4-1)", and "17beta1" of one that is not out yet
	number := regexp.MustCompile(`^\d+`).FindString(conn.PgConn().ParameterStatus("server_version"))
	server, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("asking the server for its version: %w", err)
	}
	if t.version < server {
		return &ToolError{Name: t.name, Path: t.path, Has: t.version, Needs: server, needsOfWhat: "the server"}
	}
	return nil
}

// snapshot is one state of the database.
type snapshot struct {
	id, schema string
	position   Position
	rows       map[string]int64 // by table
	kilobytes  map[string]int   // by table
}

func takeSnapshot(ctx context.Context, conn *pgx.Conn) (s snapshot, err error) {
	if _, err := conn.Exec(ctx, "begin isolation level repeatable read read only"); err != nil {
		return s, err
	}
	tables, err := tablesIn(ctx, conn, "")
	if err != nil {
		return s, err
	}
	switch {
	case len(tables) == 0:
		return s, ErrEmpty
	case !slices.Contains(tables, "allocation"):
		return s, ErrNoDatabase
	}
	if err := conn.QueryRow(ctx, `select pg_export_snapshot(), current_schema(), epoch, revision, horizon, instance from allocation`).
		Scan(&s.id, &s.schema, &s.position.Epoch, &s.position.Revision, &s.position.Horizon, &s.position.Instance); err != nil {
		return s, err
	}
	s.rows, s.kilobytes = make(map[string]int64), make(map[string]int)
	for _, table := range tables {
		name := pgx.Identifier{s.schema, table}.Sanitize()
		var rows int64
		var kilobytes int
		if err := conn.QueryRow(ctx, `select count(*), pg_table_size($1::regclass) / 1024 from `+name, name).Scan(&rows, &kilobytes); err != nil {
			return s, err
		}
		s.rows[table], s.kilobytes[table] = rows, kilobytes
	}
	return s, nil
}

// tablesIn lists the tables of a schema, but for those that belong to an
// extension; empty: of the one in use, which is ours alone.
func tablesIn(ctx context.Context, conn *pgx.Conn, schema string) ([]string, error) {
	rows, err := conn.Query(ctx, `select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = coalesce(nullif($1, ''), current_schema()) and c.relkind in ('r', 'p')
			and not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
		order by c.relname`, schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// dump runs pg_dump, which ends when all that it wrote is on disk.
func (t tool) dump(ctx context.Context, o Options, s snapshot, to string, say func(done, total int)) error {
	environment, err := toolEnvironment(o)
	if err != nil {
		return err
	}
	c := t.command(ctx, append(environment, "PGAPPNAME=heimdrahtd backup"),
		"--format=custom", "--snapshot="+s.id, "--table="+pgx.Identifier{s.schema}.Sanitize()+".*",
		"--no-password", "--lock-wait-timeout=10s", "--verbose", "--file="+to)
	done, total, current := 0, 0, ""
	for _, n := range s.kilobytes {
		total += n
	}
	complained := complaint{each: func(line string) {
		// pg_dump: dumping contents of table "public.device"
		_, name, found := strings.Cut(line, `dumping contents of table "`)
		if !found {
			return
		}
		done += s.kilobytes[current]
		current = strings.TrimPrefix(strings.TrimSuffix(name, `"`), s.schema+".")
		say(done, total)
	}}
	c.Stderr = &complained
	if err := c.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w: %s", t.path, err, complained.said())
	}
	say(total, total)
	return nil
}
