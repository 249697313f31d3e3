package hostnet

import (
	"net/netip"
	"slices"
	"strings"
)

// On systems other than Linux there is one routing table and no mark, so the tunnel's place on the host is found by
// comparing: what is wanted, what is there, and what was laid down earlier give the steps that are left to do. The
// comparison is the same for all of them and knows no system; what differs between two systems is in their traits.

// traits are what one system does differently.
type traits struct {
	// oneEach: a network has one route, so that of the tunnel cannot stand beside that of the host.
	oneEach bool
	// halves: everything is routed as two halves, because the default route itself is the system's to change.
	halves bool
	// refuses: the system has routes that refuse. Else a closed network is led into the tunnel, which lets through only
	// what comes from its own addresses.
	refuses bool
	// first: the interface has a rank of its own among all, which a full tunnel has to lead.
	first bool
}

// sight is what was seen of the host.
type sight struct {
	// there says that the interface exists. All else of it is empty if not.
	there bool
	// mtu of the interface.
	mtu int
	// first says that the interface goes before all others.
	first bool
	// addresses of the interface, without those that the system gives itself.
	addresses []netip.Prefix
	// ways are the routes of the whole host.
	ways []path
	// named says that something with our mark stands among what the system was told of name servers, and names what
	// it says.
	named bool
	names DNS
}

// path is one route.
type path struct {
	to netip.Prefix
	// by is the name of the interface, and index its number.
	by    string
	index uint32
	// up says that the interface works.
	up bool
	// made says that somebody added it; the system makes others by itself, from addresses.
	made bool
	// refuses says that it refuses packets.
	refuses bool
	// cost orders ways to the same network: the smallest goes first.
	cost uint64
}

// verb is what a step does.
type verb string

const (
	adjustLink    verb = "set MTU and rank" // step.mtu, step.first
	addAddress    verb = "add address"
	removeAddress verb = "remove address"
	addWay        verb = "add route"
	removeWay     verb = "remove route"
	refuse        verb = "refuse"
	refuseNoMore  verb = "refuse no more"
	setNames      verb = "set name servers" // step.names
	clearNames    verb = "clear name servers"
)

// step is one thing to do to the host. Every step may be done again.
type step struct {
	verb   verb
	prefix netip.Prefix // of addresses and routes
	mtu    int          // zero: as it is
	first  bool
	names  DNS
}

// laid is what was laid down on the host and would outlive the interface. It is on the disk before it is done.
type laid struct {
	// Interface empty: nothing.
	Interface string `json:"interface"`
	// Refused are networks that refuse: a route that does has nowhere to bear a mark, as what was said of name servers
	// does.
	Refused []netip.Prefix `json:"refused,omitempty"`
}

// plan is what is left to do, in order, and the networks that are reached in another way. An empty configuration,
// with nothing but the name of the interface, takes all back.
//
// What is new comes first and what goes comes last: there is no moment in which a network that is wanted before and
// after goes past the tunnel. Names come after the way to their servers, and go before it.
func plan(t traits, want Config, have sight, left laid) ([]step, []*ConflictError) {
	through, closed := want.wantedWays(t, have.ways)
	conflicts := want.foreign(slices.Concat(through, closed), have.ways)
	if t.oneEach {
		taken := func(p netip.Prefix) bool {
			return slices.ContainsFunc(conflicts, func(c *ConflictError) bool { return c.Network == p })
		}
		through, closed = slices.DeleteFunc(through, taken), slices.DeleteFunc(closed, taken)
	}
	if want.LocalDenied {
		conflicts = nil // the halves of such a network go through
	}
	have.addresses = asWanted(have.addresses, want.Addresses)
	var steps []step
	names := want.DNS.normal()
	if len(names.Servers) == 0 && have.named {
		steps = append(steps, step{verb: clearNames})
	}
	if have.there {
		if s, differs := want.link(t, have); differs {
			steps = append(steps, s)
		}
		steps = append(steps, missing(addAddress, want.Addresses, have.addresses)...)
	}
	refusing, leading := have.refusing(left), have.leading(want.Interface)
	goes, opens := missing(removeWay, leading, through), missing(refuseNoMore, refusing, closed)
	if t.oneEach { // what led and is to refuse, or the other way round, has to make room first
		var first []step
		first, goes = parted(goes, closed)
		steps = append(steps, first...)
		first, opens = parted(opens, through)
		steps = append(steps, first...)
	}
	steps = append(steps, missing(refuse, closed, refusing)...)
	if have.there {
		steps = append(steps, missing(addWay, through, leading)...)
	}
	steps = append(steps, goes...)
	steps = append(steps, opens...)
	if have.there {
		steps = append(steps, missing(removeAddress, have.addresses, want.Addresses)...)
	}
	if told := have.named && names.equal(have.names.normal()); len(names.Servers) > 0 && !told {
		steps = append(steps, step{verb: setNames, names: names})
	}
	return steps, conflicts
}

// missing makes a step of each of the one that is not among the others.
func missing(do verb, of, among []netip.Prefix) []step {
	var steps []step
	for _, p := range of {
		if !slices.Contains(among, p) {
			steps = append(steps, step{verb: do, prefix: p})
		}
	}
	return steps
}

// asWanted writes the addresses that are there with the mask that they are wanted with: alone in a tunnel it means nothing,
// and a system may show another one.
func asWanted(have, want []netip.Prefix) []netip.Prefix {
	shown := slices.Clone(have)
	for i, p := range shown {
		if j := slices.IndexFunc(want, func(w netip.Prefix) bool { return w.Addr() == p.Addr() }); j >= 0 {
			shown[i] = want[j]
		}
	}
	return shown
}

