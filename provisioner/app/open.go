package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// SetupError is something about the machine or the configuration that the
// operator can put right.
type SetupError struct {
	Code string // stable: programs and people on the phone rely on it
	What string // what happened, and why
	Next string // what to do
	Err  error  // nil: What says it all
}

func (e *SetupError) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *SetupError) Unwrap() error { return e.Err }

func listen(ctx context.Context, key, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err == nil {
		return l, nil
	}
	e := &SetupError{Code: "address-unusable", What: "cannot listen on " + address, Next: "Check `" + key + "` in the configuration.", Err: err}
	if errors.Is(err, syscall.EADDRINUSE) {
		e.Code, e.Next = "port-in-use", "Another program uses the port, perhaps a second heimdrahtd: stop it, or change `"+key+"` in the configuration."
	}
	if errors.Is(err, syscall.EACCES) {
		e.Code, e.Next = "no-rights", "Ports below 1024 need the capability CAP_NET_BIND_SERVICE: choose a higher one in `"+key+"`."
	}
	return nil, e
}

// openStore opens the database of a control plane that init has made.
func openStore(ctx context.Context, c config.ControlPlane, o store.Options) (*store.Store, error) {
	o.Existing = true
	return openDatabase(ctx, c, o)
}

// openDatabase opens the database, new or not.
func openDatabase(ctx context.Context, c config.ControlPlane, o store.Options) (*store.Store, error) {
	if err := reachDatabase(c, &o); err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, o)
	switch {
	case errors.Is(err, store.ErrEmpty):
		return nil, &SetupError{Code: "database-missing", What: "nothing is in the database", Next: "If it has been in use, restore the last backup. A new one is made with: heimdrahtd init"}
	case errors.Is(err, store.ErrSchema):
		return nil, &SetupError{Code: "database-version", What: "cannot use the database", Next: "Use the heimdrahtd that runs on it, or restart that with this version.", Err: err}
	case errors.Is(err, store.ErrRestoring), errors.Is(err, store.ErrUntrusted):
		return nil, serverProblem(err)
	case err != nil && c.OnPostgres():
		return nil, &SetupError{Code: "database-unreachable", What: "cannot open the database", Next: "See that the server runs, that `database` in the configuration names it, and that the password is right and may be used from here (pg_hba.conf).", Err: err}
	case err != nil:
		return nil, &SetupError{Code: "database-unusable", What: "cannot open the database", Next: "See that the file is whole and belongs to this user, and that the disk is not full.", Err: err}
	}
	return s, nil
}

// reachDatabase fills in how the database is reached.
func reachDatabase(c config.ControlPlane, o *store.Options) error {
	o.Database = c.Database
	if !c.OnPostgres() {
		return writable(filepath.Dir(c.Database))
	}
	if c.DatabasePasswordFile == "" {
		return nil
	}
	content, err := os.ReadFile(c.DatabasePasswordFile)
	if err != nil {
		return &SetupError{Code: "database-password-unreadable", What: "cannot read the database's password", Next: "See that the file named in `database_password_file` is there and belongs to the user that runs heimdrahtd, with mode 0600.", Err: err}
	}
	o.Password = strings.TrimRight(string(content), "\r\n")
	return nil
}

// beside opens the database while a control plane may run on it, for one use.
func beside(ctx context.Context, c config.ControlPlane, use func(*store.Store) error) (err error) {
	if err := databaseThere(c); err != nil {
		return err
	}
	lock, err := useDatabase(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock(lock)) }()
	if err := noRestoreUnfinished(c); err != nil {
		return err
	}
	s, err := openStore(ctx, c, store.Options{SchemaAsIs: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return use(s)
}

// databaseThere reports that the database's file is missing. A server's answer
// to that is only known when it is opened.
func databaseThere(c config.ControlPlane) error {
	if c.OnPostgres() {
		return nil
	}
	_, err := os.Stat(c.Database)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrNotExist):
		if unfinished := noRestoreUnfinished(c); unfinished != nil {
			return unfinished
		}
		return &SetupError{Code: "database-missing", What: "there is no database " + c.Database, Next: "Make it with: heimdrahtd init"}
	default:
		return fmt.Errorf("looking for the database: %w", err)
	}
}

// diskReadOnly is what an error means that says so; nil: it says something else.
// Disks are mounted so on purpose seldom, and by a kernel that met an error often.
func diskReadOnly(dir string, err error) error {
	if !errors.Is(err, syscall.EROFS) {
		return nil
	}
	return &SetupError{
		Code: "disk-read-only", What: "the disk of " + dir + " is mounted read-only",
		Next: "If the kernel did that because of an error (dmesg says so), unmount the disk and check it (fsck). Mount it writable and start heimdrahtd again: what it has answered is there.",
		Err:  err,
	}
}

// writable reports what keeps the control plane from writing into dir.
func writable(dir string) error {
	probe, err := os.CreateTemp(dir, ".probe-*")
	if errors.Is(err, os.ErrNotExist) {
		return &SetupError{Code: "state-missing", What: "the directory " + dir + " is not there", Next: "Make it with: heimdrahtd init (or correct `state_dir` and `database`)."}
	}
	if readOnly := diskReadOnly(dir, err); readOnly != nil {
		return readOnly
	}
	if err != nil {
		return &SetupError{Code: "state-unusable", What: "cannot write into " + dir, Next: "Give it to the user that runs heimdrahtd (chown), see that the disk is not full.", Err: err}
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("removing a probe: %w", err)
	}
	return nil
}
