package rpc

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
)

// Whatever bytes come as a declaration: a value or a refusal, never a fault.
func FuzzToDeclaration(f *testing.F) {
	for _, allow := range []string{"10.1.0.0/16", "10.2.0.10/32:443", "fd00::/64", "fd00::1/128:53", "10.1.0.0", "/", ":", "10.0.0.0/8:0", "10.0.0.0/8:65536", "::/0:1:2"} {
		b, err := proto.Marshal(&heimdrahtv1.Declaration{
			Tenants: []*heimdrahtv1.TenantDeclaration{{
				Name: "stadt", Networks: []*heimdrahtv1.NetworkGrant{{Group: "all", Allow: []string{allow}}},
				Policy: &heimdrahtv1.Policy{DnsServers: []string{"10.1.0.53"}},
			}},
			LicencePools: []*heimdrahtv1.LicencePoolDeclaration{{Name: "vpn", Contracts: []*heimdrahtv1.ContractDeclaration{{From: "2027-01-01", Until: "2029-02-30", Notice: "2028-12-31"}}}},
			Gateways:     []*heimdrahtv1.GatewayDeclaration{{Name: "gw1", AggregateV4: allow, AggregateV6: allow}},
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(heimdrahtv1.Declaration)
		if proto.Unmarshal(b, m) != nil {
			return // gRPC refuses it before
		}
		if _, err := toDeclaration(m); err != nil {
			if _, ok := provisioner.AsRefusal(err); !ok {
				t.Errorf("a fault: %v", err)
			}
		}
	})
}

func TestToDestination(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.0.0/16": "10.1.0.0/16 0", "10.2.0.10/32:443": "10.2.0.10/32 443", "fd00::/64": "fd00::/64 0", "fd00::1/128:53": "fd00::1/128 53",
		"10.1.0.0": "", "10.1.0.0/16:": "", "10.1.0.0/16:0": "", "10.1.0.0/16:70000": "", "": "", "10.1.0.0/33": "", "fd00::1%eth0/128": "",
	} {
		d, err := toDestination(text)
		got := ""
		if err == nil {
			got = fmt.Sprint(d.Prefix, " ", d.Port)
		}
		if got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}
