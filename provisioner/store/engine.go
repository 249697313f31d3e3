package store

import (
	"context"
	"strings"
)

// engine is one kind of database. Everything else is one SQL text: $n
// placeholders in order of appearance, `on conflict`, `returning`.
type engine interface {
	// migrate brings the schema up to date, as far as that is allowed.
	migrate(context.Context, allowed) error
	// pen takes a connection that writes.
	pen(context.Context) (pen, error)
	// view reads one consistent state and rolls back.
	view(context.Context, func(querier) error) error
	// lock is added to the query that reads the allocation row.
	lock() string
	isUnique(error) bool
	// unavailable tells errors that say that the database cannot be reached, or
	// not be written, from those that say that a statement is wrong.
	unavailable(error) bool
	// follow calls heard with what any process tells, until ctx ends or hearing
	// breaks. What was told before it begins is made up for by a first call.
	follow(ctx context.Context, heard func(string)) error
	// tell tells all processes on the database, this one included.
	tell(context.Context, string) error
	close() error
}

// isPostgres tells a DSN from a path.
func isPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// isShared tells an engine that several replicas may use.
func isShared(e engine) bool { _, alone := e.(*sqlite); return !alone }

// rows is the result of a query.
type rows interface {
	scanner
	Next() bool
	Err() error
	Close() error
}

// querier runs statements.
type querier interface {
	query(query string, args ...any) (rows, error)
	// exec runs a statement and gives the number of rows it touched.
	exec(query string, args ...any) (int64, error)
	// run runs a statement whose number of rows does not matter. It may be sent
	// later, together with the next one; then its error comes with that one's.
	run(query string, args ...any) error
}

// pen is a connection that writes, one transaction at a time, and in it one
// savepoint at a time.
type pen interface {
	querier
	begin(context.Context) error
	commit() error
	rollback() error
	save() error
	release() error
	undo() error // back to the savepoint, and without it
	// failed gives the error of a statement from before the savepoint that came
	// late: the whole transaction is lost, through no fault of the present request.
	failed() error
	// wrote reports whether the last transaction has shown that the database can be
	// written: one that changed nothing may have touched no disk.
	wrote() bool
	// usable reports whether another transaction may be tried.
	usable() bool
	close() error
}
