package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Initial is what a new control plane begins with.
type Initial struct {
	Fingerprint string    // of the CA certificate, by which agents know it
	Token       string    // one-time, for the first operator
	Expires     time.Time // of the token
}

// Init makes the master key, the database, the keys in it, and a one-time token
// for the first operator. A database in which something has been declared is
// refused. What an Init that was interrupted left behind is used, so that it can
// be repeated; the token it may have shown is dead then.
func Init(ctx context.Context, c config.ControlPlane) (made Initial, err error) {
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return made, &SetupError{Code: "state-unusable", What: "cannot make " + c.StateDir, Next: "Run as root, or name another place with --state-dir.", Err: err}
	}
	if !c.OnPostgres() {
		if err := writable(filepath.Dir(c.Database)); err != nil {
			return made, err
		}
	}
	lock, err := lockDatabase(c)
	if err != nil {
		return made, err
	}
	if lock != nil {
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	// The key comes first: a database without one was not begun here.
	begun, err := databaseBegun(ctx, c)
	if err != nil {
		return made, err
	}
	if !begun {
		if err := makeMaster(c.MasterKeyFile); err != nil {
			return made, err
		}
	}
	master, err := loadMaster(c.MasterKeyFile)
	if err != nil {
		return made, err
	}
	s, err := openDatabase(ctx, c, store.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	k, err := firstKeys(ctx, s, master, c)
	if err != nil {
		return made, err
	}
	made.Fingerprint = k.fingerprint()
	made.Token, made.Expires, err = newOperatorToken(ctx, s)
	return made, err
}

// firstKeys makes the keys of a new database, or opens those of one that is as
// good as new.
func firstKeys(ctx context.Context, s *store.Store, master *keyring.MasterKey, c config.ControlPlane) (*keys, error) {
	var position store.Position
	var declared []provisioner.Directory
	var made []store.SealedKey
	if err := s.View(ctx, func(tx *store.Reader) (err error) {
		if position, err = tx.Position(); err != nil {
			return err
		}
		if declared, err = tx.Directories(); err != nil {
			return err
		}
		made, err = tx.Keys(keyring.PurposeCA)
		return err
	}); err != nil {
		return nil, err
	}
	switch {
	case position.Revision > 0 || len(declared) > 0:
		return nil, &SetupError{Code: "database-there", What: "there is a database already, in use: " + c.Database, Next: "Move it away if it is really not needed any more, or name another one. To run another control plane on it, copy heimdrahtd.yaml and the master key from the first."}
	case len(made) > 0:
		return openKeys(ctx, s, master)
	default:
		return makeKeys(ctx, s, master, position.Instance)
	}
}

// OperatorToken makes a one-time token, whether or not a control plane runs.
func OperatorToken(ctx context.Context, c config.ControlPlane) (token string, expires time.Time, err error) {
	err = beside(ctx, c, func(s *store.Store) error {
		token, expires, err = newOperatorToken(ctx, s)
		return err
	})
	return token, expires, err
}

func newOperatorToken(ctx context.Context, s *store.Store) (token string, expires time.Time, err error) {
	return signin.New(signin.Options{Store: s, Logger: slog.New(slog.DiscardHandler)}).NewOperatorToken(ctx)
}

// databaseBegun reports whether somebody has begun the database before.
func databaseBegun(ctx context.Context, c config.ControlPlane) (bool, error) {
	if !c.OnPostgres() {
		_, err := os.Stat(c.Database)
		return !errors.Is(err, fs.ErrNotExist), nil
	}
	s, err := openStore(ctx, c, store.Options{SchemaAsIs: true, Logger: slog.New(slog.DiscardHandler)})
	var setup *SetupError
	switch {
	case errors.As(err, &setup) && setup.Code == "database-missing":
		return false, nil
	case err != nil:
		return false, err
	}
	return true, s.Close()
}
