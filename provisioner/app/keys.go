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
// preshared keys. They never change.
type keys struct {
	*keyring.SessionKeys
	keyring.FactorKey
	ca.Bundle // every authority whose certificates count

	authority *ca.Authority       // issues
	shown     []*x509.Certificate // what the server shows behind its certificate, for pins and bundles of before

	auditKey  ed25519.PrivateKey  // signs the audit log
	auditKeys []ed25519.PublicKey // that and its predecessors, the newest first
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
	sealedFactors, err := keyring.NewFactorKey().Seal(master)
	if err != nil {
		return nil, err
	}
	if err := s.Update(ctx, func(tx *store.Writer) error {
		return errors.Join(
			tx.AddKey(store.SealedKey{Purpose: keyring.PurposeFactor, Version: 1, Sealed: sealedFactors}),
			tx.AddKey(store.SealedKey{Purpose: keyring.PurposeCA, Version: 1, Sealed: sealedCA, Public: authority.Certificate().Raw}),
			tx.AddKey(store.SealedKey{Purpose: keyring.PurposeSessionRoot, Version: 1, Sealed: sealedRoot}),
			tx.AddKey(store.SealedKey{Purpose: keyring.PurposeAudit, Version: 1, Sealed: sealedAudit, Public: signer.Public().(ed25519.PublicKey)}), //nolint:forcetypeassert // of this type by its documentation
		)
	}); err != nil {
		return nil, fmt.Errorf("keeping the keys: %w", err)
	}
	return openKeys(ctx, s, master)
}

// addFactorKey makes the key of second factors for a database that has none: the
// version before knew none.
func addFactorKey(ctx context.Context, s *store.Store, master *keyring.MasterKey) error {
	sealed, err := keyring.NewFactorKey().Seal(master)
	if err != nil {
		return err
	}
	return s.Update(ctx, func(tx *store.Writer) error {
		there, err := tx.Keys(keyring.PurposeFactor)
		if err != nil || len(there) > 0 {
			return err
		}
		return tx.AddKey(store.SealedKey{Purpose: keyring.PurposeFactor, Version: 1, Sealed: sealed})
	})
}

// openKeys opens what the database holds. A master key that does not belong to
// it is refused.
func openKeys(ctx context.Context, s *store.Store, master *keyring.MasterKey) (*keys, error) {
	list, err := store.Read(ctx, s, (*store.Reader).AllKeys)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	return newKeys(master, list, time.Now())
}

// newKeys opens the keys in a list, of each purpose the newest first. A session root that was made a moment ago is
// not used yet for new sessions: other replicas must know it first.
func newKeys(master *keyring.MasterKey, list []store.SealedKey, now time.Time) (*keys, error) {
	k := new(keys)
	var authorities, roots, factors, audits []store.SealedKey
	for _, v := range list {
		switch v.Purpose {
		case keyring.PurposeCA:
			authorities = append(authorities, v)
		case keyring.PurposeSessionRoot:
			roots = append(roots, v)
		case keyring.PurposeFactor:
			factors = append(factors, v)
		case keyring.PurposeAudit:
			audits = append(audits, v)
		}
	}
	if len(authorities) == 0 || len(roots) == 0 || len(audits) == 0 {
		return nil, &SetupError{Code: "keys-missing", What: "the database holds no keys", Next: "It was not made by heimdrahtd init, or that was interrupted: move it away and run heimdrahtd init again."}
	}
	if err := k.openAuthorities(master, authorities); err != nil {
		return nil, err
	}
	if len(factors) > 0 { // the version before knew none
		var err error
		if k.FactorKey, err = keyring.OpenFactorKey(master, factors[0].Sealed); err != nil {
			return nil, sealProblem(err)
		}
	}
	if err := k.openAudit(master, audits); err != nil {
		return nil, err
	}
	byVersion := make(map[int64]keyring.SessionRoot)
	current := roots[len(roots)-1].Version // the oldest, if none is of age
	for _, r := range roots {
		root, err := keyring.OpenSessionRoot(master, r.Version, r.Sealed)
		if err != nil {
			return nil, sealProblem(err)
		}
		byVersion[r.Version] = root
		if !now.Before(r.CreatedAt.Add(spread)) {
			current = max(current, r.Version)
		}
	}
	all, err := keyring.NewSessionKeys(byVersion)
	if err != nil {
		return nil, err
	}
	k.SessionKeys, err = all.Using(current)
	return k, err
}

