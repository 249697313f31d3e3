package firewall

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
)

// ErrUnusable says that the machine's packet filter cannot do what is needed:
// the kernel lacks nftables or a part of it, or the program lacks the rights.
// Then nobody may be let in.
var ErrUnusable = errors.New("the packet filter cannot be used")

// Setup is what the table is like besides the sessions.
type Setup struct {
	// Interface is the tunnels' own.
	Interface string
	// Addresses are the gateway's inside the tunnels, with the length of the
	// aggregate that laptops get theirs from.
	Addresses []netip.Prefix
	// Masquerade hides the laptops behind the gateway's own address.
	Masquerade bool
	// Inside are the networks of all tenants: a list that reaches the world
	// does not reach them.
	Inside []netip.Prefix
}

func (s Setup) equal(t Setup) bool {
	return s.Interface == t.Interface && s.Masquerade == t.Masquerade &&
		slices.Equal(s.Addresses, t.Addresses) && slices.Equal(s.Inside, t.Inside)
}

// Target is where packets may go. A network does not contain the gateway's own
// addresses: only a Target that names one of them alone does.
type Target struct {
	Prefix netip.Prefix
	// Port zero: everything. Else this port over TCP and UDP, and nothing else.
	Port uint16
}

// List is an access list. Two with the same name are the same.
type List struct {
	Name    string // part of a chain's name: letters, digits, '.', '_' and '-'
	Targets []Target
	// World: everything that is inside of nobody, too.
	World bool
	// Callers may begin connections to the session, each to its port; port zero:
	// to all.
	Callers []Target
}

// Guard is what holds a session.
type Guard struct {
	Addresses []netip.Addr
	// List nil: nobody has said what the session may reach, which control
	// planes of an older version do not. It reaches what the gateway routes.
	List *List
}

// Change gives a session its Guard, or takes it away.
type Change struct {
	Session string
	Guard   *Guard // nil: none, and nothing passes
}

// number stands for a list in the maps of addresses.
type number uint32

const (
	noNumber number = iota
	unlisted
)

// listed is a list that is in use.
type listed struct {
	*List
	number number
	uses   int // addresses
}

// element is what the table has for an address.
type element struct {
	session string
	list    *listed // nil: unlisted
}

func (e element) number() number {
	switch {
	case e.session == "":
		return noNumber
	case e.list == nil:
		return unlisted
	default:
		return e.list.number
	}
}

// book is what should be in the table, by what was asked for. It is pure.
type book struct {
	sessions map[string][]netip.Addr
	elements map[netip.Addr]element
	// former says whose an address was that is nobody's, while her connections may be remembered.
	former map[netip.Addr]string
	// ending are addresses of nobody whose connections are being ended.
	ending map[netip.Addr]struct{}
	lists  map[string]*listed
	count  number // of lists, and what is a number besides
}

func newBook() book {
	return book{
		sessions: make(map[string][]netip.Addr), elements: make(map[netip.Addr]element), former: make(map[netip.Addr]string),
		ending: make(map[netip.Addr]struct{}), lists: make(map[string]*listed), count: unlisted,
	}
}

// steps lead from the table as it was to the one that should be, in this order.
type steps struct {
	newLists []*listed
	removed  []netip.Addr // also those that are added with another list
	added    []netip.Addr
	oldLists []*listed
}

func (s steps) none() bool {
	return len(s.newLists)+len(s.removed)+len(s.added)+len(s.oldLists) == 0
}

