package hostnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The rules let the most precise route win, whichever of the two tables it stands in, as if both were one; only
// marked packets never see the tunnel's. For each length of prefix that the tunnel's networks have, from long to
// short, there are two:
//
//	from all lookup main suppress_prefixlength LENGTH-1
//	not from all fwmark 51820 lookup 51820 suppress_prefixlength LENGTH-1
//
// Of a network in both tables, the main one's goes before. With a full tunnel the last two are wg-quick's: the main
// table counts except for its default route, and what is not marked goes through the tunnel. So a network at home
// inside one of the office stays at home, and one of the office inside a wide one at home is reached.
//
// Where local networks are denied there is no first rule: the tunnel's networks go through the tunnel, whatever is there at home.
//
// Before all these stands, for each address of a former tunnel, which goes on for the connections that began in it:
//
//	from ADDRESS lookup 51821
//
// New connections have no address yet when the kernel looks for their way: they find the present tunnel, and take its
// address. What is marked never has an address of a tunnel.
//
// A route of the main table that refuses (blackhole, unreachable) ends the kernel's search, however short.

const (
	// priorityFirst is that of the longest prefix, 128. The shortest, 0, has 32756 and 32757: all come before the
	// kernel's own rule for the main table (32766) and those that wg-quick adds right before it.
	priorityFirst = 32500
	longestPrefix = 128
	// priorityFormer is that of the rules for a former tunnel.
	priorityFormer = priorityFirst - 1
)

// level is the two rules of one prefix length.
type level int

// levels are the different lengths of the networks.
func levels(networks []netip.Prefix) []level {
	var list []level
	for _, network := range networks {
		list = append(list, level(network.Bits()))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (l level) rules(family int, atHome bool) []netlink.Rule {
	priority := priorityFirst + 2*(longestPrefix-int(l))
	main, tunnel := *netlink.NewRule(), *netlink.NewRule()
	main.Family, main.Priority, main.Table, main.Protocol = family, priority, unix.RT_TABLE_MAIN, routeProtocol
	main.SuppressPrefixlen = max(int(l)-1, 0)
	tunnel.Family, tunnel.Priority, tunnel.Table, tunnel.Protocol = family, priority+1, tunnelTable, routeProtocol
	tunnel.Mark, tunnel.Invert, tunnel.SuppressPrefixlen = FirewallMark, true, int(l)-1
	if !atHome {
		return []netlink.Rule{tunnel}
	}
	return []netlink.Rule{main, tunnel}
}

// rulesOf are all our rules of one family.
func rulesOf(family int, config Config) (list []netlink.Rule) {
	for _, address := range config.Former.Addresses {
		if address.Addr().Is4() == (family == netlink.FAMILY_V4) {
			rule := *netlink.NewRule()
			rule.Family, rule.Priority, rule.Table, rule.Protocol = family, priorityFormer, formerTable, routeProtocol
			rule.Src = ipNetOf(netip.PrefixFrom(address.Addr(), address.Addr().BitLen()))
			list = append(list, rule)
		}
	}
	for _, l := range levels(config.networksOf(family)) {
		list = append(list, l.rules(family, !config.LocalDenied)...) // else what the host reaches more precisely stays there
	}
	return list
}

// setRules makes these our rules. New ones come first.
func setRules(family int, want []netlink.Rule) error {
	have, err := settled(func() ([]netlink.Rule, error) { return netlink.RuleList(family) })
	if err != nil {
		return fmt.Errorf("listing the rules of routing: %w", err)
	}
	have = slices.DeleteFunc(have, func(rule netlink.Rule) bool { return rule.Protocol != routeProtocol })
	var errs []error
	for _, rule := range want {
		i := slices.IndexFunc(have, func(other netlink.Rule) bool { return sameRule(rule, other) })
		if i >= 0 {
			have = slices.Delete(have, i, i+1)
		} else if err := addRule(rule); err != nil {
			errs = append(errs, err)
		}
	}
	for _, rule := range have {
		if err := netlink.RuleDel(&rule); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("removing a rule of routing: %w", err))
		}
	}
	return errors.Join(errs...)
}

func sameRule(a, b netlink.Rule) bool {
	return a.Priority == b.Priority && a.Table == b.Table && a.Mark == b.Mark && a.Invert == b.Invert && a.SuppressPrefixlen == b.SuppressPrefixlen &&
		prefixOf(a.Src) == prefixOf(b.Src)
}

// addRule does what netlink.RuleAdd does, which leaves suppress_prefixlength out for tables above 255.
func addRule(rule netlink.Rule) error {
	request := nl.NewNetlinkRequest(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	head := nl.NewRtMsg()
	head.Family, head.Table, head.Type, head.Protocol = uint8(rule.Family), unix.RT_TABLE_UNSPEC, unix.RTN_UNICAST, unix.RTPROT_UNSPEC
	if rule.Invert {
		head.Flags |= netlink.FibRuleInvert
	}
	if rule.Src != nil {
		bits, _ := rule.Src.Mask.Size()
		head.Src_len = uint8(bits)
	}
	request.AddData(head)
	if rule.Src != nil {
		request.AddData(nl.NewRtAttr(nl.FRA_SRC, rule.Src.IP))
	}
	add := func(kind int, value uint32) {
		request.AddData(nl.NewRtAttr(kind, binary.NativeEndian.AppendUint32(nil, value)))
	}
	add(nl.FRA_PRIORITY, uint32(rule.Priority))
	add(nl.FRA_TABLE, uint32(rule.Table))
	if rule.Mark != 0 {
		add(nl.FRA_FWMARK, rule.Mark)
	}
	if rule.SuppressPrefixlen >= 0 {
		add(nl.FRA_SUPPRESS_PREFIXLEN, uint32(rule.SuppressPrefixlen))
	}
	request.AddData(nl.NewRtAttr(nl.FRA_PROTOCOL, nl.Uint8Attr(rule.Protocol)))
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("adding a rule of routing: %w", err)
	}
	return nil
}
