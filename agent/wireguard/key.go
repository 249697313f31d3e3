package wireguard

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// keyLen is the length of each of WireGuard's keys in bytes: all of them are Curve25519 keys or as long.
const keyLen = 32

// redacted stands for a secret wherever one would be printed.
const redacted = "[redacted]"

// errSecretEncoded answers encoders that came upon a secret by reflection.
var errSecretEncoded = errors.New("a secret key is not encoded by accident: use Base64")

// Key is a public key: it names a peer. The zero value names none.
type Key [keyLen]byte

// ParseKey reads a public key in the base64 form that WireGuard's own tools write.
func ParseKey(s string) (Key, error) {
	b, err := parseBase64(s)
	if err != nil {
		return Key{}, fmt.Errorf("parsing a public key: %w", err)
	}
	return b, nil
}

// String returns the key in base64.
func (k Key) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// Fingerprint is the key for people to compare with what the control plane shows: the first 80 bits of its SHA-256.
func (k Key) Fingerprint() string {
	sum := sha256.Sum256(k[:])
	return fmt.Sprintf("%x %x %x %x %x", sum[0:2], sum[2:4], sum[4:6], sum[6:8], sum[8:10])
}

// IsZero says whether this names no peer.
func (k Key) IsZero() bool { return k == Key{} }

// MarshalText writes the key in base64.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the key from base64.
func (k *Key) UnmarshalText(text []byte) error {
	parsed, err := ParseKey(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// PrivateKey is the secret half of a key. It prints as a placeholder and refuses to be marshalled; Base64
// is the one way out. The zero value is no key.
//
// Keep it in an exported field or on its own: the fmt package does not ask values in unexported fields
// how they wish to be printed.
type PrivateKey [keyLen]byte

// GeneratePrivateKey draws a new private key.
func GeneratePrivateKey() (PrivateKey, error) {
	var k PrivateKey
	if _, err := io.ReadFull(rand.Reader, k[:]); err != nil {
		return PrivateKey{}, fmt.Errorf("drawing a private key: %w", err)
	}
	// The clamping of RFC 7748, section 5. X25519 does it anyway; done here too, the stored key is the
	// one that other WireGuard programs show.
	k[0] &= 248
	k[31] = k[31]&127 | 64
	return k, nil
}

// ParsePrivateKey reads a private key from base64. Its errors do not contain what was read.
func ParsePrivateKey(s string) (PrivateKey, error) {
	b, err := parseBase64(s)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("parsing a private key: %w", err)
	}
	return b, nil
}

// PublicKey computes the public half.
func (k PrivateKey) PublicKey() Key {
	// Neither call fails: every 32 bytes are an X25519 private key, and the base point has full order.
	private, err := ecdh.X25519().NewPrivateKey(k[:])
	if err != nil {
		return Key{}
	}
	return Key(private.PublicKey().Bytes())
}

// Base64 gives the secret away, for the file that keeps it.
func (k PrivateKey) Base64() string { return base64.StdEncoding.EncodeToString(k[:]) }

// IsZero says whether this is no key.
func (k PrivateKey) IsZero() bool { return k == PrivateKey{} }

// String returns a placeholder.
func (k PrivateKey) String() string { return redacted }

// GoString returns a placeholder.
func (k PrivateKey) GoString() string { return redacted }

// Format writes a placeholder, whatever the verb: %x and %d would not ask String.
func (k PrivateKey) Format(f fmt.State, _ rune) { writeRedacted(f) }

// LogValue returns a placeholder.
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText fails, so that no encoder writes the secret, or a placeholder in its place, unasked.
func (k PrivateKey) MarshalText() ([]byte, error) { return nil, errSecretEncoded }

// PresharedKey is the symmetric secret of one session. It behaves as PrivateKey does. The zero value
// means that there is none.
type PresharedKey [keyLen]byte

// Base64 gives the secret away, for the file that keeps it.
func (k PresharedKey) Base64() string { return base64.StdEncoding.EncodeToString(k[:]) }

// IsZero says whether there is no preshared key.
func (k PresharedKey) IsZero() bool { return k == PresharedKey{} }

// String returns a placeholder.
func (k PresharedKey) String() string { return redacted }

// GoString returns a placeholder.
func (k PresharedKey) GoString() string { return redacted }

// Format writes a placeholder, whatever the verb.
func (k PresharedKey) Format(f fmt.State, _ rune) { writeRedacted(f) }

// LogValue returns a placeholder.
func (k PresharedKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText fails, so that no encoder writes the secret, or a placeholder in its place, unasked.
func (k PresharedKey) MarshalText() ([]byte, error) { return nil, errSecretEncoded }

// writeRedacted writes the placeholder. A fmt.State keeps its write errors to itself.
func writeRedacted(f fmt.State) { _, _ = io.WriteString(f, redacted) }

// parseBase64 reads exactly 32 bytes. The standard decoder skips line breaks and accepts stray bits at the
// end; a key has one spelling here, so that it can be compared as text.
func parseBase64(s string) ([keyLen]byte, error) {
	var key [keyLen]byte
	if len(s) != base64.StdEncoding.EncodedLen(keyLen) {
		return key, fmt.Errorf("a key is %d characters of base64, not %d", base64.StdEncoding.EncodedLen(keyLen), len(s))
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != keyLen {
		// The decoder's error names an offset only, but an offset into a secret helps nobody either.
		return key, errors.New("a key is 32 bytes in base64")
	}
	copy(key[:], b)
	return key, nil
}