// openAudit opens the newest key that signs the audit log; of others the public half
// counts.
func (k *keys) openAudit(master *keyring.MasterKey, list []store.SealedKey) error {
	seed, err := master.Open(keyring.PurposeAudit, list[0].Sealed)
	if err != nil {
		return sealProblem(err)
	}
	if len(seed) != ed25519.SeedSize {
		return sealProblem(fmt.Errorf("the key that signs the audit log has %d bytes", len(seed)))
	}
	k.auditKey = ed25519.NewKeyFromSeed(seed)
	for _, v := range list {
		k.auditKeys = append(k.auditKeys, v.Public)
	}
	return nil
}

// openAuthorities opens the key of the authority that issues; the certificates
// of others still count, or count as expired. The list begins with the newest.
func (k *keys) openAuthorities(master *keyring.MasterKey, list []store.SealedKey) error {
	var good, retired []*x509.Certificate
	for _, a := range list {
		certificate, err := parseAuthority(a)
		if err != nil {
			return err
		}
		if a.Stage == store.KeyRetired {
			retired = append(retired, certificate)
			continue
		}
		good = append(good, certificate)
		if a.Stage != store.KeyUsed || k.authority != nil {
			continue
		}
		private, err := master.Open(keyring.PurposeCA, a.Sealed)
		if err != nil {
			return sealProblem(err)
		}
		if k.authority, err = ca.Parse(a.Public, private); err != nil {
			return err
		}
		if err := k.show(a, list); err != nil {
			return err
		}
	}
	if k.authority == nil {
		return &SetupError{Code: "keys-missing", What: "the database holds no authority that issues certificates", Next: "The database is damaged: restore it from a backup."}
	}
	var err error
	k.Bundle, err = ca.NewBundle(good...)
	if err == nil {
		k.Bundle, err = k.Retired(retired...)
	}
	return err
}

func parseAuthority(k store.SealedKey) (*x509.Certificate, error) {
	certificate, err := x509.ParseCertificate(k.Public)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of authority %d: %w", k.Version, err)
	}
	return certificate, nil
}

// show puts together what stands behind the server's certificate: the authority
// that issues, and for those who know only the one before, that one and its word
// for its successor.
func (k *keys) show(issuing store.SealedKey, list []store.SealedKey) error {
	k.shown = []*x509.Certificate{k.authority.Certificate()}
	if issuing.Bridge == nil {
		return nil
	}
	bridge, err := x509.ParseCertificate(issuing.Bridge)
	if err != nil {
		return fmt.Errorf("reading what vouches for authority %d: %w", issuing.Version, err)
	}
	k.shown = append(k.shown, bridge)
	for _, a := range list {
		former, err := parseAuthority(a)
		if err != nil {
			return err
		}
		if a.Version < issuing.Version && bridge.CheckSignatureFrom(former) == nil {
			k.shown = append(k.shown, former)
		}
	}
	return nil
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

// Check gives the refusal that Issue would give for a request.
func (k *keys) Check(request []byte) error {
	if err := ca.CheckRequest(request); err != nil {
		return provisioner.Refuse(provisioner.CodeCSRInvalid).Because(err)
	}
	return nil
}

// fingerprint is the pin of the authority that issues.
func (k *keys) fingerprint() string { return ca.Fingerprint(k.authority.Certificate()) }

func sealProblem(err error) error {
	if errors.Is(err, keyring.ErrOtherMasterKey) {
		return &SetupError{Code: "master-key-foreign", What: "the master key does not belong to this database", Next: "Copy the right one from another replica or from where its copy is kept. If heimdrahtd rollover master-key was interrupted, run it again."}
	}
	return &SetupError{Code: "keys-damaged", What: "the keys in the database cannot be opened", Next: "The database is damaged: restore it from a backup.", Err: err}
}
