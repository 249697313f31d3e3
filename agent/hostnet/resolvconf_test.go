package hostnet

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func TestComposeResolvConf(t *testing.T) {
	home := "# made by a router\ndomain fritz.box\nnameserver 192.168.178.1 # the router\nnameserver fd00::1\nnameserver nonsense\noptions edns0 trust-ad\n"
	for name, test := range map[string]struct {
		dns    DNS
		former string
		want   string
	}{
		"all names": {
			DNS{Servers: addrs("10.1.0.53", "10.1.0.54")}, home,
			"nameserver 10.1.0.53\nnameserver 10.1.0.54\nsearch fritz.box\noptions edns0 trust-ad\n",
		},
		"some domains: the former servers are the last resort": {
			DNS{Servers: addrs("10.1.0.53"), Domains: []string{"stadt.example"}}, home,
			"nameserver 10.1.0.53\nnameserver 192.168.178.1\nnameserver fd00::1\nsearch stadt.example fritz.box\noptions edns0 trust-ad\n",
		},
		"the C library asks three": {
			DNS{Servers: addrs("10.1.0.53", "10.1.0.54", "10.1.0.55"), Domains: []string{"stadt.example"}}, home,
			"nameserver 10.1.0.53\nnameserver 10.1.0.54\nnameserver 192.168.178.1\nsearch stadt.example fritz.box\noptions edns0 trust-ad\n",
		},
		"no former file": {DNS{Servers: addrs("10.1.0.53")}, "", "nameserver 10.1.0.53\n"},
	} {
		got := composeResolvConf(test.dns, parseResolvConf([]byte(test.former)))
		if diff := cmp.Diff(mark+"\n"+test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if !isOurs(got) {
			t.Errorf("%s: the file is not recognised again", name)
		}
	}
}

func FuzzParseResolvConf(f *testing.F) {
	f.Add([]byte("nameserver 127.0.0.53\noptions edns0\nsearch a b\n"))
	f.Add([]byte("search\tx;y\nnameserver ::1%lo\ndomain d"))
	f.Fuzz(func(t *testing.T, content []byte) {
		conf := parseResolvConf(content)
		// What was read survives being written.
		again := parseResolvConf(composeResolvConf(DNS{Servers: conf.servers}, conf))
		want := conf
		want.servers = conf.servers[:min(len(conf.servers), maxServers)]
		var search []string
		for _, domain := range conf.search {
			if !strings.Contains(" "+strings.Join(search, " ")+" ", " "+domain+" ") {
				search = append(search, domain)
			}
		}
		want.search = search
		if diff := cmp.Diff(want, again, cmp.AllowUnexported(resolvConf{}), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("(-read +read again):\n%s", diff)
		}
	})
}

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		config Config
		want   string
	}{
		"no interface":          {Config{}, "the interface has no name"},
		"an MTU of 1":           {Config{Interface: "hd0", MTU: 1}, "an MTU of 1 bytes is not between 576 and 65,535"},
		"no address":            {Config{Interface: "hd0", Addresses: make([]netip.Prefix, 1)}, "invalid Prefix is no prefix"},
		"a route to everything": {Config{Interface: "hd0", Routes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, "a route to everything is a full tunnel"},
		"nobody to ask":         {Config{Interface: "hd0", DNS: DNS{Domains: []string{"x"}}}, "domains without a name server to ask for them"},
		"no server":             {Config{Interface: "hd0", DNS: DNS{Servers: make([]netip.Addr, 1)}}, "a name server has no address"},
		"a line in a domain":    {Config{Interface: "hd0", DNS: DNS{Servers: addrs("10.1.0.53"), Domains: []string{"a\nnameserver 192.0.2.1"}}}, `"a\nnameserver 192.0.2.1" is no domain`},
		"a dot":                 {Config{Interface: "hd0", DNS: DNS{Servers: addrs("10.1.0.53"), Domains: []string{"."}}}, `"." is no domain`},
	} {
		if err := test.config.validate(); err == nil || err.Error() != test.want {
			t.Errorf("%s: error %v, want %s", name, err, test.want)
		}
	}
}
