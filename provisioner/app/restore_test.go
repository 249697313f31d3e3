package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestFinishRestore begins at every point at which a restore can have been
// killed after it was decided; wherever it was, the end is the same.
func TestFinishRestore(t *testing.T) {
	const former = "heimdraht.db.before-x"
	begun := map[string]string{
		"heimdraht.db": "old", "heimdraht.db-wal": "old log", "heimdraht.db-shm": "old index",
		"heimdraht.db.restoring": "new", "heimdraht.db.restore": former,
	}
	moved := func(from, to string) func(map[string]string) {
		return func(m map[string]string) { m[to] = m[from]; delete(m, from) }
	}
	steps := []func(map[string]string){
		func(map[string]string) {},
		moved("heimdraht.db", former),
		moved("heimdraht.db-wal", former+"-wal"),
		moved("heimdraht.db-shm", former+"-shm"),
		moved("heimdraht.db.restoring", "heimdraht.db"),
	}
	for killed := range steps {
		dir := t.TempDir()
		c := DefaultConfig()
		c.StateDir, c.Database = dir, filepath.Join(dir, "heimdraht.db")
		files := make(map[string]string)
		for name, content := range begun {
			files[name] = content
		}
		for _, step := range steps[:killed+1] {
			step(files)
		}
		for name, content := range files {
			if name == "heimdraht.db.restore" {
				content = filepath.Join(dir, content)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var setup *SetupError
		if err := noRestoreUnfinished(c); !errors.As(err, &setup) || setup.Code != "restore-unfinished" {
			t.Errorf("killed after step %d: others are told %v", killed, err)
		}
		if err := finishRestore(c); err != nil {
			t.Fatalf("killed after step %d: %v", killed, err)
		}
		for name, want := range map[string]string{
			"heimdraht.db": "new", "heimdraht.db-wal": "", "heimdraht.db-shm": "", "heimdraht.db.restoring": "", "heimdraht.db.restore": "",
			former: "old", former + "-wal": "old log", former + "-shm": "old index",
		} {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("killed after step %d: %s holds %q, want %q", killed, name, got, want)
			}
		}
		if err := errors.Join(noRestoreUnfinished(c), finishRestore(c)); err != nil {
			t.Errorf("killed after step %d: twice: %v", killed, err)
		}
	}
}
