package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
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
	if err := writable(filepath.Dir(c.Database)); err != nil {
		return nil, err
	}
	o.Path = c.Database
	s, err := store.Open(ctx, o)
	if errors.Is(err, store.ErrSchema) {
		return nil, &SetupError{Code: "database-version", What: "cannot use the database", Next: "Use the heimdrahtd that runs on it, or restart that with this version.", Err: err}
	}
	if err != nil {
		return nil, &SetupError{Code: "database-unusable", What: "cannot open the database", Next: "See that the file is whole and belongs to this user, and that the disk is not full.", Err: err}
	}
	return s, nil
}

// beside opens the database while a control plane may run on it, for one use.
func beside(ctx context.Context, c config.ControlPlane, use func(*store.Store) error) (err error) {
	s, err := openStore(ctx, c, store.Options{SchemaAsIs: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return use(s)
}

// writable reports what keeps the control plane from writing into dir.
func writable(dir string) error {
	probe, err := os.CreateTemp(dir, ".probe-*")
	if errors.Is(err, os.ErrNotExist) {
		return &SetupError{Code: "state-missing", What: "the directory " + dir + " is not there", Next: "Make it with: heimdrahtd init (or correct `state_dir` and `database`)."}
	}
	if err != nil {
		return &SetupError{Code: "state-unusable", What: "cannot write into " + dir, Next: "Give it to the user that runs heimdrahtd (chown), see that the disk is not full or read-only.", Err: err}
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("removing a probe: %w", err)
	}
	return nil
}
