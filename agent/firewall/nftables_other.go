//go:build !linux

package firewall

import (
	"errors"
	"net/netip"
	"runtime"
)

// Masquerade works on Linux only.
func Masquerade(string, []netip.Prefix) error {
	return errors.New("masquerading is not supported on " + runtime.GOOS)
}

// Clear has nothing to remove.
func Clear() error { return nil }
