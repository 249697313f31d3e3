package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/heimdraht/heimdraht/agent/control"
	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

func bytesOf(b byte) []byte { return []byte(strings.Repeat(string(rune(b)), 32)) }

// goodConfiguration is what a well-meaning control plane sends.
func goodConfiguration() *heimdrahtv1.TunnelConfiguration {
	return &heimdrahtv1.TunnelConfiguration{
		Addresses:        []string{"10.80.0.5/32", "fd80:1::5/128"},
		GatewayName:      "gw1",
		GatewayEndpoint:  "vpn1.stadt.example:51820",
		GatewayPublicKey: bytesOf(1), PresharedKey: bytesOf(2),
		AllowedIps: []string{"10.1.0.0/16", "10.2.0.10/32"},
		DnsServers: []string{"10.1.0.53"}, DnsDomains: []string{"Stadt.example.", "_msdcs.stadt.example"},
		Mtu: 1400, PersistentKeepaliveS: 20,
	}
}

func TestConfigurationIsTakenOver(t *testing.T) {
	got, err := checkConfiguration(goodConfiguration(), wireguard.Key{9})
	if err != nil {
		t.Fatal(err)
	}
	want := &settings{
		Addresses:   []netip.Addr{netip.MustParseAddr("10.80.0.5"), netip.MustParseAddr("fd80:1::5")},
		GatewayName: "gw1", Host: "vpn1.stadt.example", Port: 51820,
		PublicKey: wireguard.Key(bytesOf(1)), PresharedKey: wireguard.PresharedKey(bytesOf(2)),
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.10/32")},
		DNSServers: []netip.Addr{netip.MustParseAddr("10.1.0.53")},
		DNSDomains: []string{"stadt.example", "_msdcs.stadt.example"},
		MTU:        1400, Keepalive: 20 * time.Second,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

func TestConfigurationDefaults(t *testing.T) {
	c := goodConfiguration()
	c.Mtu, c.PersistentKeepaliveS, c.DnsDomains = 0, 0, nil
	c.FullTunnel, c.AllowedIps = true, []string{"0.0.0.0/0", "::/0"}
	got, err := checkConfiguration(c, wireguard.Key{9})
	if err != nil {
		t.Fatal(err)
	}
	if got.MTU != 1420 || got.Keepalive != 25*time.Second || !got.FullTunnel || len(got.AllowedIPs) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestConfigurationLimits(t *testing.T) {
	type c = heimdrahtv1.TunnelConfiguration
	many := func(n int, format string) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf(format, i/256, i%256))
		}
		return out
	}
	tests := []struct {
		name   string
		change func(*c)
		want   string
	}{
		{"no address", func(c *c) { c.Addresses = nil }, "they have 0 addresses, not one or two"},
		{"three addresses", func(c *c) { c.Addresses = append(c.Addresses, "10.0.0.1/32") }, "they have 3 addresses, not one or two"},
		{"two of one family", func(c *c) { c.Addresses = []string{"10.0.0.1/32", "10.0.0.2/32"} }, "they have two addresses of one family"},
		{"address without length", func(c *c) { c.Addresses = []string{"10.0.0.1"} }, `the address "10.0.0.1" is not valid`},
		{"loopback as address", func(c *c) { c.Addresses = []string{"127.0.0.1/32"} }, `the address "127.0.0.1/32" is not valid`},
		{"mapped address", func(c *c) { c.Addresses = []string{"::ffff:10.0.0.1/128"} }, `the address "::ffff:10.0.0.1/128" is not valid`},
		{"address that talks to the terminal", func(c *c) { c.Addresses = []string{"\x1b[2J"} }, `the address "\x1b[2J" is not valid`},
		{"gateway name with a line break", func(c *c) { c.GatewayName = "gw\n1" }, "the gateway's name contains characters that are not allowed, or is too long"},
		{"endpoint without port", func(c *c) { c.GatewayEndpoint = "vpn1" }, `the gateway's endpoint "vpn1" is not valid`},
		{"endpoint with port 0", func(c *c) { c.GatewayEndpoint = "vpn1:0" }, `the gateway's endpoint "vpn1:0" is not valid`},
		{"endpoint with a newline", func(c *c) { c.GatewayEndpoint = "vpn1\n:5" }, `the gateway's endpoint "vpn1\n:5" is not valid`},
		{"endpoint is multicast", func(c *c) { c.GatewayEndpoint = "224.0.0.1:5" }, `the gateway's endpoint "224.0.0.1:5" is not valid`},
		{"short gateway key", func(c *c) { c.GatewayPublicKey = bytesOf(1)[:31] }, "the gateway's key has 31 bytes, not 32"},
		{"no preshared key", func(c *c) { c.PresharedKey = nil }, "the preshared key has 0 bytes, not 32"},
		{"zero preshared key", func(c *c) { c.PresharedKey = make([]byte, 32) }, "a key is all zeros"},
		{"own key", func(c *c) { c.GatewayPublicKey = bytesOf(7) }, "the gateway's key is this laptop's own"},
		{"no networks", func(c *c) { c.AllowedIps = nil }, "they name 0 networks, not 1 to 1000"},
		{"too many networks", func(c *c) { c.AllowedIps = many(1001, "10.%d.%d.0/24") }, "they name 1001 networks, not 1 to 1000"},
		{"network that is none", func(c *c) { c.AllowedIps = []string{"10.1.0.0/33"} }, `the network "10.1.0.0/33" is not valid`},
		{"default route in a split tunnel", func(c *c) { c.AllowedIps = []string{"0.0.0.0/0"} }, "they would redirect all traffic without saying so"},
		{"IPv6 default route in a split tunnel", func(c *c) { c.AllowedIps = []string{"10.0.0.0/8", "::/0"} }, "they would redirect all traffic without saying so"},
		{"default route in two halves", func(c *c) { c.AllowedIps = []string{"0.0.0.0/1", "128.0.0.0/1"} }, "their networks together are most of the internet"},
		{"all of IPv6 in use", func(c *c) { c.AllowedIps = []string{"2000::/3"} }, "their networks together are most of the internet"},
		{"full tunnel without a default route", func(c *c) { c.FullTunnel = true }, "they say that they redirect all traffic, and name single networks only"},
		{"local networks closed in a split tunnel", func(c *c) { c.LocalNetworksDenied = true }, "they close the network that the laptop is in, and do not redirect all traffic"},
		{"loopback as network", func(c *c) { c.AllowedIps = []string{"127.0.0.0/8"} }, `the network "127.0.0.0/8" is the laptop's own`},
		{"link-local as network", func(c *c) { c.AllowedIps = []string{"fe80::/10"} }, `the network "fe80::/10" is the laptop's own`},
		{"too many name servers", func(c *c) { c.DnsServers = many(9, "10.1.%d.%d") }, "they name 9 name servers; 8 are allowed"},
		{"name server with a newline", func(c *c) { c.DnsServers = []string{"10.0.0.1\nnameserver 6.6.6.6"} }, `the name server "10.0.0.1\nnameserver 6.6.6.6" is not valid`},
		{"name server with a zone", func(c *c) { c.DnsServers = []string{"fe80::1%eth0"} }, `the name server "fe80::1%eth0" is not valid`},
		{"domain with a newline", func(c *c) { c.DnsDomains = []string{"a\nb"} }, `the domain "a\nb" is not valid`},
		{"domain with a space", func(c *c) { c.DnsDomains = []string{"a b"} }, `the domain "a b" is not valid`},
		{"the root as domain", func(c *c) { c.DnsDomains = []string{"."} }, `the domain "." is not valid`},
		{"too many domains", func(c *c) { c.DnsDomains = many(101, "d%d-%d.example") }, "they name 101 domains; 100 are allowed"},
		{"domains without a server", func(c *c) { c.DnsServers = nil }, "they name domains and no name server"},
		{"MTU too small", func(c *c) { c.Mtu = 1279 }, "the MTU of 1279 is not between 1280 and 1500"},
		{"MTU too large", func(c *c) { c.Mtu = 1501 }, "the MTU of 1501 is not between 1280 and 1500"},
		{"keepalive too long", func(c *c) { c.PersistentKeepaliveS = 301 }, "the keepalive of 301 s is too long"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			configuration := goodConfiguration()
			test.change(configuration)
			_, err := checkConfiguration(configuration, wireguard.Key(bytesOf(7)))
			var r *rejection
			if !errors.As(err, &r) {
				t.Fatalf("got %v, not a rejection", err)
			}
			if r.english != test.want {
				t.Errorf("got  %s\nwant %s", r.english, test.want)
			}
			p := configurationRefused(err)
			if p.Code != control.CodeConfigRefused || !strings.Contains(p.German.Sentence, capital(r.german)) || r.german == "" {
				t.Errorf("the problem does not say why: %v", p)
			}
		})
	}
	if _, err := checkConfiguration(nil, wireguard.Key{}); err == nil {
		t.Error("a missing configuration was accepted")
	}
}

