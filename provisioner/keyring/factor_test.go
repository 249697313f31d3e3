package keyring

import (
	"bytes"
	"errors"
	"testing"
)

// What was encrypted for one person opens for her, unchanged, with the same key.
func TestFactorKey(t *testing.T) {
	master := counting()
	k := NewFactorKey()
	sealedKey, err := k.Seal(master)
	if err != nil {
		t.Fatal(err)
	}
	k, err = OpenFactorKey(master, sealedKey)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("12345678901234567890")
	sealed, err := k.SealFactor("eva", secret)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := k.SealFactor("eva", secret); err != nil || bytes.Equal(again, sealed) || bytes.Contains(sealed, secret) {
		t.Errorf("encrypted alike, or not at all: %v", err)
	}
	if got, err := k.OpenFactor("eva", sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("got %q, %v", got, err)
	}
	wrong := map[string]func() ([]byte, error){
		"another person": func() ([]byte, error) { return k.OpenFactor("bob", sealed) },
		"another key":    func() ([]byte, error) { return NewFactorKey().OpenFactor("eva", sealed) },
		"nothing":        func() ([]byte, error) { return k.OpenFactor("eva", nil) },
		"its beginning":  func() ([]byte, error) { return k.OpenFactor("eva", sealed[:5]) },
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		wrong["changed "+string(rune('a'+i))] = func() ([]byte, error) { return k.OpenFactor("eva", changed) }
	}
	for name, open := range wrong {
		if _, err := open(); !errors.Is(err, ErrSealBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenFactorKey(master, mustSeal(t, master, PurposeFactor, []byte("short"))); !errors.Is(err, ErrSealBroken) {
		t.Errorf("a key that is too short: %v", err)
	}
}

func mustSeal(t *testing.T, m *MasterKey, purpose string, plain []byte) []byte {
	t.Helper()
	sealed, err := m.Seal(purpose, plain)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}
