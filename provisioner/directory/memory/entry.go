package memory

import (
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// entry is one entry of the tree.
type entry struct {
	dn, folded string
	names      []string             // attributes as spelt, in order
	attributes directory.Attributes // names in lower case
	matched    map[string][]string  // values as they are compared
	place      int                  // in the directory's order
}

func newEntry(dn, folded string) *entry {
	return &entry{dn: dn, folded: folded, attributes: directory.Attributes{}, matched: map[string][]string{}}
}

// set replaces the values of an attribute; none: removes it.
func (e *entry) set(name string, values ...string) {
	key := strings.ToLower(name)
	if _, known := e.attributes[key]; !known {
		e.names = append(e.names, name)
	}
	if len(values) == 0 {
		delete(e.attributes, key)
		delete(e.matched, key)
		for i, n := range e.names {
			if strings.EqualFold(n, name) {
				e.names = append(e.names[:i:i], e.names[i+1:]...)
				break
			}
		}
		return
	}
	e.attributes[key] = values
	matched := make([]string, 0, len(values))
	for _, v := range values {
		matched = append(matched, foldFor(key, v))
	}
	if key == "objectclass" {
		matched = superclasses(matched)
	}
	e.matched[key] = matched
}

// equals compares with a value that is already folded for the attribute.
func (e *entry) equals(attribute, folded string) bool {
	for _, v := range e.matched[attribute] {
		if v == folded {
			return true
		}
	}
	return false
}

// isPerson tells what Flavour.People does, for both kinds of schema.
func (e *entry) isPerson() bool {
	return (e.equals("objectclass", "person") || e.equals("objectclass", "user")) && !e.equals("objectclass", "computer")
}

// superclasses adds the classes that people's classes are made from (RFC 4519, RFC 2798): a server knows them
// from its schema, an LDIF need not name them.
func superclasses(classes []string) []string {
	for _, c := range classes {
		switch c {
		case "inetorgperson":
			return append(classes, "organizationalperson", "person", "top")
		case "organizationalperson":
			return append(classes, "person", "top")
		}
	}
	return append(classes, "top")
}

// foldFor brings a value into the form in which values of this attribute are compared.
func foldFor(attribute, value string) string {
	switch attribute {
	case "member", "uniquemember", "memberof":
		if folded, err := fold(value); err == nil {
			return folded
		}
	case "objectguid", "guid", "objectsid", "memberuid", "userpassword":
		return value // byte for byte
	}
	return foldText(value)
}

// foldText ignores case, form and spaces, as most text in directories does (RFC 4518).
func foldText(s string) string {
	return strings.Join(strings.Fields(strings.ToLower(norm.NFC.String(s))), " ")
}
