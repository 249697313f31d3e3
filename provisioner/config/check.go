package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A check looks at a text and may bring it into its one form.

// name is what directories, tenants, pools and gateways are called: it goes
// into addresses, certificates and file names.
func name(v value, s string) (string, bool) {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`).MatchString(s) {
		v.failf("%q is not a name: 1 to 63 lower-case letters, digits and '-', not at an end", quoted(s))
		return "", false
	}
	return s, true
}

func oneOf(allowed ...string) func(value, string) (string, bool) {
	return func(v value, s string) (string, bool) {
		if slices.Contains(allowed, s) {
			return s, true
		}
		if near := nearest(s, allowed); near != "" {
			v.failf("%q is not %s; did you mean %q?", quoted(s), choices(allowed), near)
		} else {
			v.failf("%q is not %s", quoted(s), choices(allowed))
		}
		return "", false
	}
}

func atMost(runes int) func(value, string) (string, bool) {
	return func(v value, s string) (string, bool) {
		if n := len([]rune(s)); n > runes {
			v.failf("has %d characters; at most %d", n, runes)
			return "", false
		}
		return s, true
	}
}

// distinguishedName looks only for the form type=value (RFC 4514): the
// directory alone knows the rest.
func distinguishedName(v value, s string) (string, bool) {
	if !regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)*) *= *[^ ,]`).MatchString(s) || len(s) > 1000 {
		v.failf("%q is not a distinguished name such as OU=Personal,DC=stadt,DC=example", quoted(s))
		return "", false
	}
	return s, true
}

// domain is a DNS name of at least two labels, in lower case.
func domain(v value, s string) (string, bool) {
	d := strings.ToLower(s)
	if !isHostName(d) || !strings.Contains(d, ".") || strings.Contains(d, "_") || isAddress(d) {
		v.failf("%q is not a domain such as stadt.example (umlauts as xn--...)", quoted(s))
		return "", false
	}
	return d, true
}

// host is a DNS name or an IP address, in lower case.
func host(v value, s string) (string, bool) {
	h := strings.ToLower(s)
	if !isHostName(h) && !isAddress(h) {
		v.failf("%q is neither a host name nor an IP address", quoted(s))
		return "", false
	}
	return h, true
}

func isAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == ""
}

// isHostName follows RFC 1123, and lets an underscore pass: it is no host name,
// but networks have them. A last label of digits alone would be taken for an
// address.
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if !regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`).MatchString(l) {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// hostPort is a host with a port; without one, port is added.
func hostPort(port uint16) func(value, string) (string, bool) {
	return func(v value, s string) (string, bool) {
		if server, _, found := strings.Cut(s, "#"); found {
			v.failf("write only %s here, and what stands behind the # as ca_sha256", quoted(server))
			return "", false
		}
		if strings.Contains(s, "://") {
			v.failf("%q: write host:port, without a scheme", quoted(s))
			return "", false
		}
		h, p := strings.ToLower(s), strconv.Itoa(int(port))
		if a, err := netip.ParseAddr(strings.Trim(h, "[]")); err == nil && a.Is6() && (h[0] == '[') == strings.HasSuffix(h, "]") {
			h = a.String()
		} else if host, given, err := net.SplitHostPort(h); err == nil {
			h, p = host, given
		}
		if !isHostName(h) && !isAddress(h) {
			v.failf("%q is not a host with a port such as vpn.stadt.example:%d", quoted(s), port)
			return "", false
		}
		if n, ok := portNumber(p); !ok || n == 0 {
			v.failf("%q: the port must be a number from 1 to 65535", quoted(s))
			return "", false
		}
		return net.JoinHostPort(h, p), true
	}
}

// overHTTPS is an address of the web that is reached over TLS. It may be a secret, so what is
// wrong with it does not repeat it.
func overHTTPS(v value, s string) (string, bool) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" || len(s) > 2000:
		v.failf("is not an address such as https://warn.stadt.example/heimdraht")
	case u.User != nil:
		v.failf("holds a password: whoever receives it knows us by secret_file")
	default:
		return s, true
	}
	return "", false
}

func portNumber(s string) (uint16, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && strconv.FormatUint(n, 10) == s
}

// listen is where a server listens: host:port, the host may be empty.
func listen(v value, s string) (string, bool) {
	h, p, err := net.SplitHostPort(s)
	if err != nil || h != "" && !isHostName(strings.ToLower(h)) && !isAddress(h) {
		v.failf("%q is not an address to listen on such as :8443 or 10.0.0.5:8443", quoted(s))
		return "", false
	}
	if _, ok := portNumber(p); !ok {
		v.failf("%q: the port must be a number from 0 to 65535", quoted(s))
		return "", false
	}
	return s, true
}

// fingerprint is a SHA-256 in hexadecimal; tools print it in capitals and with
// colons too.
func fingerprint(v value, s string) (string, bool) {
	f := strings.ToLower(strings.ReplaceAll(s, ":", ""))
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(f) {
		v.failf("is not a SHA-256 fingerprint: 64 hexadecimal digits")
		return "", false
	}
	return f, true
}

// absolute is a path that means the same wherever the program was started.
func absolute(v value, s string) (string, bool) {
	// The file may be written on another system than the one it is for.
	windows := regexp.MustCompile(`^[A-Za-z]:[\\/]|^\\\\`).MatchString(s)
	if !strings.HasPrefix(s, "/") && !windows {
		v.failf("%q is not an absolute path", quoted(s))
		return "", false
	}
	if windows {
		return s, true
	}
	return filepath.ToSlash(filepath.Clean(s)), true
}

// interfaceName follows Linux: 15 bytes, no blank, no slash.
func interfaceName(v value, s string) (string, bool) {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$`).MatchString(s) {
		v.failf("%q is not the name of an interface: 1 to 15 letters and digits", quoted(s))
		return "", false
	}
	return s, true
}

// ldapServer is ldaps://host[:port] or ldap://host[:port], nothing more: base
// and filter of an LDAP URL have keys of their own.
func ldapServer(v value, s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Host == "" {
		v.failf("%q is not an address such as ldaps://dc1.stadt.example", quoted(s))
		return "", false
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		v.failf("%q: write only scheme, host and port; user and base have keys of their own", quoted(u.Redacted()))
		return "", false
	}
	h := strings.ToLower(u.Hostname())
	if !isHostName(h) && !isAddress(h) {
		v.failf("%q is not an address such as ldaps://dc1.stadt.example", quoted(s))
		return "", false
	}
	if strings.Contains(h, ":") {
		h = "[" + h + "]"
	}
	if p := u.Port(); p != "" {
		if n, ok := portNumber(p); !ok || n == 0 {
			v.failf("%q: the port must be a number from 1 to 65535", quoted(s))
			return "", false
		}
		h += ":" + p
	}
	return u.Scheme + "://" + h, true
}

// prefix is a network in CIDR form without bits behind its length.
func prefix(v value, s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil && isAddress(s):
		v.failf("%q lacks a length; a single address is %s", s, netip.PrefixFrom(netip.MustParseAddr(s), netip.MustParseAddr(s).BitLen()))
	case err != nil:
		v.failf("%q is not a network such as 10.1.0.0/16", quoted(s))
	case p.Addr().Is4In6():
		v.failf("%q: write the IPv4 network itself", s)
	case p.Masked() != p:
		v.failf("%q has bits behind its length; the network is %s", s, p.Masked())
	default:
		return p, true
	}
	return netip.Prefix{}, false
}
