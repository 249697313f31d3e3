package directory

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// DefaultTimeout is how long a call may take when the configuration says nothing.
const DefaultTimeout = 5 * time.Second

// Config describes one directory service.
type Config struct {
	// Name is what tenants call it.
	Name string
	// Servers are URLs in order of preference: ldaps://host[:port], or ldap://host[:port] with StartTLS. They
	// are servers of one and the same directory.
	Servers []string
	// CAPEM are the certificates of the authorities that the servers' certificates must come from. Empty: the
	// system's.
	CAPEM []byte
	// BindDN is the service account that may search. Some directories take a user principal name too.
	BindDN string
	// BindPasswordFile holds the service account's password. It is read at every new connection, so that a new
	// password needs no restart; one newline at its end is not part of the password.
	BindPasswordFile string
	// Base is the DN below which people are, where a tenant names none of its own.
	Base string
	// Flavour is the name of a Flavour. Empty: found from what the server says of itself.
	Flavour string
	// Timeout bounds each call as a whole, over all servers. Zero: DefaultTimeout.
	Timeout time.Duration
	// Plain speaks ldap:// without StartTLS: passwords cross the line readable. `tls: none` in the declaration.
	Plain bool
}

// ConfigOf is a declaration as a configuration.
func ConfigOf(d provisioner.Directory) Config {
	return Config{
		Name: d.Name, Servers: d.Servers, CAPEM: []byte(d.CAPEM), BindDN: d.BindDN, BindPasswordFile: d.BindPasswordFile,
		Base: d.Base, Flavour: d.Flavour, Plain: d.Plain,
	}
}

// Validate says what is wrong with a configuration, all of it at once; nil: nothing that shows without the server.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Name == "" {
		bad("name is empty")
	}
	if len(c.Servers) == 0 {
		bad("servers is empty: name at least one, as ldaps://host")
	}
	for _, s := range c.Servers {
		if err := checkServer(s); err != nil {
			errs = append(errs, err)
		}
	}
	if len(c.CAPEM) > 0 && !x509.NewCertPool().AppendCertsFromPEM(c.CAPEM) {
		bad("ca_file contains no certificate in PEM form")
	}
	if c.BindDN == "" {
		bad("bind.dn is empty: searching takes a service account")
	}
	if c.BindPasswordFile == "" {
		bad("bind.password_file is empty")
	}
	if c.Base != "" {
		if _, err := FoldDN(c.Base); err != nil {
			bad("base: %w", err)
		}
	}
	if c.Flavour != "" {
		if _, ok := FlavourNamed(c.Flavour); !ok {
			bad("flavour %q is not known; one of: %s", c.Flavour, flavourNames())
		}
	}
	if c.Timeout < 0 {
		bad("timeout is negative")
	}
	return errors.Join(errs...)
}

func checkServer(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("server %q is not a URL such as ldaps://host", s)
	case u.Scheme != "ldaps" && u.Scheme != "ldap":
		return fmt.Errorf("server %q: begin it with ldaps:// (or with ldap://, which means StartTLS)", s)
	case u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/"):
		return fmt.Errorf("server %q: write %s://host or %s://host:port and nothing more", s, u.Scheme, u.Scheme)
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("server %q: the port is not between 1 and 65535", s)
		}
	}
	return nil
}
