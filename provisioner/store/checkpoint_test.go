package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// What was committed moves into the database file while the writer goes on, long
// before the log is so long that the writer moves it itself.
func TestCheckpointsBesideTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := open(t, store.Options{Database: path})
	before := size(t, path)
	for range 200 {
		update(t, s, func(tx *store.Writer) error {
			var errs []error
			for range 20 {
				_, err := tx.Record(provisioner.Change{Kind: provisioner.ChangeDevice, Device: provisioner.NewID()})
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		})
	}
	if log := size(t, path+"-wal"); log >= 16_000*4096 {
		t.Fatalf("the log has %d bytes, so the writer may have moved it", log)
	}
	for began := time.Now(); size(t, path) <= before; time.Sleep(time.Millisecond) { // real: a checkpoint tells nobody
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d bytes still, with %d in the log", before, size(t, path+"-wal"))
		}
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
