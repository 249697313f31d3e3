package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
)

// What keeps something sealed from being opened.
var (
	// ErrOtherMasterKey says that another master key sealed it.
	ErrOtherMasterKey = errors.New("this master key does not belong to this database")
	// ErrSealBroken says that it was changed, or sealed for another purpose.
	ErrSealBroken = errors.New("what was sealed has been changed, or was sealed for another purpose")
)

// Purposes of what is sealed.
const (
	PurposeCA          = "ca"           // the private key of a CA
	PurposeSessionRoot = "session-root" // see SessionRoot
	PurposeAudit       = "audit"        // the key that signs the audit log
	PurposeFactor      = "factor"       // see FactorKey
)

// What is sealed consists of:
//
//	version     1 byte: 1
//	id          8 bytes: of the master key
//	nonce       12 bytes, random
//	ciphertext  AES-256-GCM, with the tag; the additional data is version, id and
//	            purpose
//
// The key of the cipher is derived for the purpose.
const (
	sealVersion = 1
	idSize      = 8
	headerSize  = 1 + idSize
)

// Seal encrypts plaintext so that only Open with the same purpose and master
// key gives it back. Sealing twice gives different bytes. Fewer than 2^32
// times for one purpose (random nonces, NIST SP 800-38D, 8.3): keys are sealed
// a few times a year.
func (m *MasterKey) Seal(purpose string, plaintext []byte) ([]byte, error) {
	aead, err := m.cipher(purpose)
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", purpose, err)
	}
	header := m.header()
	return aead.Seal(header, nil, plaintext, additional(header, purpose)), nil //nolint:gosec // G407: the cipher draws the nonce itself
}

// Open gives back what was sealed. Errors wrap ErrOtherMasterKey or
// ErrSealBroken.
func (m *MasterKey) Open(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize {
		return nil, fmt.Errorf("opening %s: %w", purpose, ErrSealBroken)
	}
	header, box := sealed[:headerSize:headerSize], sealed[headerSize:]
	if header[0] != sealVersion {
		return nil, fmt.Errorf("opening %s: sealed in format %d, this program knows %d", purpose, header[0], sealVersion)
	}
	if id := header[1:]; !bytes.Equal(id, m.header()[1:]) {
		return nil, fmt.Errorf("opening %s: %w: it was sealed with %s, and this is %s", purpose, ErrOtherMasterKey, hex.EncodeToString(id), m.ID())
	}
	aead, err := m.cipher(purpose)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", purpose, err)
	}
	plaintext, err := aead.Open(nil, nil, box, additional(header, purpose))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", purpose, ErrSealBroken)
	}
	return plaintext, nil
}

func (m *MasterKey) header() []byte {
	return append([]byte{sealVersion}, m.derive("id", idSize)...)
}

func (m *MasterKey) cipher(purpose string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(m.derive("seal "+purpose, keySize))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block) // puts the nonce before the ciphertext
}

func additional(header []byte, purpose string) []byte {
	return append(bytes.Clone(header), purpose...)
}
