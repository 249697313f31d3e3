package audit

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

const (
	payloadTag = "heimdraht audit payload 1\n"
	recordTag  = "heimdraht audit record 1\n"
)

// Hash is a SHA-256. The zero Hash stands before the first record.
type Hash [sha256.Size]byte

// String is the hash in hexadecimal digits, and "" for the zero Hash.
func (h Hash) String() string {
	if h == (Hash{}) {
		return ""
	}
	return hex.EncodeToString(h[:])
}

// ParseHash undoes String.
func ParseHash(s string) (h Hash, err error) {
	if s == "" {
		return h, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%q is not a SHA-256 in hexadecimal digits", s)
	}
	return Hash(b), nil
}

// Salt keeps a payload of few possible values from being guessed by its
// commitment.
type Salt [16]byte

// NewSalt draws a salt.
func NewSalt() (s Salt) {
	_, _ = rand.Read(s[:]) // never fails: crypto/rand ends the program instead
	return s
}

// Head is the last record of a chain, or any other place in it. The zero Head
// is that of an empty log.
type Head struct {
	Seq  int64
	Hash Hash
}

// Record is one entry of the log.
type Record struct {
	Seq    int64
	At     time.Time // in milliseconds
	Tenant string    // empty: concerns the whole installation

	// Payload is the encoded Event. Payload and Salt are nil once erased.
	Payload []byte
	Salt    []byte

	Commitment Hash
	Hash       Hash
}

// Append makes the next record, and the head that it becomes. The salt is used
// once.
func (h Head) Append(e Event, salt Salt) (Record, Head, error) {
	e = e.clean()
	payload, err := e.encode()
	if err != nil {
		return Record{}, h, err
	}
	r := Record{
		Seq: h.Seq + 1, At: e.At, Tenant: e.Tenant,
		Payload: payload, Salt: salt[:], Commitment: commitment(salt[:], payload),
	}
	r.Hash = r.chained(h.Hash)
	return r, r.Head(), nil
}

// Head is the place of this record in its chain.
func (r Record) Head() Head { return Head{Seq: r.Seq, Hash: r.Hash} }

// Erased is the record without what is personal. Idempotent.
func (r Record) Erased() Record {
	r.Payload, r.Salt = nil, nil
	return r
}

// IsErased reports whether the payload is gone.
func (r Record) IsErased() bool { return len(r.Payload) == 0 && len(r.Salt) == 0 }

// Event reads the payload. An erased record gives an error.
func (r Record) Event() (Event, error) {
	if r.IsErased() {
		return Event{}, fmt.Errorf("audit record %d is erased", r.Seq)
	}
	e, err := DecodeEvent(r.Payload)
	if err != nil {
		return e, fmt.Errorf("reading audit record %d: %w", r.Seq, err)
	}
	return e, nil
}

func commitment(salt, payload []byte) Hash {
	h := sha256.New()
	h.Write([]byte(payloadTag))
	h.Write(salt)
	h.Write(payload)
	return Hash(h.Sum(nil))
}

// chained is the hash that the record must have after a record of hash before.
func (r Record) chained(before Hash) Hash {
	b := make([]byte, 0, 256)
	b = append(b, recordTag...)
	b = append(b, before[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(r.At.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(len(r.Tenant)))
	b = append(b, r.Tenant...)
	b = append(b, r.Commitment[:]...)
	return sha256.Sum256(b)
}
