package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
)

const (
	valueSuffix  = ".json"
	valueVersion = 1
)

// envelope is the file of a value. The checksum finds what a disk or a person
// changed: a key with one wrong bit would otherwise fail in riddles.
type envelope struct {
	Version int `json:"version"`
	// CRC32C is the Castagnoli checksum of Value, as it stands in the file.
	CRC32C uint32          `json:"crc32c"`
	Value  json.RawMessage `json:"value"`
}

// Save keeps a value under a name, replacing the one before it whole. value is
// anything that encoding/json reads back. After an error, which wraps
// ErrUnwritable, the value before is still there, or already this one.
func (d *Dir) Save(name string, value any) error {
	path, err := file(d.path, name, valueSuffix)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	content, err := json.Marshal(envelope{Version: valueVersion, CRC32C: checksum(raw), Value: raw})
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	_, err = d.replace(path, func(f *os.File) error {
		_, err := f.Write(append(content, '\n'))
		return err
	})
	if err != nil {
		return fmt.Errorf("saving %s: %w", name, err)
	}
	return nil
}

// Load reads the value kept under a name. Errors wrap fs.ErrNotExist,
// ErrDamaged or ErrOtherVersion; value may then be half filled.
func (d *Dir) Load(name string, value any) error { return Read(d.path, name, value) }

// Read is Load without taking the directory: for commands that look at what a
// running agent has saved.
func Read(dir, name string, value any) error {
	path, err := file(dir, name, valueSuffix)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if err := decode(content, value); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

func decode(content []byte, value any) error {
	// The version first, and alone: all else may look different in another one.
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return fmt.Errorf("the file is %w: %w", ErrDamaged, err)
	}
	if head.Version != valueVersion {
		return fmt.Errorf("the file was %w (format %d, this one reads %d)", ErrOtherVersion, head.Version, valueVersion)
	}
	var e envelope
	if err := json.Unmarshal(content, &e); err != nil {
		return fmt.Errorf("the file is %w: %w", ErrDamaged, err)
	}
	if checksum(e.Value) != e.CRC32C {
		return fmt.Errorf("the file is %w: its checksum is wrong", ErrDamaged)
	}
	if err := json.Unmarshal(e.Value, value); err != nil {
		return fmt.Errorf("the file is %w: %w", ErrDamaged, err)
	}
	return nil
}

// Remove forgets a value. Idempotent.
func (d *Dir) Remove(name string) error {
	path, err := file(d.path, name, valueSuffix)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	return d.sync()
}

func checksum(parts ...[]byte) uint32 {
	var sum uint32
	table := crc32.MakeTable(crc32.Castagnoli) // made once by the library
	for _, p := range parts {
		sum = crc32.Update(sum, table, p)
	}
	return sum
}
