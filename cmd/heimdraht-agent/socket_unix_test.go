//go:build linux || darwin

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// freeSocket is where a daemon of the tests can listen, which everybody can reach.
func freeSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hd")
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	return filepath.Join(dir, "agent.sock")
}
