package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzFilesOfPrograms demands of the files of the four programs: no panic, an
// error that names the file and tells no one else's secrets, and nothing
// accepted without what the programs rely on.
func FuzzFilesOfPrograms(f *testing.F) {
	dir := f.TempDir()
	example := filepath.Join(dir, "heimdrahtd.yaml")
	c := DefaultControlPlane()
	c.Names = []string{"vpn.stadt.example"}
	gateway := DefaultGateway()
	gateway.Servers = []string{"vpn.stadt.example:8443"}
	if err := errors.Join(WriteDefault(example, c), WriteGateway(filepath.Join(dir, "gateway.yaml"), gateway)); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"heimdrahtd.yaml", "gateway.yaml"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte("server: [vpn.stadt.example]\nca_sha256: " + strings.Repeat("ab", 32) + "\ntenant: stadt\nstart: login\n"))
	f.Add([]byte("server: []\nunknown: 1\n"))
	f.Add([]byte("listen: !!binary |\n  //8=\n"))
	f.Add([]byte("names: &a [x]\nlisten: *a\n"))
	f.Add([]byte("\xef\xbb\xbfserver: [\"[::1]:1\"]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		controlPlane, err := LoadControlPlane(file)
		judge(t, file, err)
		if err == nil && (controlPlane.Listen == "" || controlPlane.Database == "" || controlPlane.Validate() != nil) {
			t.Errorf("accepted %+v: %v", controlPlane, controlPlane.Validate())
		}
		g, err := LoadGateway(file)
		judge(t, file, err)
		if err == nil && (len(g.Servers) == 0 || g.StateDir == "" || g.Interface == "") {
			t.Errorf("accepted %+v", g)
		}
		a, err := LoadAgent(file)
		judge(t, file, err)
		if err == nil && a.CASHA256 != "" && len(a.CASHA256) != 64 {
			t.Errorf("accepted %+v", a)
		}
	})
}

// judge holds an error to what a person needs.
func judge(t *testing.T, file string, err error) {
	t.Helper()
	var problems Problems
	switch {
	case err == nil:
	case !errors.As(err, &problems) || len(problems) == 0:
		t.Errorf("an error without lines: %v", err)
	default:
		for _, p := range problems {
			if p.File != file || p.Message == "" || len(p.Message) > 2000 || bytes.ContainsAny([]byte(p.Message), "\x00\x1b\r") {
				t.Errorf("not fit to be shown: %q", p)
			}
		}
	}
}
