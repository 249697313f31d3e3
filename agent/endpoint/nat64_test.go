package endpoint

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTranslated: the examples of RFC 6052, section 2.4, for each length of prefix, found by the answer for the known name.
func TestTranslated(t *testing.T) {
	to := netip.MustParseAddr("192.0.2.33")
	for answer, want := range map[string]string{
		"2001:db8:c000:aa::":           "2001:db8:c000:221::",
		"2001:db8:1c0:0:aa::":          "2001:db8:1c0:2:21::",
		"2001:db8:122:c000:0:aa00::":   "2001:db8:122:c000:2:2100::",
		"2001:db8:122:3c0:0:aa::":      "2001:db8:122:3c0:0:221::",
		"2001:db8:122:344:c0:0:aa00:0": "2001:db8:122:344:c0:2:2100::",
		"64:ff9b::c000:ab":             "64:ff9b::192.0.2.33",
	} {
		resolve := func(_ context.Context, network, host string) ([]netip.Addr, error) {
			if network != "ip6" || host != "ipv4only.arpa" {
				t.Errorf("asked for %s of %s", network, host)
			}
			return []netip.Addr{netip.MustParseAddr(answer)}, nil
		}
		if got := translated(t.Context(), resolve, to); !slices.Equal(got, []netip.Addr{netip.MustParseAddr(want)}) {
			t.Errorf("by %s: %v, want %s", answer, got, want)
		}
	}
	for name, resolve := range map[string]Resolver{
		"no such name":       func(context.Context, string, string) ([]netip.Addr, error) { return nil, errors.New("no such host") },
		"an address of IPv4": func(context.Context, string, string) ([]netip.Addr, error) { return knownAddresses(), nil },
		"a lie": func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("2001:db8::1"), {}}, nil
		},
	} {
		if got := translated(t.Context(), resolve, to); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestEmbedding: what was put behind a prefix is found there.
func TestEmbedding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		four := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
		like := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "prefix")))
		bytes := rapid.SampledFrom([]int{4, 5, 6, 7, 8, 12}).Draw(t, "bytes")
		at := embed(like, bytes, four)
		if embedded(at, bytes) != four || !netip.PrefixFrom(like, 8*bytes).Contains(at) {
			t.Fatalf("%v in %v behind %d bytes is %v", four, like, bytes, at)
		}
	})
}
