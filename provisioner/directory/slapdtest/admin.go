//go:build unix

package slapdtest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
)

// Admin changes what is in a server, on one connection. Whatever fails ends the test.
type Admin struct {
	T        testing.TB
	URL      string // plain
	DN       string
	Password string

	mu   sync.Mutex
	conn *goldap.Conn // nil: none yet, or it was hung up
}

// as does something as the administrator.
func (a *Admin) as(what string, do func(*goldap.Conn) error) {
	a.T.Helper()
	c, err := a.connection()
	if err == nil {
		err = do(c)
	}
	if err != nil {
		a.T.Fatalf("%s: %v", what, err)
	}
}

func (a *Admin) connection() (*goldap.Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		return a.conn, nil
	}
	c, err := goldap.DialURL(a.URL)
	if err != nil {
		return nil, fmt.Errorf("connecting as the administrator: %w", err)
	}
	if err := c.Bind(a.DN, a.Password); err != nil {
		return nil, errors.Join(fmt.Errorf("signing in as the administrator: %w", err), c.Close())
	}
	a.conn = c
	return c, nil
}

// HangUp ends the connection, as whoever ends the server must. The next change makes another one.
func (a *Admin) HangUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		_ = a.conn.Close()
		a.conn = nil
	}
}

// Add adds an entry. Each line is an attribute with a value, as in LDIF: "cn: Eva".
func (a *Admin) Add(dn string, lines ...string) {
	a.T.Helper()
	values := map[string][]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		values[name] = append(values[name], value)
	}
	request := goldap.NewAddRequest(dn, nil)
	for name, v := range values {
		request.Attribute(name, v)
	}
	a.as("adding "+dn, func(c *goldap.Conn) error { return c.Add(request) })
}

// AddPerson adds somebody with a login and a name of two words.
func (a *Admin) AddPerson(dn, uid, name string, lines ...string) {
	a.T.Helper()
	_, family, _ := strings.Cut(name, " ")
	a.Add(dn, append([]string{"objectClass: inetOrgPerson", "uid: " + uid, "cn: " + name, "sn: " + family}, lines...)...)
}

// Set replaces the values of an attribute; none: removes it.
func (a *Admin) Set(dn, attribute string, values ...string) {
	a.T.Helper()
	request := goldap.NewModifyRequest(dn, nil)
	request.Replace(attribute, values)
	a.as("changing "+dn, func(c *goldap.Conn) error { return c.Modify(request) })
}

// Put adds a value to an attribute.
func (a *Admin) Put(dn, attribute, value string) {
	a.T.Helper()
	request := goldap.NewModifyRequest(dn, nil)
	request.Add(attribute, []string{value})
	a.as("changing "+dn, func(c *goldap.Conn) error { return c.Modify(request) })
}

// Take removes a value from an attribute.
func (a *Admin) Take(dn, attribute, value string) {
	a.T.Helper()
	request := goldap.NewModifyRequest(dn, nil)
	request.Delete(attribute, []string{value})
	a.as("changing "+dn, func(c *goldap.Conn) error { return c.Modify(request) })
}

// Rename gives an entry another name, below another parent if one is named, and returns its new DN.
func (a *Admin) Rename(dn, name, parent string) string {
	a.T.Helper()
	a.as("renaming "+dn, func(c *goldap.Conn) error { return c.ModifyDN(goldap.NewModifyDNRequest(dn, name, true, parent)) })
	if parent == "" {
		_, parent, _ = strings.Cut(dn, ",")
	}
	return name + "," + parent
}

// Delete deletes an entry.
func (a *Admin) Delete(dn string) {
	a.T.Helper()
	a.as("deleting "+dn, func(c *goldap.Conn) error { return c.Del(goldap.NewDelRequest(dn, nil)) })
}

// Await waits until an attribute's values are what is told, which the server may see to by itself.
func (a *Admin) Await(dn, attribute string, is func([]string) bool) {
	a.T.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	a.as("reading "+dn, func(c *goldap.Conn) error {
		for {
			result, err := c.Search(goldap.NewSearchRequest(dn, goldap.ScopeBaseObject, goldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{attribute}, nil))
			if err != nil || len(result.Entries) == 1 && is(result.Entries[0].GetAttributeValues(attribute)) {
				return err
			}
			select {
			case <-tick.C:
			case <-deadline:
				return errors.New("it does not come to be as it should")
			}
		}
	})
}