// FuzzConfiguration sends what a hostile control plane may send: nothing may panic, and what is accepted keeps
// the limits.
func FuzzConfiguration(f *testing.F) {
	add := func(c *heimdrahtv1.TunnelConfiguration) {
		b, err := proto.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	add(goodConfiguration())
	full := goodConfiguration()
	full.FullTunnel, full.AllowedIps = true, []string{"0.0.0.0/0", "::/0"}
	add(full)
	add(&heimdrahtv1.TunnelConfiguration{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var c heimdrahtv1.TunnelConfiguration
		if proto.Unmarshal(raw, &c) != nil {
			return
		}
		s, err := checkConfiguration(&c, wireguard.Key(bytesOf(7)))
		if err != nil {
			var r *rejection
			if !errors.As(err, &r) || !plainText(clip(r.english)) {
				t.Fatalf("not fit to be shown: %q", err)
			}
			return
		}
		if len(s.Addresses) == 0 || len(s.Addresses) > 2 || s.MTU < 1280 || s.MTU > 1500 || s.Keepalive <= 0 ||
			s.PublicKey.IsZero() || s.PresharedKey.IsZero() || s.Port == 0 || len(s.AllowedIPs) > maxAllowedIPs {
			t.Fatalf("beyond the limits: %+v", s)
		}
		for _, prefix := range s.AllowedIPs {
			if !prefix.IsValid() || prefix != prefix.Masked() || prefix.Bits() == 0 && !s.FullTunnel {
				t.Fatalf("a network beyond the limits: %v", prefix)
			}
		}
		for _, domain := range s.DNSDomains {
			if strings.ContainsAny(domain, " \t\r\n#;") || domain == "" {
				t.Fatalf("a domain beyond the limits: %q", domain)
			}
		}
	})
}

// clip is for texts that may be longer than plainText allows.
func clip(s string) string { return s[:min(len(s), maxNameLength)] }
