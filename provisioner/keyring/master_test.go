package keyring

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestCreateAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	made, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	read, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made.key, read.key) || made.ID() != read.ID() {
		t.Error("another key was read than was made")
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestCreateNeverOverwrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "mine" {
		t.Errorf("the file now holds %q, %v", content, err)
	}
	if _, err := Create(filepath.Join(path, "no", "directory")); err == nil {
		t.Error("made a file without a directory")
	}
}

// Of several that make the same file at the same time one wins, and its key is
// what everybody reads.
func TestCreateAtTheSameTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	var wg sync.WaitGroup
	ids := make(chan string, 8)
	for range cap(ids) {
		wg.Go(func() {
			m, err := Create(path)
			switch {
			case err == nil:
				ids <- m.ID()
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	m, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(ids) != 1 || <-ids != m.ID() {
		t.Error("not exactly one was made")
	}
}

func TestReadRefuses(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(counting().key)
	good := fileHeader + counting().ID() + "\n" + key + "\n"
	for _, c := range []struct {
		name    string
		content string
		mode    fs.FileMode
		cause   error
		says    string // PATH stands for the file's path
	}{
		{"good", good, 0o600, nil, ""},
		{"good, read-only", good, 0o400, nil, ""},
		{"good, edited on Windows", strings.ReplaceAll(good, "\n", "\r\n"), 0o600, nil, ""},
		{"good, without the last line feed", strings.TrimSpace(good), 0o600, nil, ""},
		{"readable by the group", good, 0o640, ErrExposed, "the master key can be read by others: PATH has mode 0640: run: chmod 600 PATH"},
		{"readable by all", good, 0o604, ErrExposed, "the master key can be read by others: PATH has mode 0604: run: chmod 600 PATH"},
		{"empty", "", 0o600, ErrNoMasterKey, "it does not begin with"},
		{"something else", "-----BEGIN PRIVATE KEY-----\n", 0o600, ErrNoMasterKey, "it does not begin with"},
		{"later format", strings.Replace(good, "key 1", "key 2", 1), 0o600, ErrNoMasterKey, "it does not begin with"},
		{"no key", fileHeader + counting().ID() + "\n", 0o600, ErrNoMasterKey, "its second line is not 32 bytes in base64"},
		{"cut short", good[:len(good)-5], 0o600, ErrNoMasterKey, "its second line is not 32 bytes in base64"},
		{"too long", good + key, 0o600, ErrNoMasterKey, "its second line is not 32 bytes in base64"},
		{"far too long", good + strings.Repeat("A", 1<<20), 0o600, ErrNoMasterKey, "its second line is not 32 bytes in base64"},
		{"a typing error", strings.Replace(good, "AAEC", "AAEB", 1), 0o600, ErrNoMasterKey, "copy the file again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "master.key")
			if err := errors.Join(os.WriteFile(path, []byte(c.content), 0o600), os.Chmod(path, c.mode)); err != nil {
				t.Fatal(err)
			}
			m, err := Read(path)
			if c.cause == nil {
				if err != nil || m.ID() != counting().ID() {
					t.Fatalf("%v", err)
				}
				return
			}
			if !errors.Is(err, c.cause) || !strings.Contains(err.Error(), strings.ReplaceAll(c.says, "PATH", path)) {
				t.Fatalf("error %q", err)
			}
			if strings.Contains(err.Error(), key[:8]) {
				t.Fatalf("the error shows the key: %q", err)
			}
		})
	}
	_, err := Read(filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "copy it from another replica") {
		t.Errorf("error %v", err)
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, ErrNoMasterKey) {
		t.Errorf("reading a directory: %v", err)
	}
}

// The id is part of what is sealed and of the file: it may never change.
// Computed apart from this program, by the steps of RFC 5869.
func TestMasterKeyID(t *testing.T) {
	if got := counting().ID(); got != "b7336024a2b76abe" {
		t.Errorf("id %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(fileHeader + counting().ID() + "\n" + base64.StdEncoding.EncodeToString(counting().key) + "\n"))
	f.Add([]byte(fileHeader))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := parse(content)
		if err == nil && (len(m.key) != keySize || !bytes.Contains(content, []byte(m.ID()))) {
			t.Errorf("%q was read as a key", content)
		}
		if err != nil && !errors.Is(err, ErrNoMasterKey) {
			t.Errorf("error %v", err)
		}
	})
}

// However keys are printed, logged or marshalled, nothing of them shows.
func TestKeysHideThemselves(t *testing.T) {
	m := counting()
	root := SessionRoot{key: [32]byte(m.key)}
	keys, err := NewSessionKeys(map[int64]SessionRoot{1: root})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"master key": m, "master key by value": *m, "root": root, "pointer to root": &root,
		"session keys": keys, "session keys by value": *keys,
		"in a struct": struct{ K SessionRoot }{root}, "in a map": map[string]SessionRoot{"k": root}, "in a list": []*MasterKey{m},
	} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%t"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "k", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "k", v)
		marshalled, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(marshalled)
		fmt.Fprintln(&out, fmt.Errorf("wrapped: %v", v))
		for _, secret := range []string{
			hex.EncodeToString(m.key[8:12]), strings.ToUpper(hex.EncodeToString(m.key[10:14])), base64.StdEncoding.EncodeToString(m.key[9:15]),
			"9 10 11", "9,10,11", "0x9, 0xa", string(m.key[3:6]), "U+0009 U+000A", "1001 1010 1011", "11 12 13",
		} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("%s shows %q:\n%s", name, secret, out.String())
			}
		}
		if !strings.Contains(out.String(), hidden) {
			t.Errorf("%s shows nothing at all:\n%s", name, out.String())
		}
	}
}

// counting is the key 00 01 02 … 1f.
func counting() *MasterKey {
	m := &MasterKey{key: make([]byte, keySize)}
	for i := range m.key {
		m.key[i] = byte(i)
	}
	return m
}
