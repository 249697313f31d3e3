package provisioner

import (
	"crypto/ecdh"
	"errors"
	"slices"
)

// AcceptKey reads a WireGuard public key that a machine brings along. Of the
// many encodings that name one point (RFC 7748, section 5) only one is let
// through, or a dead key could come back in other clothes; and none with which
// everybody would share one secret (section 6.1).
func AcceptKey(b []byte) (Key, error) {
	key, err := ParseKey(b)
	if err != nil {
		return key, err
	}
	if !key.canonical() {
		return key, errors.New("the WireGuard key is not in its one canonical form")
	}
	public, err := ecdh.X25519().NewPublicKey(key[:])
	if err != nil {
		return key, err
	}
	some, err := ecdh.X25519().NewPrivateKey(slices.Repeat([]byte{1}, len(key)))
	if err != nil {
		return key, err
	}
	if _, err := some.ECDH(public); err != nil {
		return key, errors.New("the WireGuard key is a point of low order")
	}
	return key, nil
}

// canonical reports whether the little-endian number is below 2^255-19.
func (k Key) canonical() bool {
	last := len(k) - 1
	if k[last] != 0x7f {
		return k[last] < 0x7f
	}
	for i := last - 1; i > 0; i-- {
		if k[i] != 0xff {
			return true
		}
	}
	return k[0] < 0xed
}
