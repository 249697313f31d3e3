package provisioner

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAccess(t *testing.T) {
	to := func(prefix string, port uint16) Destination { return Destination{netip.MustParsePrefix(prefix), port} }
	stadt := Tenant{Name: "stadt", Networks: []NetworkGrant{
		{GroupAll, []Destination{to("10.1.0.0/16", 0), to("10.1.2.3/32", 443)}},
		{"CN=Bauamt", []Destination{to("10.2.0.10/32", 443), to("10.2.0.10/32", 22), to("10.2.0.0/24", 22)}},
	}}
	stadt.Policy.DNSServers = []netip.Addr{netip.MustParseAddr("10.9.0.53"), netip.MustParseAddr("10.1.0.53")}
	full := stadt
	full.Policy.Tunnel = TunnelFull
	limited := full
	limited.Policy.PasswordExpired, limited.Policy.PasswordHosts = PasswordHostsOnly, []Destination{to("10.1.0.5/32", 88)}
	for _, c := range []struct {
		name     string
		tenant   Tenant
		standing Standing
		want     string
	}{
		{"nobody's group", stadt, Standing{}, "[{10.1.0.0/16 0} {10.9.0.53/32 53}] false"},
		{"a group, in whatever case", stadt, Standing{Groups: []string{"cn=bauamt"}},
			"[{10.1.0.0/16 0} {10.2.0.0/24 22} {10.2.0.10/32 443} {10.9.0.53/32 53}] false"},
		{"a full tunnel", full, Standing{}, "[{10.1.0.0/16 0} {10.9.0.53/32 53}] true"},
		{"a password that has expired", limited, Standing{Password: PasswordHasExpired}, "[{10.1.0.5/32 88} {10.9.0.53/32 53} {10.1.0.53/32 53}] false"},
	} {
		l := c.tenant.Access(c.standing)
		if got := fmt.Sprint(l.Grants, l.World); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if !strings.HasPrefix(l.ID, "stadt_") || len(l.ID) != len("stadt_")+16 {
			t.Errorf("%s: the id %s", c.name, l.ID)
		}
	}
	if a, b := stadt.Access(Standing{}), full.Access(Standing{}); a.ID == b.ID {
		t.Errorf("two lists have the id %s", a.ID)
	}
	if stadt.SameAccess(full) || !stadt.SameAccess(stadt) {
		t.Error("declarations are mistaken for each other")
	}
}

// A list grants what the destinations grant, no more and no less, and does not
// depend on how they are written.
func TestAccessGrantsTheDestinations(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) Destination {
		a := netip.AddrFrom4([4]byte{10, rapid.ByteRange(0, 1).Draw(t, "a"), 0, rapid.ByteRange(0, 3).Draw(t, "b")})
		p, _ := a.Prefix(rapid.SampledFrom([]int{8, 16, 31, 32}).Draw(t, "bits"))
		return Destination{p, rapid.SampledFrom([]uint16{0, 22, 443}).Draw(t, "port")}
	})
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(draw, 1, 6).Draw(t, "destinations")
		tenant := Tenant{Name: "stadt", Networks: []NetworkGrant{{GroupAll, list}}}
		l := tenant.Access(Standing{})
		probe := draw.Draw(t, "probe")
		in := func(list []Destination) bool {
			for _, d := range list {
				if d.contains(probe) {
					return true
				}
			}
			return false
		}
		if in(list) != in(l.Grants) {
			t.Fatalf("%v: %v grants %v, %v does not", probe, list, in(list), l.Grants)
		}
		tenant.Networks = []NetworkGrant{{GroupAll, rapid.Permutation(list).Draw(t, "order")}}
		if again := tenant.Access(Standing{}); again.ID != l.ID {
			t.Fatalf("%v and %v have two ids", list, tenant.Networks)
		}
	})
}
