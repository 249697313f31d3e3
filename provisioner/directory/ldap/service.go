package ldap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// readPassword reads the service account's password. It is read each time: whoever changes it in the file has
// it used by the next connection.
func (d *Directory) readPassword() (string, error) {
	raw, err := os.ReadFile(d.cfg.BindPasswordFile)
	if err != nil {
		return "", final{d.fault(directory.Misconfigured, "the service account's password cannot be read", "check bind.password_file and its owner", err)}
	}
	raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
	if len(raw) == 0 {
		return "", final{d.fault(directory.Misconfigured, "the file "+d.cfg.BindPasswordFile+" is empty", "write the service account's password into it", nil)}
	}
	return string(raw), nil
}

// bindService signs a connection in as the service account.
func (d *Directory) bindService(ctx context.Context, c *conn) error {
	return d.bindBy(c.server, func(dn, password string) error {
		return c.run(ctx, func(l *goldap.Conn) error {
			_, err := l.SimpleBind(goldap.NewSimpleBindRequest(dn, password, nil))
			return err
		})
	})
}

// bindBy has bind sign in as the service account, unless its password has been refused a moment ago.
func (d *Directory) bindBy(s *server, bind func(dn, password string) error) error {
	password, err := d.readPassword()
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(password))
	if err := d.refusedBefore(digest); err != nil {
		return err
	}
	err = bind(d.cfg.BindDN, password)
	var answer *goldap.Error
	if err == nil || !errors.As(err, &answer) {
		return err
	}
	switch answer.ResultCode {
	case goldap.LDAPResultInvalidCredentials, goldap.LDAPResultNoSuchObject, goldap.LDAPResultInappropriateAuthentication,
		goldap.LDAPResultInvalidDNSyntax, goldap.LDAPResultConstraintViolation, goldap.LDAPResultUnwillingToPerform:
		refusal := final{d.fault(directory.Misconfigured, s.url+" refuses the service account "+d.cfg.BindDN,
			"check bind.dn, the password in "+d.cfg.BindPasswordFile+", and whether the account is locked or expired", err)}
		d.mu.Lock()
		d.refused = serviceRefusal{password: digest, until: time.Now().Add(refusalKept), err: refusal}
		d.mu.Unlock()
		return refusal
	}
	return err
}

// refusedBefore returns the refusal of this very password if it is a short time ago.
func (d *Directory) refusedBefore(digest [sha256.Size]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Now().Before(d.refused.until) && subtle.ConstantTimeCompare(digest[:], d.refused.password[:]) == 1 {
		return d.refused.err
	}
	return nil
}

// product is what the servers say of themselves. It does not change while they run.
type product struct {
	flavour  directory.Flavour
	contexts []string // naming contexts: where groups may be, which lie beside the people
	vendor   string   // for people; may be empty
}

// learn reads the root DSE with the first connection that is bound.
func (d *Directory) learn(ctx context.Context, c *conn) error {
	if d.known() != nil {
		return nil
	}
	root, err := c.entry(ctx, "", directory.RootDSE())
	if err != nil {
		return fmt.Errorf("reading the root DSE: %w", err)
	}
	p := &product{contexts: root["namingcontexts"], vendor: strings.TrimSpace(root.First("vendorname") + " " + root.First("vendorversion"))}
	// Active Directory lists configuration, schema and DNS zones too; people's groups are in the default one.
	if first := root.First("defaultnamingcontext"); first != "" {
		p.contexts = slices.Insert(slices.DeleteFunc(p.contexts, func(s string) bool { return s == first }), 0, first)
	}
	if d.cfg.Flavour != "" {
		p.flavour, _ = directory.FlavourNamed(d.cfg.Flavour) // Validate has seen that it exists
	} else if err := d.findFlavour(ctx, c, p, root); err != nil {
		return err
	}
	d.mu.Lock()
	d.product = p
	d.mu.Unlock()
	return nil
}

func (d *Directory) findFlavour(ctx context.Context, c *conn, p *product, root directory.Attributes) error {
	var suffix directory.Attributes
	if len(p.contexts) > 0 {
		var err error
		suffix, err = c.entry(ctx, p.contexts[0], []string{"objectClass"})
		if err != nil && !isAnswer(err) {
			return err
		} // an answer: the service account may not read the suffix, which most may not need to
	}
	var ok bool
	if p.flavour, ok = directory.FlavourOf(root, suffix); !ok {
		return final{d.fault(directory.Misconfigured, c.server.url+" does not say what kind of directory it is", "set `flavour:`", nil)}
	}
	return nil
}

func (d *Directory) known() *product {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.product
}
