package wireguard

import (
	"strings"

	"golang.zx2c4.com/wireguard/tun"
)

// createTUN makes the interface. macOS has only utun0, utun1 and so on, and chooses the number itself if it is asked for
// utun.
func createTUN(o Options) (tun.Device, error) {
	name := o.Name
	if !strings.HasPrefix(name, "utun") {
		name = "utun"
	}
	return tun.CreateTUN(name, o.MTU)
}
