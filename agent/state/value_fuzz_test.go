package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzDecode reads what may stand in the file of a value: it is whole, or
// damaged, or another version's, and an error says which.
func FuzzDecode(f *testing.F) {
	dir, err := Open(filepath.Join(f.TempDir(), "state"))
	if err != nil {
		f.Fatal(err)
	}
	if err := dir.Save("x", map[string]int{"a": 1}); err != nil {
		f.Fatal(err)
	}
	saved, err := os.ReadFile(filepath.Join(dir.Path(), "x"+valueSuffix))
	if err != nil {
		f.Fatal(err)
	}
	if err := dir.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(saved)
	f.Add(saved[:len(saved)-2])
	f.Add([]byte(`{"version":99}`))
	f.Add([]byte(`{"version":1,"crc32c":0,"value":null}`))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		var value map[string]int
		if err := decode(content, &value); err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrOtherVersion) {
			t.Errorf("neither damaged nor another version's: %v", err)
		}
	})
}
