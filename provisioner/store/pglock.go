package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Who uses a database on a server, and who may put another one in its place. Each
// connection that writes holds an advisory lock together with the others, and a
// restore takes it alone. The server gives it back however a process ends. (On
// SQLite files beside the database do the same.)

// ErrRestoring says that a restore is putting another database in the place of
// this one.
var ErrRestoring = errors.New("a restore is putting another database in the place of this one")

// InUseError says who keeps a restore from a database.
type InUseError struct {
	By []string // programs, with their address and the server's processes that work for them; empty: not known
}

func (e *InUseError) Error() string {
	if len(e.By) == 0 {
		return "the database is in use"
	}
	return "the database is in use, by " + strings.Join(e.By, ", ")
}

const (
	// lockClass tells our advisory locks from those of others: "hdrt".
	lockClass = 0x68647274
	// lockOf is the schema in use, so that the database that a restore prepares
	// in another one has a lock of its own. Tables move, schemas stay.
	lockOf = `coalesce((select oid from pg_namespace where nspname = current_schema()), 0)::int4`
	// leaveTime is how long is waited for replicas and restores that have just
	// ended: the server notices a moment later.
	leaveTime = 3 * time.Second
)

// shareDatabase takes the lock with others, for as long as the connection lives.
func shareDatabase(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	var got bool
	if err := conn.QueryRow(ctx, `select pg_try_advisory_lock_shared($1, `+lockOf+`)`, lockClass).Scan(&got); err != nil {
		return fmt.Errorf("locking the database: %w", err)
	}
	if !got {
		return ErrRestoring
	}
	return nil
}

// ownDatabase takes the lock alone, for as long as the connection lives.
//
// A replica whose connection broke just now holds no lock until it writes again,
// which is within a second. So no other connection of one may be there either.
func ownDatabase(ctx context.Context, conn *pgx.Conn) error {
	var got bool
	if err := conn.QueryRow(ctx, `select pg_try_advisory_lock($1, `+lockOf+`)`, lockClass).Scan(&got); err != nil {
		return fmt.Errorf("locking the database: %w", err)
	}
	by, err := usersOf(ctx, conn)
	if err != nil {
		return err
	}
	if got && len(by) == 0 {
		return nil
	}
	if got { // or the replica that is there could not go on if we give up
		if _, err := conn.Exec(ctx, `select pg_advisory_unlock($1, `+lockOf+`)`, lockClass); err != nil {
			return fmt.Errorf("unlocking the database: %w", err)
		}
	}
	return &InUseError{By: by}
}

// waitForOthers tries again for a while as long as somebody else is using the
// database who may just have ended.
func waitForOthers(ctx context.Context, try func() error) error {
	patience := time.NewTimer(leaveTime)
	defer patience.Stop()
	again := time.NewTicker(leaveTime / 30)
	defer again.Stop()
	for {
		err := try()
		var used *InUseError
		if err == nil || !errors.As(err, &used) && !errors.Is(err, ErrRestoring) {
			return err
		}
		select {
		case <-again.C:
		case <-patience.C:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// usersOf names the connections of control planes, and of whoever else holds the
// lock.
func usersOf(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `select format('%s at %s (processes %s of the server)',
			coalesce(nullif(application_name, ''), 'somebody'), coalesce(host(client_addr), 'the server itself'), string_agg(pid::text, ' ' order by pid))
		from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and (application_name = $1 or pid in (
			select pid from pg_locks where locktype = 'advisory' and granted and classid = $2 and objsubid = 2
				and database = (select oid from pg_database where datname = current_database())
				and objid = (select oid from pg_namespace where nspname = current_schema())))
		group by application_name, client_addr
		order by 1`, applicationName, lockClass)
	if err != nil {
		return nil, fmt.Errorf("asking who uses the database: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("asking who uses the database: %w", err)
	}
	return list, nil
}
