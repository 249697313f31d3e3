package wireguard

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// linkUp switches the interface on.
func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding the interface: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("switching the interface on: %w", err)
	}
	return nil
}
