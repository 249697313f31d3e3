package memory

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner/directory"
)

// Entry is one record of an LDIF text: a DN and its attributes, in the order of the text.
type Entry struct {
	DN         string
	Attributes []Attribute
}

// Attribute is one value of an attribute.
type Attribute struct {
	Name, Value string
}

// ParseLDIF reads content records (RFC 2849). Change records, controls and values by URL are refused: a URL
// would read a file of this machine. Errors name the line.
//
// The reader is our own because go-ldap/ldif follows such URLs, forgets the order of attributes and refuses
// empty values.
func ParseLDIF(text []byte) ([]Entry, error) {
	p := &parser{}
	for n, line := range unfold(string(text)) {
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("LDIF, line %d: %w", n, err)
		}
	}
	if err := p.end(); err != nil {
		return nil, fmt.Errorf("LDIF, at the end: %w", err)
	}
	return p.entries, nil
}

type parser struct {
	entries []Entry
	open    *Entry // the record that is being read
	begun   bool   // a version line may only be the first
}

func (p *parser) line(line string) error {
	if line == "" {
		return p.end()
	}
	name, value, err := splitLine(line)
	if err != nil {
		return err
	}
	first := !p.begun
	p.begun = true
	switch {
	case first && strings.EqualFold(name, "version"):
		if value != "1" {
			return fmt.Errorf("version %q is not known, only 1 is", value)
		}
		return nil
	case p.open == nil:
		if !strings.EqualFold(name, "dn") {
			return fmt.Errorf("a record begins with dn, not with %s", name)
		}
		if folded, err := directory.FoldDN(value); err != nil || folded == "" {
			return errors.Join(errors.New("the record's DN is not usable"), err)
		}
		p.open = &Entry{DN: value}
		return nil
	case strings.EqualFold(name, "changetype"), strings.EqualFold(name, "control"):
		return errors.New("this is a change, and only contents are read")
	}
	p.open.Attributes = append(p.open.Attributes, Attribute{Name: name, Value: value})
	return nil
}

func (p *parser) end() error {
	if p.open == nil {
		return nil
	}
	if len(p.open.Attributes) == 0 {
		return fmt.Errorf("the record %q has no attributes", p.open.DN)
	}
	p.entries = append(p.entries, *p.open)
	p.open = nil
	return nil
}

func splitLine(line string) (name, value string, err error) {
	name, value, found := strings.Cut(line, ":")
	if !found {
		return "", "", errors.New("there is no colon")
	}
	if !isName(name) {
		return "", "", errors.New("what stands before the colon is not the name of an attribute")
	}
	switch {
	case strings.HasPrefix(value, "<"):
		return "", "", errors.New("values by URL are not read")
	case strings.HasPrefix(value, ":"):
		raw, err := base64.StdEncoding.DecodeString(strings.Trim(value[1:], " "))
		if err != nil {
			return "", "", fmt.Errorf("the value of %s is not base64", name)
		}
		return name, string(raw), nil
	}
	return name, strings.TrimLeft(value, " "), nil
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
		if !letter && (c < '0' || c > '9') && (i == 0 || (c != '-' && c != ';' && c != '.')) {
			return false
		}
	}
	return s != ""
}

// unfold yields logical lines with the number of their first physical one: continuations joined, comments
// (which may be continued too) taken out, carriage returns removed.
func unfold(text string) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		number, start, pending, have := 0, 0, "", false
		var joined strings.Builder
		flush := func() bool {
			if !have {
				return true
			}
			have = false
			pending = joined.String()
			if strings.HasPrefix(pending, "#") {
				return true
			}
			return yield(start, pending)
		}
		for line := range strings.Lines(text) {
			number++
			line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
			if have && strings.HasPrefix(line, " ") {
				joined.WriteString(line[1:])
				continue
			}
			if !flush() {
				return
			}
			if line == "" {
				if !yield(number, "") {
					return
				}
				continue
			}
			joined.Reset()
			joined.WriteString(line)
			start, have = number, true
		}
		flush()
	}
}
