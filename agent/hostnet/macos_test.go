package hostnet

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMacosCommands(t *testing.T) {
	names := DNS{Servers: []netip.Addr{netip.MustParseAddr("10.1.0.53"), netip.MustParseAddr("fd00:1::53")}, Domains: []string{"stadt.example", "kreis.example"}}
	for _, test := range []struct {
		step step
		want string
	}{
		{step{verb: adjustLink, mtu: 1380}, "/sbin/ifconfig utun4 mtu 1380 up"},
		{step{verb: addAddress, prefix: netip.MustParsePrefix("10.80.0.5/32")}, "/sbin/ifconfig utun4 inet 10.80.0.5/32 10.80.0.5 alias"},
		{step{verb: addAddress, prefix: netip.MustParsePrefix("fd80:1::5/128")}, "/sbin/ifconfig utun4 inet6 fd80:1::5 prefixlen 128 alias"},
		{step{verb: removeAddress, prefix: netip.MustParsePrefix("10.80.0.5/32")}, "/sbin/ifconfig utun4 inet 10.80.0.5 -alias"},
		{step{verb: addWay, prefix: netip.MustParsePrefix("10.1.0.0/16")}, "/sbin/route -q -n add -inet 10.1.0.0/16 -interface utun4"},
		{step{verb: removeWay, prefix: netip.MustParsePrefix("fd00:1::/48")}, "/sbin/route -q -n delete -inet6 fd00:1::/48 -interface utun4"},
		{step{verb: refuse, prefix: netip.MustParsePrefix("::/1")}, "/sbin/route -q -n add -inet6 ::/1 ::1 -reject"},
		{step{verb: refuse, prefix: netip.MustParsePrefix("0.0.0.0/1")}, "/sbin/route -q -n add -inet 0.0.0.0/1 127.0.0.1 -reject"},
		{step{verb: refuseNoMore, prefix: netip.MustParsePrefix("8000::/1")}, "/sbin/route -q -n delete -inet6 8000::/1 ::1 -reject"},
		{step{verb: setNames, names: names}, "/usr/sbin/scutil < d.init|d.add ServerAddresses * 10.1.0.53 fd00:1::53|" +
			"d.add SupplementalMatchDomains * stadt.example kreis.example|set State:/Network/Service/heimdraht/DNS|quit|"},
		{step{verb: setNames, names: DNS{Servers: names.Servers[:1]}}, `/usr/sbin/scutil < d.init|d.add ServerAddresses * 10.1.0.53|` +
			`d.add SupplementalMatchDomains * ""|set State:/Network/Service/heimdraht/DNS|quit|`},
		{step{verb: clearNames}, "/usr/sbin/scutil < remove State:/Network/Service/heimdraht/DNS|quit|"},
	} {
		c, err := macosCommand("utun4", test.step)
		check(t, err)
		got := strings.Join(append([]string{c.program}, c.args...), " ")
		if c.input != "" {
			got += " < " + strings.ReplaceAll(c.input, "\n", "|")
		}
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.step.verb, got, test.want)
		}
	}
	if _, err := macosCommand("utun4", step{verb: "dance"}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a step that is none: %v", err)
	}
}

func TestComplaint(t *testing.T) {
	failed := errors.New("exit status 1")
	add, _ := macosCommand("utun4", step{verb: refuse, prefix: netip.MustParsePrefix("::/1")})
	lead, _ := macosCommand("utun7", step{verb: addWay, prefix: netip.MustParsePrefix("10.1.0.0/16")})
	forget, _ := macosCommand("utun4", step{verb: clearNames})
	tell, _ := macosCommand("utun4", step{verb: setNames})
	for _, test := range []struct {
		world  string
		c      command
		output string
		exit   error
		want   string
	}{
		{"done", lead, "", nil, ""},
		{"it refused already", add, "route: writing to routing socket: File exists\nadd net ::/1: gateway ::1: File exists", failed, ""},
		{"somebody has that network", lead, "route: writing to routing socket: File exists", failed, "/sbin/route: route: writing to routing socket: File exists (exit status 1)"},
		{"the same, of a version that exits with 0", lead, "route: writing to routing socket: File exists\n", nil, "/sbin/route: route: writing to routing socket: File exists"},
		{"no tool", lead, "", failed, "/sbin/route: exit status 1"},
		{"nothing to forget", forget, "  No such key\n", nil, ""},
		{"not root; scutil exits with 0", tell, "  Permission denied\n", nil, "/usr/sbin/scutil: Permission denied"},
	} {
		got := ""
		if err := test.c.complaint(test.output, test.exit); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.world, got, test.want)
		}
	}
}

