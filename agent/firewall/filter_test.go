package firewall

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whoever follows the steps has in his table what the book says, and what the
// book says is what the last word on each session and address was.
func TestStepsLeadToTheBook(t *testing.T) {
	lists := []*List{nil, {Name: "a"}, {Name: "b"}, {Name: "c"}}
	rapid.Check(t, func(t *rapid.T) {
		b := newBook()
		table := map[netip.Addr]number{}
		chains := map[string]number{}
		guards := map[string]*Guard{}
		owners, last := map[netip.Addr]string{}, map[netip.Addr]string{}
		ending := map[netip.Addr]bool{} // nobody has had it since its connections began to end
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			var changes []Change
			for range rapid.IntRange(1, 4).Draw(t, "changes") {
				c := Change{Session: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "session")}
				if rapid.Bool().Draw(t, "opens") {
					c.Guard = &Guard{List: rapid.SampledFrom(lists).Draw(t, "list")}
					for _, n := range rapid.SliceOfNDistinct(rapid.ByteRange(1, 4), 0, 2, rapid.ID).Draw(t, "addresses") {
						c.Guard.Addresses = append(c.Guard.Addresses, netip.AddrFrom4([4]byte{10, 80, 0, n}))
					}
				}
				changes = append(changes, c)
				for a, owner := range owners {
					if owner == c.Session {
						delete(owners, a)
					}
				}
				if guards[c.Session] = c.Guard; c.Guard != nil {
					for _, a := range c.Guard.Addresses {
						owners[a], last[a] = c.Session, c.Session
						delete(ending, a)
					}
				}
			}
			s := b.change(changes)
			switch rapid.IntRange(0, 3).Draw(t, "forgetting") {
			case 0:
				clear(ending)
				var all []netip.Addr
				for a := range last {
					all = append(all, a)
					if ending[a] = owners[a] == ""; !ending[a] {
						delete(ending, a)
					}
				}
				b.end(all)
			case 1:
				for a := range ending {
					delete(last, a)
				}
				clear(ending)
				b.ended()
			}
			for n := range byte(5) {
				a := netip.AddrFrom4([4]byte{10, 80, 0, n})
				if b.last(a) != last[a] {
					t.Fatalf("%v was %q's last, and %q is told", a, last[a], b.last(a))
				}
			}
			for _, l := range s.newLists {
				if _, twice := chains[l.Name]; twice && !slices.ContainsFunc(s.oldLists, func(o *listed) bool { return o.Name == l.Name }) {
					t.Fatalf("the chain of %s is made twice", l.Name)
				}
				chains[l.Name] = l.number
			}
			for _, a := range s.removed {
				if _, there := table[a]; !there {
					t.Fatalf("%v is removed and not there", a)
				}
				delete(table, a)
			}
			for _, a := range s.added {
				if _, there := table[a]; there {
					t.Fatalf("%v is added twice", a)
				}
				table[a] = b.elements[a].number()
			}
			used := map[number]bool{unlisted: true}
			for a, n := range table {
				used[n] = true
				g := guards[owners[a]]
				if g == nil {
					t.Fatalf("%v is nobody's, and in the table", a)
				}
				if want := unlisted; g.List == nil && n != want || g.List != nil && n != chains[g.List.Name] {
					t.Fatalf("%v has the list %d of %v", a, n, g.List)
				}
			}
			for _, l := range s.oldLists {
				if used[l.number] {
					t.Fatalf("the chain of %s goes while it is used", l.Name)
				}
				delete(chains, l.Name)
			}
			for name, n := range chains {
				if !used[n] {
					t.Fatalf("the chain of %s stays for nobody", name)
				}
			}
			if len(table) != len(owners) {
				t.Fatalf("%d addresses in the table, %d have a session", len(table), len(owners))
			}
		}
	})
}

func TestWidest(t *testing.T) {
	var got []string
	for _, p := range widest([]netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("192.168.1.5/24"), netip.MustParsePrefix("fd00::1/128"),
	}) {
		got = append(got, p.String())
	}
	if want := []string{"10.0.0.0/8", "192.168.1.0/24", "fd00::/64"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
