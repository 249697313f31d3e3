// Package ldaps serves a directory in memory over LDAPS on a loopback address,
// for programs that bring people who do not exist: the demo and the load
// generator.
//
// What always holds: other machines cannot reach it, and its certificate is
// made anew each time and trusted by whom it is given to.
//
// Not its business: who is in the directory.
package ldaps

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
	"time"

	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
)

// Server is a directory that listens.
type Server struct {
	URL string // ldaps://host:port
	CA  string // PEM, by which to trust it

	directory *memory.Directory
	listener  net.Listener
	config    *tls.Config
}

// Listen opens a port on 127.0.0.1. Serve must follow.
func Listen(ctx context.Context, d *memory.Directory) (*Server, error) {
	certificate, ca, err := selfSigned()
	if err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the directory: %w", err)
	}
	return &Server{
		URL: "ldaps://" + l.Addr().String(), CA: ca, directory: d, listener: l,
		config: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
	}, nil
}

// Serve answers until ctx ends, and then returns nil.
func (s *Server) Serve(ctx context.Context) error {
	return s.directory.Serve(ctx, s.listener, s.config)
}

// selfSigned makes the certificate, and its PEM for those who shall trust it.
func selfSigned() (tls.Certificate, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("making the directory's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Heimdraht directory in memory"},
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
