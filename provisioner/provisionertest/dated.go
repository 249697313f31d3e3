package provisionertest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Dated is the same certificate, signed by the same CA, with other dates: that
// of a laptop that lay in a drawer, or of a machine with another clock.
func (s *Server) Dated(c tls.Certificate, from, until time.Time) tls.Certificate {
	s.t.Helper()
	der, err := Dated(s.Config.MasterKeyFile, s.Config.Database, c.Certificate[0], from, until)
	if err != nil {
		s.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.PrivateKey}
}

// Dated does the same with the files of any control plane, which may be running. A certificate is given and returned in DER.
func Dated(masterKeyFile, database string, certificate []byte, from, until time.Time) ([]byte, error) {
	authority, key, err := openAuthority(masterKeyFile, database)
	if err != nil {
		return nil, fmt.Errorf("opening the CA's key: %w", err)
	}
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	leaf.NotBefore, leaf.NotAfter = from, until
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, leaf.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate: %w", err)
	}
	return der, nil
}

// openAuthority opens the CA's key, as whoever has the master key and the database can.
func openAuthority(masterKeyFile, database string) (*x509.Certificate, any, error) {
	master, err := keyring.Read(masterKeyFile)
	if err != nil {
		return nil, nil, err
	}
	db, err := store.Open(context.Background(), store.Options{Database: database, SchemaAsIs: true})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = db.Close() }() // nothing was written
	list, err := store.Read(context.Background(), db, func(tx *store.Reader) ([]store.SealedKey, error) { return tx.Keys(keyring.PurposeCA) })
	if err != nil {
		return nil, nil, err
	}
	private, err := master.Open(keyring.PurposeCA, list[0].Sealed)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	authority, err := x509.ParseCertificate(list[0].Public)
	return authority, key, err
}

// SignedInAt makes the last sign-in on a device one of another time, and the end of
// its session what follows from that. Meanwhile the control plane stands still.
func (s *Server) SignedInAt(device string, at time.Time) {
	s.t.Helper()
	s.whileStopped(func(tx *store.Writer) error {
		if err := tx.NoteSignIn(device, at); err != nil {
			return err
		}
		session, err := tx.OpenSessionOf(device)
		if errors.Is(err, store.ErrNone) {
			return nil
		}
		if err != nil {
			return err
		}
		tenant, err := tx.Tenant(session.Tenant)
		if err != nil {
			return err
		}
		return tx.SetEnding(session, tenant.Policy.Ending(session.OpenedAt, at, tx.Now))
	})
}

// IdleUntil has the session of a device end at a time because nobody works in it, which
// somebody looks at an hour later. Meanwhile the control plane stands still.
func (s *Server) IdleUntil(device string, at time.Time) {
	s.t.Helper()
	s.whileStopped(func(tx *store.Writer) error {
		session, err := tx.OpenSessionOf(device)
		if err != nil {
			return err
		}
		counted := provisioner.Traffic{At: tx.Now.Add(-time.Minute)}
		return errors.Join(tx.Observe(session.Gateway, store.Observed{Session: session.ID}, counted), tx.SetLook(session, at, at.Add(time.Hour)))
	})
}

// whileStopped changes the database of a control plane that does not run.
func (s *Server) whileStopped(do func(*store.Writer) error) {
	s.t.Helper()
	s.Stop()
	db, err := store.Open(context.Background(), store.Options{Database: s.Config.Database})
	if err == nil {
		err = errors.Join(db.Update(context.Background(), do), db.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.Run()
}
