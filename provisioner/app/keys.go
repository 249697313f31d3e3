package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/ca"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

func loadMaster(file string) (*keyring.MasterKey, error) {
	m, err := keyring.Read(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &SetupError{Code: "master-key-missing", What: "there is no master key " + file, Next: "Copy it from another replica or from where its copy is kept. A new one opens nothing that is in the database."}
	case errors.Is(err, keyring.ErrExposed):
		return nil, &SetupError{Code: "master-key-exposed", What: "others may read the master key " + file, Next: "Run: chmod 600 " + file}
	case err != nil:
		return nil, &SetupError{Code: "master-key-unusable", What: "the master key is unusable", Next: "Copy it again from another replica or from where its copy is kept.", Err: err}
	}
	return m, nil
}

// makeMaster makes the master key unless it is there.
func makeMaster(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return &SetupError{Code: "master-key-unwritable", What: "cannot make the directory of the master key", Next: "Run as root, or name another place with --master-key.", Err: err}
	}
	if _, err := keyring.Create(file); err != nil && !errors.Is(err, fs.ErrExist) {
		return &SetupError{Code: "master-key-unwritable", What: "cannot make the master key", Next: "Run as root, or name another place with --master-key.", Err: err}
	}
	return nil
}

// keys are the control plane's, opened: they sign certificates and derive
// preshared keys.
type keys struct {
	*keyring.SessionKeys
	ca.Bundle // every authority whose certificates count

	authority *ca.Authority // issues
}

// makeKeys makes the keys of a new database.
func makeKeys(ctx context.Context, s *store.Store, master *keyring.MasterKey, instance string) (*keys, error) {
	authority, err := ca.New(instance, time.Now())
	if err != nil {
		return nil, err
	}
	private, err := authority.KeyPKCS8()
	if err != nil {
		return nil, err
	}
	sealedCA, err := master.Seal(keyring.PurposeCA, private)
	if err != nil {
		return nil, err
	}
	sealedRoot, err := keyring.NewSessionRoot().Seal(master, 1)
	if err != nil {
		return nil, err
	}
	_, signer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	sealedAudit, err := master.Seal(keyring.PurposeAudit, signer.Seed())
	if err != nil {
		return nil, err
	}
	if err := s.Update(ctx, func(tx *store.Writer) error {
		return errors.Join(
			tx.AddKey(store.SealedKey{Purpose: keyring.PurposeCA, Version: 1, Sealed: sealedCA, Public: authority.Certificate().Raw}),
			tx.AddKey(store.SealedKey{Purpose: keyring.PurposeSessionRoot, Version: 1, Sealed: sealedRoot}),
			tx.AddKey(store.SealedKey{Purpose: keyring.PurposeAudit, Version: 1, Sealed: sealedAudit, Public: signer.Public().(ed25519.PublicKey)}), //nolint:forcetypeassert // of this type by its documentation
		)
	}); err != nil {
		return nil, fmt.Errorf("keeping the keys: %w", err)
	}
	return openKeys(ctx, s, master)
}

// openKeys opens what the database holds. A master key that does not belong to
// it is refused.
func openKeys(ctx context.Context, s *store.Store, master *keyring.MasterKey) (*keys, error) {
	k := new(keys)
	var authorities, roots []store.SealedKey
	if err := s.View(ctx, func(tx *store.Reader) (err error) {
		if authorities, err = tx.Keys(keyring.PurposeCA); err != nil {
			return err
		}
		roots, err = tx.Keys(keyring.PurposeSessionRoot)
		return err
	}); err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	if len(authorities) == 0 || len(roots) == 0 {
		return nil, &SetupError{Code: "keys-missing", What: "the database holds no keys", Next: "It was not made by heimdrahtd init, or that was interrupted: move it away and run heimdrahtd init again."}
	}
	if err := k.openAuthorities(master, authorities); err != nil {
		return nil, err
	}
	byVersion := make(map[int64]keyring.SessionRoot)
	for _, r := range roots {
		root, err := keyring.OpenSessionRoot(master, r.Version, r.Sealed)
		if err != nil {
			return nil, sealProblem(err)
		}
		byVersion[r.Version] = root
	}
	var err error
	k.SessionKeys, err = keyring.NewSessionKeys(byVersion)
	return k, err
}

// openAuthorities opens the newest authority's key; the certificates of the
// others still count.
func (k *keys) openAuthorities(master *keyring.MasterKey, list []store.SealedKey) error {
	private, err := master.Open(keyring.PurposeCA, list[0].Sealed)
	if err != nil {
		return sealProblem(err)
	}
	if k.authority, err = ca.Parse(list[0].Public, private); err != nil {
		return err
	}
	certificates := make([]*x509.Certificate, len(list))
	for i, a := range list {
		if certificates[i], err = x509.ParseCertificate(a.Public); err != nil {
			return fmt.Errorf("reading the certificate of authority %d: %w", a.Version, err)
		}
	}
	k.Bundle, err = ca.NewBundle(certificates...)
	return err
}

// Issue makes a client certificate. A request that is no good is a refusal.
func (k *keys) Issue(request []byte, holder provisioner.Holder, now time.Time) (provisioner.Certificate, error) {
	kind := ca.KindDevice
	if holder.Role == provisioner.RoleGateway {
		kind = ca.KindGateway
	}
	issued, err := k.authority.IssueClient(request, ca.Identity{Kind: kind, Tenant: holder.Tenant, ID: holder.ID, Generation: holder.Generation}, now)
	if errors.Is(err, ca.ErrRequest) {
		return provisioner.Certificate{}, provisioner.Refuse(provisioner.CodeCSRInvalid).Because(err)
	}
	if err != nil {
		return provisioner.Certificate{}, err
	}
	return provisioner.Certificate{Leaf: issued.DER, Authorities: k.DER(), NotAfter: issued.NotAfter, RenewAt: issued.RenewAt}, nil
}

// fingerprint is the pin of the authority that issues.
func (k *keys) fingerprint() string { return ca.Fingerprint(k.authority.Certificate()) }

func sealProblem(err error) error {
	if errors.Is(err, keyring.ErrOtherMasterKey) {
		return &SetupError{Code: "master-key-foreign", What: "the master key does not belong to this database", Next: "Copy the right one from another replica or from where its copy is kept."}
	}
	return &SetupError{Code: "keys-damaged", What: "the keys in the database cannot be opened", Next: "The database is damaged: restore it from a backup.", Err: err}
}
