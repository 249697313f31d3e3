//go:build unix

package sambatest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf16"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// patience is how long an administrator's request may take.
const patience = time.Minute

// dial connects over LDAPS and binds.
func (s *Server) dial(dn, password string) (*goldap.Conn, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CAPEM)
	c, err := goldap.DialURL(s.LDAPS, goldap.DialWithTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}),
		goldap.DialWithDialer(&net.Dialer{Timeout: patience}))
	if err != nil {
		return nil, err
	}
	c.SetTimeout(patience)
	if err := c.Bind(dn, password); err != nil {
		return nil, fmt.Errorf("binding: %w", joinClose(err, c))
	}
	return c, nil
}

func joinClose(err error, c *goldap.Conn) error {
	_ = c.Close()
	return err
}

// Administrator is a connection that may do anything. It lasts until Stop.
func (s *Server) Administrator() *goldap.Conn {
	s.t.Helper()
	if s.admin == nil || s.admin.IsClosing() {
		var err error
		s.admin, err = s.dial(AdminDN, AdminPassword)
		s.must("signing in as the administrator", err)
	}
	return s.admin
}

// AddPerson makes an account in order and returns its DN: login@stadt.example is its user principal name. The
// password may be empty, and more attributes may be given or replaced.
func (s *Server) AddPerson(unit, login, name, password string, more map[string][]string) string {
	s.t.Helper()
	dn := "CN=" + goldap.EscapeDN(name) + "," + unit
	attributes := map[string][]string{"userAccountControl": {"512"}, "displayName": {name}, "mail": {login + "@" + DNSName}}
	if password != "" {
		attributes["unicodePwd"] = []string{quoted(password)}
	}
	for name, values := range more {
		attributes[name] = values
	}
	s.must("adding "+dn, s.Administrator().Add(personRequest(dn, login, attributes)))
	return dn
}

func personRequest(dn, login string, attributes map[string][]string) *goldap.AddRequest {
	add := goldap.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{"top", "person", "organizationalPerson", "user"})
	add.Attribute("sAMAccountName", []string{login})
	add.Attribute("userPrincipalName", []string{login + "@" + DNSName})
	for name, values := range attributes {
		add.Attribute(name, values)
	}
	return add
}

// AddGroup makes a global security group in GroupsBase and returns its DN.
func (s *Server) AddGroup(name string, members ...string) string {
	s.t.Helper()
	dn := "CN=" + goldap.EscapeDN(name) + "," + GroupsBase
	add := goldap.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{"top", "group"})
	add.Attribute("sAMAccountName", []string{name})
	if len(members) > 0 {
		add.Attribute("member", members)
	}
	s.must("adding "+dn, s.Administrator().Add(add))
	return dn
}

// Set replaces an attribute; without values it is taken away.
func (s *Server) Set(dn, attribute string, values ...string) {
	s.t.Helper()
	modify := goldap.NewModifyRequest(dn, nil)
	modify.Replace(attribute, values)
	s.must("changing "+dn, s.Administrator().Modify(modify))
}

// AddMembers puts members into a group.
func (s *Server) AddMembers(group string, members ...string) {
	s.t.Helper()
	modify := goldap.NewModifyRequest(group, nil)
	modify.Add("member", members)
	s.must("adding members to "+group, s.Administrator().Modify(modify))
}

// RemoveMembers takes members out of a group.
func (s *Server) RemoveMembers(group string, members ...string) {
	s.t.Helper()
	modify := goldap.NewModifyRequest(group, nil)
	modify.Delete("member", members)
	s.must("removing members from "+group, s.Administrator().Modify(modify))
}

// Disable switches an account off.
func (s *Server) Disable(dn string) { s.t.Helper(); s.Set(dn, "userAccountControl", "514") }

// Enable switches it on again.
func (s *Server) Enable(dn string) { s.t.Helper(); s.Set(dn, "userAccountControl", "512") }

// ExpireAt sets an account's date of expiry; the zero time means never.
func (s *Server) ExpireAt(dn string, at time.Time) {
	s.t.Helper()
	s.Set(dn, "accountExpires", fmt.Sprint(filetime(at)))
}