// shown is what scutil prints of a service with three name servers, one of which is out of order.
const shown = `<dictionary> {
  ServerAddresses : <array> {
    0 : 10.1.0.53
    1 : fd00:1::53
    2 : the other one
  }
  SupplementalMatchDomains : <array> {
    0 : stadt.example
    1 : kreis.example
  }
  SearchOrder : 5000
}
`

func TestParseScutil(t *testing.T) {
	for _, test := range []struct {
		world, text string
		servers     []string
		domains     []string
		there       bool
	}{
		{"ours", shown, []string{"10.1.0.53", "fd00:1::53"}, []string{"stadt.example", "kreis.example"}, true},
		{"all names", "<dictionary> {\n  ServerAddresses : <array> {\n    0 : 10.1.0.53\n  }\n  SupplementalMatchDomains : <array> {\n    0 : \n  }\n}\n", []string{"10.1.0.53"}, nil, true},
		{"none", "  No such key\n", nil, nil, false},
		{"an empty one", "<dictionary> {\n}\n", nil, nil, true},
		{"cut short", "<dictionary> {\n  ServerAddresses : <array> {\n    0 : 10.1.0.53", []string{"10.1.0.53"}, nil, true},
		{"nothing", "", nil, nil, false},
	} {
		names, there := parseScutil(test.text)
		var servers []string
		for _, s := range names.Servers {
			servers = append(servers, s.String())
		}
		if diff := cmp.Diff(test.servers, servers); diff != "" || there != test.there || !cmp.Equal(test.domains, names.Domains) {
			t.Errorf("%s: %v %v %v", test.world, servers, names.Domains, there)
		}
	}
}

// FuzzParseScutil: whatever the tool prints, what is read of it can be told it again.
func FuzzParseScutil(f *testing.F) {
	f.Add(shown)
	f.Add("  No such key\n")
	f.Fuzz(func(t *testing.T, text string) {
		names, there := parseScutil(text)
		if !there && strings.Contains(text, "<dictionary> {\n") && strings.HasPrefix(text, "<dictionary> {") {
			t.Error("a dictionary that is not there")
		}
		for _, server := range names.Servers {
			if !server.IsValid() {
				t.Errorf("an invalid server %v", server)
			}
		}
	})
}

func TestPrefixOfMask(t *testing.T) {
	four, six := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("fd00:1::5")
	for _, test := range []struct {
		addr netip.Addr
		mask []byte
		want string // empty: none
	}{
		{four, []byte{255, 255, 0, 0}, "10.1.0.0/16"},
		{four, []byte{255, 254}, "10.0.0.0/15"}, // the rest is zero
		{four, nil, "0.0.0.0/0"},
		{four, []byte{255, 0, 255, 0}, ""},
		{four, []byte{255, 255, 255, 255, 255}, "10.1.2.3/32"},
		{six, []byte{255, 255, 255, 255, 255, 255}, "fd00:1::/48"},
		{six, []byte{0x80}, "8000::/1"},
		{six, []byte{0x7f}, ""},
	} {
		got, ok := prefixOfMask(test.addr, test.mask)
		if ok != (test.want != "") || ok && got.String() != test.want {
			t.Errorf("%v with mask %x: %v, %v; want %q", test.addr, test.mask, got, ok, test.want)
		}
	}
}
