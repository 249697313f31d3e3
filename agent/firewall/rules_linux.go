package firewall

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Names in the table, for whoever lists it.
const (
	chainUnlisted  = "unlisted"
	prefixOfChains = "access-" // then the name of a list
	prefixOfCalls  = "called-" // likewise
)

// objects are what rules and elements name. Those of a table that is there
// already are the same by their names.
type objects struct {
	table    *nftables.Table
	sessions [2]*nftables.Set // of IPv4 and of IPv6: address -> number of a list
	lists    *nftables.Set    // number of a list -> its chain
	callers  *nftables.Set    // number of a list that has callers -> the chain of these
	inside   [2]*nftables.Set // what a list that reaches the world does not
}

func (f *Filter) objects() *objects {
	t := &nftables.Table{Name: table, Family: nftables.TableFamilyINet}
	types := [2]nftables.SetDatatype{nftables.TypeIPAddr, nftables.TypeIP6Addr}
	o := &objects{table: t}
	for i, digit := range [2]string{"4", "6"} {
		o.sessions[i] = &nftables.Set{Table: t, Name: "sessions" + digit, IsMap: true, KeyType: types[i], DataType: nftables.TypeMark}
		o.inside[i] = &nftables.Set{Table: t, Name: "inside" + digit, Interval: true, KeyType: types[i]}
	}
	o.lists = &nftables.Set{Table: t, Name: "lists", IsMap: true, KeyType: nftables.TypeMark, DataType: nftables.TypeVerdict}
	o.callers = &nftables.Set{Table: t, Name: "callers", IsMap: true, KeyType: nftables.TypeMark, DataType: nftables.TypeVerdict}
	return o
}

func (o *objects) chain(name string) *nftables.Chain {
	return &nftables.Chain{Name: name, Table: o.table}
}

func (l *listed) chain() string { return prefixOfChains + l.Name }

func (l *listed) calls() string { return prefixOfCalls + l.Name }

// bytes is the number as both maps have it.
func (n number) bytes() []byte { return binaryutil.NativeEndian.PutUint32(uint32(n)) }

// family is the place of an address's family in objects.
func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// part is as many elements as go into one message.
type part struct {
	set      *nftables.Set
	elements []nftables.SetElement
}

// elements are those of addresses, with their numbers; without, if of is nil.
func (o *objects) elements(addresses []netip.Addr, of map[netip.Addr]element) (parts []part) {
	var byFamily [2][]nftables.SetElement
	for _, a := range addresses {
		e := nftables.SetElement{Key: a.AsSlice()}
		if of != nil {
			e.Val = of[a].number().bytes()
		}
		byFamily[family(a)] = append(byFamily[family(a)], e)
	}
	for i, list := range byFamily {
		for len(list) > 0 {
			n := min(len(list), elementsAtOnce)
			parts = append(parts, part{o.sessions[i], list[:n]})
			list = list[n:]
		}
	}
	return parts
}

// addBase adds everything but lists and sessions.
func (f *Filter) addBase(o *objects) error {
	f.conn.AddTable(o.table)
	errs := []error{
		f.conn.AddSet(o.sessions[0], nil), f.conn.AddSet(o.sessions[1], nil), f.conn.AddSet(o.lists, nil),
		f.conn.AddSet(o.callers, nil),
	}
	inside := append(nobodys(), f.setup.Inside...)
	for _, p := range f.setup.Addresses {
		inside = append(inside, p.Masked())
	}
	var intervals [2][]nftables.SetElement
	for _, p := range widest(inside) {
		i := family(p.Addr())
		intervals[i] = append(intervals[i], interval(p)...)
	}
	for i, set := range o.inside {
		errs = append(errs, f.conn.AddSet(set, nil))
		for list := intervals[i]; len(list) > 0; {
			n := min(len(list), elementsAtOnce)
			errs = append(errs, f.conn.SetAddElements(set, list[:n]))
			list = list[n:]
		}
	}
	f.addChains(o)
	errs = append(errs, f.conn.SetAddElements(o.lists, []nftables.SetElement{leadsTo(unlisted, chainUnlisted)}))
	return errors.Join(errs...)
}

