package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows"
)

// makeAs makes a folder with an access list.
func makeAs(t *testing.T, path, list string) {
	t.Helper()
	descriptor, err := windows.SecurityDescriptorFromString(list)
	if err != nil {
		t.Fatal(err)
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	attributes := &windows.SecurityAttributes{Length: uint32(unsafe.Sizeof(windows.SecurityAttributes{})), SecurityDescriptor: descriptor}
	if err := windows.CreateDirectory(name, attributes); err != nil {
		t.Fatal(err)
	}
}

func TestAccessLists(t *testing.T) {
	above := t.TempDir()
	d, err := Open(filepath.Join(above, "home", "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	self, _, err := myself()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(d.Path()), d.Path()} {
		list, err := accessList(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner, others := strangersIn(list, self); owner != "" || len(others) > 0 {
			t.Errorf("%s: %s", path, list)
		}
	}
	if err := d.Save("v", 1); err != nil {
		t.Error(err)
	}
	open := filepath.Join(above, "open")
	makeAs(t, open, "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;"+self+")(A;OICI;FR;;;WD)")
	if _, err := Open(open); !errors.Is(err, ErrNotPrivate) || !strings.Contains(err.Error(), "these may enter it: WD; run: icacls ") {
		t.Errorf("a folder that everybody may read: %v", err)
	}
	file := filepath.Join(above, "agent.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Trusted(file); err != nil {
		t.Errorf("a file of our own: %v", err)
	}
	if err := Trusted(file + ".none"); err == nil {
		t.Error("a file that is not there is trusted")
	}
}
