package wireguard

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/tun"
)

// createTUN makes the interface. One that is there is never ours, whose end with their process; the kernel refuses it as busy,
// but for one that is to outlive its owner, which it would hand over.
func createTUN(o Options) (tun.Device, error) {
	if link, err := netlink.LinkByName(o.Name); err == nil {
		if t, is := link.(*netlink.Tuntap); !is || !t.NonPersist {
			return nil, fmt.Errorf("%w: %s is of type %s", ErrNameTaken, o.Name, link.Type())
		}
	}
	return tun.CreateTUN(o.Name, o.MTU)
}