// interval is a network as a set of intervals has it: where it begins, and
// where it is over. One that goes on to the last address is never over.
func interval(p netip.Prefix) []nftables.SetElement {
	list := []nftables.SetElement{{Key: p.Addr().AsSlice()}}
	end := p.Addr().AsSlice()
	for i := p.Bits(); i < len(end)*8; i++ {
		end[i/8] |= 1 << (7 - i%8)
	}
	last, _ := netip.AddrFromSlice(end)
	if over := last.Next(); over.IsValid() {
		list = append(list, nftables.SetElement{Key: over.AsSlice(), IntervalEnd: true})
	}
	return list
}

// leadsTo is the element by which a number finds its chain.
func leadsTo(n number, chain string) nftables.SetElement {
	return nftables.SetElement{Key: n.bytes(), VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}
}

// addList adds the chain of a list. It sees packets of both directions: where
// a connection goes is what its first packet said, whichever this one is.
func (f *Filter) addList(o *objects, l *listed) error {
	c := f.conn.AddChain(o.chain(l.chain()))
	for _, t := range l.Targets {
		where := slices.Concat(called(family(t.Prefix.Addr())), within(t.Prefix.Masked()))
		if !t.Prefix.IsSingleIP() {
			where = slices.Concat(where, leaves())
		}
		f.addTarget(o, c, where, t.Port)
	}
	if l.World {
		for i := range o.inside {
			f.add(o, c, called(i), notIn(o.inside[i]), leaves(), accept())
		}
	}
	f.add(o, c, verdict(expr.VerdictDrop, ""))
	err := f.conn.SetAddElements(o.lists, []nftables.SetElement{leadsTo(l.number, c.Name)})
	if len(l.Callers) == 0 {
		return err
	}
	c = f.conn.AddChain(o.chain(l.calls()))
	for _, t := range l.Callers {
		f.addTarget(o, c, slices.Concat(caller(family(t.Prefix.Addr())), within(t.Prefix.Masked()), leaves()), t.Port)
	}
	f.add(o, c, verdict(expr.VerdictDrop, ""))
	return errors.Join(err, f.conn.SetAddElements(o.callers, []nftables.SetElement{leadsTo(l.number, c.Name)}))
}

// removeList removes the chains of a list that no element leads to.
func (f *Filter) removeList(o *objects, l *listed) error {
	err := f.conn.SetDeleteElements(o.lists, []nftables.SetElement{{Key: l.number.bytes()}})
	chains := []string{l.chain()}
	if len(l.Callers) > 0 {
		err = errors.Join(err, f.conn.SetDeleteElements(o.callers, []nftables.SetElement{{Key: l.number.bytes()}}))
		chains = append(chains, l.calls())
	}
	for _, name := range chains {
		f.conn.FlushChain(o.chain(name))
		f.conn.DelChain(o.chain(name))
	}
	return err
}

// addTarget lets through what matches, if it is for the port; zero: for any.
func (f *Filter) addTarget(o *objects, c *nftables.Chain, where []expr.Any, to uint16) {
	if to == 0 {
		f.add(o, c, where, accept())
		return
	}
	for _, protocol := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		f.add(o, c, where, port(protocol, to), accept())
	}
}

// add adds a rule.
func (f *Filter) add(o *objects, c *nftables.Chain, parts ...[]expr.Any) {
	f.conn.AddRule(&nftables.Rule{Table: o.table, Chain: c, Exprs: slices.Concat(parts...)})
}

