package control

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultPort is where a control plane listens.
const DefaultPort = 8443

// maxHost is the longest host name that DNS knows (RFC 1035, section 2.3.4).
const maxHost = 253

// Fingerprint is the SHA-256 of a CA certificate in DER. The zero value is
// none.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the fingerprint of a certificate.
func FingerprintOf(c *x509.Certificate) Fingerprint { return sha256.Sum256(c.Raw) }

// ParseFingerprint reads 64 hexadecimal digits in either case. Colons between
// them, as other tools print them, are accepted.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	digits := strings.ReplaceAll(s, ":", "")
	if len(digits) != hex.EncodedLen(len(f)) {
		return f, fmt.Errorf("a fingerprint has %d hexadecimal digits, this one has %d", hex.EncodedLen(len(f)), len(digits))
	}
	if _, err := hex.Decode(f[:], []byte(digits)); err != nil {
		return Fingerprint{}, errors.New("a fingerprint consists of the digits 0-9 and a-f")
	}
	if f.IsZero() {
		return f, errors.New("a fingerprint is not all zeros")
	}
	return f, nil
}

// IsZero says whether there is no fingerprint.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// String is 64 lower-case hexadecimal digits.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Server is where one control plane listens.
type Server struct {
	// Host is a DNS name in lower case or an IP address without brackets.
	// The server's certificate must be made out to it.
	Host string
	Port uint16
}

// ParseServer reads HOST or HOST:PORT. An IPv6 address with a port stands in
// brackets. The port defaults to 8443.
func ParseServer(s string) (Server, error) {
	host, port, err := splitHostPort(s)
	if err != nil {
		return Server{}, err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		// Anything may stand in a zone, brackets too: only names of interfaces do here.
		if zone := addr.Zone(); strings.Trim(zone, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != "" || len(zone) > 15 {
			return Server{}, fmt.Errorf("server address %q: what stands behind the %% is no network interface", s)
		}
		return Server{Host: addr.String(), Port: port}, nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if err := checkHost(host); err != nil {
		return Server{}, fmt.Errorf("server address %q: %w", s, err)
	}
	return Server{Host: host, Port: port}, nil
}

// ParseServers reads a list as it stands in a configuration file.
func ParseServers(list []string) ([]Server, error) {
	var servers []Server
	for _, s := range list {
		server, err := ParseServer(s)
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// String is HOST:PORT.
func (s Server) String() string { return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))) }

// Address is what a person is told for a first contact: a server, and the
// fingerprint by which to know it.
type Address struct {
	Server Server
	// Pin zero: the server's certificate must be publicly trusted.
	Pin Fingerprint
}

// ParseAddress reads HOST[:PORT][#FINGERPRINT].
func ParseAddress(s string) (Address, error) {
	where, pin, pinned := strings.Cut(strings.TrimSpace(s), "#")
	server, err := ParseServer(where)
	if err != nil {
		return Address{}, err
	}
	a := Address{Server: server}
	if !pinned {
		return a, nil
	}
	if a.Pin, err = ParseFingerprint(pin); err != nil {
		return Address{}, fmt.Errorf("server address %q: %w", where, err)
	}
	return a, nil
}

// String is what ParseAddress reads.
func (a Address) String() string {
	if a.Pin.IsZero() {
		return a.Server.String()
	}
	return a.Server.String() + "#" + a.Pin.String()
}

func splitHostPort(s string) (host string, port uint16, err error) {
	if s == "" {
		return "", 0, errors.New("the server address is empty")
	}
	if _, err := netip.ParseAddr(s); err == nil { // an IPv6 address without a port
		return s, DefaultPort, nil
	}
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		return strings.TrimSuffix(inner, "]"), DefaultPort, nil
	}
	if strings.Contains(s, "/") {
		return "", 0, fmt.Errorf("server address %q: write HOST or HOST:PORT, without https:// and without a path", s)
	}
	if !strings.Contains(s, ":") {
		return s, DefaultPort, nil
	}
	host, digits, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("server address %q is not HOST or HOST:PORT (an IPv6 address with a port stands in brackets)", s)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("server address %q: the port is a number from 1 to 65535", s)
	}
	return host, uint16(n), nil
}

// checkHost accepts what can stand in a certificate: letters, digits and
// hyphens in labels (RFC 1123, section 2.1). An underscore is no host name,
// but networks have them.
func checkHost(host string) error {
	if host == "" {
		return errors.New("the host is missing")
	}
	if len(host) > maxHost {
		return fmt.Errorf("a host name has at most %d characters", maxHost)
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("%q is no host name", host)
		}
		for i := range len(label) {
			c := label[i]
			if c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				return fmt.Errorf("%q is no host name (write an internationalised one in its xn-- form)", host)
			}
		}
	}
	return nil
}
