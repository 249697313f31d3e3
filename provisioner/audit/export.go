package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// exportFormat is the version of the form.
const exportFormat = 1

// Export writes an exported file: JSON objects, one a line, each ended by one
// line feed (JSON lines), in UTF-8. Every object has a "type", and its keys in the order of
// the structs below, without spaces; those of empty values are left out. Hashes
// and key ids are hexadecimal digits; keys, salts and signatures are base64 (RFC
// 4648, 4). In this order come
//
//	export      once: what this is
//	key         each public key that signs checkpoints
//	checkpoint  once: the heads of the chains that follow, signed
//	record      chain by chain, in the order of the checkpoint, from number 1 on
//	earlier     records of tenants from before they had chains of their own, where
//	            the installation's chain is not part of the export; with the hash of
//	            the record before, which may be another tenant's
//	end         once: how many lines stand before it
//
// A line that this program would have written otherwise, be it by one space, is
// not good: so each line means one thing to every reader. The methods are called
// in that order; after an error nothing more is to be written.
type Export struct {
	out   io.Writer
	lines int64
}

// NewExport begins a file.
func NewExport(out io.Writer, installation string) (*Export, error) {
	e := &Export{out: out}
	return e, e.line(exportLine{"export", exportFormat, installation})
}

// Key writes a public key.
func (e *Export) Key(key ed25519.PublicKey) error { return e.line(keyLine{"key", IDOf(key), key}) }

// Checkpoint writes the checkpoint.
func (e *Export) Checkpoint(c Checkpoint) error { return e.line(lineOfCheckpoint(c)) }

// Record writes the next record of a chain.
func (e *Export) Record(chain string, r Record) error {
	return e.line(lineOfRecord("record", chain, Hash{}, r))
}

// Earlier writes a record of the installation's chain on its own.
func (e *Export) Earlier(before Hash, r Record) error {
	return e.line(lineOfRecord("earlier", "", before, r))
}

// End ends the file.
func (e *Export) End() error { return e.line(endLine{"end", e.lines}) }

func (e *Export) line(v any) error {
	b, err := encodeLine(v)
	if err != nil {
		return err
	}
	e.lines++
	if _, err := e.out.Write(b); err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	return nil
}

// EncodeCheckpoint is a checkpoint as it stands in a file, without the line feed.
func EncodeCheckpoint(c Checkpoint) ([]byte, error) {
	b, err := encodeLine(lineOfCheckpoint(c))
	return bytes.TrimSuffix(b, []byte{'\n'}), err
}

type exportLine struct {
	Type         string `json:"type"`
	Format       int    `json:"format"`
	Installation string `json:"installation"`
}

type keyLine struct {
	Type string `json:"type"`
	ID   KeyID  `json:"id"`
	Key  []byte `json:"ed25519"`
}

type checkpointLine struct {
	Type         string     `json:"type"`
	Installation string     `json:"installation"`
	At           string     `json:"at"`
	Complete     bool       `json:"complete,omitempty"`
	Heads        []headLine `json:"heads"`
	Key          KeyID      `json:"key"`
	Signature    []byte     `json:"signature"`
}

type headLine struct {
	Chain string `json:"chain"`
	Seq   int64  `json:"seq"`
	Hash  string `json:"hash"`
}

type recordLine struct {
	Type       string `json:"type"`
	Chain      string `json:"chain"`
	Seq        int64  `json:"seq"`
	At         string `json:"at"`
	Tenant     string `json:"tenant"`
	Payload    string `json:"payload,omitempty"` // the JSON text, whose bytes count
	Salt       []byte `json:"salt,omitempty"`
	Commitment string `json:"commitment"`
	Before     string `json:"before,omitempty"`
	Hash       string `json:"hash"`
}

type endLine struct {
	Type  string `json:"type"`
	Lines int64  `json:"lines"`
}

func lineOfCheckpoint(c Checkpoint) checkpointLine {
	l := checkpointLine{"checkpoint", c.Installation, c.At.UTC().Format(timeFormat), c.Complete, []headLine{}, c.Key, c.Signature}
	for _, h := range c.Heads {
		l.Heads = append(l.Heads, headLine{h.Chain, h.Seq, h.Hash.String()})
	}
	return l
}

func lineOfRecord(kind, chain string, before Hash, r Record) recordLine {
	return recordLine{
		kind, chain, r.Seq, r.At.UTC().Format(timeFormat), r.Tenant, string(r.Payload), r.Salt, r.Commitment.String(), before.String(), r.Hash.String(),
	}
}

func encodeLine(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding a line of the export: %w", err)
	}
	return out.Bytes(), nil
}

// errForm says that a line is not as Export writes it.
var errForm = errors.New("it is not as this program writes it")

// decodeLine reads a line that must be exactly as encodeLine writes v.
func decodeLine[T any](text []byte) (v T, err error) {
	if err := json.Unmarshal(text, &v); err != nil {
		return v, errForm
	}
	again, err := encodeLine(v)
	if err != nil || !bytes.Equal(bytes.TrimSuffix(again, []byte{'\n'}), text) {
		return v, errForm
	}
	return v, nil
}

func (l checkpointLine) checkpoint() (c Checkpoint, err error) {
	c = Checkpoint{Installation: l.Installation, Complete: l.Complete, Key: l.Key, Signature: l.Signature}
	if c.At, err = time.Parse(timeFormat, l.At); err != nil {
		return c, errForm
	}
	for _, h := range l.Heads {
		hash, err := ParseHash(h.Hash)
		if err != nil || h.Seq < 1 {
			return c, errForm
		}
		c.Heads = append(c.Heads, ChainHead{h.Chain, Head{h.Seq, hash}})
	}
	return c, nil
}

func (l recordLine) record() (r Record, before Hash, err error) {
	r = Record{Seq: l.Seq, Tenant: l.Tenant, Salt: l.Salt}
	if l.Payload != "" {
		r.Payload = []byte(l.Payload)
	}
	var errs [4]error
	r.At, errs[0] = time.Parse(timeFormat, l.At)
	r.Commitment, errs[1] = ParseHash(l.Commitment)
	r.Hash, errs[2] = ParseHash(l.Hash)
	before, errs[3] = ParseHash(l.Before)
	if errors.Join(errs[:]...) != nil {
		return r, before, errForm
	}
	return r, before, nil
}
