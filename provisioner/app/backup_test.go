package app_test

import (
	"errors"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner/app"
)

// A directory takes one backup directly after the other; a file takes none.
func TestBackupOverwritesNone(t *testing.T) {
	c := made(t)
	dir := t.TempDir()
	first, err := app.WriteBackup(t.Context(), c, dir, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	second, err := app.WriteBackup(t.Context(), c, dir, func(int, int) {})
	if err != nil {
		t.Fatal("directly after the first: ", err)
	}
	if second.File <= first.File {
		t.Errorf("the later one is called %s, the earlier one %s: a list by name ends with the wrong one", second.File, first.File)
	}
	_, err = app.WriteBackup(t.Context(), c, first.File, func(int, int) {})
	var setup *app.SetupError
	if !errors.As(err, &setup) || setup.Code != "file-there" {
		t.Errorf("over the first one: %v", err)
	}
}
