package ldap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Tags of BER as LDAP uses it (RFC 4511, section 5.1).
const (
	tagBoolean    = 0x01
	tagInteger    = 0x02
	tagString     = 0x04
	tagEnumerated = 0x0a
	tagSequence   = 0x30
	tagSet        = 0x31
	tagControls   = 0xa0
)

// maxAnswer bounds a message of a server that has been trusted with the service account's password. A group with all of a
// city's people takes three megabytes.
const maxAnswer = 256 << 20

var errMalformed = errors.New("the server's answer is malformed")

// tlv is a row of BER elements. A feed reads tens of thousands of entries at a time, which is too many to make a tree of
// packets of each.
type tlv []byte

// next takes the first element off. False: there is none, or it is malformed.
func (b *tlv) next() (tag byte, value tlv, ok bool) {
	length, header, ok := berLength(*b)
	if !ok || length > len(*b)-header {
		return 0, nil, false
	}
	tag = (*b)[0]
	value = (*b)[header : header+length]
	*b = (*b)[header+length:]
	return tag, value, true
}

// want takes the first element off if it has that tag.
func (b *tlv) want(tag byte) (tlv, bool) {
	rest := *b
	got, value, ok := rest.next()
	if !ok || got != tag {
		return nil, false
	}
	*b = rest
	return value, true
}

// number takes an integer off that has that tag.
func (b *tlv) number(tag byte) (int64, bool) {
	value, ok := b.want(tag)
	if !ok || len(value) == 0 || len(value) > 8 {
		return 0, false
	}
	n := int64(int8(value[0]))
	for _, c := range value[1:] {
		n = n<<8 | int64(c)
	}
	return n, true
}

// berLength reads tag and length. LDAP has neither long tags nor indefinite lengths.
func berLength(b []byte) (length, header int, ok bool) {
	const longTag, long = 0x1f, 0x80
	if len(b) < 2 || b[0]&longTag == longTag {
		return 0, 0, false
	}
	if b[1] < long {
		return int(b[1]), 2, true
	}
	size := int(b[1] - long)
	if size == 0 || size > 4 || len(b) < 2+size {
		return 0, 0, false
	}
	for _, c := range b[2 : 2+size] {
		length = length<<8 | int(c)
	}
	return length, 2 + size, length <= maxAnswer
}

// readMessage reads the content of one LDAP message into a buffer, which it makes larger if need be.
func readMessage(in *bufio.Reader, buffer []byte) ([]byte, error) {
	head, err := in.Peek(2)
	if err != nil {
		return nil, err
	}
	if size := int(head[1]) - 0x80; size > 0 && size <= 4 {
		if head, err = in.Peek(2 + size); err != nil {
			return nil, err
		}
	}
	length, header, ok := berLength(head)
	if !ok || head[0] != tagSequence {
		return nil, errMalformed
	}
	if _, err := in.Discard(header); err != nil {
		return nil, err
	}
	if cap(buffer) >= length {
		_, err = io.ReadFull(in, buffer[:length])
		return buffer[:length], err
	}
	// It takes as much memory as arrives, and not as much as is announced.
	content := bytes.NewBuffer(make([]byte, 0, min(length, 1<<20)))
	_, err = io.CopyN(content, in, int64(length))
	return content.Bytes(), err
}
