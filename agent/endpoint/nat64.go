package endpoint

import (
	"context"
	"net/netip"
	"slices"
)

// Mobile networks without IPv4 reach it by addresses of IPv6 that contain those of IPv4. Their name servers answer so for
// names; whoever was given an address has to ask for the network's prefix, by a name whose addresses are known (RFC 7050).
const knownName = "ipv4only.arpa"

// knownAddresses are those of the name.
func knownAddresses() []netip.Addr {
	return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 0, 170}), netip.AddrFrom4([4]byte{192, 0, 0, 171})}
}

// translated are the addresses by which this network reaches one of IPv4. None: it does not, or reaches it by itself.
func translated(ctx context.Context, resolve Resolver, to netip.Addr) (all []netip.Addr) {
	answers, err := resolve(ctx, "ip6", knownName)
	if err != nil {
		return nil // most networks know no such thing
	}
	for _, answer := range answers {
		if !answer.Is6() || answer.Is4In6() {
			continue
		}
		// The longest prefix first: in the known ones the address could stand in a shorter one by chance.
		for _, bytes := range []int{12, 8, 7, 6, 5, 4} {
			if !slices.Contains(knownAddresses(), embedded(answer, bytes)) {
				continue
			}
			if at := embed(answer, bytes, to); !slices.Contains(all, at) {
				all = append(all, at)
			}
			break
		}
	}
	return all
}

// places are where the four bytes of an address stand behind a prefix of so many bytes: the ninth is left out (RFC 6052,
// section 2.2).
func places(prefix int) (at [4]int) {
	for i := range at {
		if prefix == 8 {
			prefix++
		}
		at[i] = prefix
		prefix++
	}
	return at
}

// embedded is the address of IPv4 that stands behind the prefix.
func embedded(in netip.Addr, prefix int) netip.Addr {
	raw := in.As16()
	var four [4]byte
	for i, at := range places(prefix) {
		four[i] = raw[at]
	}
	return netip.AddrFrom4(four)
}

// embed puts an address behind the prefix of another one.
func embed(like netip.Addr, prefix int, to netip.Addr) netip.Addr {
	raw, four := like.As16(), to.As4()
	clear(raw[prefix:])
	for i, at := range places(prefix) {
		raw[at] = four[i]
	}
	return netip.AddrFrom16(raw)
}
