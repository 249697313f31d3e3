package keyring

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSealAndOpen(t *testing.T) {
	m := counting()
	rapid.Check(t, func(t *rapid.T) {
		purpose := rapid.String().Draw(t, "purpose")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed, err := m.Seal(purpose, plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 3 && bytes.Contains(sealed, plain) {
			t.Fatal("what is sealed can be read")
		}
		got, err := m.Open(purpose, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %x, %v", got, err)
		}
		again, err := m.Seal(purpose, plain)
		if err != nil || bytes.Equal(again, sealed) {
			t.Fatalf("sealed the same twice, %v", err)
		}
		if other := rapid.String().Draw(t, "other purpose"); other != purpose {
			if _, err := m.Open(other, sealed); !errors.Is(err, ErrSealBroken) {
				t.Fatalf("opened for another purpose: %v", err)
			}
		}
	})
}

// keptHex was sealed apart from this program, by the layout that stands in
// seal.go.
const keptHex = "01b7336024a2b76abe000102030405060708090a0b6298caf2538e11c6c9e4df5b4a0cacbee46ee76b"

// What is in databases must open for ever.
func TestOpenKept(t *testing.T) {
	kept, err := hex.DecodeString(keptHex)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := counting().Open("ca", kept); err != nil || string(got) != "kept" {
		t.Errorf("got %q, %v", got, err)
	}
}

// Every changed bit and every cut is noticed, and the cause told apart.
func TestOpenRefuses(t *testing.T) {
	m := counting()
	sealed, err := m.Seal("ca", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range sealed {
		if _, err := m.Open("ca", sealed[:n]); err == nil {
			t.Errorf("opened what was cut at %d", n)
		}
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[n] ^= 1 << bit
			_, err := m.Open("ca", changed)
			switch {
			case n == 0:
				if err == nil || !strings.Contains(err.Error(), "this program knows 1") {
					t.Errorf("another version: %v", err)
				}
			case n < headerSize:
				if !errors.Is(err, ErrOtherMasterKey) {
					t.Errorf("another master key: %v", err)
				}
			case !errors.Is(err, ErrSealBroken):
				t.Errorf("byte %d changed: %v", n, err)
			}
		}
	}

	other := &MasterKey{key: bytes.Repeat([]byte{7}, keySize)}
	_, err = other.Open("ca", sealed)
	want := "opening ca: this master key does not belong to this database: it was sealed with " + m.ID() + ", and this is " + other.ID()
	if !errors.Is(err, ErrOtherMasterKey) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func FuzzOpen(f *testing.F) {
	m := counting()
	// Not one sealed here: every process of the fuzzer would draw its own nonce.
	sealed, err := hex.DecodeString(keptHex)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:headerSize])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := m.Open("ca", b); err == nil && !bytes.Equal(b, sealed) {
			t.Errorf("opened %x as %x", b, got)
		}
	})
}
