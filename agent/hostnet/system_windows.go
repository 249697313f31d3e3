package hostnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"net/netip"
	"time"

	"golang.org/x/sys/windows"
	"golang.zx2c4.com/wireguard/windows/tunnel/winipcfg"
)

// ipHelper looks and acts by Windows' IP helper, and by the registry for name servers.
type ipHelper struct{}

func newSystem() system { return ipHelper{} }

func (ipHelper) traits() traits { return windowsTraits() }

// adapter is an interface.
type adapter struct {
	name string
	up   bool
}

func adapters() (map[winipcfg.LUID]adapter, error) {
	list, err := winipcfg.GetAdaptersAddresses(windows.AF_UNSPEC, winipcfg.GAAFlagDefault)
	if err != nil {
		return nil, fmt.Errorf("listing the interfaces: %w", err)
	}
	all := make(map[winipcfg.LUID]adapter, len(list))
	for _, a := range list {
		all[a.LUID] = adapter{name: a.FriendlyName(), up: a.OperStatus == winipcfg.IfOperStatusUp}
	}
	return all, nil
}

// find is the interface of a name.
func find(all map[winipcfg.LUID]adapter, name string) (winipcfg.LUID, bool) {
	for luid, a := range all {
		if a.name == name {
			return luid, true
		}
	}
	return 0, false
}

func (ipHelper) look(_ context.Context, name string) (sight, error) {
	all, err := adapters()
	if err != nil {
		return sight{}, err
	}
	var have sight
	if luid, ok := find(all, name); ok && name != "" {
		have.there = true
		if have.mtu, have.first, err = rankOf(luid); err != nil {
			return sight{}, err
		}
		if have.addresses, err = addressesOf(luid); err != nil {
			return sight{}, err
		}
	}
	if have.ways, err = listWays(all); err != nil {
		return sight{}, err
	}
	rules, err := readRules()
	if err != nil {
		return sight{}, err
	}
	have.names, have.named = rules.names()
	return have, nil
}

// eachFamily does something to an interface for IPv4 and for IPv6, of which it may lack one.
func eachFamily(luid winipcfg.LUID, do func(row *winipcfg.MibIPInterfaceRow) error) error {
	found := false
	for _, family := range []winipcfg.AddressFamily{windows.AF_INET, windows.AF_INET6} {
		row, err := luid.IPInterface(family)
		if errors.Is(err, windows.ERROR_NOT_FOUND) {
			continue
		}
		if err == nil {
			found = true
			err = do(row)
		}
		if err != nil {
			return fmt.Errorf("the interface's settings: %w", err)
		}
	}
	if !found {
		return fmt.Errorf("the interface's settings: %w", windows.ERROR_NOT_FOUND)
	}
	return nil
}

// rankOf tells the MTU of an interface, and whether it goes before all others. Zero and false where its families differ,
// or where Windows has not finished it: then it is set.
func rankOf(luid winipcfg.LUID) (mtu int, first bool, err error) {
	seen := 0
	first = true
	err = eachFamily(luid, func(row *winipcfg.MibIPInterfaceRow) error {
		if seen++; seen > 1 && mtu != int(row.NLMTU) {
			mtu = 0
		} else {
			mtu = int(row.NLMTU)
		}
		first = first && !row.UseAutomaticMetric && row.Metric == 0
		return nil
	})
	if errors.Is(err, windows.ERROR_NOT_FOUND) {
		return 0, false, nil
	}
	return mtu, first, err
}

// addressesOf leaves out the link-local ones, which the system gives.
func addressesOf(luid winipcfg.LUID) ([]netip.Prefix, error) {
	table, err := winipcfg.GetUnicastIPAddressTable(windows.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("listing the addresses: %w", err)
	}
	var addresses []netip.Prefix
	for i := range table {
		addr := table[i].Address.Addr().WithZone("")
		if table[i].InterfaceLUID == luid && !addr.IsLinkLocalUnicast() {
			addresses = append(addresses, netip.PrefixFrom(addr, int(table[i].OnLinkPrefixLength)))
		}
	}
	return addresses, nil
}

