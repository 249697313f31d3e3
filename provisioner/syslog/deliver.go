package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Collector is where messages go.
type Collector struct {
	Address string // host:port
	CAFile  string // PEM; who may have issued the collector's certificate
	// CertificateFile and KeyFile, PEM, are shown to the collector. Both empty: none is.
	CertificateFile string
	KeyFile         string
}

const (
	dialTime = 10 * time.Second
	// deliverTime is how long a collector may take for one delivery, until it has
	// closed the connection.
	deliverTime = 30 * time.Second
)

// TLS reads the files, so that a certificate that was renewed is used with the next
// delivery.
func (c Collector) TLS() (*tls.Config, error) {
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, fmt.Errorf("reading the collector's address: %w", err)
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading who may issue the collector's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", c.CAFile)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: host} // RFC 9662 keeps 1.2
	if c.CertificateFile != "" {
		own, err := tls.LoadX509KeyPair(c.CertificateFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate for the collector: %w", err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

// Deliver sends what Message.Append made, and returns nil when the collector has read
// it all. After an error it may have read a part.
func (c Collector) Deliver(ctx context.Context, messages []byte) (err error) {
	config, err := c.TLS()
	if err != nil {
		return err
	}
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	plain, err := new(net.Dialer).DialContext(dialing, "tcp", c.Address)
	if err != nil {
		return fmt.Errorf("connecting to the collector: %w", err)
	}
	defer func() { _ = plain.Close() }() // whatever matters was seen before
	if err := plain.SetDeadline(time.Now().Add(deliverTime)); err != nil {
		return fmt.Errorf("connecting to the collector: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = plain.Close() })()
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(dialing); err != nil {
		return fmt.Errorf("proving who the collector is: %w", err)
	}
	if _, err := conn.Write(messages); err != nil {
		return fmt.Errorf("sending to the collector: %w", err)
	}
	if err := conn.CloseWrite(); err != nil {
		return fmt.Errorf("sending to the collector: %w", err)
	}
	if half, ok := plain.(*net.TCPConn); ok { // some close only then
		if err := half.CloseWrite(); err != nil {
			return fmt.Errorf("sending to the collector: %w", err)
		}
	}
	return closedBy(conn)
}

// closedBy waits until the other side has closed a connection in order. A process that is
// killed while there is something it has not read resets it.
func closedBy(conn *tls.Conn) error {
	_, err := io.Copy(io.Discard, conn)
	if err == nil || errors.Is(err, io.ErrUnexpectedEOF) { // not every collector says goodbye in TLS
		return nil
	}
	return fmt.Errorf("waiting until the collector has read everything: %w", err)
}
