package keyring

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"strconv"
)

// SessionRoot is the secret from which the preshared keys of sessions are
// derived. A new version takes over for new sessions; the old one stays for
// those that are open.
type SessionRoot struct {
	redacted
	key [keySize]byte
}

// NewSessionRoot draws a root.
func NewSessionRoot() (r SessionRoot) {
	_, _ = rand.Read(r.key[:]) // never fails: crypto/rand ends the program instead
	return r
}

// Seal seals the root as this version of it.
func (r SessionRoot) Seal(m *MasterKey, version int64) ([]byte, error) {
	return m.Seal(RootPurpose(version), r.key[:])
}

// OpenSessionRoot gives back what SessionRoot.Seal sealed. A root that was
// sealed as another version does not open. Errors are those of
// MasterKey.Open.
func OpenSessionRoot(m *MasterKey, version int64, sealed []byte) (r SessionRoot, err error) {
	key, err := m.Open(RootPurpose(version), sealed)
	if err != nil {
		return r, err
	}
	if len(key) != len(r.key) {
		return r, fmt.Errorf("opening %s: %w", RootPurpose(version), ErrSealBroken)
	}
	r.key = [keySize]byte(key)
	return r, nil
}

// RootPurpose is the purpose for which a version of the session root is sealed.
func RootPurpose(version int64) string {
	return PurposeSessionRoot + " " + strconv.FormatInt(version, 10)
}

// ErrUnknownVersion says that there is no session root of a version.
var ErrUnknownVersion = errors.New("there is no session root of this version")

// SessionKeys derives preshared keys. It never changes; safe for concurrent
// use.
type SessionKeys struct {
	redacted
	roots   map[int64]SessionRoot
	current int64
}

// NewSessionKeys takes the roots by version; the highest one is for new
// sessions. Versions are positive.
func NewSessionKeys(roots map[int64]SessionRoot) (*SessionKeys, error) {
	s := &SessionKeys{roots: maps.Clone(roots)}
	for version, root := range roots {
		if version < 1 || root.key == [keySize]byte{} {
			return nil, fmt.Errorf("session root of version %d: it is empty, or versions do not begin at 1", version)
		}
		s.current = max(s.current, version)
	}
	if s.current == 0 {
		return nil, errors.New("there is no session root")
	}
	return s, nil
}

// Using is the same keys with another version for new sessions. Errors wrap
// ErrUnknownVersion.
func (s *SessionKeys) Using(version int64) (*SessionKeys, error) {
	if _, ok := s.roots[version]; !ok {
		return nil, fmt.Errorf("using version %d for new sessions: %w", version, ErrUnknownVersion)
	}
	return &SessionKeys{roots: s.roots, current: version}, nil
}

// Current is the version for new sessions.
func (s *SessionKeys) Current() int64 { return s.current }

// PresharedKey derives the WireGuard preshared key of a session: HKDF-SHA-256
// (RFC 5869) of the version's root, without salt, with "heimdraht preshared key
// 1: " and the session's id as info. As no session id returns, neither does a
// key; it is stored nowhere. Errors wrap ErrUnknownVersion.
func (s *SessionKeys) PresharedKey(version int64, sessionID string) (key [32]byte, err error) {
	root, ok := s.roots[version]
	if !ok {
		return key, fmt.Errorf("deriving a preshared key: version %d: %w", version, ErrUnknownVersion)
	}
	if sessionID == "" {
		return key, errors.New("deriving a preshared key: the session has no id")
	}
	k, err := hkdf.Key(sha256.New, root.key[:], nil, "heimdraht preshared key 1: "+sessionID, len(key))
	if err != nil {
		return key, fmt.Errorf("deriving a preshared key: %w", err)
	}
	return [32]byte(k), nil
}
