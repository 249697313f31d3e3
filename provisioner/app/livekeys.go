package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

const (
	// lookForKeys is how often the keys in the database are looked at: a
	// rollover is noticed by every control plane on it within so much.
	lookForKeys = 2 * time.Second
	// spread is how long a key must have been there before anything is made with
	// it: by then every control plane knows it.
	spread = 10 * time.Second
)

// liveKeys are the keys as the database has them now: a rollover changes them
// while the control plane runs. Whoever uses them twice takes them once.
type liveKeys struct {
	store  *store.Store
	master *keyring.MasterKey
	log    *slog.Logger

	list    []store.SealedKey // what current was made of; of run alone
	current atomic.Pointer[keys]
}

func openLiveKeys(ctx context.Context, s *store.Store, master *keyring.MasterKey, log *slog.Logger) (*liveKeys, error) {
	k := &liveKeys{store: s, master: master, log: log}
	if err := k.look(ctx); err != nil || k.now().FactorKey != (keyring.FactorKey{}) {
		return k, err
	}
	if err := addFactorKey(ctx, s, master); err != nil {
		return nil, fmt.Errorf("making the key of second factors: %w", err)
	}
	return k, k.look(ctx)
}

func (k *liveKeys) now() *keys { return k.current.Load() }

// look opens the keys anew if others are in the database, or one has come of
// age.
func (k *liveKeys) look(ctx context.Context) error {
	list, err := store.Read(ctx, k.store, (*store.Reader).AllKeys)
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	had, now := k.now(), time.Now()
	if had != nil && sameKeys(k.list, list) && !ofAge(list, had.Current(), now) {
		return nil
	}
	opened, err := newKeys(k.master, list, now)
	if err != nil {
		return err
	}
	k.list = list
	k.current.Store(opened)
	if had != nil {
		k.log.Info("the control plane's keys have changed", "fingerprint", opened.fingerprint(), "authorities", len(opened.DER()), "session_key", opened.Current())
	}
	return nil
}

func sameKeys(a, b []store.SealedKey) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Purpose != b[i].Purpose || a[i].Version != b[i].Version || a[i].Stage != b[i].Stage || !bytes.Equal(a[i].Sealed, b[i].Sealed) {
			return false
		}
	}
	return true
}

// ofAge reports whether a newer session root than the one in use may be used.
func ofAge(list []store.SealedKey, current int64, now time.Time) bool {
	for _, v := range list {
		if v.Purpose == keyring.PurposeSessionRoot && v.Version > current && !now.Before(v.CreatedAt.Add(spread)) {
			return true
		}
	}
	return false
}

// run looks until ctx ends.
func (k *liveKeys) run(ctx context.Context) error {
	ticker := time.NewTicker(lookForKeys)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := k.look(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("looking for new keys", "error", err)
		}
	}
}

// Issue makes a client certificate. A request that is no good is a refusal.
func (k *liveKeys) Issue(request []byte, holder provisioner.Holder, now time.Time) (provisioner.Certificate, error) {
	return k.now().Issue(request, holder, now)
}

// Check implements enrolment.Certificates.
func (k *liveKeys) Check(request []byte) error { return k.now().Check(request) }

// Identify tells who shows a client certificate.
func (k *liveKeys) Identify(chain []*x509.Certificate, now time.Time) (provisioner.Actor, error) {
	return k.now().Identify(chain, now)
}

// Current is the version of the session root for new sessions.
func (k *liveKeys) Current() int64 { return k.now().Current() }

// SealFactor implements signin.FactorSealer.
func (k *liveKeys) SealFactor(person string, secret []byte) ([]byte, error) {
	return k.now().SealFactor(person, secret)
}

// OpenFactor implements signin.FactorSealer.
func (k *liveKeys) OpenFactor(person string, sealed []byte) ([]byte, error) {
	return k.now().OpenFactor(person, sealed)
}

// PresharedKey derives that of a session.
func (k *liveKeys) PresharedKey(version int64, session string) ([32]byte, error) {
	return k.now().PresharedKey(version, session)
}

// AuditKey signs the audit log.
func (k *liveKeys) AuditKey() ed25519.PrivateKey { return k.now().auditKey }

// AuditKeys are the public keys that ever did, the newest first.
func (k *liveKeys) AuditKeys() []ed25519.PublicKey { return k.now().auditKeys }
