package provisioner

import (
	"crypto/rand"
	"encoding/base32"
)

// NewID draws an identifier of 128 random bits, as 26 lower-case letters and
// digits (base32, RFC 4648, without padding): short enough to read out on the
// phone in parts, and never drawn twice, so that the id of a closed session
// does not return.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return lower.EncodeToString(b[:])
}

// NewSecret draws a one-time or bearer token of 256 random bits. It is stored
// as a SHA-256 hash only: slow hashes are for passwords.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return lower.EncodeToString(b[:])
}

var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
