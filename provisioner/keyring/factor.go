package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// FactorKey encrypts the secrets of people's second factors. It is a key of its
// own, sealed by the master key, so that a new master key seals one key and not
// thousands.
type FactorKey struct {
	redacted
	key [keySize]byte
}

// NewFactorKey draws one.
func NewFactorKey() (k FactorKey) {
	_, _ = rand.Read(k.key[:]) // never fails: crypto/rand ends the program instead
	return k
}

// Seal seals the key itself.
func (k FactorKey) Seal(m *MasterKey) ([]byte, error) { return m.Seal(PurposeFactor, k.key[:]) }

// OpenFactorKey gives back what Seal sealed. Errors are those of MasterKey.Open.
func OpenFactorKey(m *MasterKey, sealed []byte) (k FactorKey, err error) {
	key, err := m.Open(PurposeFactor, sealed)
	if err != nil {
		return k, err
	}
	if len(key) != len(k.key) {
		return k, fmt.Errorf("opening %s: %w", PurposeFactor, ErrSealBroken)
	}
	k.key = [keySize]byte(key)
	return k, nil
}

// factorVersion is the first byte of what is encrypted. A nonce of 12 random
// bytes and the ciphertext of AES-256-GCM follow; the additional data is
// "heimdraht factor 1: " and the person.
const factorVersion = 1

// SealFactor encrypts a person's secret so that OpenFactor gives it back for her
// alone. Fewer than 2^32 times (random nonces, NIST SP 800-38D, 8.3).
func (k FactorKey) SealFactor(person string, secret []byte) ([]byte, error) {
	aead, err := k.cipher()
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte{factorVersion}, nil, secret, factorOf(person)), nil //nolint:gosec // G407: the cipher draws the nonce itself
}

// OpenFactor gives back a person's secret. Errors wrap ErrSealBroken.
func (k FactorKey) OpenFactor(person string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != factorVersion {
		return nil, fmt.Errorf("opening a second factor: %w", ErrSealBroken)
	}
	aead, err := k.cipher()
	if err != nil {
		return nil, err
	}
	secret, err := aead.Open(nil, nil, sealed[1:], factorOf(person))
	if err != nil {
		return nil, fmt.Errorf("opening a second factor: %w", ErrSealBroken)
	}
	return secret, nil
}

func (k FactorKey) cipher() (cipher.AEAD, error) {
	if k.key == ([keySize]byte{}) {
		return nil, errors.New("there is no key of second factors")
	}
	block, err := aes.NewCipher(k.key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func factorOf(person string) []byte { return []byte("heimdraht factor 1: " + person) }
