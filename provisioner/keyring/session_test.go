package keyring

import (
	"encoding/hex"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// Computed apart from this program, by the steps of RFC 5869: gateways and
// laptops that hold a session across an upgrade must get the same key again.
func TestPresharedKeyVector(t *testing.T) {
	keys := sessionKeys(t, map[int64]SessionRoot{7: {key: [32]byte(counting().key)}})
	got, err := keys.PresharedKey(7, "aaaaaaaaaaaaaaaaaaaaaaaaaa")
	if err != nil {
		t.Fatal(err)
	}
	if want := "4a3b2efa2d83f1453d4d44f8889236bd954c08f3a97aeebf2b965903920b0877"; hex.EncodeToString(got[:]) != want {
		t.Errorf("got %x, want %s", got, want)
	}
	if keys.Current() != 7 {
		t.Errorf("current version %d", keys.Current())
	}
}

// Same version and session: same key; anything else: another one.
func TestPresharedKeysAreSeparate(t *testing.T) {
	keys := sessionKeys(t, map[int64]SessionRoot{1: NewSessionRoot(), 2: NewSessionRoot()})
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.Int64Range(1, 2)
		id := rapid.StringMatching(`[ab]{1,3}`)
		v1, v2 := version.Draw(t, "v1"), version.Draw(t, "v2")
		id1, id2 := id.Draw(t, "id1"), id.Draw(t, "id2")
		k1, err1 := keys.PresharedKey(v1, id1)
		k2, err2 := keys.PresharedKey(v2, id2)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if same := v1 == v2 && id1 == id2; (k1 == k2) != same || k1 == [32]byte{} {
			t.Fatalf("%d %s and %d %s: same key %v", v1, id1, v2, id2, k1 == k2)
		}
	})
}

func TestPresharedKeyRefuses(t *testing.T) {
	keys := sessionKeys(t, map[int64]SessionRoot{1: NewSessionRoot(), 3: NewSessionRoot()})
	if keys.Current() != 3 {
		t.Errorf("current version %d", keys.Current())
	}
	for _, version := range []int64{-1, 0, 2, 4} {
		if _, err := keys.PresharedKey(version, "s"); !errors.Is(err, ErrUnknownVersion) {
			t.Errorf("version %d: %v", version, err)
		}
	}
	if _, err := keys.PresharedKey(1, ""); err == nil {
		t.Error("a key for no session")
	}
	for name, roots := range map[string]map[int64]SessionRoot{
		"none": nil, "version zero": {0: NewSessionRoot()}, "empty root": {1: {}},
	} {
		if _, err := NewSessionKeys(roots); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A caller that changes its map afterwards changes nothing.
func TestSessionKeysStay(t *testing.T) {
	roots := map[int64]SessionRoot{1: NewSessionRoot()}
	keys := sessionKeys(t, roots)
	delete(roots, 1)
	if _, err := keys.PresharedKey(1, "s"); err != nil {
		t.Error(err)
	}
}

func TestSealSessionRoot(t *testing.T) {
	m, root := counting(), NewSessionRoot()
	sealed, err := root.Seal(m, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenSessionRoot(m, 1, sealed); err != nil || got != root {
		t.Errorf("another root came back: %v", err)
	}
	if _, err := OpenSessionRoot(m, 2, sealed); !errors.Is(err, ErrSealBroken) {
		t.Errorf("opened as another version: %v", err)
	}
	short, err := m.Seal(RootPurpose(1), []byte("short"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSessionRoot(m, 1, short); !errors.Is(err, ErrSealBroken) {
		t.Errorf("a short root: %v", err)
	}
}

func sessionKeys(t *testing.T, roots map[int64]SessionRoot) *SessionKeys {
	t.Helper()
	keys, err := NewSessionKeys(roots)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestSessionKeysUsing(t *testing.T) {
	all := sessionKeys(t, map[int64]SessionRoot{1: NewSessionRoot(), 2: NewSessionRoot()})
	older, err := all.Using(1)
	if err != nil || older.Current() != 1 || all.Current() != 2 {
		t.Fatalf("using %d and %d, %v", older.Current(), all.Current(), err)
	}
	want, _ := all.PresharedKey(2, "s")
	if got, err := older.PresharedKey(2, "s"); err != nil || got != want {
		t.Errorf("the other version is derived as %v, %v", got, err)
	}
	if _, err := all.Using(3); !errors.Is(err, ErrUnknownVersion) {
		t.Errorf("using an unknown version: %v", err)
	}
}
