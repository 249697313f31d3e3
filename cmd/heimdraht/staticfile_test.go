package main

import (
	"bytes"
	"image/png"
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/agent/wireguard"
	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// Whatever a server sends, a file has the lines that it should have, or is none.
func FuzzStaticFile(f *testing.F) {
	f.Add("10.80.0.5/32", "vpn1.stadt.example:51820", "10.1.0.0/16", "10.1.0.53", "stadt.example", "phone")
	f.Add("10.80.0.5/32\nPostUp = reboot", "[fd80::1]:51820", "::/0", "fe80::1%eth0", "", "x\nPostUp = reboot")
	f.Add("10.80.0.5", "x:1\n[Peer]", "10.1.0.0/33", "1.1.1.1 ", "a b", "\r")
	f.Add("10.80.0.5/32", "[fe80::1%x\nAllowedIPs = 0.0.0.0/0\n#]:51820", "10.1.0.0/16", "10.1.0.53", "stadt.example", "phone")
	f.Fuzz(func(t *testing.T, address, endpoint, allowed, dns, domain, remark string) {
		c := staticConfiguration()
		c.Addresses, c.GatewayEndpoint, c.AllowedIps = []string{address}, endpoint, []string{allowed}
		c.DnsServers, c.DnsDomains = []string{dns}, []string{domain}
		text, err := wgQuick(wireguard.PrivateKey{1}, remark, c)
		if err != nil {
			if text != "" {
				t.Error("an error and a file")
			}
			return
		}
		var keys []string
		for _, line := range strings.Split(text, "\n") {
			key, value, _ := strings.Cut(line, " = ")
			if strings.HasPrefix(line, "#") {
				key, value = "#", ""
			}
			if strings.ContainsAny(value, "=#\r\t;") && !strings.HasSuffix(key, "Key") {
				t.Errorf("the line %q", line)
			}
			keys = append(keys, key)
		}
		if got := strings.Join(keys, " "); got != "# [Interface] PrivateKey Address DNS MTU  [Peer] PublicKey PresharedKey Endpoint AllowedIPs PersistentKeepalive " {
			t.Errorf("the lines %q", got)
		}
	})
}

func TestAStaticFileOfABadAnswer(t *testing.T) {
	for name, spoil := range map[string]func(*heimdrahtv1.TunnelConfiguration){
		"no address":        func(c *heimdrahtv1.TunnelConfiguration) { c.Addresses = nil },
		"no network":        func(c *heimdrahtv1.TunnelConfiguration) { c.AllowedIps = nil },
		"half a key":        func(c *heimdrahtv1.TunnelConfiguration) { c.GatewayPublicKey = c.GetGatewayPublicKey()[:16] },
		"no preshared key":  func(c *heimdrahtv1.TunnelConfiguration) { c.PresharedKey = nil },
		"a key too long":    func(c *heimdrahtv1.TunnelConfiguration) { c.PresharedKey = bytes.Repeat([]byte{1}, 33) },
		"an MTU of nothing": func(c *heimdrahtv1.TunnelConfiguration) { c.Mtu = 0 },
		"a port too far":    func(c *heimdrahtv1.TunnelConfiguration) { c.GatewayEndpoint = "vpn:65536" },
	} {
		c := staticConfiguration()
		spoil(c)
		if text, err := wgQuick(wireguard.PrivateKey{1}, "x", c); err == nil || text != "" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestAQRCodeIsAPicture(t *testing.T) {
	var b bytes.Buffer
	if err := writeQR(&b, strings.Repeat("WireGuard ", 60)); err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	// Around a code there are four light modules; its corner is dark.
	if r, _, _, _ := picture.At(0, 0).RGBA(); r == 0 {
		t.Error("there is nothing light around it")
	}
	if r, _, _, _ := picture.At(4*8, 4*8).RGBA(); r != 0 {
		t.Error("its corner is light")
	}
}
