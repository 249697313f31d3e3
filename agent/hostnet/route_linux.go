package hostnet

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// routeProtocol marks our routes, so that nobody else's is ever removed. `ip route` shows it as "proto 151"; the
	// numbers from 128 on are free for anybody, and the well-known ones are 186 to 192.
	routeProtocol = 151
	// fullTunnelTable has the routes to everything.
	fullTunnelTable = FirewallMark
	// The two rules of a full tunnel come right before the kernel's own one for the main table (32766).
	priorityOwnNetworks = 32764
	priorityEverything  = 32765
)

// setRoutes makes these our routes over the interface.
func setRoutes(link netlink.Link, want []netip.Prefix) error {
	missing := make(map[netip.Prefix]bool, len(want))
	for _, network := range want {
		missing[network.Masked()] = true
	}
	var errs []error
	for _, family := range families() {
		filter := &netlink.Route{LinkIndex: link.Attrs().Index, Table: unix.RT_TABLE_MAIN, Protocol: routeProtocol}
		have, err := routes(family, filter, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
		if err != nil {
			return err
		}
		for _, route := range have {
			if network := prefixOf(route.Dst); missing[network] {
				delete(missing, network)
			} else if err := delRoute(&route); err != nil {
				errs = append(errs, err)
			}
		}
	}
	for _, network := range want {
		network = network.Masked()
		if !missing[network] {
			continue
		}
		delete(missing, network)
		errs = append(errs, addRoute(link, network))
	}
	return errors.Join(errs...)
}

func addRoute(link netlink.Link, network netip.Prefix) error {
	err := netlink.RouteAdd(&netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: ipNetOf(network), Scope: netlink.SCOPE_LINK, Protocol: routeProtocol,
	})
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("routing %v: %w", network, err)
	}
	holder, found := routeHolder(network)
	if found == nil && holder == link.Attrs().Name {
		return nil // the kernel made it itself, from one of the interface's addresses
	}
	return errors.Join(&ConflictError{Network: network, Interface: holder}, found)
}

// routeHolder returns the interface over which exactly this network is routed.
func routeHolder(network netip.Prefix) (string, error) {
	family := netlink.FAMILY_V6
	if network.Addr().Is4() {
		family = netlink.FAMILY_V4
	}
	have, err := routes(family, &netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: ipNetOf(network)}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	if err != nil {
		return "", err
	}
	for _, route := range have {
		if link, err := netlink.LinkByIndex(route.LinkIndex); err == nil {
			return link.Attrs().Name, nil
		}
	}
	return "another route", nil
}

// setFullTunnel routes everything over the interface, except what the main table knows more precisely than by a
// default route, and except marked packets.
func setFullTunnel(link netlink.Link, config Config) error {
	everything := []netip.Prefix{
		netip.PrefixFrom(netip.IPv4Unspecified(), 0),
		netip.PrefixFrom(netip.IPv6Unspecified(), 0),
	}
	for i, family := range families() {
		route := netlink.Route{Dst: ipNetOf(everything[i]), Table: fullTunnelTable, Protocol: routeProtocol}
		if config.hasFamily(everything[i].Addr()) {
			route.LinkIndex, route.Scope = link.Attrs().Index, netlink.SCOPE_LINK
		} else {
			// Without an address inside the tunnel this family would go past it.
			route.Type = unix.RTN_UNREACHABLE
		}
		if err := setOnlyRoute(family, route); err != nil {
			if errors.Is(err, unix.EAFNOSUPPORT) {
				continue // a kernel without IPv6 sends none
			}
			return err
		}
		for _, rule := range fullTunnelRules(family) {
			if err := netlink.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("adding the rule for a full tunnel: %w", err)
			}
		}
	}
	return nil
}

// setOnlyRoute makes the route the only one in its table. The new one comes first: a moment without any would let
// packets out past the tunnel.
func setOnlyRoute(family int, want netlink.Route) error {
	have, err := routes(family, &netlink.Route{Table: want.Table}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	found := false
	for _, route := range have {
		found = found || sameRoute(route, want)
	}
	if !found {
		if err := netlink.RouteReplace(&want); err != nil {
			return fmt.Errorf("routing everything: %w", err)
		}
		if have, err = routes(family, &netlink.Route{Table: want.Table}, netlink.RT_FILTER_TABLE); err != nil {
			return err
		}
	}
	for _, route := range have {
		if !sameRoute(route, want) {
			if err := delRoute(&route); err != nil {
				return err
			}
		}
	}
	return nil
}

// sameRoute compares two default routes of one table. IPv6's unreachable ones hang on the loopback interface.
func sameRoute(a, b netlink.Route) bool {
	unreachable := a.Type == unix.RTN_UNREACHABLE
	if unreachable != (b.Type == unix.RTN_UNREACHABLE) {
		return false
	}
	return prefixOf(a.Dst) == prefixOf(b.Dst) && (unreachable || a.LinkIndex == b.LinkIndex)
}

// fullTunnelRules are those of wg-quick: the main table counts except for its default route, and what is not marked
// goes through the tunnel.
func fullTunnelRules(family int) []*netlink.Rule {
	ownNetworks := netlink.NewRule()
	ownNetworks.Family, ownNetworks.Priority = family, priorityOwnNetworks
	ownNetworks.Table, ownNetworks.SuppressPrefixlen = unix.RT_TABLE_MAIN, 0
	everything := netlink.NewRule()
	everything.Family, everything.Priority = family, priorityEverything
	everything.Table, everything.Mark, everything.Invert = fullTunnelTable, FirewallMark, true
	return []*netlink.Rule{ownNetworks, everything}
}

// clearFullTunnel takes the rules and the table away. The rules come first: without the table's route, they would let
// everything through that the main table allows, and that is what is wanted now.
func clearFullTunnel() error {
	var errs []error
	for _, family := range families() {
		for _, rule := range fullTunnelRules(family) {
			if err := netlink.RuleDel(rule); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EAFNOSUPPORT) {
				errs = append(errs, fmt.Errorf("removing the rule for a full tunnel: %w", err))
			}
		}
		have, err := routes(family, &netlink.Route{Table: fullTunnelTable}, netlink.RT_FILTER_TABLE)
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		errs = append(errs, err)
		for _, route := range have {
			errs = append(errs, delRoute(&route))
		}
	}
	return errors.Join(errs...)
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
