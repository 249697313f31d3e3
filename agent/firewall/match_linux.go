package firewall

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// What rules are put together from. A part that needs what a packet lacks does
// not match.

// Directions of a connection, as the kernel numbers them.
const (
	original = iota
	reply
)

// Where a header has what (RFC 791, section 3.1; RFC 8200, section 3), by family.
type header struct {
	protocol                  byte
	source, destination, size uint32
}

func headerOf(family int) header {
	return [2]header{{unix.NFPROTO_IPV4, 12, 16, 4}, {unix.NFPROTO_IPV6, 8, 24, 16}}[family]
}

func is(family int) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, cmp(expr.CmpOpEq, headerOf(family).protocol)}
}

func cmp(op expr.CmpOp, data ...byte) expr.Any { return &expr.Cmp{Op: op, Register: 1, Data: data} }

// source loads a packet's, destination likewise.
func source(family int) []expr.Any { return load(family, headerOf(family).source) }

func destination(family int) []expr.Any { return load(family, headerOf(family).destination) }

func load(family int, offset uint32) []expr.Any {
	return append(is(family), &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: headerOf(family).size})
}

// called loads whom the first packet of the connection was for, caller whose it
// was, before anybody translated an address.
func called(family int) []expr.Any {
	return append(is(family), &expr.Ct{Key: expr.CtKeyDST, Register: 1, Direction: original})
}

func caller(family int) []expr.Any {
	return append(is(family), &expr.Ct{Key: expr.CtKeySRC, Register: 1, Direction: original})
}

// within, equals and notIn compare what was loaded.
func within(p netip.Prefix) []expr.Any {
	if p.IsSingleIP() {
		return equals(p.Addr().AsSlice())
	}
	size := p.Addr().BitLen() / 8
	mask := make([]byte, size)
	for i := range p.Bits() {
		mask[i/8] |= 1 << (7 - i%8)
	}
	return append([]expr.Any{
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(size), Mask: mask, Xor: make([]byte, size)},
	}, equals(p.Addr().AsSlice())...)
}

func equals(data []byte) []expr.Any { return []expr.Any{cmp(expr.CmpOpEq, data...)} }

func notIn(set *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID, Invert: true}}
}

// markFrom marks the packet with what a map has for what was loaded.
func markFrom(set *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: set.Name, SetID: set.ID},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}
}

func mark(n number) []expr.Any {
	return []expr.Any{&expr.Immediate{Register: 1, Data: n.bytes()}, &expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1}}
}

func isMark(n number) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, cmp(expr.CmpOpEq, n.bytes()...)}
}

// jumpByMark goes where a map leads from the packet's mark.
func jumpByMark(set *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Lookup{SourceRegister: 1, DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true, SetName: set.Name, SetID: set.ID},
	}
}

// accept lets a packet go on, without our mark.
func accept() []expr.Any { return append(mark(noNumber), verdict(expr.VerdictAccept, "")...) }

// port matches connections to one. ICMP's errors count as their connection.
func port(protocol byte, n uint16) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeyPROTOCOL, Register: 1}, cmp(expr.CmpOpEq, protocol),
		&expr.Ct{Key: expr.CtKeyPROTODST, Register: 1, Direction: original}, cmp(expr.CmpOpEq, binary.BigEndian.AppendUint16(nil, n)...),
	}
}

// state matches connections in one of the states.
func state(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		cmp(expr.CmpOpNeq, make([]byte, 4)...),
	}
}

func direction(of byte) []expr.Any {
	return []expr.Any{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1}, cmp(expr.CmpOpEq, of)}
}

// leaves matches packets that go on to another machine, on whatever interface.
func leaves() []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIF, Register: 1}, cmp(expr.CmpOpNeq, make([]byte, 4)...)}
}

func echoRequest(a netip.Addr) []expr.Any {
	protocol, kind := byte(unix.IPPROTO_ICMP), byte(8) // RFC 792
	if a.Is6() {
		protocol, kind = unix.IPPROTO_ICMPV6, 128 // RFC 4443, section 4.1
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, cmp(expr.CmpOpEq, protocol),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1}, cmp(expr.CmpOpEq, kind),
	}
}

// interfaceName is one as the kernel compares it.
func interfaceName(name string) []byte {
	return append([]byte(name), make([]byte, ifnameSize-len(name))...)
}

func from(name []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, cmp(expr.CmpOpEq, name...)}
}

func to(name []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, cmp(expr.CmpOpEq, name...)}
}

func notTo(name []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, cmp(expr.CmpOpNeq, name...)}
}

func verdict(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}
