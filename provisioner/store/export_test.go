package store

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/audit"
)

// Exec runs a statement past the store, as another version of the program might.
func Exec(t *testing.T, o Options, query string, args ...any) {
	t.Helper()
	write(t, o, func(p pen) error {
		_, err := p.exec(query, args...)
		return err
	})
}

// write does something in a transaction past the store.
func write(t *testing.T, o Options, do func(pen) error) {
	t.Helper()
	e, err := openEngine(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.close() }()
	p, err := e.pen(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.close() }()
	if err := p.begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := do(p); err != nil {
		t.Fatal(err)
	}
	if err := p.commit(); err != nil {
		t.Fatal(err)
	}
}

// ToolProblem says why a program of PostgreSQL's in one of the places cannot be
// used for a database; nil: it can.
func ToolProblem(ctx context.Context, name string, places []string, o Options) error {
	t, err := findTool(ctx, name, places)
	if err != nil {
		return err
	}
	conn, err := connectTools(ctx, o, "test")
	if err != nil {
		return err
	}
	return errors.Join(t.newEnough(conn), conn.Close(ctx))
}

// ToolEnvironment is how a program of PostgreSQL's is told where the database is.
func ToolEnvironment(o Options) ([]string, error) { return toolEnvironment(o) }

// Connect makes a connection that looks like a replica's and shares no lock.
func Connect(t *testing.T, o Options) (end func()) {
	t.Helper()
	conn, err := connectTools(context.Background(), o, applicationName)
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = conn.Close(context.Background()) }
}

// Impatient waits for no lock of SQLite's: a test plays an outage with one, on a
// clock of its own that SQLite would not wait by.
func Impatient(o Options) Options {
	o.lockTime = time.Millisecond
	return o
}

// Plans tells how PostgreSQL would look for open sessions of one device, and of
// several.
func Plans(t *testing.T, o Options) (one, several string) {
	return lines(t, o, `explain `+selectSession+heldBy, "a"), lines(t, o, `explain `+selectSession+heldByAny, []string{"a", "b", "c"})
}

// Setting tells a setting of the connection that writes, as the server sees it.
func Setting(t *testing.T, o Options, name string) string { return lines(t, o, `show `+name) }

// lines asks with the connection that writes.
func lines(t *testing.T, o Options, query string, args ...any) string {
	t.Helper()
	var list []string
	write(t, o, func(p pen) (err error) {
		list, err = all(p, value[string], query, args...)
		return err
	})
	return strings.Join(list, "\n")
}

// QueueCounts is what is counted of the queue, by tenant, with each of its pools: places, and of each
// rank those that wait.
func QueueCounts(t *testing.T, s *Store) map[string][][4]int64 {
	t.Helper()
	counts := make(map[string][][4]int64)
	if err := s.View(context.Background(), func(tx *Reader) error {
		_, err := all(tx.q, func(s scanner) (n [4]int64, err error) {
			var tenant string
			err = s.Scan(&tenant, &n[0], &n[1], &n[2], &n[3])
			counts[tenant] = append(counts[tenant], n)
			return n, err
		}, `select tenant, queued, waiting_crisis, waiting_control, waiting_ordinary from pool_share order by tenant, pool`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return counts
}

// AddAudit appends a record as the version before tenants' chains did.
func AddAudit(t *testing.T, o Options, r audit.Record) {
	t.Helper()
	Exec(t, o, `insert into audit (seq, at, tenant, payload, salt, commitment, hash) values ($1, $2, $3, $4, $5, $6, $7)`,
		r.Seq, ms(r.At), r.Tenant, string(r.Payload), base64.StdEncoding.EncodeToString(r.Salt), r.Commitment.String(), r.Hash.String())
	Exec(t, o, `update allocation set audit_seq = $1, audit_head = $2`, r.Seq, r.Hash.String())
}

// SearchTexts are what searches look through.
func SearchTexts(t *testing.T, o Options) (texts []string) {
	t.Helper()
	write(t, o, func(p pen) (err error) {
		texts, err = all(p, value[string], `select search from person union all select search from device order by 1`)
		return err
	})
	return texts
}

// Columns are those of every table, as the engine itself tells them, by table.
func Columns(t *testing.T, o Options) map[string][]string {
	t.Helper()
	query := `select m.name, p.name from sqlite_master m join pragma_table_info(m.name) p where m.type = 'table' and m.name not like 'sqlite!_%' escape '!'`
	if isPostgres(o.Database) {
		query = `select table_name, column_name from information_schema.columns where table_schema = current_schema()`
	}
	columns := make(map[string][]string)
	write(t, o, func(p pen) error {
		list, err := all(p, func(s scanner) (v [2]string, err error) { err = s.Scan(&v[0], &v[1]); return v, err }, query)
		for _, v := range list {
			if v[0] != "goose_db_version" { // of the migrations, which are ours
				columns[v[0]] = append(columns[v[0]], v[1])
			}
		}
		return err
	})
	return columns
}

// Everything is what stands in each column of each table, as text.
func Everything(t *testing.T, o Options) map[string]map[string][]string {
	t.Helper()
	tables := Columns(t, o)
	everything := make(map[string]map[string][]string)
	write(t, o, func(p pen) error {
		for table, columns := range tables {
			everything[table] = make(map[string][]string)
			for _, c := range columns {
				texts, err := all(p, value[string], `select cast(`+c+` as text) from `+table)
				if err != nil {
					return err
				}
				everything[table][c] = texts
			}
		}
		return nil
	})
	return everything
}