// addChains adds the rules that do not depend on lists and sessions.
func (f *Filter) addChains(o *objects) {
	laptops := interfaceName(f.setup.Interface)
	base := func(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, kind nftables.ChainType) *nftables.Chain {
		policy := nftables.ChainPolicyAccept // what is not ours is not our business
		return f.conn.AddChain(&nftables.Chain{Name: name, Table: o.table, Type: kind, Hooknum: hook, Priority: priority, Policy: &policy})
	}
	add := func(c *nftables.Chain, parts ...[]expr.Any) { f.add(o, c, parts...) }
	plain := func(name string) *nftables.Chain { return f.conn.AddChain(o.chain(name)) }

	// Before connections are looked at: nobody makes one with a false address.
	claims, outside := plain("claims"), base("prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw, nftables.ChainTypeFilter)
	add(outside, from(laptops), verdict(expr.VerdictGoto, claims.Name))
	add(outside, from(interfaceName("lo")), verdict(expr.VerdictReturn, "")) // the gateway's word to itself
	for _, p := range f.setup.Addresses {
		add(claims, source(family(p.Addr())), within(p.Masked()), verdict(expr.VerdictReturn, ""))
		add(outside, source(family(p.Addr())), within(p.Masked()), verdict(expr.VerdictDrop, ""))
	}
	add(claims, verdict(expr.VerdictDrop, ""))

	free := plain(chainUnlisted)
	add(free, leaves(), accept())
	add(free, verdict(expr.VerdictDrop, ""))
	// The number of an address's list is the packet's mark for as long as it is
	// with us. (Looking it up in one map by what another one has needs no mark,
	// but nft cannot list it; a map from addresses to chains the kernel would
	// walk with each session that opens.)
	number := func(c *nftables.Chain, address func(int) []expr.Any) {
		add(c, mark(noNumber))
		for i := range o.sessions {
			add(c, address(i), markFrom(o.sessions[i]))
		}
	}
	judge := func(c *nftables.Chain) {
		add(c, jumpByMark(o.lists)) // the end, for all that have a list
		add(c, verdict(expr.VerdictDrop, ""))
	}
	forward := base("forward", nftables.ChainHookForward, nftables.ChainPriorityRaw, nftables.ChainTypeFilter)
	out, in := plain("from_laptops"), plain("to_laptops")
	add(forward, from(laptops), verdict(expr.VerdictGoto, out.Name))
	add(forward, to(laptops), verdict(expr.VerdictGoto, in.Name))
	add(out, to(laptops), verdict(expr.VerdictDrop, ""))
	add(out, state(expr.CtStateBitINVALID|expr.CtStateBitUNTRACKED), verdict(expr.VerdictDrop, ""))
	number(out, source)
	add(out, direction(reply), jumpByMark(o.callers))
	add(out, direction(reply), verdict(expr.VerdictDrop, ""))
	judge(out)
	add(in, state(expr.CtStateBitINVALID|expr.CtStateBitUNTRACKED), verdict(expr.VerdictDrop, ""))
	number(in, destination)
	add(in, direction(original), jumpByMark(o.callers))
	add(in, direction(original), verdict(expr.VerdictDrop, ""))
	judge(in)

	input, own := base("input", nftables.ChainHookInput, nftables.ChainPriorityRaw, nftables.ChainTypeFilter), plain("to_gateway")
	add(input, from(laptops), verdict(expr.VerdictGoto, own.Name))
	add(own, state(expr.CtStateBitINVALID|expr.CtStateBitUNTRACKED), verdict(expr.VerdictDrop, ""))
	number(own, source)
	add(own, isMark(noNumber), verdict(expr.VerdictDrop, ""))
	for _, p := range f.setup.Addresses {
		add(own, destination(family(p.Addr())), equals(p.Addr().AsSlice()), echoRequest(p.Addr()), accept())
	}
	add(own, direction(reply), accept()) // the gateway has asked
	judge(own)

	if f.setup.Masquerade {
		nat := base("postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, nftables.ChainTypeNAT)
		for _, p := range f.setup.Addresses {
			add(nat, source(family(p.Addr())), within(p.Masked()), notTo(laptops), []expr.Any{&expr.Masq{}})
		}
	}
}
