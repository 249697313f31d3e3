package hostnet

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Rules lead everything through the tunnel, but programs may insist on an interface, and neighbours may call. Where local
// networks are denied, these two chains let past the tunnel what carries the mark, what gets the host its addresses, and
// what finds neighbours, without whom the router is not found either:
//
//	chain leaving {
//		type filter hook output priority filter
//		oifname { "hd0", "lo" } accept; meta mark 51820 accept
//		udp sport 68 udp dport 67 accept; udp sport 546 udp dport 547 accept; icmpv6 type { 130-137, 143 } accept
//		reject with icmpx admin-prohibited
//	}
//	chain entering {
//		type filter hook input priority filter
//		iifname { "hd0", "lo" } accept; ct state established,related accept
//		udp sport 67 udp dport 68 accept; udp sport 547 udp dport 546 accept; icmpv6 type { 130-137, 143 } accept
//		drop
//	}
//
// A former tunnel beside the present one stands with it. Of programs that are refused, each is told at once; of neighbours nobody is told anything.
func denyLocal(c *nftables.Conn, t *nftables.Table, inside []string) {
	chain := func(name string, hook *nftables.ChainHook) func(...expr.Any) {
		made := c.AddChain(&nftables.Chain{Name: name, Table: t, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter})
		return func(e ...expr.Any) { c.AddRule(&nftables.Rule{Table: t, Chain: made, Exprs: e}) }
	}
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	common := func(add func(...expr.Any), by expr.MetaKey, ports ...[2]uint16) {
		for _, name := range inside {
			add(append(metaIs(by, interfaceName(name)), accept)...)
		}
		for _, p := range ports {
			add(append(udpPorts(p[0], p[1]), accept)...)
		}
		// Listeners of multicast and neighbours: RFC 2710, 3810 and 4861.
		for _, kinds := range [][2]byte{{130, 137}, {143, 143}} {
			add(append(icmp6Types(kinds[0], kinds[1]), accept)...)
		}
	}
	leaving := chain("leaving", nftables.ChainHookOutput)
	common(leaving, expr.MetaKeyOIFNAME, [2]uint16{68, 67}, [2]uint16{546, 547})
	leaving(append(metaIs(expr.MetaKeyMARK, binaryutil.NativeEndian.PutUint32(FirewallMark)), accept)...)
	leaving(&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED})

	entering := chain("entering", nftables.ChainHookInput)
	common(entering, expr.MetaKeyIIFNAME, [2]uint16{67, 68}, [2]uint16{547, 546})
	none := make([]byte, 4)
	entering(
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Xor: none,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: none}, accept,
	)
	entering(&expr.Verdict{Kind: expr.VerdictDrop})
}

func interfaceName(name string) []byte {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return padded
}

func metaIs(key expr.MetaKey, value []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value}}
}

// udpPorts is `udp sport FROM udp dport TO`.
func udpPorts(from, to uint16) []expr.Any {
	return append(metaIs(expr.MetaKeyL4PROTO, []byte{unix.IPPROTO_UDP}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: append(binaryutil.BigEndian.PutUint16(from), binaryutil.BigEndian.PutUint16(to)...)})
}

// icmp6Types is `icmpv6 type FIRST-LAST`.
func icmp6Types(first, last byte) []expr.Any {
	return append(metaIs(expr.MetaKeyL4PROTO, []byte{unix.IPPROTO_ICMPV6}),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: []byte{first}},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: []byte{last}})
}
