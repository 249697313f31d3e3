package directory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	errDNType  = errors.New("the DN has a part that is not of the form type=value")
	errDNQuote = errors.New("the DN has a quotation mark that is not closed")
	errDNSlash = errors.New("the DN ends in the middle of an escape")
)

// FoldDN brings a distinguished name (RFC 4514) into a form in which two spellings of one name are equal: types
// and values in lower case, spaces around separators gone and inside values single, one way of escaping, the
// parts of a multi-valued RDN in order. In the result a comma is always a separator. Of values it knows only
// text that ignores case, which is what names of people, units and groups are made of. It is idempotent.
//
// Unicode normalisation is left to the caller.
func FoldDN(dn string) (string, error) {
	if strings.TrimSpace(dn) == "" {
		return "", nil
	}
	var rdns []string
	var parts []string
	rest := dn
	for {
		part, sep, tail, err := foldPart(rest)
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
		if sep != '+' {
			slices.Sort(parts)
			rdns = append(rdns, strings.Join(parts, "+"))
			parts = nil
		}
		if sep == 0 {
			return strings.Join(rdns, ","), nil
		}
		rest = tail
	}
}

// Under reports whether a folded DN is the folded base or lies below it. Everything lies below the empty base.
func Under(dn, base string) bool {
	return base == "" || dn == base || strings.HasSuffix(dn, ","+base)
}

// foldPart folds one type=value and returns the separator behind it (0 at the end) and what follows.
func foldPart(s string) (part string, sep byte, rest string, err error) {
	kind, s, found := strings.Cut(s, "=")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if !found || !isAttributeType(kind) {
		return "", 0, "", errDNType
	}
	value, sep, rest, err := scanValue(s)
	if err != nil {
		return "", 0, "", err
	}
	return kind + "=" + escapeValue(foldValue(value)), sep, rest, nil
}

func isAttributeType(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != ';' && c != '_' {
			return false
		}
	}
	return true
}

// scanValue reads a value up to its separator and takes the escapes out.
func scanValue(s string) (value string, sep byte, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			if i+1 >= len(s) {
				return "", 0, "", errDNSlash
			}
			if i+2 < len(s) {
				if raw, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
					b.Write(raw)
					i += 2
					continue
				}
			}
			b.WriteByte(s[i+1])
			i++
		case c == '"' && (quoted || b.Len() == 0): // RFC 2253 allowed quoted values
			quoted = !quoted
		case !quoted && (c == ',' || c == ';' || c == '+'):
			if c == ';' {
				c = ','
			}
			return b.String(), c, s[i+1:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", 0, "", errDNQuote
	}
	return b.String(), 0, "", nil
}

// foldValue applies case and space insensitivity (RFC 4518 in essence). A value that is no UTF-8 stays as it is.
func foldValue(v string) string {
	if !utf8.ValidString(v) {
		return v
	}
	return strings.Join(strings.FieldsFunc(strings.Map(unicode.ToLower, v), func(r rune) bool { return r == ' ' }), " ")
}

func escapeValue(v string) string {
	var b strings.Builder
	valid := utf8.ValidString(v)
	for i := range len(v) {
		c := v[i]
		outer := c == ' ' && (i == 0 || i == len(v)-1)
		if outer || strings.IndexByte(`,;+"\<>=#`, c) >= 0 || c < 0x20 || c == 0x7f || (c >= 0x80 && !valid) {
			fmt.Fprintf(&b, `\%02x`, c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
