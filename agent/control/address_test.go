package control

import (
	"strings"
	"testing"
)

const somePin = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"vpn.stadt.example", "vpn.stadt.example:8443"},
		{" VPN.Stadt.example:443\n", "vpn.stadt.example:443"},
		{"vpn.stadt.example.", "vpn.stadt.example:8443"},
		{"192.0.2.1", "192.0.2.1:8443"},
		{"2001:db8::1", "[2001:db8::1]:8443"},
		{"[2001:db8::1]", "[2001:db8::1]:8443"},
		{"[2001:db8::1]:1", "[2001:db8::1]:1"},
		{"localhost:8443#" + strings.ToUpper(somePin), "localhost:8443#" + somePin},
		{"localhost#00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", "localhost:8443#" + somePin},
	} {
		a, err := ParseAddress(c.in)
		if err != nil || a.String() != c.want {
			t.Errorf("ParseAddress(%q) = %q, %v, want %q", c.in, a, err, c.want)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "the server address is empty"},
		{"#" + somePin, "the server address is empty"},
		{":8443", `server address ":8443": the host is missing`},
		{"vpn:0", `server address "vpn:0": the port is a number from 1 to 65535`},
		{"vpn:65536", `server address "vpn:65536": the port is a number from 1 to 65535`},
		{"vpn:", `server address "vpn:": the port is a number from 1 to 65535`},
		{"https://vpn", "without https://"},
		{"vpn..example", `server address "vpn..example": "vpn..example" is no host name`},
		{"-vpn", `server address "-vpn": "-vpn" is no host name`},
		{"vpn stadt", `server address "vpn stadt": "vpn stadt" is no host name`},
		{"büro.example", `xn--`},
		{strings.Repeat("a.", 127) + "a", "at most 253 characters"},
		{"vpn#", "64 hexadecimal digits, this one has 0"},
		{"vpn#12", "64 hexadecimal digits, this one has 2"},
		{"vpn#" + strings.Repeat("g", 64), "the digits 0-9 and a-f"},
		{"vpn#" + strings.Repeat("0", 64), "not all zeros"},
	} {
		if a, err := ParseAddress(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseAddress(%q) = %v, %v, want an error with %q", c.in, a, err, c.want)
		}
	}
}

func TestParseServersNamesTheWrongOne(t *testing.T) {
	if _, err := ParseServers([]string{"good", "bad host"}); err == nil || !strings.Contains(err.Error(), "bad host") {
		t.Errorf("got %v", err)
	}
}

// What is accepted is written so that it is read as the same again, and can
// be dialled.
func FuzzParseAddress(f *testing.F) {
	f.Add("::%]0")
	f.Add("[fe80::1%eth0]:443")
	for _, s := range []string{"vpn.stadt.example:8443#" + somePin, "[::1]:1", "::1", "a", "a:1#", "[::1%eth0]:1", "[a]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if a.Server.Host == "" || a.Server.Port == 0 {
			t.Fatalf("%q gave %#v", s, a)
		}
		again, err := ParseAddress(a.String())
		if err != nil || again != a {
			t.Fatalf("%q gave %q, which gives %q, %v", s, a, again, err)
		}
	})
}
