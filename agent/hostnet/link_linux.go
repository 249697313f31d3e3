package hostnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// families are asked one after the other: a listing of both at once leaves routes out.
func families() []int { return []int{netlink.FAMILY_V4, netlink.FAMILY_V6} }

// settled repeats a listing that was interrupted because something changed meanwhile: half a listing is none.
func settled[T any](list func() ([]T, error)) ([]T, error) {
	const attempts = 10
	for attempt := 1; ; attempt++ {
		items, err := list()
		if attempt == attempts || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return items, err
		}
	}
}

func setLink(link netlink.Link, config Config) error {
	if config.MTU != 0 && link.Attrs().MTU != config.MTU {
		if err := netlink.LinkSetMTU(link, config.MTU); err != nil {
			return fmt.Errorf("setting the MTU to %d: %w", config.MTU, err)
		}
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("switching the interface on: %w", err)
		}
	}
	return setAddresses(link, config.Addresses)
}

// setAddresses makes these the addresses of the interface. Link-local ones are the kernel's.
//
// The new ones come first: with its last address of a family an interface loses the routes of that family, those of
// others too. And they come once more at the end: with the first address of a subnet go the others.
func setAddresses(link netlink.Link, want []netip.Prefix) error {
	if err := addAddresses(link, want); err != nil {
		return err
	}
	removed, err := removeOtherAddresses(link, want)
	if err != nil || !removed {
		return err
	}
	return addAddresses(link, want)
}

func addAddresses(link netlink.Link, want []netip.Prefix) error {
	for _, address := range want {
		// There is no neighbour in a tunnel who could have the same address: without the search for one, the address
		// can be used at once.
		entry := &netlink.Addr{IPNet: ipNetOf(address), Flags: unix.IFA_F_NODAD}
		if err := netlink.AddrAdd(link, entry); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("giving it the address %v: %w", address, err)
		}
	}
	return nil
}

func removeOtherAddresses(link netlink.Link, want []netip.Prefix) (removed bool, err error) {
	for _, family := range families() {
		have, err := settled(func() ([]netlink.Addr, error) { return netlink.AddrList(link, family) })
		if err != nil {
			return removed, fmt.Errorf("listing the addresses: %w", err)
		}
		for _, address := range have {
			prefix := prefixOf(address.IPNet)
			if prefix.Addr().IsLinkLocalUnicast() || slices.Contains(want, prefix) {
				continue
			}
			removed = true
			if err := netlink.AddrDel(link, &address); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return removed, fmt.Errorf("taking the address %v away: %w", prefix, err)
			}
		}
	}
	return removed, nil
}

// ipNetOf keeps the host bits, which an address has and a network has not.
func ipNetOf(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

// prefixOf returns the invalid prefix for none.
func prefixOf(network *net.IPNet) netip.Prefix {
	if network == nil {
		return netip.Prefix{}
	}
	ip, _ := netip.AddrFromSlice(network.IP)
	bits, size := network.Mask.Size()
	if size == 32 {
		ip = ip.Unmap()
	}
	return netip.PrefixFrom(ip, bits)
}

// sysctlRoot is where the kernel's settings of this network namespace are.
const sysctlRoot = "/proc/sys/net"

// forward makes the host a router.
func forward() error {
	if err := sysctl("ipv4/ip_forward", "1"); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(sysctlRoot, "ipv6")); errors.Is(err, os.ErrNotExist) {
		return nil // a kernel without IPv6
	}
	// A router does not listen to other routers, unless it is told to: a gateway that has its default route from
	// router advertisements would lose it.
	listeners, err := filepath.Glob(filepath.Join(sysctlRoot, "ipv6/conf/*/accept_ra"))
	if err != nil {
		return fmt.Errorf("listing the interfaces: %w", err)
	}
	for _, path := range listeners {
		name, err := filepath.Rel(sysctlRoot, path)
		if err != nil {
			return fmt.Errorf("listing the interfaces: %w", err)
		}
		value, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(value)) != "1" {
			continue // the interface is gone, or does not listen, or listens anyway
		}
		if err := sysctl(name, "2"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return sysctl("ipv6/conf/all/forwarding", "1")
}

// hasIPv6 says whether the interface can have addresses of IPv6: administrators switch it off in the kernel, or for
// all interfaces.
func hasIPv6(name string) bool {
	off, err := os.ReadFile(filepath.Join(sysctlRoot, "ipv6/conf", name, "disable_ipv6"))
	return err == nil && strings.TrimSpace(string(off)) == "0"
}

// dropIPv6 takes the addresses of IPv6 out, and says whether there were any. Its networks stay: they are closed then.
func (c *Config) dropIPv6() bool {
	before := len(c.Addresses)
	c.Addresses = slices.DeleteFunc(slices.Clone(c.Addresses), func(p netip.Prefix) bool { return p.Addr().Is6() })
	return len(c.Addresses) < before
}

// sysctl writes only what is not so already: in a container it may be right and not ours to write.
func sysctl(name, value string) error {
	path := filepath.Join(sysctlRoot, name)
	if now, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(now)) == value {
		return nil
	}
	if err := os.WriteFile(path, []byte(value+"\n"), 0o644); err != nil {
		return fmt.Errorf("setting the kernel's net.%s to %s: %w", strings.ReplaceAll(name, "/", "."), value, err)
	}
	return nil
}
