package hostnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/agent/firewall"
)

// Around is a net.Dialer.Control that lets a connection go around the tunnel, as the connection to the control
// plane must: it is needed when the tunnel is dead. It takes the rights of an administrator.
func Around(_, _ string, conn syscall.RawConn) error {
	var marking error
	err := conn.Control(func(fd uintptr) {
		marking = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, FirewallMark)
	})
	if err := errors.Join(err, marking); err != nil {
		return fmt.Errorf("marking a connection to go around the tunnel: %w", err)
	}
	return nil
}

// validMark makes the kernel's reverse path filter look at the mark of a packet: an answer to a marked packet comes in
// on an interface by which the kernel would not answer an unmarked one.
const validMark = "ipv4/conf/all/src_valid_mark"

// formerValidMark is what to put back later. Empty: nothing.
func formerValidMark() string {
	now, err := os.ReadFile(filepath.Join(sysctlRoot, validMark))
	if value := strings.TrimSpace(string(now)); err == nil && value != "1" {
		return value
	}
	return ""
}

// restoreValidMark puts the former value back, unless somebody else routes by marks by now, who needs it too.
func restoreValidMark(former string) error {
	if former == "" {
		return nil
	}
	rules, err := settled(func() ([]netlink.Rule, error) { return netlink.RuleList(netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("listing the rules of routing: %w", err)
	}
	for _, rule := range rules {
		if rule.Mark != 0 {
			return nil
		}
	}
	return sysctl(validMark, former)
}

// filterTable is the packet filter's table for the mark. There is one tunnel with routes on a host.
const filterTable = "heimdraht-tunnel"

// setFilter marks the answers to marked packets as well, as strict reverse path filters (net.ipv4.conf.*.rp_filter,
// firewalld's IPv6_rpfilter) expect it, and refuses packets to the tunnel's addresses that come from elsewhere, with
// which neighbours in the same Wi-Fi could feel for its connections (CVE-2019-14899). wg-quick does the same:
//
//	chain inside { type filter hook prerouting priority raw; iifname != "hd0" ip daddr ADDRESS fib saddr type != local drop }
//	chain answers { type filter hook prerouting priority mangle; ct mark 51820 meta mark set ct mark }
//	chain marked { type filter hook postrouting priority mangle; meta mark 51820 ct mark set meta mark }
//
// Where local networks are denied, local_linux.go has two chains more. It takes the place of what an earlier call set, in
// one step.
func setFilter(config Config) error {
	return firewall.ReplaceTable(filterTable, func(c *nftables.Conn, t *nftables.Table) {
		c.AddTable(t)
		chain := func(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
			return c.AddChain(&nftables.Chain{Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority})
		}
		guard := chain("inside", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
		for _, address := range config.Addresses {
			c.AddRule(&nftables.Rule{Table: t, Chain: guard, Exprs: onlyFromInside(config.Interface, address.Addr())})
		}
		for _, address := range config.Former.Addresses {
			c.AddRule(&nftables.Rule{Table: t, Chain: guard, Exprs: onlyFromInside(config.Former.Interface, address.Addr())})
		}
		mark := binaryutil.NativeEndian.PutUint32(FirewallMark)
		c.AddRule(&nftables.Rule{Table: t, Chain: chain("answers", nftables.ChainHookPrerouting, nftables.ChainPriorityMangle), Exprs: []expr.Any{
			&expr.Ct{Key: expr.CtKeyMARK, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: mark},
			&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
		}})
		c.AddRule(&nftables.Rule{Table: t, Chain: chain("marked", nftables.ChainHookPostrouting, nftables.ChainPriorityMangle), Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: mark},
			&expr.Ct{Key: expr.CtKeyMARK, SourceRegister: true, Register: 1},
		}})
		if config.LocalDenied {
			inside := []string{config.Interface, "lo"}
			if config.Former.Interface != "" {
				inside = append(inside, config.Former.Interface)
			}
			denyLocal(c, t, inside)
		}
	})
}

// onlyFromInside is `iifname != INSIDE ip daddr ADDRESS fib saddr type != local drop`.
func onlyFromInside(inside string, address netip.Addr) []expr.Any {
	family, offset := byte(unix.NFPROTO_IPV4), uint32(16) // of the destination: RFC 791, section 3.1
	if address.Is6() {
		family, offset = unix.NFPROTO_IPV6, 24 // RFC 8200, section 3
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: interfaceName(inside)},
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(address.BitLen() / 8)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: address.AsSlice()},
		&expr.Fib{Register: 1, FlagSADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// clearFilter removes the table. That there is none is no error.
func clearFilter() error {
	return firewall.ReplaceTable(filterTable, func(*nftables.Conn, *nftables.Table) {})
}

// Around is a net.Dialer.ControlContext that lets a connection go around the tunnel: by its mark.
func (*Host) Around(_ context.Context, network, address string, conn syscall.RawConn) error {
	return Around(network, address, conn)
}

// Outside is zero: what goes around the tunnel is told by its mark, not by an interface.
func (*Host) Outside(context.Context, netip.Addr) (uint32, error) { return 0, nil }
