//go:build !linux

package wireguard

import (
	"runtime"
	"strings"
)

// tunName returns the name to ask the system for. macOS has only utun0, utun1 and so on, and chooses the
// number itself if it is asked for utun.
func tunName(name string) string {
	if runtime.GOOS == "darwin" && !strings.HasPrefix(name, "utun") {
		return "utun"
	}
	return name
}

// linkUp does nothing: these systems switch the interface on as it gets its addresses.
func linkUp(string) error { return nil }
