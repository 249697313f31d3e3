package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const checkpointTag = "heimdraht audit checkpoint 1\n"

// ChainHead is how far a chain had come.
type ChainHead struct {
	Chain string // the tenant's name; empty: the installation's own chain
	Head
}

// Checkpoint is the control plane's signed word on how far chains had come. Kept
// where those who can write the log cannot, it shows a chain that was cut off or
// written anew.
type Checkpoint struct {
	Installation string
	At           time.Time // in milliseconds
	// Complete says that these are all the chains that the installation had.
	Complete bool
	Heads    []ChainHead // by chain, each once; a chain without records has none

	Key       KeyID // that signed
	Signature []byte
}

// KeyID names a public key: its SHA-256, in hexadecimal digits.
type KeyID string

// IDOf names a public key.
func IDOf(key ed25519.PublicKey) KeyID {
	sum := sha256.Sum256(key)
	return KeyID(hex.EncodeToString(sum[:]))
}

// ErrSignature says that a checkpoint was not signed so by the key.
var ErrSignature = errors.New("the signature does not belong to the checkpoint and the key")

// Sign makes a checkpoint. The order of the heads does not matter.
func Sign(key ed25519.PrivateKey, c Checkpoint) Checkpoint {
	c.At = c.At.UTC().Truncate(time.Millisecond)
	c.Heads = slices.SortedFunc(slices.Values(c.Heads), func(a, b ChainHead) int { return strings.Compare(a.Chain, b.Chain) })
	c.Key = IDOf(key.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // of this type by its documentation
	c.Signature = ed25519.Sign(key, c.signed())
	return c
}

// Check holds the signature against a public key. Errors wrap ErrSignature.
func (c Checkpoint) Check(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize || c.Key != IDOf(key) || !ed25519.Verify(key, c.signed(), c.Signature) {
		return fmt.Errorf("checkpoint of %s: %w", c.At.Format(timeFormat), ErrSignature)
	}
	return nil
}

// Of gives the head of a chain.
func (c Checkpoint) Of(chain string) (Head, bool) {
	for _, h := range c.Heads {
		if h.Chain == chain {
			return h.Head, true
		}
	}
	return Head{}, false
}

// signed are the bytes that the signature is about.
func (c Checkpoint) signed() []byte {
	text := func(b []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	b := text([]byte(checkpointTag), c.Installation)
	b = binary.BigEndian.AppendUint64(b, uint64(c.At.UnixMilli()))
	complete := uint64(0)
	if c.Complete {
		complete = 1
	}
	b = binary.BigEndian.AppendUint64(b, complete)
	b = binary.BigEndian.AppendUint64(b, uint64(len(c.Heads)))
	for _, h := range c.Heads {
		b = text(b, h.Chain)
		b = binary.BigEndian.AppendUint64(b, uint64(h.Seq))
		b = append(b, h.Hash[:]...)
	}
	return b
}
