package provisionertest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/heimdraht/heimdraht/provisioner/keyring"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Dated is the same certificate, signed by the same CA, with other dates: that
// of a laptop that lay in a drawer, or of a machine with another clock.
func (s *Server) Dated(c tls.Certificate, from, until time.Time) tls.Certificate {
	s.t.Helper()
	authority, key, err := s.authority()
	if err != nil {
		s.t.Fatal("opening the CA's key: ", err)
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		s.t.Fatal("reading a certificate: ", err)
	}
	leaf.NotBefore, leaf.NotAfter = from, until
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, c.PrivateKey.(crypto.Signer).Public(), key)
	if err != nil {
		s.t.Fatal("signing a certificate: ", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.PrivateKey}
}

// authority opens the CA's key, as whoever has the master key and the database can.
func (s *Server) authority() (*x509.Certificate, any, error) {
	master, err := keyring.Read(s.Config.MasterKeyFile)
	if err != nil {
		return nil, nil, err
	}
	db, err := store.Open(context.Background(), store.Options{Database: s.Config.Database, SchemaAsIs: true})
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
