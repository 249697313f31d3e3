package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Check looks at the directory step by step, as somebody does who sets it up: the password file, and for each
// server TLS, the service account, what it is, and whether people can be seen and judged below base (empty: the
// directory's). A step that fails ends that server's list. It makes connections of its own.
func (d *Directory) Check(ctx context.Context, base string) []directory.Finding {
	findings := []directory.Finding{d.checkPasswordFile()}
	for _, s := range d.servers {
		ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
		findings = append(findings, d.checkServer(ctx, s, d.baseOr(base))...)
		cancel()
	}
	return findings
}

func (d *Directory) checkPasswordFile() directory.Finding {
	what := "password file " + d.cfg.BindPasswordFile
	wrong := directory.Finding{
		What: what, Code: "directory-password-file",
		Next: "Put the service account's password there, and let nobody but the user that runs heimdrahtd read it (chown, chmod 0600).",
	}
	if _, err := d.readPassword(); err != nil {
		wrong.Detail = err.Error()
		return wrong
	}
	info, err := os.Stat(d.cfg.BindPasswordFile)
	switch {
	case err != nil:
		wrong.Detail = err.Error()
		return wrong
	case info.Mode().Perm()&0o007 != 0:
		wrong.Detail = fmt.Sprintf("everybody on this machine may read it (mode %04o): chmod 0600", info.Mode().Perm())
		return wrong
	}
	return directory.Finding{What: what, OK: true, Detail: "readable, and not by everybody"}
}

func (d *Directory) checkServer(ctx context.Context, s *server, base string) []directory.Finding {
	var findings []directory.Finding
	// wrong is what an error means: its code, and what to do.
	say := func(what string, err error, detail string, wrong directory.Finding) bool {
		f := directory.Finding{OK: true, Detail: detail}
		if err != nil {
			f = wrong
			f.Detail = d.translate(s, err).Error()
		}
		f.What = s.url + ": " + what
		findings = append(findings, f)
		return err == nil
	}

	c, err := s.dial(ctx)
	if !say("connection", err, describeConnection(c), directory.Finding{
		Code: "directory-connection", Next: "See that the server runs, that name and port are right, and that `ca_file` is of the authority of its certificate.",
	}) {
		return findings
	}
	defer c.close()
	if !say("service account", d.bindService(ctx, c), "signed in as "+d.cfg.BindDN, directory.Finding{
		Code: "directory-service-account", Next: "Check its DN and its password, and in the directory whether it is locked or expired.",
	}) {
		return findings
	}
	kindUnknown := directory.Finding{Code: "directory-kind", Next: "Let the service account read the directory's root entry and schema, or name the kind with `flavour`."}
	if err := d.learn(ctx, c); err != nil {
		say("kind of directory", err, "", kindUnknown)
		return findings
	}
	p := d.known()
	kind := p.flavour.Name
	if p.vendor != "" {
		kind += " (" + p.vendor + ")"
	}
	say("kind of directory", nil, kind, kindUnknown)
	say("people below "+base, d.checkPeople(ctx, c, p, base), "found, with stable id and status readable", directory.Finding{
		Code: "directory-people", Next: "Check `base`, and let the service account read people and their attributes there.",
	})
	return findings
}

func (d *Directory) checkPeople(ctx context.Context, c *conn, p *product, base string) error {
	result, err := c.find(ctx, base, goldap.ScopeWholeSubtree, 1, p.flavour.People, p.flavour.Attributes())
	switch {
	case err == nil, goldap.IsErrorWithCode(err, goldap.LDAPResultSizeLimitExceeded):
	case goldap.IsErrorWithCode(err, goldap.LDAPResultNoSuchObject):
		return d.fault(directory.Misconfigured, "the base is not in the directory, or hidden from the service account", "correct it", err)
	default:
		return err
	}
	if len(result.Entries) == 0 {
		return d.fault(directory.Misconfigured, "nobody is there", "correct the base, or let the service account read people", nil)
	}
	_, err = d.personOf(result.Entries[0])
	return err
}

// describeConnection says how a connection is protected, and until when the certificate is good.
func describeConnection(c *conn) string {
	if c == nil {
		return ""
	}
	secure, ok := c.raw.(*tls.Conn)
	if !ok {
		return "NOT ENCRYPTED: passwords can be read on the line"
	}
	state := secure.ConnectionState()
	text := tls.VersionName(state.Version)
	if len(state.PeerCertificates) > 0 {
		text += ", certificate " + validity(state.PeerCertificates[0])
	}
	return text
}

func validity(cert *x509.Certificate) string {
	text := "valid until " + cert.NotAfter.UTC().Format(time.DateOnly)
	if left := time.Until(cert.NotAfter); left < 30*24*time.Hour {
		text += fmt.Sprintf(": RENEW IT, %d days are left", int(left.Hours()/24))
	}
	return text
}
