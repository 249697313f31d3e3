package ldap

import (
	"context"
	"errors"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// found is a person with what else is needed of her entry.
type found struct {
	person     directory.Person
	attributes directory.Attributes
}

// find runs one search on this connection. The request is made anew each time: go-ldap appends controls to
// requests that are used again.
func (c *conn) find(ctx context.Context, base string, scope, limit int, filter string, attributes []string) (*goldap.SearchResult, error) {
	seconds := 1
	if deadline, ok := ctx.Deadline(); ok {
		seconds = max(1, int(time.Until(deadline)/time.Second)+1)
	}
	var result *goldap.SearchResult
	err := c.run(ctx, func(l *goldap.Conn) error {
		var err error
		result, err = l.Search(goldap.NewSearchRequest(base, scope, goldap.NeverDerefAliases, limit, seconds, false, filter, attributes, nil))
		return err
	})
	return result, err
}

// entry reads one entry.
func (c *conn) entry(ctx context.Context, dn string, attributes []string) (directory.Attributes, error) {
	result, err := c.find(ctx, dn, goldap.ScopeBaseObject, 0, "(objectClass=*)", attributes)
	if err != nil {
		return nil, err
	}
	if len(result.Entries) == 0 {
		return nil, goldap.NewError(goldap.LDAPResultNoSuchObject, errors.New("the entry is hidden"))
	}
	return attributesOf(result.Entries[0]), nil
}

func attributesOf(e *goldap.Entry) directory.Attributes {
	a := make(directory.Attributes, len(e.Attributes))
	for _, attr := range e.Attributes {
		name := strings.ToLower(attr.Name)
		for _, v := range attr.ByteValues {
			a[name] = append(a[name], string(v))
		}
	}
	return a
}

// findLogin searches the one person with this login.
func (d *Directory) findLogin(ctx context.Context, base, login string) (found, error) {
	entries, err := d.findPeople(ctx, base, func(f directory.Flavour) (string, error) { return loginFilter(f, login), nil })
	switch {
	case err != nil:
		return found{}, err
	case len(entries) == 0:
		return found{}, &directory.Error{Cause: directory.UnknownLogin, Directory: d.cfg.Name, Detail: "nobody has this login"}
	case len(entries) > 1:
		return found{}, &directory.Error{Cause: directory.AmbiguousLogin, Directory: d.cfg.Name,
			Detail: "more than one entry has this login: " + entries[0].DN + ", " + entries[1].DN, Advice: "make logins and mail addresses unique below the tenant's base"}
	}
	return d.personOf(entries[0])
}

// findID searches a person by her stable id. Nobody found is Gone only if others can be seen: a service account
// that lost its rights sees an empty directory, without an error.
func (d *Directory) findID(ctx context.Context, base, id string) (found, error) {
	entries, err := d.findPeople(ctx, base, func(f directory.Flavour) (string, error) {
		value, err := f.IDValue(id)
		if err != nil {
			return "", &directory.Error{Cause: directory.Gone, Directory: d.cfg.Name, Detail: "no entry of this directory can have this stable id"}
		}
		return "(" + f.StableID + "=" + goldap.EscapeFilter(value) + ")", nil
	})
	switch {
	case err != nil:
		return found{}, err
	case len(entries) == 1:
		return d.personOf(entries[0])
	case len(entries) > 1:
		return found{}, d.fault(directory.Misconfigured, "more than one entry has the same stable id", "set `flavour:` to what the directory is", nil)
	}
	others, err := d.findPeople(ctx, base, func(f directory.Flavour) (string, error) { return f.People, nil })
	switch {
	case err != nil:
		return found{}, err
	case len(others) == 0:
		return found{}, d.fault(directory.Misconfigured, "there is nobody at all below "+base, "check the base and what the service account may read", nil)
	}
	return found{}, &directory.Error{Cause: directory.Gone, Directory: d.cfg.Name, Detail: "nobody below " + base + " has this stable id"}
}

// findPeople returns at most two entries that match. More than two are two.
func (d *Directory) findPeople(ctx context.Context, base string, filter func(directory.Flavour) (string, error)) ([]*goldap.Entry, error) {
	var entries []*goldap.Entry
	err := d.do(ctx, forSearch, func(ctx context.Context, c *conn) error {
		flavour := d.known().flavour
		text, err := filter(flavour)
		if err != nil {
			return err
		}
		result, err := c.find(ctx, base, goldap.ScopeWholeSubtree, 2, text, flavour.Attributes())
		switch {
		case err == nil, goldap.IsErrorWithCode(err, goldap.LDAPResultSizeLimitExceeded) && len(result.Entries) == 2:
			entries = result.Entries
			return nil
		case goldap.IsErrorWithCode(err, goldap.LDAPResultNoSuchObject):
			return d.fault(directory.Misconfigured, "the base "+base+" is not in the directory, or hidden from the service account", "correct the base, or let the service account read it", err)
		}
		return err
	})
	return entries, err
}

// loginFilter matches people with this login. A mail address is a login too: that is what people know, and
// what tells their tenant.
func loginFilter(f directory.Flavour, login string) string {
	name := login
	if f.Domains {
		if _, after, found := strings.Cut(login, `\`); found {
			name = after
		}
	}
	var b strings.Builder
	b.WriteString("(&" + f.People + "(|")
	for _, attr := range f.Logins {
		b.WriteString("(" + attr + "=" + goldap.EscapeFilter(name) + ")")
	}
	if strings.Contains(login, "@") {
		b.WriteString("(mail=" + goldap.EscapeFilter(login) + ")")
	}
	b.WriteString("))")
	return b.String()
}

func (d *Directory) personOf(e *goldap.Entry) (found, error) {
	attributes := attributesOf(e)
	person, err := d.known().flavour.Person(d.cfg.Name, e.DN, attributes, time.Now())
	if err != nil {
		return found{}, d.fault(directory.Misconfigured, "an entry cannot be judged", "let the service account read it, or set `flavour:` to what the directory is", err)
	}
	return found{person: person, attributes: attributes}, nil
}

// prove has the directory check a password: as typed first, then in NFC, since some systems type combining
// characters.
func (d *Directory) prove(ctx context.Context, person directory.Person, password string) (proof, error) {
	result, err := d.tryPassword(ctx, person.DN, password)
	if composed := norm.NFC.String(password); composed != password && directory.CauseOf(err) == directory.WrongPassword {
		result, err = d.tryPassword(ctx, person.DN, composed)
	}
	var e *directory.Error
	if errors.As(err, &e) && e.Cause == directory.WrongPassword {
		// OpenLDAP hides a lock behind "invalid credentials" unless told otherwise.
		switch {
		case person.Status.Ended == directory.EndLocked:
			return proof{}, &directory.Error{Cause: directory.Locked, Directory: d.cfg.Name, Detail: "an administrator has locked the account", Err: e.Err}
		case person.Status.SignInBlocked:
			return proof{}, &directory.Error{Cause: directory.Locked, Directory: d.cfg.Name, Detail: "the account is or was locked after wrong passwords", Err: e.Err}
		}
	}
	return result, err
}

func (d *Directory) tryPassword(ctx context.Context, dn, password string) (proof, error) {
	if dn == "" || password == "" { // either would be an anonymous bind, which proves nothing
		return proof{}, &directory.Error{Cause: directory.EmptyPassword, Directory: d.cfg.Name, Detail: "the password is empty"}
	}
	var got proof
	err := d.do(ctx, forBind, func(ctx context.Context, c *conn) error {
		var answer *goldap.SimpleBindResult
		err := c.run(ctx, func(l *goldap.Conn) error {
			var err error
			// Only this control tells that a password must be changed on servers whose bind succeeds all the same.
			controls := []goldap.Control{goldap.NewControlBeheraPasswordPolicy()}
			answer, err = l.SimpleBind(goldap.NewSimpleBindRequest(dn, password, controls))
			return err
		})
		got, err = d.judgeBind(answer, err)
		return err
	})
	return got, err
}
