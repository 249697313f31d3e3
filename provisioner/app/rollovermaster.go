package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/heimdraht/heimdraht/provisioner/config"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// RollOverMasterKey seals the keys in the database with a new master key, and
// puts it in the place of the former one, which is kept beside it: backups from
// before need it. No control plane may run (on PostgreSQL none is noticed: a
// running one works on, and needs the new key at its next start). Interrupted, it
// is to be run again.
func RollOverMasterKey(ctx context.Context, c config.ControlPlane) (former string, err error) {
	if err := databaseThere(c); err != nil {
		return "", err
	}
	for _, lock := range []func(config.ControlPlane) (*os.File, error){lockDatabase, ownDatabase} {
		held, refused := lock(c)
		if refused != nil {
			return "", refused
		}
		defer func() { err = errors.Join(err, unlock(held)) }()
	}
	present, err := loadMaster(c.MasterKeyFile)
	if err != nil {
		return "", err
	}
	path := c.MasterKeyFile + ".new"
	next, err := keyring.Read(path) // of one that was interrupted
	if errors.Is(err, fs.ErrNotExist) {
		next, err = keyring.Create(path)
	}
	if err != nil {
		return "", &SetupError{Code: "master-key-unwritable", What: "cannot make the new master key", Next: "Let the user that runs heimdrahtd write into " + filepath.Dir(path) + " until this is done.", Err: err}
	}
	s, err := openStore(ctx, c, store.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", err
	}
	if err := errors.Join(resealAll(ctx, s, present, next), s.Close()); err != nil {
		return "", err
	}
	// The former one gets another name before its own is taken.
	former = c.MasterKeyFile + ".before-" + present.ID()
	if err := os.Link(c.MasterKeyFile, former); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keeping the former master key: %w", err)
	}
	if err := errors.Join(syncDir(filepath.Dir(path)), os.Rename(path, c.MasterKeyFile), syncDir(filepath.Dir(path))); err != nil {
		return "", fmt.Errorf("putting the new master key in its place: %w", err)
	}
	return former, nil
}

// resealAll seals everything anew in one transaction, unless that has been done.
func resealAll(ctx context.Context, s *store.Store, from, to *keyring.MasterKey) error {
	return s.Update(ctx, func(tx *store.Writer) error {
		list, err := tx.AllKeys()
		if err != nil {
			return err
		}
		done := 0
		for _, k := range list {
			if k.Stage == store.KeyRetired {
				continue
			}
			purpose := sealedAs(k.Purpose, k.Version)
			if _, err := to.Open(purpose, k.Sealed); err == nil {
				continue
			}
			plain, err := from.Open(purpose, k.Sealed)
			if err != nil {
				return sealProblem(err)
			}
			sealed, err := to.Seal(purpose, plain)
			if err != nil {
				return err
			}
			if err := tx.ResealKey(k.Purpose, k.Version, sealed); err != nil {
				return err
			}
			done++
		}
		if done == 0 {
			return nil
		}
		return keysChanged(tx, "roll over master key", map[string]string{"former": from.ID(), "new": to.ID()})
	})
}
