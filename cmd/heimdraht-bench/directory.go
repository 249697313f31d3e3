//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
)

// directory is an LDAPS server in this process that answers at once.
type directory struct {
	url, ca      string
	passwordFile string // of the service account, for the control plane to read
	password     string // everybody's
}

// startDirectory serves the town's people until the run ends.
func (r *runner) startDirectory(ctx context.Context) error {
	p := r.say.phase("making the directory of %d people", 0, r.town.people)
	defer p.end()
	service := provisioner.NewSecret()
	r.directory.password = provisioner.NewSecret()
	m, err := memory.New(memory.Options{Name: directoryName, Base: peopleIn, LDIF: []byte(r.town.ldif(service, r.directory.password))})
	if err != nil {
		return fmt.Errorf("making the directory: %w", err)
	}
	certificate, ca, err := selfSigned()
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for the directory: %w", err)
	}
	r.directory.url, r.directory.ca = "ldaps://"+l.Addr().String(), ca
	r.background("directory", func(ctx context.Context) error {
		return m.Serve(ctx, l, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
	})
	r.directory.passwordFile = filepath.Join(r.dir, "ldap.pw")
	return os.WriteFile(r.directory.passwordFile, []byte(service+"\n"), 0o600)
}

// selfSigned makes the directory's certificate, and its PEM for those who shall trust it.
func selfSigned() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("making the directory's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Heimdraht bench directory"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("making the directory's certificate: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, string(text), nil
}