// SetPassword sets a password as an administrator does.
func (s *Server) SetPassword(dn, password string) {
	s.t.Helper()
	s.Set(dn, "unicodePwd", quoted(password))
}

// Delete deletes an entry.
func (s *Server) Delete(dn string) {
	s.t.Helper()
	s.must("deleting "+dn, s.Administrator().Del(goldap.NewDelRequest(dn, nil)))
}

// Move renames an entry, or moves it, and returns its new DN.
func (s *Server) Move(dn, name, unit string) string {
	s.t.Helper()
	rdn := "CN=" + goldap.EscapeDN(name)
	s.must("moving "+dn, s.Administrator().ModifyDN(goldap.NewModifyDNRequest(dn, rdn, true, unit)))
	return rdn + "," + unit
}

// LockOut types wrong passwords until the account is locked.
func (s *Server) LockOut(dn string) {
	s.t.Helper()
	for range LockedAfter {
		if c, err := s.dial(dn, "falsch-falsch"); err == nil {
			_ = c.Close()
			s.t.Fatalf("a wrong password was right for %s", dn)
		} else if !goldap.IsErrorWithCode(err, goldap.LDAPResultInvalidCredentials) {
			s.t.Fatalf("typing a wrong password: %v", err)
		}
	}
}

// Unlock ends a lock.
func (s *Server) Unlock(dn string) { s.t.Helper(); s.Set(dn, "lockoutTime", "0") }

// quoted is a password as unicodePwd wants it (MS-ADTS 3.1.1.3.1.5).
func quoted(password string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(`"` + password + `"`)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return string(b)
}

func commonName(dn string) string {
	rdn, _, _ := strings.Cut(dn, ",")
	return strings.TrimPrefix(rdn, "CN=")
}

// AddUnit makes a unit.
func (s *Server) AddUnit(dn string) {
	s.t.Helper()
	s.must("adding "+dn, s.Administrator().Add(unitRequest(dn)))
}

func unitRequest(dn string) *goldap.AddRequest {
	add := goldap.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{"organizationalUnit"})
	return add
}

// MoveUnit renames a unit, or moves it, with all that is below it.
func (s *Server) MoveUnit(dn, name, unit string) {
	s.t.Helper()
	s.must("moving "+dn, s.Administrator().ModifyDN(goldap.NewModifyDNRequest(dn, "OU="+goldap.EscapeDN(name), true, unit)))
}

// SetPasswordOn has a password have been set at another time, which no server lets anybody do.
func (s *Server) SetPasswordOn(dn string, at time.Time) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), testneed.Program(s.t, "ldbmodify"), "-H", filepath.Join(s.dir, "private", "sam.ldb"), //nolint:gosec // the program is ldbmodify
		"--controls=local_oid:1.3.6.1.4.1.7165.4.3.12:0") // past what guards passwords (DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("dn:: %s\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: %d\n",
		base64.StdEncoding.EncodeToString([]byte(dn)), filetime(at)))
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("setting a password back: %v\n%s", err, out)
	}
}

// filetime is a time in ticks of 100 ns since 1601 (MS-DTYP 2.3.3); 0 for the zero time.
func filetime(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return (at.Unix()+11644473600)*10_000_000 + int64(at.Nanosecond()/100)
}

// Undelete brings an entry back as it was deleted, to where it was. Without a recycle bin it has lost most of what it
// had.
func (s *Server) Undelete(stableID, dn string) {
	s.t.Helper()
	deleted := []goldap.Control{goldap.NewControlMicrosoftShowDeleted()}
	found, err := s.Administrator().Search(goldap.NewSearchRequest("<GUID="+stableID+">", goldap.ScopeBaseObject, goldap.NeverDerefAliases, 0, 0, false,
		"(objectClass=*)", []string{"1.1"}, deleted))
	s.must("finding what was deleted", err)
	modify := goldap.NewModifyRequest(found.Entries[0].DN, deleted)
	modify.Delete("isDeleted", nil)
	modify.Replace("distinguishedName", []string{dn})
	s.must("undeleting "+dn, s.Administrator().Modify(modify))
}
