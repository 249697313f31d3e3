package firewall

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func setup() Setup {
	return Setup{Interface: "hd0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.80.0.1/16"), netip.MustParsePrefix("fd80:1::1/48")},
		Inside: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:9::/48")}}
}

// newFilter opens one with the setup in the router.
func newFilter(t *testing.T, lost func()) *Filter {
	t.Helper()
	f, err := Open(lost)
	check(t, err)
	t.Cleanup(func() { check(t, f.Close()) })
	check(t, f.Configure(setup()))
	return f
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func guard(list *List, addresses ...string) *Guard {
	g := &Guard{List: list}
	for _, a := range addresses {
		g.Addresses = append(g.Addresses, netip.MustParseAddr(a))
	}
	return g
}

func list(name string, targets ...string) *List {
	l := &List{Name: name}
	for _, text := range targets {
		text, port, _ := strings.Cut(text, "|")
		target := Target{Prefix: netip.MustParsePrefix(text)}
		for _, digit := range port {
			target.Port = target.Port*10 + uint16(digit-'0')
		}
		l.Targets = append(l.Targets, target)
	}
	return l
}

// passes says whether a packet comes out on the other side.
func (r *router) passes(from, to wire, packet []byte) bool {
	r.t.Helper()
	r.laptops.received()
	r.inside.received()
	from.send(packet)
	got := to.received()
	return len(got) > 0
}

func (r *router) goes(t *testing.T, what string, packet []byte, want bool) {
	t.Helper()
	if got := r.passes(r.laptops, r.inside, packet); got != want {
		t.Errorf("%s, from a laptop: passes %v, want %v", what, got, want)
	}
}

func (r *router) comes(t *testing.T, what string, packet []byte, want bool) {
	t.Helper()
	if got := r.passes(r.inside, r.laptops, packet); got != want {
		t.Errorf("%s, to a laptop: passes %v, want %v", what, got, want)
	}
}

// world has two tenants and two laptops: anna's of one and bert's of the other.
func world(t *testing.T) (*router, *Filter) {
	r := newRouter(t)
	f := newFilter(t, func() {})
	check(t, f.Apply([]Change{
		{"anna", guard(list("stadt", "10.1.0.0/16", "10.2.0.10/32|443", "fd00:1::/64", "fd00:2::10/128|443"), "10.80.1.1", "fd80:1::1:1")},
		{"bert", guard(list("dorf", "10.3.0.0/16", "fd00:3::/64"), "10.80.1.2", "fd80:1::1:2")},
	}))
	return r, f
}

func TestALaptopReachesWhatItsListGrants(t *testing.T) {
	r, _ := world(t)
	for _, v := range []struct {
		what   string
		packet []byte
		want   bool
	}{
		{"a granted network", udp("10.80.1.1:7", "10.1.2.3:53").packet(), true},
		{"the same over TCP", tcp("10.80.1.1:7", "10.1.2.3:80").packet(syn), true},
		{"the same by ICMP", echo("10.80.1.1", "10.1.2.3"), true},
		{"the same over IPv6", udp("[fd80:1::1:1]:7", "[fd00:1::3]:53").packet(), true},
		{"the same by ICMPv6", echo("fd80:1::1:1", "fd00:1::3"), true},
		{"a granted port", tcp("10.80.1.1:7", "10.2.0.10:443").packet(syn), true},
		{"the port over UDP", udp("10.80.1.1:7", "10.2.0.10:443").packet(), true},
		{"the port over IPv6", tcp("[fd80:1::1:1]:7", "[fd00:2::10]:443").packet(syn), true},
		{"another port", tcp("10.80.1.1:8", "10.2.0.10:22").packet(syn), false},
		{"another port over IPv6", tcp("[fd80:1::1:1]:8", "[fd00:2::10]:22").packet(syn), false},
		{"no port where one is granted", echo("10.80.1.1", "10.2.0.10"), false},
		{"a neighbour of it", tcp("10.80.1.1:9", "10.2.0.11:443").packet(syn), false},
		{"another tenant's network", udp("10.80.1.1:7", "10.3.0.1:53").packet(), false},
		{"another tenant's network over IPv6", udp("[fd80:1::1:1]:7", "[fd00:3::1]:53").packet(), false},
		{"the world", udp("10.80.1.1:7", "203.0.113.5:53").packet(), false},
		{"another laptop", udp("10.80.1.1:7", "10.80.1.2:53").packet(), false},
		{"a false source of the other tenant", udp("10.80.1.2:7", "10.1.2.3:53").packet(), false},
		{"the source of nobody", udp("10.80.1.3:7", "10.1.2.3:53").packet(), false},
		{"a source inside", udp("10.1.0.9:7", "10.1.2.3:53").packet(), false},
		{"a link-local source", udp("[fe80::1]:7", "[fd00:1::3]:53").packet(), false},
		{"multicast", udp("10.80.1.1:7", "224.0.0.251:5353").packet(), false},
		{"multicast over IPv6", udp("[fd80:1::1:1]:7", "[ff05::fb]:5353").packet(), false},
		{"loopback", udp("10.80.1.1:7", "127.0.0.1:53").packet(), false},
		{"an acknowledgement of nothing", tcp("10.80.1.1:10", "10.3.0.1:80").packet(ack), false},
		{"a protocol of no ports", ip(47, netip.MustParseAddr("10.80.1.1"), netip.MustParseAddr("10.2.0.10"), make([]byte, 8)), false},
	} {
		r.goes(t, v.what, v.packet, v.want)
		if got := r.laptops.received(); len(got) > 0 && !v.want {
			t.Errorf("%s: something came back: %x", v.what, got)
		}
	}
}

// Half a packet has no port, and the halves of one may say different things.
func TestFragmentsAndExtensionHeaders(t *testing.T) {
	r, _ := world(t)
	halves := func(p []byte, at int) (first, second []byte) {
		first, second = slices.Clone(p[:20+at]), append(slices.Clone(p[:20]), p[20+at:]...)
		set := func(h []byte, offset, more int) {
			h[2], h[3] = byte(len(h)>>8), byte(len(h))
			h[6], h[7] = byte(more|offset>>11), byte(offset>>3)
			h[10], h[11] = 0, 0
			n := ^add(0, h[:20])
			h[10], h[11] = byte(n>>8), byte(n)
		}
		set(first, 0, 0x20)
		set(second, at, 0)
		return first, second
	}
	for to, want := range map[string]bool{"10.2.0.10:443": true, "10.2.0.10:22": false, "10.3.0.1:443": false} {
		first, second := halves(udp("10.80.1.1:7", to).packet(), 8)
		r.goes(t, "a first half to "+to, first, false) // it waits for the other one
		r.goes(t, "both halves to "+to, second, want)
	}
	first, second := halves(udp("10.80.1.1:7", "10.2.0.11:443").packet(), 8)
	r.goes(t, "a second half alone", second, false)
	r.goes(t, "and then the first", first, false)

	behind := func(header byte, extension []byte, p []byte) []byte {
		from, _ := netip.AddrFromSlice(p[8:24])
		to, _ := netip.AddrFromSlice(p[24:40])
		return ip(header, from, to, append(append([]byte{p[6]}, extension...), p[40:]...))
	}
	padding := []byte{0, 1, 4, 0, 0, 0, 0}
	for to, want := range map[string]bool{"[fd00:2::10]:443": true, "[fd00:2::10]:22": false, "[fd00:3::1]:443": false} {
		p := tcp("[fd80:1::1:1]:8", to).packet(syn)
		r.goes(t, "behind options for the destination, to "+to, behind(60, padding, p), want)
	}
	route := append([]byte{2, 0, 1, 0, 0, 0, 0}, netip.MustParseAddr("fd00:3::1").AsSlice()...)
	r.goes(t, "a route of the laptop's own", behind(43, route, udp("[fd80:1::1:1]:9", "[fd00:1::3]:53").packet()), true)
	if got := r.passes(r.laptops, r.inside, behind(43, route, udp("[fd80:1::1:1]:9", "[fd00:1::1]:53").packet())); got {
		t.Error("the gateway follows a route of the laptop's own")
	}
	r.laptops.send(nil)
	r.laptops.send([]byte{0x45})
	r.laptops.send(make([]byte, 40))
}

// What comes back does; nobody inside begins.
func TestWhatComesToALaptop(t *testing.T) {
	r, _ := world(t)
	for _, v := range []flow{
		udp("10.80.1.1:7", "10.1.2.3:53"), tcp("10.80.1.1:7", "10.2.0.10:443"),
		udp("[fd80:1::1:1]:7", "[fd00:1::3]:53"), tcp("[fd80:1::1:1]:7", "[fd00:2::10]:443"),
	} {
		r.comes(t, "an answer before the question", v.back().packet(syn|ack), false)
		r.goes(t, "a question", v.packet(syn), true)
		r.comes(t, "its answer", v.back().packet(syn|ack), true)
		other := v.back()
		other.to = netip.AddrPortFrom(other.to.Addr().Next(), other.to.Port())
		r.comes(t, "the answer for somebody else", other.packet(syn|ack), false)
	}
	question := udp("10.80.1.1:9", "10.2.0.10:443").packet()
	r.goes(t, "a question", question, true)
	r.comes(t, "that the port is closed", unreachable("10.2.0.10", "10.80.1.1", question), true)
	r.comes(t, "the same of a question that nobody asked", unreachable("10.2.0.10", "10.80.1.1", udp("10.80.1.1:10", "10.2.0.10:443").packet()), false)
	r.comes(t, "a ping", echo("10.1.2.3", "10.80.1.1"), false)

	// What a laptop says of another one's connection goes nowhere.
	theirs := udp("10.80.1.2:7", "10.3.0.1:53")
	r.goes(t, "the other tenant's question", theirs.packet(), true)
	r.comes(t, "its answer", theirs.back().packet(), true)
	r.goes(t, "an error about it", unreachable("10.80.1.1", "10.3.0.1", theirs.back().packet()), false)
	r.goes(t, "an error about it, sent elsewhere", unreachable("10.80.1.1", "10.1.2.3", theirs.back().packet()), false)

	// Addresses of the tunnels are believed on the tunnels only.
	r.comes(t, "the neighbour's address from inside", udp("10.80.1.2:7", "10.80.1.1:9").packet(), false)
	if r.passes(r.inside, r.inside, echo("10.80.1.1", "10.1.0.1")) {
		t.Error("the gateway answers a laptop's address from inside")
	}
}

// The list's callers begin connections, to the ports that are theirs; what they
// may is taken away like everything else.
func TestCallers(t *testing.T) {
	r, f := world(t)
	helped := list("hilfe", "10.3.0.0/16")
	helped.Callers = list("", "10.1.0.40/32", "10.1.7.0/24|3389", "fd00:1::40/128").Targets
	check(t, f.Apply([]Change{{"anna", guard(helped, "10.80.1.1", "fd80:1::1:1")}}))
	for _, v := range []struct {
		call flow
		want bool
	}{
		{tcp("10.1.0.40:7", "10.80.1.1:5900"), true}, {udp("10.1.0.40:7", "10.80.1.1:5900"), true}, {tcp("[fd00:1::40]:7", "[fd80:1::1:1]:5900"), true},
		{tcp("10.1.7.9:7", "10.80.1.1:3389"), true}, {tcp("10.1.7.9:8", "10.80.1.1:22"), false}, {tcp("10.1.0.41:7", "10.80.1.1:5900"), false},
		{tcp("10.1.0.40:7", "10.80.1.2:5900"), false}, {tcp("10.1.0.40:7", "10.80.1.3:5900"), false}, {tcp("[fd00:1::41]:7", "[fd80:1::1:1]:5900"), false},
	} {
		name := v.call.from.String() + " calls " + v.call.to.String()
		r.comes(t, name, v.call.packet(syn), v.want)
		r.goes(t, "the answer when "+name, v.call.back().packet(syn|ack), v.want)
	}
	r.comes(t, "a ping", echo("10.1.0.40", "10.80.1.1"), true)
	r.goes(t, "a call the other way", tcp("10.80.1.1:9", "10.1.0.40:5900").packet(syn), false)
	call := tcp("10.1.0.40:9", "10.80.1.1:5900")
	r.comes(t, "one more call", call.packet(syn), true)
	check(t, f.Apply([]Change{{"anna", guard(list("keine", "10.3.0.0/16"), "10.80.1.1", "fd80:1::1:1")}}))
	r.comes(t, "what goes on of it", call.packet(ack), false)
	r.goes(t, "the answer to it", call.back().packet(syn|ack), false)
	if got := r.rules(); strings.Contains(got, "hilfe") {
		t.Errorf("the former list is left:\n%s", got)
	}
}

// The gateway itself: an echo to its inside address, and what is granted by its
// very address.
func TestTheGatewayItself(t *testing.T) {
	r, f := world(t)
	answers := func(what string, p []byte, want bool) {
		t.Helper()
		if got := r.passes(r.laptops, r.laptops, p); got != want {
			t.Errorf("%s: answered %v, want %v", what, got, want)
		}
	}
	answers("an echo to the inside address", echo("10.80.1.1", "10.80.0.1"), true)
	answers("the same over IPv6", echo("fd80:1::1:1", "fd80:1::1"), true)
	answers("the same by nobody", echo("10.80.9.9", "10.80.0.1"), false)
	answers("a closed port of the inside address", udp("10.80.1.1:7", "10.80.0.1:53").packet(), false)
	answers("a closed port of TCP", tcp("10.80.1.1:7", "10.80.0.1:22").packet(syn), false)
	answers("its address within a granted network", echo("10.80.1.1", "10.1.0.1"), false)
	answers("the same over IPv6", tcp("[fd80:1::1:1]:7", "[fd00:1::1]:22").packet(syn), false)

	check(t, f.Apply([]Change{{"anna", guard(list("dienst", "10.1.0.1/32|443", "fd00:1::1/128|443"), "10.80.1.1", "fd80:1::1:1")}}))
	answers("a port that is granted by its address", tcp("10.80.1.1:7", "10.1.0.1:443").packet(syn), true) // a reset
	answers("the same over IPv6", tcp("[fd80:1::1:1]:7", "[fd00:1::1]:443").packet(syn), true)
	answers("another one", tcp("10.80.1.1:7", "10.1.0.1:22").packet(syn), false)
}

// What is taken away ends at once, in both directions, for what stands too.
func TestTakenAway(t *testing.T) {
	r, f := world(t)
	talk := udp("10.80.1.1:7", "10.1.2.3:53")
	r.goes(t, "a question", talk.packet(), true)
	r.comes(t, "an answer", talk.back().packet(), true)
	check(t, f.Apply([]Change{{"anna", guard(list("weniger", "10.1.9.0/24"), "10.80.1.1", "fd80:1::1:1")}}))
	r.goes(t, "the next question", talk.packet(), false)
	r.comes(t, "the next answer", talk.back().packet(), false)
	check(t, f.Apply([]Change{{"anna", guard(list("mehr", "10.1.0.0/16"), "10.80.1.1", "fd80:1::1:1")}}))
	r.goes(t, "given back", talk.packet(), true)
	check(t, f.Apply([]Change{{"anna", nil}}))
	r.goes(t, "after the end", talk.packet(), false)
	r.comes(t, "after the end", talk.back().packet(), false)
	if got := r.rules(); strings.Contains(got, "access-stadt") || strings.Contains(got, "access-mehr") || strings.Contains(got, "10.80.1.1") || !strings.Contains(got, "access-dorf") {
		t.Errorf("something is left, or gone:\n%s", got)
	}
	check(t, f.Apply([]Change{{"zoe", guard(list("dorf", "10.3.0.0/16"), "10.80.1.2")}, {"bert", nil}}))
	r.goes(t, "an address that went to the next session", udp("10.80.1.2:7", "10.3.0.1:53").packet(), true)
}

// The world is what nobody has inside. Who says nothing of lists gets what is routed.
func TestTheWorldAndOlderControlPlanes(t *testing.T) {
	r, f := world(t)
	world := list("voll", "10.1.0.0/16")
	world.World = true
	check(t, f.Apply([]Change{{"anna", guard(world, "10.80.1.1", "fd80:1::1:1")}, {"bert", guard(nil, "10.80.1.2", "fd80:1::1:2")}}))
	for to, want := range map[string]bool{
		"203.0.113.5:80": true, "10.1.2.3:80": true, "10.3.0.1:80": false, "192.168.1.1:80": false, "198.51.100.7:80": false, "100.64.0.1:80": false,
		"169.254.169.254:80": false, "10.80.1.2:80": false, "10.1.0.1:80": false,
		"[2001:db8:1::1]:80": true, "[2001:db8:9::1]:80": false, "[fd00:3::1]:80": false, "[2002:a03:1::1]:80": false, "[64:ff9b::a03:1]:80": false,
	} {
		from := "10.80.1.1:7"
		if strings.HasPrefix(to, "[") {
			from = "[fd80:1::1:1]:7"
		}
		r.goes(t, "the world at "+to, udp(from, to).packet(), want)
	}
	r.goes(t, "unlisted", udp("10.80.1.2:7", "10.1.2.3:80").packet(), true)
	if r.passes(r.laptops, r.laptops, udp("10.80.1.2:7", "10.80.1.1:80").packet()) {
		t.Error("unlisted: a packet goes from laptop to laptop")
	}
	call := udp("10.1.2.3:7", "10.80.1.2:80")
	r.comes(t, "unlisted, a call", call.packet(), false)
	r.goes(t, "unlisted, the answer to a call", call.back().packet(), true) // a question of its own: nobody has called
	r.comes(t, "unlisted, an answer", call.packet(), true)
	if r.passes(r.laptops, r.laptops, tcp("10.80.1.2:7", "10.1.0.1:22").packet(syn)) {
		t.Error("unlisted: the gateway itself answers")
	}
}