// parted are the steps for these networks, and the others.
func parted(steps []step, these []netip.Prefix) (first, then []step) {
	for _, s := range steps {
		if slices.Contains(these, s.prefix) {
			first = append(first, s)
		} else {
			then = append(then, s)
		}
	}
	return first, then
}

// link is how MTU and rank are to be, and whether they are not. The rank of an interface without a full tunnel is
// the system's, except that a full tunnel's is given back.
func (c Config) link(t traits, have sight) (step, bool) {
	s := step{verb: adjustLink, mtu: c.MTU, first: t.first && c.FullTunnel}
	return s, c.MTU != 0 && c.MTU != have.mtu || t.first && s.first != have.first
}

// wantedWays are the networks that go through the interface, and those that are closed because it has no address of
// their family.
func (c Config) wantedWays(t traits, ways []path) (through, closed []netip.Prefix) {
	var all []netip.Prefix
	for _, route := range c.Routes {
		all = append(all, route.Masked())
	}
	if c.FullTunnel {
		for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			all = append(all, everythingOf(any, t.halves)...)
		}
	}
	if c.LocalDenied {
		all = append(all, c.shadows(ways)...)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	for _, network := range slices.Compact(all) {
		if t.refuses && !c.hasFamily(network.Addr()) {
			closed = append(closed, network)
		} else {
			through = append(through, network)
		}
	}
	return through, closed
}

// shadows are the halves of every network that the host reaches past the tunnel: they are more precise than the network
// itself, so that it is reached through the tunnel. Single hosts have none, and what never leaves a link is left alone.
func (c Config) shadows(ways []path) (all []netip.Prefix) {
	for _, w := range ways {
		at := w.to.Addr()
		if w.by == c.Interface || !w.up || w.refuses || w.to.Bits() == 0 || w.to.IsSingleIP() ||
			at.IsLoopback() || at.IsLinkLocalUnicast() || at.IsMulticast() {
			continue
		}
		all = append(all, halves(w.to.Masked())...)
	}
	return all
}

// everythingOf is all of a family, whose unspecified address is given, in one or in two halves.
func everythingOf(unspecified netip.Addr, inHalves bool) []netip.Prefix {
	everything := netip.PrefixFrom(unspecified, 0)
	if !inHalves {
		return []netip.Prefix{everything}
	}
	return halves(everything)
}

// halves of a network that is more than one address.
func halves(network netip.Prefix) []netip.Prefix {
	upper := network.Addr().AsSlice()
	upper[network.Bits()/8] |= 0x80 >> (network.Bits() % 8)
	second, _ := netip.AddrFromSlice(upper) // of the length it had
	return []netip.Prefix{netip.PrefixFrom(network.Addr(), network.Bits()+1), netip.PrefixFrom(second, network.Bits()+1)}
}

// foreign are the networks that the host reaches in another way just as precisely: its own network at home goes
// before. The default route is no such network: to go before it is what a full tunnel is for.
func (c Config) foreign(wanted []netip.Prefix, ways []path) []*ConflictError {
	var conflicts []*ConflictError
	for _, network := range wanted {
		i := slices.IndexFunc(ways, func(w path) bool {
			return w.to == network && w.by != c.Interface && w.up && !w.refuses
		})
		if i >= 0 && network.Bits() > 0 {
			conflicts = append(conflicts, &ConflictError{Network: network, Interface: ways[i].by})
		}
	}
	return conflicts
}

// leading are the networks that were led through the interface.
func (s sight) leading(name string) []netip.Prefix {
	var list []netip.Prefix
	for _, w := range s.ways {
		if w.by == name && w.made && !w.refuses && !slices.Contains(list, w.to) {
			list = append(list, w.to)
		}
	}
	return list
}

// refusing are the networks that refuse because we said so. Nobody else's are touched.
func (s sight) refusing(left laid) []netip.Prefix {
	var list []netip.Prefix
	for _, w := range s.ways {
		if w.refuses && slices.Contains(left.Refused, w.to) && !slices.Contains(list, w.to) {
			list = append(list, w.to)
		}
	}
	return list
}

// leave is the way by which packets to an address leave the host if the interface of the tunnel were not there: the
// most precise one, and of several such the cheapest.
func leave(ways []path, to netip.Addr, tunnel string) (path, bool) {
	var best path
	found := false
	for _, w := range ways {
		if w.by == tunnel || !w.up || w.refuses || !w.to.Contains(to) {
			continue
		}
		if !found || w.to.Bits() > best.to.Bits() || w.to.Bits() == best.to.Bits() && w.cost < best.cost {
			best, found = w, true
		}
	}
	return best, found
}

// noting is what is laid down once the steps are done, and may be from the moment that they are begun.
func (l laid) noting(name string, steps []step) laid {
	next := laid{Interface: name, Refused: slices.Clone(l.Refused)}
	for _, s := range steps {
		if s.verb == refuse && !slices.Contains(next.Refused, s.prefix) {
			next.Refused = append(next.Refused, s.prefix)
		}
	}
	return next
}

// equal says whether both are the same thing to write down.
func (l laid) equal(other laid) bool {
	return l.Interface == other.Interface && slices.Equal(l.Refused, other.Refused)
}

// normal writes domains in one way, so that what a system gives back can be compared with what it was given.
func (d DNS) normal() DNS {
	n := DNS{Servers: d.Servers}
	for _, domain := range d.Domains {
		if domain = strings.ToLower(strings.Trim(domain, ".")); !slices.Contains(n.Domains, domain) {
			n.Domains = append(n.Domains, domain)
		}
	}
	return n
}

func (d DNS) equal(other DNS) bool {
	return slices.Equal(d.Servers, other.Servers) && slices.Equal(d.Domains, other.Domains)
}
