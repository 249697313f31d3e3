//go:build !linux

package hostnet

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"syscall"
)

// Host is the network of this machine.
type Host struct{}

// Open succeeds: that nothing can be set is said when it is tried.
func Open(Options) (*Host, error) { return &Host{}, nil }

// Set fails: it works on Linux only.
func (*Host) Set(context.Context, Config) error {
	return fmt.Errorf("setting addresses, routes and name servers on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Clear does nothing: there is nothing to undo.
func (*Host) Clear(context.Context) error { return nil }

// Around does nothing: there is no full tunnel to go around.
func Around(_, _ string, _ syscall.RawConn) error { return nil }
