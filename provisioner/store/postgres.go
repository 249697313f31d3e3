package store

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	// connectTime is how long it may take to reach the server.
	connectTime = 5 * time.Second
	// statementTime is how long the server works on one statement of ours at the
	// most; those of a request take well under a millisecond each.
	statementTime = 10 * time.Second
	// holdTime is how long a transaction that writes may stand idle before the
	// server ends it: a replica that was stopped in the middle must not keep the
	// allocation row from the others.
	holdTime = 2 * time.Second
	// viewTime is how long one view may take. A server's machine that is gone
	// without a word would else be waited for until the network gives up, in
	// a quarter of an hour.
	viewTime = 20 * time.Second
	// followQuiet is after how long without a word from other replicas it is
	// asked whether the connection still stands.
	followQuiet = 20 * time.Second
	// channel is where replicas tell each other that something was written.
	channel = "heimdraht"
	// applicationName is by which the server's administrator knows us, and a
	// restore the replicas that run.
	applicationName = "heimdrahtd"
)

// postgres is the engine on a server, shared by replicas.
type postgres struct {
	config *pgx.ConnConfig
	pool   *pgxpool.Pool // for views, and for telling
	asked  func(statement string)
}

func openPostgres(ctx context.Context, o Options) (*postgres, error) {
	config, err := pgxpool.ParseConfig(encrypted(o.Database))
	if err != nil {
		return nil, withoutDSN(err)
	}
	c := config.ConnConfig
	if o.Password != "" {
		c.Password = o.Password
	}
	if o.schema != "" {
		c.RuntimeParams["search_path"] = o.schema
	}
	c.ConnectTimeout = connectTime
	c.RuntimeParams["application_name"] = applicationName
	c.RuntimeParams["statement_timeout"] = milliseconds(statementTime)
	c.RuntimeParams["synchronous_commit"] = "on"
	// To compile a query takes 100 ms; none of ours runs that long. What walks a
	// table although a writer is told not to counts as dear enough to be compiled.
	c.RuntimeParams["jit"] = "off"
	config.MaxConns = concurrentViews
	config.MinIdleConns = 1
	config.MaxConnLifetime = time.Hour
	config.HealthCheckPeriod = 15 * time.Second
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, withoutDSN(err)
	}
	return &postgres{config: c, pool: pool, asked: o.Asked}, nil
}

// encrypted has a DSN that says nothing of it demand TLS with a certificate that
// is verified, unless the server is on this machine. Who wants less says so by
// name (sslmode=).
func encrypted(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn // its reader says what is wrong
	}
	q := u.Query()
	host := cmp.Or(q.Get("host"), u.Hostname())
	address, err := netip.ParseAddr(host)
	here := host == "" || host == "localhost" || strings.HasPrefix(host, "/") || err == nil && address.IsLoopback()
	if q.Has("sslmode") || here {
		return dsn
	}
	q.Set("sslmode", "verify-full")
	u.RawQuery = q.Encode()
	return u.String()
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// ErrUntrusted says that the database's server has shown no certificate that can
// be trusted, or that nobody can say which ones can.
var ErrUntrusted = errors.New("the database's server is not known to be the right one")

// withoutDSN keeps what was wrong with a DSN, or with a server, and drops the
// DSN, which may hold a password.
func withoutDSN(err error) error {
	var parse *pgconn.ParseConfigError
	var file *fs.PathError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &parse) && errors.As(err, &file):
		return fmt.Errorf("%w: %w", ErrUntrusted, file)
	case errors.As(err, &parse):
		return errors.New("the DSN of the database cannot be read")
	case errors.As(err, &certificate):
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	case err != nil && strings.Contains(err.Error(), "server refused TLS connection"):
		return fmt.Errorf("%w, it has TLS switched off: %w", ErrUntrusted, err)
	}
	return err
}

func (e *postgres) close() error { e.pool.Close(); return nil }

func (*postgres) lock() string { return " for update" }

func (e *postgres) migrate(ctx context.Context, may allowed) (err error) {
	// Nobody makes a schema where a restore is about to put one.
	var held pen
	if err := waitForOthers(ctx, func() (err error) { held, err = e.pen(ctx); return err }); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.close()) }()
	config := e.config.Copy()
	config.RuntimeParams["statement_timeout"] = "0" // a large table may take its time
	db := stdlib.OpenDB(*config)
	// Replicas that start at once wait for each other.
	locker, err := lock.NewPostgresSessionLocker()
	if err == nil {
		err = migrate(ctx, db, goose.DialectPostgres, "migrations/postgres", may, goose.WithSessionLocker(locker))
	}
	return errors.Join(err, db.Close())
}

func (*postgres) isUnique(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23505" // unique_violation
}

// unavailable: the server cannot be reached, is starting or stopping, has no
// room, is read-only, or ended our connection; or a restore is under way.
func (*postgres) unavailable(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code[:2] {
		case "08", "53", "57", "58": // connection, resources, operator intervention, system error
			return true
		}
		switch e.Code {
		case "25006", "25P03", "55P03": // read_only_sql_transaction, idle_in_transaction_session_timeout, lock_not_available
			return true
		}
		return false
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	return errors.Is(err, ErrRestoring) || errors.As(err, &connecting) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, errPenBroken) || pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed")
}

func (e *postgres) view(ctx context.Context, read func(querier) error) error {
	ctx, cancel := context.WithTimeout(ctx, viewTime)
	defer cancel()
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("taking a connection to read: %w", err)
	}
	defer conn.Release() // one that is still in a transaction, or broken, is not used again
	p := &pipeline{ctx: ctx, conn: conn.Conn(), asked: e.asked, mark: -1}
	_ = p.run("begin isolation level repeatable read read only")
	err = read(p)
	if len(p.pending) > 0 {
		return err // nothing was asked
	}
	if _, end := conn.Exec(context.WithoutCancel(ctx), "rollback"); end != nil && err == nil {
		return fmt.Errorf("ending a view: %w", end)
	}
	return err
}

func (e *postgres) pen(ctx context.Context) (pen, error) {
	config := e.config.Copy()
	config.RuntimeParams["idle_in_transaction_session_timeout"] = milliseconds(holdTime)
	// A writer looks rows up by their keys and walks no table. A plan made while a
	// table was still empty would, until statistics are made.
	config.RuntimeParams["enable_seqscan"] = "off"
	config.RuntimeParams["lock_timeout"] = milliseconds(2 * holdTime)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, withoutDSN(err)
	}
	if err := shareDatabase(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return &postgresPen{pipeline: pipeline{ctx: ctx, conn: conn, asked: e.asked, mark: -1}, cancel: func() {}}, nil
}

func (e *postgres) tell(ctx context.Context, text string) error {
	_, err := e.pool.Exec(ctx, "select pg_notify($1, $2)", channel, text)
	return err
}

func (e *postgres) follow(ctx context.Context, heard func(string)) error {
	conn, err := pgx.ConnectConfig(ctx, e.config)
	if err != nil {
		return withoutDSN(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "listen "+channel); err != nil {
		return err
	}
	heard(Commit{Moved: true, Heard: true}.text(""))
	for {
		n, err := notification(ctx, conn)
		if err != nil {
			return err
		}
		if n != nil {
			heard(n.Payload)
		}
	}
}

// notification waits for the next one; nil if there is none for some time, and
// the connection stands.
func notification(ctx context.Context, conn *pgx.Conn) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, followQuiet)
	defer cancel()
	n, err := conn.WaitForNotification(waiting)
	if err == nil || ctx.Err() != nil || !pgconn.Timeout(err) {
		return n, err
	}
	asking, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return nil, conn.Ping(asking)
}
