package memory

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"pgregory.net/rapid"
)

// equals, and, or, not: filters as they come over the wire.
func equals(attribute, value string) *ber.Packet {
	p := ber.Encode(ber.ClassContext, ber.TypeConstructed, filterEquality, nil, "")
	p.AppendChild(octets(attribute, ""))
	p.AppendChild(octets(value, ""))
	return p
}

func set(tag ber.Tag, parts ...*ber.Packet) *ber.Packet {
	p := ber.Encode(ber.ClassContext, ber.TypeConstructed, tag, nil, "")
	for _, part := range parts {
		p.AppendChild(part)
	}
	return p
}

// TestIndexFindsWhatAScanFinds: whatever the filter, the short way leads to the same entries in the same order.
func TestIndexFindsWhatAScanFinds(t *testing.T) {
	var ldif strings.Builder
	ldif.WriteString("dn: dc=x\ndc: x\n\n")
	for i := range 30 {
		fmt.Fprintf(&ldif, "dn: uid=u%d,dc=x\nobjectClass: person\nuid: u%d\nou: %d\nou: even%d\n\n", i, i, i%3, i%2)
	}
	for i := range 4 {
		fmt.Fprintf(&ldif, "dn: cn=g%d,dc=x\nobjectClass: groupOfNames\ncn: g%d\nmember: UID=U%d, dc=x\nmember: uid=u%d,dc=x\n\n", i, i, i, i*7)
	}
	d, err := New(Options{Name: "x", LDIF: []byte(ldif.String())})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		var build func(depth int) *ber.Packet
		build = func(depth int) *ber.Packet {
			kind, many := 0, 0
			if depth > 0 {
				kind, many = rapid.IntRange(0, 4).Draw(t, "kind"), rapid.IntRange(0, 3).Draw(t, "parts")
			}
			var parts []*ber.Packet
			for range many {
				parts = append(parts, build(depth-1))
			}
			switch kind {
			case 1:
				return set(filterAnd, parts...)
			case 2:
				return set(filterOr, parts...)
			case 3:
				return set(filterNot, build(depth-1))
			}
			n := rapid.IntRange(0, 8).Draw(t, "n")
			return rapid.SampledFrom([]*ber.Packet{
				equals("uid", fmt.Sprintf("U%d", n)), equals("OU", fmt.Sprint(n)), equals("ou", "even1"), equals("objectClass", "PERSON"),
				equals("member", fmt.Sprintf("uid=u%d,DC=x", n)), equals("weg", "x"),
			}).Draw(t, "equality")
		}
		left := maxFilter
		q, err := d.compile(build(3), &left)
		if err != nil {
			t.Skip("too long")
		}
		var want []*entry
		for _, e := range d.order {
			if q.match(e) {
				want = append(want, e)
			}
		}
		if got := d.answers(q, "", 2); !slices.Equal(got, want) {
			t.Fatalf("the index finds %d entries, a scan %d", len(got), len(want))
		}
	})
}
