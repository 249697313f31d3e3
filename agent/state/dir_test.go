package state_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/agent/state"
	"github.com/heimdraht/heimdraht/internal/testneed"
)

type sample struct {
	Key  []byte            `json:"key"`
	Name string            `json:"name"`
	Map  map[string]uint64 `json:"map"`
}

func TestSaveLoad(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "new", "state"))
	rapid.Check(t, func(t *rapid.T) {
		want := sample{
			Key:  rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "key"),
			Name: rapid.String().Draw(t, "name"),
			Map:  rapid.MapOfN(rapid.String(), rapid.Uint64(), 1, 4).Draw(t, "map"),
		}
		if err := d.Save("sample", want); err != nil {
			t.Fatal(err)
		}
		var got, peeked sample
		if err := errors.Join(d.Load("sample", &got), state.Read(d.Path(), "sample", &peeked)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got) + cmp.Diff(want, peeked); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestOnlyTheOwnerMayLook(t *testing.T) {
	if runtime.GOOS == "windows" {
		testneed.Missing(t, "needs a system with file modes")
	}
	path := filepath.Join(t.TempDir(), "state")
	d := open(t, path)
	save(t, d, "secret", "x")
	j := journal(t, d, "peers", nil)
	if err := j.Append([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := j.Compact(none); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 { // lock, value, journal; nothing left over
		t.Errorf("the directory holds %v", entries)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %#o", e.Name(), info.Mode().Perm())
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(t *testing.T, path string)
		cause error
		says  string
	}{
		{"in use", func(t *testing.T, path string) { open(t, path) }, state.ErrInUse, "only one agent can run on it"},
		{"open to the group", func(t *testing.T, path string) { mkdir(t, path, 0o750) }, state.ErrNotPrivate, "run: chmod 700 "},
		{"open to all", func(t *testing.T, path string) { mkdir(t, path, 0o701) }, state.ErrNotPrivate, "its mode is 0701"},
		{"a file is in its place", func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, state.ErrUnwritable, "not a directory"},
		{"another's", func(t *testing.T, path string) {
			testneed.Root(t)
			mkdir(t, path, 0o700)
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}, state.ErrNotPrivate, "it belongs to user 65534"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && c.name != "in use" {
				testneed.Missing(t, "needs a system with file modes") // system_windows_test.go has access lists
			}
			path := filepath.Join(t.TempDir(), "state")
			c.make(t, path)
			_, err := state.Open(path)
			if err == nil {
				t.Fatal("opened")
			}
			if !errors.Is(err, c.cause) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestOpenAgainAfterClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	d, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	save(t, d, "kept", "yes")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := open(t, path).Load("kept", &got); err != nil || got != "yes" {
		t.Errorf("got %q, %v", got, err)
	}
}

// What an interrupted write leaves goes away; the value is the one before.
func TestInterruptedSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	d, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	save(t, d, "v", "before")
	left := filepath.Join(path, ".new-123")
	if err := errors.Join(d.Close(), os.WriteFile(left, []byte(`{"version":1,`), 0o600)); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := open(t, path).Load("v", &got); err != nil || got != "before" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover: %v", err)
	}
}

// A file that is not as it was written is never read as a value, wherever it
// was cut or changed.
func TestDamagedValue(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"))
	save(t, d, "v", sample{Key: []byte("0123456789"), Name: "eva"})
	path := filepath.Join(d.Path(), "v.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) - 1 { // the last byte is a line feed
		load(t, d, path, whole[:n], state.ErrDamaged)
	}
	value := strings.Index(string(whole), `"value"`)
	for n := value + 10; n < len(whole)-3; n++ {
		changed := []byte(string(whole))
		changed[n] ^= 1
		load(t, d, path, changed, state.ErrDamaged)
	}
	load(t, d, path, []byte(strings.Replace(string(whole), `"version":1`, `"version":2`, 1)), state.ErrOtherVersion)
	load(t, d, path, []byte(`{"version":2,"crc32c":{"new":"shape"}}`), state.ErrOtherVersion)
	load(t, d, path, []byte(`{}`), state.ErrOtherVersion)
	load(t, d, path, whole, nil)
}

func load(t *testing.T, d *state.Dir, path string, content []byte, want error) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var got sample
	if err := d.Load("v", &got); !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", content, err, want)
	}
}

func TestRemove(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"))
	save(t, d, "v", 1)
	for range 2 {
		if err := d.Remove("v"); err != nil {
			t.Fatal(err)
		}
	}
	var got int
	if err := d.Load("v", &got); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestNames(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "state"))
	for _, name := range []string{"", "../x", "a/b", `a\b`, "A", "a.b", ".new-1", "ü", strings.Repeat("a", 65)} {
		var v int
		_, opening := d.OpenJournal(name, nil)
		for _, err := range []error{d.Save(name, 1), d.Load(name, &v), d.Remove(name), d.SetAside(name), opening} {
			if err == nil || !strings.Contains(err.Error(), "is no name") {
				t.Errorf("%q: error %v", name, err)
			}
		}
	}
}

func TestSaveWithoutDirectory(t *testing.T) {
	if runtime.GOOS == "windows" {
		testneed.Missing(t, "needs a system that lets go of a directory in use")
	}
	d := open(t, filepath.Join(t.TempDir(), "state"))
	if err := os.RemoveAll(d.Path()); err != nil {
		t.Fatal(err)
	}
	if err := d.Save("v", 1); !errors.Is(err, state.ErrUnwritable) || !strings.Contains(err.Error(), "saving v: ") {
		t.Errorf("error %v", err)
	}
}

func open(t *testing.T, path string) *state.Dir {
	t.Helper()
	d, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func save(t *testing.T, d *state.Dir, name string, value any) {
	t.Helper()
	if err := d.Save(name, value); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Mkdir(path, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