// change enters changes, and gives the steps they take. Of two sessions with
// one address the later one has it: who inherits was not to be among them yet.
func (b *book) change(changes []Change) (s steps) {
	before := make(map[netip.Addr]number)
	fresh, idle := make(map[string]*listed), make(map[string]*listed)
	set := func(a netip.Addr, next element) {
		was := b.elements[a]
		b.passes(a, was.session, next.session)
		if _, seen := before[a]; !seen {
			before[a] = was.number()
		}
		if next.list != nil {
			next.list.uses++
			delete(idle, next.list.Name)
		}
		if was.list != nil {
			if was.list.uses--; was.list.uses == 0 {
				idle[was.list.Name] = was.list
			}
		}
		if b.elements[a] = next; next.session == "" {
			delete(b.elements, a)
		}
	}
	for _, c := range changes {
		if b.holds(c) {
			continue
		}
		var next Guard
		if c.Guard != nil {
			next = *c.Guard
		}
		for _, a := range b.sessions[c.Session] {
			if b.elements[a].session == c.Session && !slices.Contains(next.Addresses, a) {
				set(a, element{})
			}
		}
		delete(b.sessions, c.Session)
		if c.Guard == nil {
			continue
		}
		b.sessions[c.Session] = next.Addresses
		for _, a := range next.Addresses {
			set(a, element{session: c.Session, list: b.list(next.List, fresh)})
		}
	}
	for name, l := range idle {
		delete(b.lists, name)
		if fresh[name] != nil {
			delete(fresh, name)
		} else {
			s.oldLists = append(s.oldLists, l)
		}
	}
	s.newLists = slices.Collect(maps.Values(fresh))
	for a, was := range before {
		now := b.elements[a].number()
		if was != now && was != noNumber {
			s.removed = append(s.removed, a)
		}
		if was != now && now != noNumber {
			s.added = append(s.added, a)
		}
	}
	return s
}

// passes enters that an address goes from one session to another; empty: nobody.
func (b *book) passes(a netip.Addr, from, to string) {
	delete(b.ending, a) // what is done with it from now on is remembered
	switch {
	case to != "":
		delete(b.former, a)
	case from != "":
		b.former[a] = from
	}
}

// last is the session that has an address, or had it last; empty: none whose connections are remembered, as far as is known.
func (b *book) last(a netip.Addr) string {
	if now := b.elements[a].session; now != "" {
		return now
	}
	return b.former[a]
}

// end enters that the connections of addresses are being ended, and gives those of them that nobody has.
func (b *book) end(addresses []netip.Addr) map[netip.Addr]struct{} {
	clear(b.ending)
	for _, a := range addresses {
		if b.elements[a].session == "" {
			b.ending[a] = struct{}{}
		}
	}
	return b.ending
}

// ended enters that they have been.
func (b *book) ended() {
	for a := range b.ending {
		delete(b.former, a)
	}
	clear(b.ending)
}

// holds says whether a change has been made already.
func (b *book) holds(c Change) bool {
	addresses, there := b.sessions[c.Session]
	if c.Guard == nil || !there || !slices.Equal(addresses, c.Guard.Addresses) {
		return c.Guard == nil && !there
	}
	return !slices.ContainsFunc(addresses, func(a netip.Addr) bool {
		e := b.elements[a]
		return e.session != c.Session || (e.list == nil) != (c.Guard.List == nil) || e.list != nil && e.list.Name != c.Guard.List.Name
	})
}

// list is the one in the book; nil for nil. It enters what is new.
func (b *book) list(l *List, fresh map[string]*listed) *listed {
	if l == nil {
		return nil
	}
	known := b.lists[l.Name]
	if known == nil {
		b.count++
		known = &listed{List: l, number: b.count}
		b.lists[l.Name], fresh[l.Name] = known, known
	}
	return known
}

// widest leaves out networks that lie within another one, and sorts the rest.
func widest(list []netip.Prefix) []netip.Prefix {
	list = slices.Clone(list)
	for i, p := range list {
		list[i] = p.Masked()
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	var out []netip.Prefix
	for _, p := range list {
		if n := len(out); n == 0 || !out[n-1].Contains(p.Addr()) {
			out = append(out, p)
		}
	}
	return out
}

// nobodys are networks that are not the world, whoever has them: private ones,
// and those that are never routed (RFC 6890). Of IPv6 all but the world's own
// block are, and in there the addresses that carry one of IPv4 within them
// (RFC 3056, RFC 4380): these would be a way around.
func nobodys() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16",
		"198.18.0.0/15", "224.0.0.0/3", "::/3", "2001::/32", "2002::/16", "4000::/2", "8000::/1",
	} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
