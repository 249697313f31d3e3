package memory

import (
	"bytes"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
)

func FuzzServerAnswersOrHangsUp(f *testing.F) {
	d, err := New(Options{Name: "x", LDIF: []byte("dn: dc=x\ndc: x\n\ndn: cn=svc,dc=x\ncn: svc\nuserPassword: pw\n\ndn: uid=a,dc=x\nobjectClass: person\nuid: a\nuserPassword: pw\n")})
	if err != nil {
		f.Fatal(err)
	}
	message := func(op *ber.Packet) []byte {
		m := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 1, ""))
		m.AppendChild(op)
		return m.Bytes()
	}
	application := func(tag ber.Tag, children ...*ber.Packet) []byte {
		op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
		for _, c := range children {
			op.AppendChild(c)
		}
		return message(op)
	}
	integer := func(tag ber.Tag, n int64) *ber.Packet {
		return ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, tag, n, "")
	}
	f.Add(application(bindRequest, integer(ber.TagInteger, 3), octets("cn=svc,dc=x", ""), ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, "pw", "")))
	search := func(base string, scope int64) []byte {
		present := ber.NewString(ber.ClassContext, ber.TypePrimitive, filterPresent, "objectClass", "")
		return application(searchRequest, octets(base, ""), integer(ber.TagEnumerated, scope), integer(ber.TagEnumerated, 0), integer(ber.TagInteger, 1), integer(ber.TagInteger, 1),
			ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, false, ""), present, ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, ""))
	}
	for _, base := range []string{"", " ", "dc=x", "dc=weg"} {
		for scope := range int64(4) {
			f.Add(search(base, scope))
		}
	}
	value := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	value.AppendChild(integer(ber.TagInteger, changeAdd|changeDelete))
	for range 2 {
		value.AppendChild(ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, true, ""))
	}
	controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
	controls.AppendChild(control(oidPersistentSearch, value))
	persistent, err := ber.DecodePacketErr(search("dc=x", 2))
	if err != nil {
		f.Fatal(err)
	}
	persistent.AppendChild(controls)
	f.Add(persistent.Bytes())
	f.Add(application(extendedRequest, ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, "1.3.6.1.4.1.1466.20037", "")))
	f.Add(application(unbindRequest))
	f.Add([]byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, raw []byte) {
		packet, err := ber.ReadPacket(bytes.NewReader(raw))
		if err != nil {
			return
		}
		for _, service := range []bool{false, true} {
			s := &session{directory: d, service: service}
			if err := s.answer(packet); err != nil {
				continue
			}
			if bytes.Contains(s.out.Bytes(), []byte("userPassword")) && !bytes.Contains(raw, []byte("userPassword")) {
				t.Errorf("the answer to %x contains a password", raw)
			}
			if !service && bytes.Contains(s.out.Bytes(), []byte("uid=a")) && !bytes.Contains(raw, []byte("uid=a")) {
				t.Errorf("a stranger was told about people: %x", raw)
			}
		}
	})
}
