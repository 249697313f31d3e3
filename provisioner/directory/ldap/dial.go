package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// conn is one connection, used by one call at a time.
type conn struct {
	raw    net.Conn // where deadlines are set; go-ldap reads and writes it
	ldap   *goldap.Conn
	server *server
	used   time.Time // when the last call ended
	served bool      // at least one call went well on it: then a failure may just mean that the server closed it
}

// errStartTLSRefused: the server answered, and does not do TLS on this port.
var errStartTLSRefused = errors.New("the server refuses StartTLS")

// dial makes a connection for requests that are answered one after the other.
func (s *server) dial(ctx context.Context) (*conn, error) {
	raw, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, ldap: goldap.NewConn(raw, s.tls != nil), server: s, used: time.Now()}
	c.ldap.Start()
	return c, nil
}

// connect connects, with TLS unless the configuration says plain, within ctx.
func (s *server) connect(ctx context.Context) (net.Conn, error) {
	dialer := &net.Dialer{KeepAlive: 15 * time.Second}
	raw, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	if s.startTLS {
		// An expired context must also end the exchange before the handshake.
		stop := context.AfterFunc(ctx, func() { raw.Close() })
		err := startTLS(raw)
		if !stop() && err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			raw.Close()
			return nil, fmt.Errorf("starting TLS: %w", err)
		}
	}
	if s.tls != nil {
		secure := tls.Client(raw, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		raw = secure
	}
	return raw, nil
}

// startTLS asks for TLS (RFC 4511, section 4.14.1). It is done here and not by go-ldap, whose handshake knows
// neither deadline nor context and hides what was wrong with the certificate.
func startTLS(raw net.Conn) error {
	request := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "LDAPMessage")
	request.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 1, "messageID"))
	extended := ber.Encode(ber.ClassApplication, ber.TypeConstructed, goldap.ApplicationExtendedRequest, nil, "extendedReq")
	extended.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, "1.3.6.1.4.1.1466.20037", "requestName"))
	request.AppendChild(extended)
	if _, err := raw.Write(request.Bytes()); err != nil {
		return err
	}
	// ReadPacket takes exactly one message off the line: whatever an attacker appended goes into the handshake,
	// which then fails. Nobody is trusted yet, so the answer may not be long.
	answer, err := ber.ReadPacket(io.LimitReader(raw, 64<<10))
	if err != nil {
		return err
	}
	if err := goldap.GetLDAPError(answer); err != nil {
		return fmt.Errorf("%w: %w", errStartTLSRefused, err)
	}
	return nil
}

// run does something with the connection that ends when ctx does. The error says nothing about whether the
// connection may be used again; reusable does.
func (c *conn) run(ctx context.Context, do func(*goldap.Conn) error) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return errors.New("a request without a deadline")
	}
	if err := c.raw.SetDeadline(deadline); err != nil {
		return err
	}
	// A second belt: zero would mean no limit at all.
	c.ldap.SetTimeout(max(time.Until(deadline), time.Millisecond))
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	err := do(c.ldap)
	if !stop() {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// reusable reports whether the connection may serve another call, and takes the deadline off it.
func (c *conn) reusable() bool {
	return !c.ldap.IsClosing() && c.raw.SetDeadline(time.Time{}) == nil
}

// close never waits for the server: the network connection is closed first, which ends everything that reads
// from or writes to it; go-ldap would otherwise wait until somebody drains its channels.
func (c *conn) close() {
	c.ldap.SetTimeout(time.Millisecond)
	_ = c.raw.SetDeadline(time.Unix(1, 0)) // tls.Conn's Close wants to say goodbye, and must not wait for it
	_ = c.raw.Close()
	_ = c.ldap.Close()
}

func newServers(cfg directory.Config) ([]*server, error) {
	var roots *x509.CertPool // nil: the system's
	if len(cfg.CAPEM) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(cfg.CAPEM) {
			return nil, errors.New("ca_file contains no certificate in PEM form")
		}
	}
	var servers []*server
	for _, raw := range cfg.Servers {
		u, err := url.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("server %q is not a URL", raw)
		}
		s := &server{url: raw, startTLS: u.Scheme == "ldap" && !cfg.Plain}
		port := u.Port()
		switch {
		case port != "":
		case u.Scheme == "ldaps":
			port = goldap.DefaultLdapsPort
		default:
			port = goldap.DefaultLdapPort
		}
		s.address = net.JoinHostPort(u.Hostname(), port)
		if u.Scheme == "ldaps" || s.startTLS {
			s.tls = &tls.Config{
				RootCAs:            roots,
				ServerName:         u.Hostname(),
				MinVersion:         tls.VersionTLS12,
				ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
		}
		servers = append(servers, s)
	}
	return servers, nil
}
