// Package address cuts the address space of a gateway into what tenants and
// sessions get of it.
//
// Each gateway owns one aggregate for IPv4 and one for IPv6, cut into blocks
// of 64 addresses that tenants get as they need them. One index names both the
// IPv4 and the IPv6 address: the aggregate's first address plus the index. So
// the inside network needs one return route a gateway and family, and an
// address alone tells gateway, block and thereby tenant.
//
// What always holds here:
//   - Within an aggregate, different indices are different addresses, and
//     Index undoes Addresses.
//   - An index that has no usable address (the network's own, the gateway's,
//     the IPv4 broadcast address) is never taken: its bit is set from the
//     start and cannot be released.
//   - Everything is pure: no clock, no input or output.
//
// Not its business: who holds which block, and where that is kept (store).
package address

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// BlockSize is how many addresses a tenant gets at a time: enough for a town
// hall at one go, and a city's blocks are still few.
const BlockSize = 64

const (
	gatewayIndex = 1

	// maxBits bounds how many low bits of an address an index fills: 2^24
	// addresses are more than any gateway carries, and an index is at home in
	// every integer type.
	maxBits = 24
	// minBits is one whole block.
	minBits = 6
)

// Aggregate is the address space of one gateway. A zero prefix means that the
// family is missing; the zero Aggregate has no address at all.
type Aggregate struct {
	V4, V6 netip.Prefix
}

// Validate says what is wrong with an aggregate, for the person who wrote it
// down; nil if nothing is. The other methods expect a valid aggregate.
func (a Aggregate) Validate() error {
	if !a.V4.IsValid() && !a.V6.IsValid() {
		return errors.New("the aggregate has neither an IPv4 nor an IPv6 prefix")
	}
	if a.V4.IsValid() {
		if !a.V4.Addr().Is4() {
			return fmt.Errorf("%s is not an IPv4 prefix", a.V4)
		}
		if err := validate(a.V4); err != nil {
			return err
		}
	}
	if a.V6.IsValid() {
		if !a.V6.Addr().Is6() || a.V6.Addr().Is4In6() {
			return fmt.Errorf("%s is not an IPv6 prefix", a.V6)
		}
		if err := validate(a.V6); err != nil {
			return err
		}
	}
	return nil
}

// special are the ranges from which no machine's address can come: "this
// network", loopback, link-local, multicast and reserved (RFC 6890).
func special() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("224.0.0.0/3"),
		netip.MustParsePrefix("::/96"), netip.MustParsePrefix("::ffff:0:0/96"),
		netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
	}
}

func validate(p netip.Prefix) error {
	if p != p.Masked() {
		return fmt.Errorf("%s has bits beyond its length: write %s", p, p.Masked())
	}
	if free := hostBits(p); free < minBits {
		return fmt.Errorf("%s is too small: a block of %d addresses takes a /%d or shorter", p, BlockSize, p.Addr().BitLen()-minBits)
	}
	for _, s := range special() {
		if s.Overlaps(p) {
			return fmt.Errorf("%s holds addresses that no machine can have (%s)", p, s)
		}
	}
	return nil
}

// hostBits is how many bits of an address the prefix leaves free.
func hostBits(p netip.Prefix) int { return p.Addr().BitLen() - p.Bits() }

// size is how many indices the aggregate has: those of its smaller family.
func (a Aggregate) size() int64 {
	bits := -1
	for _, p := range []netip.Prefix{a.V4, a.V6} {
		if p.IsValid() && (bits < 0 || hostBits(p) < bits) {
			bits = hostBits(p)
		}
	}
	if bits < 0 {
		return 0
	}
	return 1 << min(bits, maxBits)
}

// Blocks is how many blocks the aggregate is cut into. They are numbered from
// zero; block n holds the indices from n*BlockSize on.
func (a Aggregate) Blocks() int { return int(a.size() / BlockSize) }

// Capacity is how many sessions have an address at the same time, at most.
func (a Aggregate) Capacity() int64 {
	n := a.size()
	if n == 0 {
		return 0
	}
	n -= gatewayIndex + 1 // and the network's own address below it
	if a.reserved(a.size() - 1) {
		n--
	}
	return n
}

// Addresses gives the addresses of an index. A family that is missing gives
// the zero Addr; an index outside of the aggregate gives none in both.
func (a Aggregate) Addresses(index int64) (v4, v6 netip.Addr) {
	if index < 0 || index >= a.size() {
		return netip.Addr{}, netip.Addr{}
	}
	return nth(a.V4, index), nth(a.V6, index)
}

// GatewayAddresses are the gateway's own; the zero Addr for a family that is
// missing.
func (a Aggregate) GatewayAddresses() (v4, v6 netip.Addr) { return a.Addresses(gatewayIndex) }

// GatewayPrefixes are the gateway's own addresses, each with the length of its
// aggregate, as an interface takes them: the aggregate is then routed to it.
func (a Aggregate) GatewayPrefixes() []netip.Prefix {
	var list []netip.Prefix
	v4, v6 := a.GatewayAddresses()
	if v4.IsValid() {
		list = append(list, netip.PrefixFrom(v4, a.V4.Bits()))
	}
	if v6.IsValid() {
		list = append(list, netip.PrefixFrom(v6, a.V6.Bits()))
	}
	return list
}

// Index finds the index of an address; false if it has none here.
func (a Aggregate) Index(addr netip.Addr) (int64, bool) {
	p := a.V6
	if addr.Is4() {
		p = a.V4
	}
	if !p.IsValid() || !p.Contains(addr) {
		return 0, false
	}
	// The free bits of an IPv6 prefix may be more than an index has: what lies
	// above must be zero.
	hi, lo := halves(addr)
	baseHi, baseLo := halves(p.Addr())
	diff := lo - baseLo
	if hi != baseHi || diff >= uint64(a.size()) {
		return 0, false
	}
	return int64(diff), true
}

// nth is the prefix's address with the index in its low bits, which are zero
// in the prefix: an addition never carries.
func nth(p netip.Prefix, index int64) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	if p.Addr().Is4() {
		b := p.Addr().As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|uint32(index))
		return netip.AddrFrom4(b)
	}
	b := p.Addr().As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])|uint64(index))
	return netip.AddrFrom16(b)
}

func halves(addr netip.Addr) (hi, lo uint64) {
	if addr.Is4() {
		b := addr.As4()
		return 0, uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := addr.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// reserved reports whether no session may have the index: the network's own
// address (in IPv6 that of all its routers, RFC 4291, 2.6.1), the gateway's,
// and the IPv4 broadcast address, which hosts on the way may treat as one.
func (a Aggregate) reserved(index int64) bool {
	if index <= gatewayIndex || index >= a.size() {
		return true
	}
	return a.V4.IsValid() && index == 1<<hostBits(a.V4)-1
}
