//go:build !linux

package wireguard

import (
	"fmt"
	"runtime"
)

// openKernel reports that there is no WireGuard in the kernel, or none that this package drives.
func openKernel(Options) (backend, facts, error) {
	return nil, facts{}, fmt.Errorf("%w: not supported on %s", ErrKernelUnsupported, runtime.GOOS)
}
