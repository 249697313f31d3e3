package memory

import (
	"errors"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// Choices of a filter (RFC 4511, section 4.5.1).
const (
	filterAnd        = 0
	filterOr         = 1
	filterNot        = 2
	filterEquality   = 3
	filterSubstrings = 4
	filterPresent    = 7
	filterExtensible = 9
)

// maxFilter bounds the parts of a filter; deeper nesting than that cannot be reached either.
const maxFilter = 2000

var (
	errFilter        = errors.New("the filter is malformed")
	errFilterUnknown = errors.New("this directory does not know that kind of filter")
	errFilterLong    = errors.New("the filter has too many parts")
)

// compile reads a filter. The number of parts that may still come is counted down in left.
func (d *Directory) compile(p *ber.Packet, left *int) (query, error) {
	if *left--; *left < 0 {
		return query{}, errFilterLong
	}
	if p.ClassType != ber.ClassContext {
		return query{}, errFilter
	}
	switch p.Tag {
	case filterAnd, filterOr:
		return d.compileSet(p, left)
	case filterNot:
		if len(p.Children) != 1 {
			return query{}, errFilter
		}
		inner, err := d.compile(p.Children[0], left)
		if err != nil {
			return query{}, err
		}
		return unbounded(func(e *entry) bool { return !inner.match(e) }), nil
	case filterEquality:
		if len(p.Children) != 2 {
			return query{}, errFilter
		}
		name := strings.ToLower(text(p.Children[0]))
		return d.equality(assertion{name, foldFor(name, text(p.Children[1]))}), nil
	case filterPresent:
		name := strings.ToLower(text(p))
		if name == "objectclass" {
			return unbounded(func(*entry) bool { return true }), nil
		}
		return unbounded(func(e *entry) bool { return len(e.attributes[name]) > 0 }), nil
	case filterSubstrings:
		return compileSubstrings(p)
	case filterExtensible:
		return d.compileChain(p)
	}
	return query{}, errFilterUnknown
}

// compileSet reads "and" and "or". An empty "and" is true, an empty "or" is false (RFC 4526).
func (d *Directory) compileSet(p *ber.Packet, left *int) (query, error) {
	parts := make([]query, 0, min(len(p.Children), maxFilter))
	for _, c := range p.Children {
		q, err := d.compile(c, left)
		if err != nil {
			return query{}, err
		}
		parts = append(parts, q)
	}
	if p.Tag == filterAnd {
		return allOf(parts), nil
	}
	return anyOf(parts), nil
}

func compileSubstrings(p *ber.Packet) (query, error) {
	if len(p.Children) != 2 || len(p.Children[1].Children) == 0 {
		return query{}, errFilter
	}
	name := strings.ToLower(text(p.Children[0]))
	const initial, final = 0, 2
	pieces := p.Children[1].Children
	return unbounded(func(e *entry) bool {
		for _, v := range e.matched[name] {
			if containsPieces(v, pieces, initial, final) {
				return true
			}
		}
		return false
	}), nil
}

func containsPieces(v string, pieces []*ber.Packet, initial, final ber.Tag) bool {
	for _, piece := range pieces {
		want := foldText(text(piece))
		switch piece.Tag {
		case initial:
			if !strings.HasPrefix(v, want) {
				return false
			}
			v = v[len(want):]
		case final:
			return strings.HasSuffix(v, want)
		default:
			at := strings.Index(v, want)
			if at < 0 {
				return false
			}
			v = v[at+len(want):]
		}
	}
	return true
}

// compileChain knows one matching rule, Active Directory's for members of members.
func (d *Directory) compileChain(p *ber.Packet) (query, error) {
	const rule, attribute, value = 1, 2, 3
	parts := map[ber.Tag]string{}
	for _, c := range p.Children {
		parts[c.Tag] = text(c)
	}
	if !d.flavour.InChain || parts[rule] != "1.2.840.113556.1.4.1941" || !strings.EqualFold(parts[attribute], "member") {
		return query{}, errFilterUnknown
	}
	folded, err := fold(parts[value])
	if err != nil {
		return anyOf(nil), nil //nolint:nilerr // no such DN: undefined, which matches nobody
	}
	member := d.entries[folded]
	if member == nil {
		return anyOf(nil), nil
	}
	in := d.groupsOf(member)
	return unbounded(func(e *entry) bool { return in[e.folded] }), nil
}

// text is the content of a primitive, whatever its tag.
func text(p *ber.Packet) string {
	if p.Data == nil {
		return ""
	}
	return p.Data.String()
}
