package ldap

import (
	"bufio"
	"bytes"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"
)

// sequence is a BER element made of others.
func sequence(tag ber.Tag, class ber.Class, parts ...*ber.Packet) *ber.Packet {
	p := ber.Encode(class, ber.TypeConstructed, tag, nil, "")
	for _, part := range parts {
		p.AppendChild(part)
	}
	return p
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func enumerated(tag ber.Tag, n int64) *ber.Packet {
	return ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, tag, n, "")
}

// FuzzAnswers has a server send anything: a feed takes it or leaves it, and does neither panic nor read on and on.
func FuzzAnswers(f *testing.F) {
	universal, application, context := ber.ClassUniversal, ber.ClassApplication, ber.ClassContext
	control := func(oid string, value *ber.Packet) *ber.Packet {
		return sequence(0, context, sequence(ber.TagSequence, universal, octets(oid), octets(string(value.Bytes()))))
	}
	answer := func(op *ber.Packet, controls ...*ber.Packet) {
		f.Add(sequence(ber.TagSequence, universal, append([]*ber.Packet{enumerated(ber.TagInteger, 7), op}, controls...)...).Bytes())
	}
	id := "0123456789abcdef"
	entry := sequence(4, application, octets("uid=eva,dc=x"), sequence(ber.TagSequence, universal,
		sequence(ber.TagSequence, universal, octets("UID"), sequence(ber.TagSet, universal, octets("eva"), octets("evi")))))
	answer(entry)
	answer(entry, control(goldap.ControlTypeSyncState, sequence(ber.TagSequence, universal, enumerated(ber.TagEnumerated, 1), octets(id), octets("cookie"))))
	answer(entry, control(oidEntryChange, sequence(ber.TagSequence, universal, enumerated(ber.TagEnumerated, changeModDN), octets("uid=evi,dc=x"))))
	done := sequence(5, application, enumerated(ber.TagEnumerated, 4), octets(""), octets("too many"))
	answer(done)
	answer(done, control(goldap.ControlTypePaging, sequence(ber.TagSequence, universal, enumerated(ber.TagInteger, 0), octets("next"))))
	for kind := range ber.Tag(4) {
		value := sequence(kind, context, octets("cookie"), ber.NewBoolean(universal, ber.TypePrimitive, ber.TagBoolean, true, ""), sequence(ber.TagSet, universal, octets(id)))
		answer(sequence(25, application, ber.NewString(context, ber.TypePrimitive, 0, goldap.ControlTypeSyncInfo, ""),
			ber.NewString(context, ber.TypePrimitive, 1, string(value.Bytes()), "")))
	}
	f.Add([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := &wire{in: bufio.NewReader(bytes.NewReader(raw)), names: map[string]string{}}
		for range len(raw) + 1 {
			m, err := w.message()
			if err != nil {
				return
			}
			_, a, err := w.entry(m)
			if err == nil && a == nil {
				t.Error("an entry has neither attributes nor an error")
			}
			_, _ = syncStateOf(m)
			_, _ = syncInfoOf(m)
			_, _ = entryChange(m)
			_, _ = pageCookie(m)
		}
		t.Error("there are more messages than bytes")
	})
}

func TestAnswersAreReadAsTheyAreMeant(t *testing.T) {
	value := sequence(3, ber.ClassContext, octets("c"), ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, ""),
		sequence(ber.TagSet, ber.ClassUniversal, octets("0123456789abcdef"), octets("fedcba9876543210")))
	op := sequence(25, ber.ClassApplication, ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, goldap.ControlTypeSyncInfo, ""),
		ber.NewString(ber.ClassContext, ber.TypePrimitive, 1, string(value.Bytes()), ""))
	_, content, _ := new(tlv(op.Bytes())).next()
	info, err := syncInfoOf(message{op: content})
	if err != nil || info.kind != syncIDSet || !info.flag || string(info.cookie) != "c" || len(info.ids) != 2 || string(info.ids[1][:]) != "fedcba9876543210" {
		t.Errorf("a set of ids is read as %+v, %v", info, err)
	}
	cookie := ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, "new", "")
	op = sequence(25, ber.ClassApplication, ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, goldap.ControlTypeSyncInfo, ""),
		ber.NewString(ber.ClassContext, ber.TypePrimitive, 1, string(cookie.Bytes()), ""))
	_, content, _ = new(tlv(op.Bytes())).next()
	if info, err = syncInfoOf(message{op: content}); err != nil || info.kind != syncNewCookie || string(info.cookie) != "new" {
		t.Errorf("a new cookie is read as %+v, %v", info, err)
	}
}
