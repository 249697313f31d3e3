package firewall

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	table = "heimdraht"
	// ifnameSize is the kernel's room for an interface's name.
	ifnameSize = 16
)

// Masquerade hides packets from the given networks behind the address of the
// interface on which they leave, unless that is inside, the tunnels' own. It
// takes the place of what an earlier call set.
func Masquerade(inside string, from []netip.Prefix) error {
	if len(inside) >= ifnameSize {
		return fmt.Errorf("masquerading: %q is no interface name", inside)
	}
	return ReplaceTable(table, func(c *nftables.Conn, t *nftables.Table) {
		c.AddTable(t)
		chain := c.AddChain(&nftables.Chain{
			Name: "postrouting", Table: t, Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		})
		for _, prefix := range from {
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: masquerade(inside, prefix.Masked())})
		}
	})
}

// Clear removes the table. That there is none is no error.
func Clear() error { return ReplaceTable(table, func(*nftables.Conn, *nftables.Table) {}) }

// ReplaceTable removes the table of that name, in the family inet, and lets f
// make it anew, in one transaction: no packet meets half of it. An f that adds
// nothing leaves no table. Without the rights for it, the error wraps
// fs.ErrPermission.
func ReplaceTable(name string, f func(*nftables.Conn, *nftables.Table)) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("reaching the packet filter: %w", err)
	}
	t := &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
	// The kernel refuses to remove what is not there; after an addition, which
	// may find it there, it always is.
	c.AddTable(t)
	c.DelTable(t)
	f(c, t)
	if err := c.Flush(); err != nil {
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: %w", fs.ErrPermission, err)
		}
		return fmt.Errorf("changing the packet filter: %w", err)
	}
	return nil
}

// masquerade is `ip saddr PREFIX oifname != INSIDE masquerade`. The source
// tells the tunnels' packets: after routing, not every kernel still knows on
// which interface one came in.
func masquerade(inside string, from netip.Prefix) []expr.Any {
	family, offset, size := byte(unix.NFPROTO_IPV4), uint32(12), uint32(4) // RFC 791, section 3.1
	if from.Addr().Is6() {
		family, offset, size = unix.NFPROTO_IPV6, 8, 16 // RFC 8200, section 3
	}
	mask := make([]byte, size)
	for i := range from.Bits() {
		mask[i/8] |= 1 << (7 - i%8)
	}
	name := make([]byte, ifnameSize)
	copy(name, inside)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: from.Addr().AsSlice()},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: name},
		&expr.Masq{},
	}
}
