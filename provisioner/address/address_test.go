package address_test

import (
	"math/bits"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner/address"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct{ v4, v6, want string }{
		{"10.80.0.0/16", "fd80:1::/48", ""},
		{"10.80.0.0/16", "", ""},
		{"", "fd80:1::/48", ""},
		{"192.0.2.64/26", "2001:db8::40/122", ""},
		{"100.64.0.0/10", "", ""},
		{"", "", "the aggregate has neither an IPv4 nor an IPv6 prefix"},
		{"10.80.0.1/16", "", "10.80.0.1/16 has bits beyond its length: write 10.80.0.0/16"},
		{"10.80.0.0/27", "", "10.80.0.0/27 is too small: a block of 64 addresses takes a /26 or shorter"},
		{"", "fd80::/123", "fd80::/123 is too small: a block of 64 addresses takes a /122 or shorter"},
		{"fd80::/48", "", "fd80::/48 is not an IPv4 prefix"},
		{"", "10.0.0.0/8", "10.0.0.0/8 is not an IPv6 prefix"},
		{"", "::ffff:10.0.0.0/112", "::ffff:10.0.0.0/112 is not an IPv6 prefix"},
		{"127.0.0.0/16", "", "127.0.0.0/16 holds addresses that no machine can have (127.0.0.0/8)"},
		{"0.0.0.0/0", "", "0.0.0.0/0 holds addresses that no machine can have (0.0.0.0/8)"},
		{"240.0.0.0/8", "", "240.0.0.0/8 holds addresses that no machine can have (224.0.0.0/3)"},
		{"", "fe80::/64", "fe80::/64 holds addresses that no machine can have (fe80::/10)"},
		{"", "ff05::/64", "ff05::/64 holds addresses that no machine can have (ff00::/8)"},
	} {
		err := aggregate(c.v4, c.v6).Validate()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("Validate(%q, %q) = %q, want %q", c.v4, c.v6, got, c.want)
		}
	}
}

// A table of what a planner could compute by hand.
func TestAggregate(t *testing.T) {
	type row struct {
		Blocks   int
		Capacity int64
		Gateway  string
		Second   string // of the index 65, the second address of block 1
	}
	for _, c := range []struct {
		v4, v6 string
		want   row
	}{
		{"10.80.0.0/16", "fd80:1::/48", row{1024, 65533, "10.80.0.1 fd80:1::1", "10.80.0.65 fd80:1::41"}},
		{"10.80.0.0/24", "", row{4, 253, "10.80.0.1 invalid IP", "10.80.0.65 invalid IP"}},
		{"", "fd80:1::/48", row{1 << 18, 1<<24 - 2, "invalid IP fd80:1::1", "invalid IP fd80:1::41"}},
		// The smaller family decides, and IPv4's broadcast address is out of reach.
		{"10.80.0.0/16", "fd80:1::/121", row{2, 126, "10.80.0.1 fd80:1::1", "10.80.0.65 fd80:1::41"}},
		{"10.80.4.0/26", "", row{1, 61, "10.80.4.1 invalid IP", "invalid IP invalid IP"}},
		{"", "", row{0, 0, "invalid IP invalid IP", "invalid IP invalid IP"}},
	} {
		a := aggregate(c.v4, c.v6)
		text := func(v4, v6 netip.Addr) string { return v4.String() + " " + v6.String() }
		got := row{a.Blocks(), a.Capacity(), text(a.GatewayAddresses()), text(a.Addresses(65))}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q %q (-want +got):\n%s", c.v4, c.v6, diff)
		}
	}
}

func TestGatewayPrefixes(t *testing.T) {
	got := aggregate("10.80.0.0/16", "fd80:1::/48").GatewayPrefixes()
	want := []netip.Prefix{netip.MustParsePrefix("10.80.0.1/16"), netip.MustParsePrefix("fd80:1::1/48")}
	if diff := cmp.Diff(want, got, comparePrefixes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNewBlock(t *testing.T) {
	both := aggregate("10.80.0.0/25", "fd80:1::/48") // two blocks
	for _, c := range []struct {
		name   string
		block  address.Block
		values uint64
	}{
		{"first: network and gateway", both.NewBlock(0), 0b11},
		{"last: broadcast", both.NewBlock(1), 1 << 63},
		{"beyond the end: everything", both.NewBlock(2), ^uint64(0)},
		{"before the beginning: everything", both.NewBlock(-1), ^uint64(0)},
		{"IPv6 knows no broadcast", aggregate("", "fd80:1::/121").NewBlock(1), 0},
		{"one block is first and last", aggregate("10.80.0.0/26", "").NewBlock(0), 1<<63 | 0b11},
	} {
		if uint64(c.block) != c.values {
			t.Errorf("%s: %064b, want %064b", c.name, uint64(c.block), c.values)
		}
	}
}

// Every index that can be taken gives addresses within the aggregate, which
// lead back to it; every other gives none.
func TestIndexUndoesAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anAggregate().Draw(t, "aggregate")
		if err := a.Validate(); err != nil {
			t.Fatal(err)
		}
		last := int64(a.Blocks()) * address.BlockSize
		index := rapid.Int64Range(-2, last+2).Draw(t, "index")
		v4, v6 := a.Addresses(index)
		inside := index >= 0 && index < last
		for _, f := range []struct {
			addr   netip.Addr
			prefix netip.Prefix
		}{{v4, a.V4}, {v6, a.V6}} {
			if f.addr.IsValid() != (inside && f.prefix.IsValid()) {
				t.Fatalf("index %d of %v: %v", index, a, f.addr)
			}
			if !f.addr.IsValid() {
				continue
			}
			if !f.prefix.Contains(f.addr) {
				t.Fatalf("%v lies outside of %v", f.addr, f.prefix)
			}
			if back, ok := a.Index(f.addr); !ok || back != index {
				t.Fatalf("Index(%v) = %d, %v; want %d", f.addr, back, ok, index)
			}
		}
	})
}

