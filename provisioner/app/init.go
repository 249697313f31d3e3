package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/signin"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/watch"
)

// Initial is what a new control plane begins with.
type Initial struct {
	Fingerprint string    // of the CA certificate, by which agents know it
	Token       string    // one-time, for the first operator
	Expires     time.Time // of the token
}

// Init makes the master key, the database and the keys in it. A database that
// is there already is refused; a master key that is there already is used, so
// that an Init that was interrupted can be repeated.
func Init(ctx context.Context, c config.ControlPlane) (made Initial, err error) {
	if _, err := os.Stat(c.Database); err == nil {
		return made, &SetupError{What: "there is a database already: " + c.Database, Next: "Move it away if it is really not needed any more, or name another --state-dir."}
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return made, &SetupError{What: "cannot make " + c.StateDir, Next: "Run as root, or name another place with --state-dir.", Err: err}
	}
	if err := makeMaster(c.MasterKeyFile); err != nil {
		return made, err
	}
	err = withStore(ctx, c, func(s *store.Store) error {
		k, err := makeKeys(ctx, s, c.MasterKeyFile)
		if err != nil {
			return err
		}
		made.Fingerprint = k.fingerprint()
		made.Token, made.Expires, err = signin.New(signin.Options{Store: s, Logger: slog.New(slog.DiscardHandler)}).NewOperatorToken(ctx)
		return err
	})
	return made, err
}

// OperatorToken makes a one-time token while no control plane need run.
func OperatorToken(ctx context.Context, c config.ControlPlane) (token string, expires time.Time, err error) {
	if _, err := os.Stat(c.Database); err != nil {
		return "", expires, noDatabase(c, err)
	}
	err = withStore(ctx, c, func(s *store.Store) error {
		token, expires, err = signin.New(signin.Options{Store: s, Logger: slog.New(slog.DiscardHandler)}).NewOperatorToken(ctx)
		return err
	})
	return token, expires, err
}

func withStore(ctx context.Context, c config.ControlPlane, use func(*store.Store) error) (err error) {
	log := slog.New(slog.DiscardHandler)
	s, err := openStore(ctx, c, watch.NewHub(log), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return use(s)
}

func noDatabase(c config.ControlPlane, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &SetupError{What: "there is no database " + c.Database, Next: "Make it with: heimdrahtd init"}
	}
	return fmt.Errorf("looking for the database: %w", err)
}
