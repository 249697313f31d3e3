package memory

import (
	"slices"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

type replier func(code int64, text string, controls ...*ber.Packet) error

// bind answers a bind request. As on a real server, whoever fails is nobody from then on.
func (s *session) bind(op *ber.Packet, reply replier) error {
	s.service = false
	if len(op.Children) != 3 {
		return errMessage
	}
	dn, auth := text(op.Children[1]), op.Children[2]
	if auth.ClassType != ber.ClassContext || auth.Tag != 0 {
		return reply(authMethodUnsupported, "only simple binds are known")
	}
	password := text(auth)
	if dn == "" && password == "" {
		return reply(success, "")
	}
	if password == "" { // RFC 4513, section 5.1.2
		return reply(unwillingToPerform, "a bind without a password proves nothing")
	}
	d := s.directory
	e, err := d.find(dn)
	if err != nil {
		return reply(invalidCredentials, "") // an unknown name looks like a wrong password
	}
	if !e.isPerson() {
		if !matches(e.attributes["userpassword"], password) {
			return reply(invalidCredentials, "")
		}
		s.service = true
		return reply(success, "")
	}
	person, err := d.person(e)
	if err != nil {
		return reply(unwillingToPerform, "the entry is incomplete")
	}
	return d.replyBind(d.try(e, password, person.Status), person.Status, reply)
}

// replyBind says it in the words of the flavour.
func (d *Directory) replyBind(v verdict, s directory.Status, reply replier) error {
	if d.flavour.Name == directory.ActiveDirectory {
		code := windowsCode(v, s)
		if code == "" {
			return reply(success, "")
		}
		return reply(invalidCredentials, "80090308: LdapErr: DSID-0C090400, comment: AcceptSecurityContext error, data "+code+", v1db1")
	}
	const accountLocked, changeAfterReset = 1, 2
	switch v.cause {
	case "":
		if s.MustChangePassword {
			return reply(success, "", policyControl(changeAfterReset))
		}
		return reply(success, "")
	case directory.Disabled:
		return reply(unwillingToPerform, "Account inactivated. Contact system administrator.")
	case directory.Locked:
		return reply(invalidCredentials, "", policyControl(accountLocked))
	}
	return reply(invalidCredentials, "")
}

func windowsCode(v verdict, s directory.Status) string {
	switch {
	case v.cause == directory.Locked:
		return "775"
	case v.cause != "":
		return "52e"
	case s.Ended == directory.EndDisabled:
		return "533"
	case s.Ended == directory.EndExpired:
		return "701"
	case s.MustChangePassword:
		return "773"
	case s.PasswordExpired:
		return "532"
	}
	return ""
}

// policyControl is the answer's password policy control (draft-behera-ldap-password-policy-10, section 6.2).
func policyControl(code byte) *ber.Packet {
	value := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "PasswordPolicyResponseValue")
	value.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 1, string([]byte{code}), "error"))
	return control("1.3.6.1.4.1.42.2.27.8.5.1", value)
}

func control(oid string, value *ber.Packet) *ber.Packet {
	c := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "control")
	c.AppendChild(octets(oid, "controlType"))
	c.AppendChild(octets(string(value.Bytes()), "controlValue"))
	return c
}

// search answers a search request. The read lock is held for all of it, as an answer is of one moment.
func (s *session) search(message *ber.Packet, id int64, op *ber.Packet, reply replier) error {
	const base, scope, limit, typesOnly, filterAt, attributes = 0, 1, 3, 5, 6, 7
	if len(op.Children) != 8 {
		return errMessage
	}
	scopeOf, _ := op.Children[scope].Value.(int64)
	most, _ := op.Children[limit].Value.(int64)
	noValues, _ := op.Children[typesOnly].Value.(bool)
	dn := text(op.Children[base])
	want := selection{noValues: noValues}
	for _, a := range op.Children[attributes].Children {
		want.names = append(want.names, strings.ToLower(text(a)))
	}
	d := s.directory
	left := maxFilter
	asked, err := d.compile(op.Children[filterAt], &left)
	if err != nil {
		return reply(unwillingToPerform, err.Error())
	}
	folded, dnErr := fold(dn)
	if dnErr == nil && folded == "" && scopeOf == 0 {
		if err := s.write(id, want.encode(d.rootDSE())); err != nil {
			return err
		}
		return reply(success, "")
	}
	if !s.service {
		return reply(insufficientAccess, "sign in with a service account first")
	}
	if dnErr != nil || (folded != "" && d.entries[folded] == nil) {
		return reply(noSuchObject, "")
	}
	kinds, changesOnly, notify, persists, err := persistentControl(message)
	switch {
	case err != nil:
		return err
	case persists && len(s.persistent) == maxPersistent:
		return reply(unwillingToPerform, "that is one persistent search too many")
	case persists:
		s.persist(&persistent{id: id, base: folded, scope: scopeOf, asked: asked, want: want, kinds: kinds, notify: notify})
		if changesOnly {
			return nil
		}
		most, reply = 0, func(int64, string, ...*ber.Packet) error { return nil } // it has no end
	}
	var sent int64
	for _, e := range d.answers(asked, folded, scopeOf) {
		if most > 0 && sent == most {
			return reply(sizeLimitExceeded, "")
		}
		sent++
		if err := s.write(id, want.encode(e)); err != nil {
			return err
		}
	}
	return reply(success, "")
}

// rootDSE says what the flavour would be recognised by.
func (d *Directory) rootDSE() *entry {
	e := newEntry("", "")
	var contexts []string
	for _, o := range d.order {
		if _, parent, _ := strings.Cut(o.folded, ","); d.entries[parent] == nil {
			contexts = append(contexts, o.dn)
		}
	}
	e.set("objectClass", "top")
	if len(contexts) > 0 {
		e.set("namingContexts", contexts...)
	}
	e.set("supportedLDAPVersion", "3")
	e.set("supportedControl", oidPersistentSearch)
	switch d.flavour.Name {
	case directory.ActiveDirectory:
		e.set("supportedCapabilities", "1.2.840.113556.1.4.800")
	case directory.DirectoryServer:
		e.set("vendorName", "389 Project")
	case directory.EDirectory:
		e.set("directoryTreeName", "DEMO")
	default:
		e.set("objectClass", "top", "OpenLDAProotDSE")
	}
	return e
}

// selection says what of an entry is sent (RFC 4511, section 4.5.1.8).
type selection struct {
	names    []string
	noValues bool
}

func (s selection) includes(name string) bool {
	if name == "userpassword" {
		return false
	}
	operational := strings.HasPrefix(name, "pwd") || name == "entryuuid" || name == "nsuniqueid"
	switch {
	case slices.Contains(s.names, name):
		return true
	case operational:
		return slices.Contains(s.names, "+")
	}
	return len(s.names) == 0 || slices.Contains(s.names, "*")
}

func (s selection) encode(e *entry) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, searchEntry, nil, "searchResEntry")
	p.AppendChild(octets(e.dn, "objectName"))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "attributes")
	for _, name := range e.names {
		key := strings.ToLower(name)
		if !s.includes(key) {
			continue
		}
		attribute := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "attribute")
		attribute.AppendChild(octets(name, "type"))
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "vals")
		if !s.noValues {
			for _, v := range e.attributes[key] {
				values.AppendChild(octets(v, "value"))
			}
		}
		attribute.AppendChild(values)
		list.AppendChild(attribute)
	}
	p.AppendChild(list)
	return p
}
