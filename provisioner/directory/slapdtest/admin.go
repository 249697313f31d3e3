//go:build unix

package slapdtest

import (
	"errors"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
)

// as does something as the administrator.
func (s *Server) as(what string, do func(*goldap.Conn) error) {
	s.t.Helper()
	c, err := goldap.DialURL(s.LDAP)
	s.must("connecting as the administrator", err)
	defer func() { _ = c.Close() }()
	s.must("signing in as the administrator", c.Bind(AdminDN, AdminPassword))
	s.must(what, do(c))
}

// Add adds an entry. Each line is an attribute with a value, as in LDIF: "cn: Eva".
func (s *Server) Add(dn string, lines ...string) {
	s.t.Helper()
	values := map[string][]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		values[name] = append(values[name], value)
	}
	request := goldap.NewAddRequest(dn, nil)
	for name, v := range values {
		request.Attribute(name, v)
	}
	s.as("adding "+dn, func(c *goldap.Conn) error { return c.Add(request) })
}

// AddPerson adds somebody with a login and a name of two words.
func (s *Server) AddPerson(dn, uid, name string, lines ...string) {
	s.t.Helper()
	_, family, _ := strings.Cut(name, " ")
	s.Add(dn, append([]string{"objectClass: inetOrgPerson", "uid: " + uid, "cn: " + name, "sn: " + family}, lines...)...)
}

// Set replaces the values of an attribute; none: removes it.
func (s *Server) Set(dn, attribute string, values ...string) {
	s.t.Helper()
	request := goldap.NewModifyRequest(dn, nil)
	request.Replace(attribute, values)
	s.as("changing "+dn, func(c *goldap.Conn) error { return c.Modify(request) })
}

// Put adds a value to an attribute.
func (s *Server) Put(dn, attribute, value string) {
	s.t.Helper()
	request := goldap.NewModifyRequest(dn, nil)
	request.Add(attribute, []string{value})
	s.as("changing "+dn, func(c *goldap.Conn) error { return c.Modify(request) })
}

// Take removes a value from an attribute.
func (s *Server) Take(dn, attribute, value string) {
	s.t.Helper()
	request := goldap.NewModifyRequest(dn, nil)
	request.Delete(attribute, []string{value})
	s.as("changing "+dn, func(c *goldap.Conn) error { return c.Modify(request) })
}

// Rename gives an entry another name, below another parent if one is named, and returns its new DN.
func (s *Server) Rename(dn, name, parent string) string {
	s.t.Helper()
	s.as("renaming "+dn, func(c *goldap.Conn) error { return c.ModifyDN(goldap.NewModifyDNRequest(dn, name, true, parent)) })
	if parent == "" {
		_, parent, _ = strings.Cut(dn, ",")
	}
	return name + "," + parent
}

// Delete deletes an entry.
func (s *Server) Delete(dn string) {
	s.t.Helper()
	s.as("deleting "+dn, func(c *goldap.Conn) error { return c.Del(goldap.NewDelRequest(dn, nil)) })
}

// Await waits until an attribute's values are what is told, which the server may see to by itself.
func (s *Server) Await(dn, attribute string, is func([]string) bool) {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	s.as("reading "+dn, func(c *goldap.Conn) error {
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
