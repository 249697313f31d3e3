//go:build !linux

package firewall

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
)

// Filter works on Linux only.
type Filter struct{}

// Open opens nothing.
func Open(func()) (*Filter, error) {
	return nil, fmt.Errorf("%w: there is none for gateways on %s", ErrUnusable, runtime.GOOS)
}

// Configure changes nothing.
func (*Filter) Configure(Setup) error { return ErrUnusable }

// Apply changes nothing.
func (*Filter) Apply([]Change) error { return ErrUnusable }

// Inherits says nothing.
func (*Filter) Inherits(string, netip.Addr) bool { return false }

// Forget forgets nothing.
func (*Filter) Forget([]netip.Addr) (func(context.Context) error, error) { return nil, ErrUnusable }

// Forgotten does nothing.
func (*Filter) Forgotten() {}

// Lost says nothing.
func (*Filter) Lost() bool { return false }

// Restore changes nothing.
func (*Filter) Restore() error { return ErrUnusable }

// Clear has nothing to remove.
func Clear() error { return nil }

// Leave does nothing.
func (*Filter) Leave() error { return nil }

// Close does nothing.
func (*Filter) Close() error { return nil }
