package app

import (
	"context"
	"errors"
	"strconv"

	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// serverPlace is that of a database on PostgreSQL.
type serverPlace struct{ *store.Replacement }

func takeServer(ctx context.Context, c config.ControlPlane) (place, error) {
	o, err := onServer(c)
	if err != nil {
		return nil, err
	}
	r, err := store.Replace(ctx, o)
	if err != nil {
		return nil, serverProblem(err)
	}
	return serverPlace{r}, nil
}

// onServer says how a database on a server is reached.
func onServer(c config.ControlPlane) (o store.Options, err error) {
	err = reachDatabase(c, &o)
	return o, err
}

func (p serverPlace) occupied(ctx context.Context) (bool, error) {
	occupied, err := p.Occupied(ctx)
	return occupied, serverProblem(err)
}

func (p serverPlace) load(ctx context.Context, file string, content store.Content) (*store.Store, error) {
	s, err := p.Load(ctx, file, content)
	return s, unchanged(serverProblem(err))
}

func (p serverPlace) swap(ctx context.Context) (former string, err error) {
	former, err = p.Swap(ctx)
	if err == nil && former != "" {
		former = "schema " + former
	}
	return former, unchanged(serverProblem(err))
}

// unchanged adds to what else the server said that the former database is there.
func unchanged(err error) error {
	var refused *SetupError
	if err == nil || errors.As(err, &refused) || errors.Is(err, store.ErrSchema) || errors.Is(err, context.Canceled) {
		return err
	}
	return &SetupError{
		Code: "restore-failed", What: "the database's server did not take the backup in",
		Next: "Read what it says, see that its disk is not full and that nobody else has its tables open, and run the command again: the former database is in place, or already the new one.", Err: err,
	}
}

func (p serverPlace) close() error { return p.Close() }

// serverProblem says what the operator can do about what went wrong with a database
// on a server while it was backed up or restored; nil: nothing did.
func serverProblem(err error) error {
	var tool *store.ToolError
	var used *store.InUseError
	switch {
	case err == nil, errors.Is(err, store.ErrSchema), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &tool) && tool.Path == "":
		return &SetupError{
			Code: "postgres-tools-missing", What: tool.Error(),
			Next: "Install PostgreSQL's client programs (Debian and Ubuntu: postgresql-client; Red Hat: postgresql), no older than the server, or put the directory that they are in into PATH.", Err: err,
		}
	case errors.As(err, &tool):
		client := "postgresql-client"
		if tool.Needs > 0 {
			client += "-" + strconv.Itoa(tool.Needs)
		}
		return &SetupError{
			Code: "postgres-tools-outdated", What: tool.Error(),
			Next: "Install newer client programs of PostgreSQL (Debian and Ubuntu: " + client + "); those that are there may stay, the newest are used.",
		}
	case errors.As(err, &used):
		return &SetupError{
			Code: "database-in-use", What: used.Error(),
			Next: "Stop heimdrahtd on every replica first (systemctl stop heimdrahtd), and wait until other commands have ended. One that hangs, or whose machine is gone: select pg_terminate_backend(PROCESS).",
		}
	case errors.Is(err, store.ErrRestoring):
		return &SetupError{Code: "database-in-use", What: err.Error(), Next: "Wait until it has ended."}
	case errors.Is(err, store.ErrEmpty), errors.Is(err, store.ErrNoDatabase):
		return &SetupError{Code: "database-missing", What: "there is no control plane's database", Next: "See that `database` in the configuration names the right one. A new one is made with: heimdrahtd init", Err: err}
	case errors.Is(err, store.ErrDamaged):
		return &SetupError{Code: "backup-damaged", What: "the backup is damaged", Next: "Take another backup.", Err: err}
	case errors.Is(err, store.ErrRights):
		return &SetupError{Code: "database-rights", What: "the database's user may not do what a restore needs", Next: "Make it the owner of the database and of the tables in it: alter database NAME owner to USER.", Err: err}
	case errors.Is(err, store.ErrUntrusted):
		return &SetupError{Code: "database-certificate", What: "cannot trust the database's server", Next: "See that the server has TLS on, that its certificate is valid and names the host that `database` in the configuration names, and that sslrootcert=FILE there names the CA that issued it (else the system's are taken).", Err: err}
	case errors.Is(err, store.ErrUnreachable):
		return &SetupError{Code: "database-unreachable", What: "cannot reach the database", Next: "See that the server runs, that `database` in the configuration names it, and that the password is right and may be used from here (pg_hba.conf).", Err: err}
	}
	return err
}
