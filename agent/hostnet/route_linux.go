package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// routeProtocol marks our routes and rules, so that nobody else's are ever removed. `ip route` shows it as
	// "proto 151"; the numbers from 128 on are free for anybody, and the well-known ones are 186 to 192.
	routeProtocol = 151
	// tunnelTable has the routes through the tunnel. In the main table, where everybody looks, marked packets could
	// not go around them.
	tunnelTable = FirewallMark
	// formerTable has those of a tunnel that goes on for the connections in it.
	formerTable = FirewallMark + 1
)

// everything is the network of all addresses of a family.
func everything(family int) netip.Prefix {
	if family == netlink.FAMILY_V4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// networksOf are the networks of one family that go through the tunnel, each once.
func (c Config) networksOf(family int) []netip.Prefix {
	var list []netip.Prefix
	if c.FullTunnel {
		list = append(list, everything(family))
	}
	for _, route := range c.Routes {
		if route.Addr().Is4() == (family == netlink.FAMILY_V4) {
			list = append(list, route.Masked())
		}
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}

// linkIfThere finds the interface of a former tunnel; nil: there is none, or somebody took it away.
func linkIfThere(name string) (netlink.Link, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil //nolint:nilnil // it is gone
	}
	if err != nil {
		return nil, fmt.Errorf("finding the former interface: %w", err)
	}
	return link, nil
}

// formerNetworksOf are the networks of one family into which a former tunnel leads, if it has an address there.
func (c Config) formerNetworksOf(family int) []netip.Prefix {
	former := Config{Addresses: c.Former.Addresses, Routes: c.Former.Routes, FullTunnel: c.Former.FullTunnel}
	if !former.hasFamily(everything(family).Addr()) {
		return nil
	}
	return former.networksOf(family)
}

// checkTable fails if somebody else uses one of our tables. What a killed process of ours left in it is no such use.
func checkTable(table int, links ...netlink.Link) error {
	for _, family := range families() {
		have, err := routesIn(family, table)
		if err != nil {
			return err
		}
		for _, route := range have {
			ours := slices.ContainsFunc(links, func(l netlink.Link) bool { return l != nil && l.Attrs().Index == route.LinkIndex })
			if route.Protocol == routeProtocol && (closed(route) || ours) {
				continue
			}
			taken := &TakenError{Table: table}
			if other, err := netlink.LinkByIndex(route.LinkIndex); err == nil {
				taken.Interface = other.Attrs().Name
			}
			return taken
		}
	}
	return nil
}

// checkHalves fails where a full tunnel would lead nothing: other programs take over everything in two halves, which are
// more precise than a default route, and what the host reaches more precisely stays the host's.
func checkHalves(link netlink.Link, config Config) error {
	if !config.FullTunnel || config.LocalDenied {
		return nil
	}
	for _, family := range families() {
		have, err := routes(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return err
		}
		for _, route := range have {
			if prefixOf(route.Dst).Bits() != 1 || route.LinkIndex == link.Attrs().Index {
				continue
			}
			taken := &TakenError{Everything: true}
			if other, err := netlink.LinkByIndex(route.LinkIndex); err == nil {
				taken.Interface = other.Attrs().Name
			}
			return taken
		}
	}
	return nil
}

// setRoutes makes these networks, and no others, go through the interface. What is new comes first, and what goes
// comes last: there is no moment in which a network that is wanted before and after goes past the tunnel.
func setRoutes(link, former netlink.Link, config Config) error {
	var errs []error
	for _, family := range families() {
		want, old := config.networksOf(family), config.formerNetworksOf(family)
		through := config.hasFamily(everything(family).Addr())
		if len(old) > 0 {
			errs = append(errs, addRoutes(family, formerTable, former, old, true))
		}
		if err := addRoutes(family, tunnelTable, link, want, through); err != nil {
			if errors.Is(err, unix.EAFNOSUPPORT) {
				continue // a kernel without IPv6 sends none
			}
			errs = append(errs, err)
			continue
		}
		errs = append(errs, setRules(family, rulesOf(family, config)), removeOtherRoutes(family, tunnelTable, link, want, through),
			removeOtherRoutes(family, formerTable, former, old, true))
		if !config.LocalDenied {
			errs = append(errs, conflicts(family, want, link, former))
		}
	}
	return errors.Join(errs...)
}

// addRoutes adds what is missing. Not through: the networks are closed, for without an address inside the tunnel they
// would go past it, or into it with an address from outside.
func addRoutes(family, table int, link netlink.Link, want []netip.Prefix, through bool) error {
	have, err := routesIn(family, table)
	if err != nil {
		return err
	}
	present := make(map[netip.Prefix]bool, len(have))
	for _, route := range have {
		if goes(route, link, through) {
			present[prefixOf(route.Dst)] = true
		}
	}
	for _, network := range want {
		if present[network] {
			continue
		}
		route := netlink.Route{Dst: ipNetOf(network), Table: table, Protocol: routeProtocol}
		if through {
			route.LinkIndex, route.Scope = link.Attrs().Index, netlink.SCOPE_LINK
		} else {
			route.Type = unix.RTN_UNREACHABLE
		}
		if err := netlink.RouteReplace(&route); err != nil {
			return fmt.Errorf("routing %v: %w", network, err)
		}
	}
	return nil
}

func removeOtherRoutes(family, table int, link netlink.Link, want []netip.Prefix, through bool) error {
	have, err := routesIn(family, table)
	if err != nil {
		return err
	}
	var errs []error
	for _, route := range have {
		_, wanted := slices.BinarySearchFunc(want, prefixOf(route.Dst), netip.Prefix.Compare)
		if route.Protocol == routeProtocol && (!wanted || !goes(route, link, through)) {
			errs = append(errs, delRoute(&route))
		}
	}
	return errors.Join(errs...)
}

// goes says whether the route leads through the interface, or closes its network, as it should.
func goes(route netlink.Route, link netlink.Link, through bool) bool {
	if !through {
		return closed(route)
	}
	return !closed(route) && link != nil && route.LinkIndex == link.Attrs().Index
}

// closed says whether the route refuses. IPv6's refusing ones hang on the loopback interface.
func closed(route netlink.Route) bool { return route.Type == unix.RTN_UNREACHABLE }

// conflicts names the networks that the host reaches in another way just as precisely: its own network at home goes
// before. Their routes are there all the same, for when the laptop is in another network.
func conflicts(family int, want []netip.Prefix, tunnels ...netlink.Link) error {
	have, err := routes(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	holders := make(map[netip.Prefix]int, len(have))
	for _, route := range have {
		if !slices.ContainsFunc(tunnels, func(l netlink.Link) bool { return l != nil && l.Attrs().Index == route.LinkIndex }) {
			holders[prefixOf(route.Dst)] = route.LinkIndex
		}
	}
	var errs []error
	for _, network := range want {
		index, held := holders[network]
		if !held || network.Bits() == 0 {
			continue
		}
		conflict := &ConflictError{Network: network, Interface: "another route"}
		if other, err := netlink.LinkByIndex(index); err == nil {
			conflict.Interface = other.Attrs().Name
		}
		errs = append(errs, conflict)
	}
	return errors.Join(errs...)
}

// clearRoutes takes rules and routes away. The rules come first: what the main table allows is what is wanted now.
// The interface may be gone (nil), and its routes with it.
func clearRoutes(link netlink.Link) error {
	var errs []error
	for _, family := range families() {
		err := setRules(family, nil)
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		have, listing := routesIn(family, tunnelTable)
		former, listingFormer := routesIn(family, formerTable)
		errs = append(errs, err, listing, listingFormer)
		for _, route := range former {
			if route.Protocol == routeProtocol {
				errs = append(errs, delRoute(&route))
			}
		}
		for _, route := range have {
			if route.Protocol == routeProtocol && (closed(route) || link != nil && route.LinkIndex == link.Attrs().Index) {
				errs = append(errs, delRoute(&route))
			}
		}
	}
	return errors.Join(errs...)
}

func routesIn(family, table int) ([]netlink.Route, error) {
	return routes(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
}

func routes(family int, filter *netlink.Route, mask uint64) ([]netlink.Route, error) {
	list, err := settled(func() ([]netlink.Route, error) { return netlink.RouteListFiltered(family, filter, mask) })
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	return list, nil
}

// delRoute removes a route. That it is gone already is what was wanted.
func delRoute(route *netlink.Route) error {
	if err := netlink.RouteDel(route); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("removing the route to %v: %w", prefixOf(route.Dst), err)
	}
	return nil
}