func listWays(all map[winipcfg.LUID]adapter) ([]path, error) {
	type link struct {
		luid winipcfg.LUID
		ipv4 bool
	}
	costs := make(map[link]uint32)
	interfaces, err := winipcfg.GetIPInterfaceTable(windows.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("listing the interfaces' metrics: %w", err)
	}
	for i := range interfaces {
		costs[link{interfaces[i].InterfaceLUID, interfaces[i].Family == windows.AF_INET}] = interfaces[i].Metric
	}
	table, err := winipcfg.GetIPForwardTable2(windows.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	var ways []path
	for i := range table {
		row := &table[i]
		to := row.DestinationPrefix.Prefix()
		ways = append(ways, path{
			to: to, by: all[row.InterfaceLUID].name, index: row.InterfaceIndex, up: all[row.InterfaceLUID].up,
			made: row.Protocol == winipcfg.RouteProtocolNetMgmt,
			cost: uint64(row.Metric) + uint64(costs[link{row.InterfaceLUID, to.Addr().Is4()}]),
		})
	}
	return ways, nil
}

func (ipHelper) act(ctx context.Context, name string, s step) error {
	all, err := adapters()
	if err != nil {
		return err
	}
	luid, ok := find(all, name)
	switch {
	case s.verb == setNames || s.verb == clearNames:
		err := writeRules(s.names)
		if ok { // short names are searched by the interface's own list
			err = errors.Join(err, patiently(ctx, func() error { return luid.SetDNS(windows.AF_INET, nil, s.names.Domains) }))
		}
		return err
	case !ok:
		return fs.ErrNotExist
	}
	return patiently(ctx, func() error { return adjust(luid, s) })
}

func adjust(luid winipcfg.LUID, s step) error {
	anywhere := netip.IPv4Unspecified()
	if s.prefix.Addr().Is6() {
		anywhere = netip.IPv6Unspecified()
	}
	switch s.verb {
	case adjustLink:
		return eachFamily(luid, func(row *winipcfg.MibIPInterfaceRow) error {
			// There is no router in a tunnel, and no neighbour who could have the same address.
			row.RouterDiscoveryBehavior, row.DadTransmits = winipcfg.RouterDiscoveryDisabled, 0
			row.ManagedAddressConfigurationSupported, row.OtherStatefulConfigurationSupported = false, false
			if s.mtu != 0 {
				row.NLMTU = uint32(s.mtu)
			}
			row.UseAutomaticMetric, row.Metric = !s.first, 0
			return row.Set()
		})
	case addAddress:
		return without(windows.ERROR_OBJECT_ALREADY_EXISTS, luid.AddIPAddress(s.prefix))
	case removeAddress:
		return without(windows.ERROR_NOT_FOUND, luid.DeleteIPAddress(s.prefix))
	case addWay:
		cost := uint32(routeCost)
		if s.prefix.Bits() == 0 {
			cost = 0
		}
		return without(windows.ERROR_OBJECT_ALREADY_EXISTS, luid.AddRoute(s.prefix, anywhere, cost))
	case removeWay:
		return without(windows.ERROR_NOT_FOUND, luid.DeleteRoute(s.prefix, anywhere))
	default:
		return errors.ErrUnsupported
	}
}

// without takes the error that says that it was so already for none.
func without(already windows.Errno, err error) error {
	if errors.Is(err, already) {
		return nil
	}
	return err
}

// patiently tries again while Windows is not done with a new interface, which it says for some seconds after a start.
func patiently(ctx context.Context, do func() error) error {
	const pause, tries = 200 * time.Millisecond, 50
	for try := 1; ; try++ {
		err := do()
		if try == tries || !errors.Is(err, windows.ERROR_NOT_FOUND) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// The options of the two families (ws2ipdef.h).
const unicastInterface = 31 // IP_UNICAST_IF, IPV6_UNICAST_IF

// lead uses IP_UNICAST_IF. IPv4 wants the number in the order of the network, IPv6 in that of the machine.
func (ipHelper) lead(fd uintptr, ipv4 bool, index uint32) error {
	if ipv4 {
		return windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IP, unicastInterface, int(int32(bits.ReverseBytes32(index))))
	}
	return windows.SetsockoptInt(windows.Handle(fd), windows.IPPROTO_IPV6, unicastInterface, int(index))
}

// routeCost lets a route of the host to the same network go before: that of its own network has 256, and an
// interface up to some thousands.
const routeCost = 9000
