package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What can be wrong with a master key file, besides fs.ErrNotExist and
// fs.ErrExist.
var (
	// ErrExposed says that others may read the file.
	ErrExposed = errors.New("the master key can be read by others")
	// ErrNoMasterKey says that the file holds something else, or a key that was
	// changed on its way.
	ErrNoMasterKey = errors.New("the file holds no whole master key")
)

const (
	keySize    = 32
	fileHeader = "heimdraht master key 1, id "
	// fileLimit is far more than a file has.
	fileLimit = 1024
)

// MasterKey seals the other keys of the control plane. Make one with Create or
// Read; the zero value panics when used.
type MasterKey struct {
	redacted
	key []byte
}

// Create makes a new key and its file, with mode 0600, whole or not at all. A
// file that is there already is never overwritten: the error then wraps
// fs.ErrExist.
//
// The file has two lines: a header with the key's id, and the key in base64
// (RFC 4648).
func Create(path string) (*MasterKey, error) {
	m := &MasterKey{key: make([]byte, keySize)}
	_, _ = rand.Read(m.key) // never fails: crypto/rand ends the program instead
	if err := m.write(path); err != nil {
		return nil, fmt.Errorf("making the master key %s: %w", path, err)
	}
	return m, nil
}

func (m *MasterKey) write(path string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".master-key-") // mode 0600
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s%s\n%s\n", fileHeader, m.ID(), base64.StdEncoding.EncodeToString(m.key))
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		// A link, unlike a rename, does not replace what is there.
		err = os.Link(f.Name(), path)
	}
	if err := errors.Join(err, os.Remove(f.Name())); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// Read reads the key from its file. Errors wrap fs.ErrNotExist, ErrExposed or
// ErrNoMasterKey, and say what to do.
func Read(path string) (*MasterKey, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no master key: %w: copy it from another replica or from the backup (a new one opens nothing that is in the database)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the master key: %w", err)
	}
	defer f.Close()
	// Of the open file, which nobody can exchange any more.
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the master key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("reading the master key: %s: %w", path, ErrNoMasterKey)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %#o: run: chmod 600 %s", ErrExposed, path, mode, path)
	}
	content, err := io.ReadAll(io.LimitReader(f, fileLimit))
	if err != nil {
		return nil, fmt.Errorf("reading the master key: %w", err)
	}
	m, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("reading the master key %s: %w", path, err)
	}
	return m, nil
}

// parse reads the content of a key file. Its errors show nothing of it.
func parse(content []byte) (*MasterKey, error) {
	header, rest, _ := strings.Cut(string(bytes.TrimSpace(content)), "\n")
	id, ok := strings.CutPrefix(strings.TrimSpace(header), fileHeader)
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrNoMasterKey, fileHeader)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(rest))
	if err != nil || len(key) != keySize {
		return nil, fmt.Errorf("%w: its second line is not %d bytes in base64", ErrNoMasterKey, keySize)
	}
	m := &MasterKey{key: key}
	if m.ID() != id {
		return nil, fmt.Errorf("%w: the key does not belong to the id %.16q in its first line: copy the file again", ErrNoMasterKey, id)
	}
	return m, nil
}

// ID names the key, in 16 hexadecimal digits, without telling anything of it:
// the same on every replica that has the same key.
func (m *MasterKey) ID() string { return hex.EncodeToString(m.derive("id", 8)) }

// derive makes a key of length bytes for one use from the master key. The use
// is the info of HKDF (RFC 5869); a salt is not needed, as the master key is
// uniformly random (section 3.1).
func (m *MasterKey) derive(use string, length int) []byte {
	k, err := hkdf.Key(sha256.New, m.key, nil, "heimdraht master key 1: "+use, length)
	if err != nil {
		// Only if more than 255 hashes are asked for (section 2.3), or in FIPS
		// mode for a key shorter than 112 bits.
		panic("deriving from the master key: " + err.Error())
	}
	return k
}
