//go:build !linux

package wireguard

import (
	"fmt"
	"runtime"
)

// RemoveKernel has nothing to remove.
func RemoveKernel(string) error { return nil }

// openKernel reports that there is no WireGuard in the kernel, or none that this package drives.
func openKernel(Options) (backend, facts, error) {
	return nil, facts{}, fmt.Errorf("%w: not supported on %s", ErrKernelUnsupported, runtime.GOOS)
}