// Consecutive indices are consecutive addresses: counted with the standard
// library's own arithmetic.
func TestAddressesAreConsecutive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anAggregate().Draw(t, "aggregate")
		index := rapid.Int64Range(0, int64(a.Blocks())*address.BlockSize-2).Draw(t, "index")
		v4, v6 := a.Addresses(index)
		n4, n6 := a.Addresses(index + 1)
		if v4.IsValid() && v4.Next() != n4 || v6.IsValid() && v6.Next() != n6 {
			t.Fatalf("%v, %v are followed by %v, %v", v4, v6, n4, n6)
		}
	})
}

func TestIndexOfForeignAddresses(t *testing.T) {
	a := aggregate("10.80.0.0/24", "fd80:1::/48")
	for _, s := range []string{"10.80.1.0", "10.79.255.255", "fd80:1::100", "fd80:1:0:1::5", "fd80:2::5", "::ffff:10.80.0.5", "::"} {
		if i, ok := a.Index(netip.MustParseAddr(s)); ok {
			t.Errorf("Index(%s) = %d, want none", s, i)
		}
	}
	if i, ok := a.Index(netip.Addr{}); ok {
		t.Errorf("Index of no address = %d", i)
	}
}

// However blocks are taken from and released into, an address is given to one
// at a time, never a reserved one, all of them are given in the end, and a
// former one comes back if it is free.
func TestBlockAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := anAggregate().Draw(t, "aggregate")
		number := rapid.IntRange(0, a.Blocks()-1).Draw(t, "number")
		b := a.NewBlock(number)
		reserved := b
		held := make(map[int]bool)
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				former := rapid.IntRange(-2, 66).Draw(t, "former")
				offset, ok := b.Take(former)
				if !ok {
					if len(held)+bits.OnesCount64(uint64(reserved)) != address.BlockSize {
						t.Fatal("refused although something is free")
					}
					return
				}
				if offset < 0 || offset >= address.BlockSize || held[offset] || reserved.Has(offset) {
					t.Fatalf("gave %d, which was not free", offset)
				}
				if former >= 0 && former < address.BlockSize && !held[former] && !reserved.Has(former) && offset != former {
					t.Fatalf("gave %d, although the former %d was free", offset, former)
				}
				held[offset] = true
			},
			"release": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip("nothing is held")
				}
				offset := rapid.SampledFrom(keys(held)).Draw(t, "offset")
				b.Release(offset)
				b.Release(offset)
				delete(held, offset)
			},
			"": func(t *rapid.T) {
				if b.Taken() != len(held)+reserved.Taken() || b.Full() != (b.Taken() == address.BlockSize) {
					t.Fatalf("%064b holds %d", uint64(b), len(held))
				}
				for o := range held {
					if !b.Has(o) {
						t.Fatalf("%d was lost", o)
					}
				}
			},
		})
	})
}

func TestOutsideOfBlock(t *testing.T) {
	var b address.Block
	b.Release(-1)
	b.Release(64)
	if !b.Has(-1) || !b.Has(64) || b != 0 {
		t.Errorf("places outside of a block must be neither free nor change it: %b", b)
	}
}

func aggregate(v4, v6 string) (a address.Aggregate) {
	if v4 != "" {
		a.V4 = netip.MustParsePrefix(v4)
	}
	if v6 != "" {
		a.V6 = netip.MustParsePrefix(v6)
	}
	return a
}

func anAggregate() *rapid.Generator[address.Aggregate] {
	return rapid.Custom(func(t *rapid.T) (a address.Aggregate) {
		families := rapid.IntRange(1, 3).Draw(t, "families")
		if families&1 != 0 {
			host := rapid.Uint16().Draw(t, "v4")
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(host >> 8), byte(host), 192}), rapid.IntRange(8, 26).Draw(t, "v4 bits"))
			a.V4 = p.Masked()
		}
		if families&2 != 0 {
			host := rapid.SliceOfN(rapid.Byte(), 15, 15).Draw(t, "v6")
			b := [16]byte{0xfd}
			copy(b[1:], host)
			a.V6 = netip.PrefixFrom(netip.AddrFrom16(b), rapid.IntRange(8, 122).Draw(t, "v6 bits")).Masked()
		}
		return a
	})
}

func keys(m map[int]bool) (list []int) {
	for i := range address.BlockSize {
		if m[i] {
			list = append(list, i)
		}
	}
	return list
}

func comparePrefixes() cmp.Option {
	return cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
}
