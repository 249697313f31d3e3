package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// forget ends connections as a gateway does.
func forget(f *Filter, addresses ...netip.Addr) error {
	end, err := f.Forget(addresses)
	if err == nil {
		err = end(context.Background())
	}
	if err == nil {
		f.Forgotten()
	}
	return err
}

func inherits(f *Filter, c Change) bool {
	return slices.ContainsFunc(c.Guard.Addresses, func(a netip.Addr) bool { return f.Inherits(c.Session, a) })
}

// hand makes changes as a gateway does: who inherits comes last. It fails if somebody has to who should not, or the reverse.
func hand(t *testing.T, f *Filter, heirs int, changes ...Change) {
	t.Helper()
	var now, later []Change
	var addresses []netip.Addr
	for _, c := range changes {
		if c.Guard != nil && inherits(f, c) {
			later, addresses = append(later, c), append(addresses, c.Guard.Addresses...)
		} else {
			now = append(now, c)
		}
	}
	if len(later) != heirs {
		t.Errorf("%d inherit, not %d: %v", len(later), heirs, changes)
	}
	check(t, f.Apply(now))
	if len(later) == 0 {
		return
	}
	check(t, forget(f, addresses...))
	for _, c := range later {
		if inherits(f, c) {
			t.Errorf("%s inherits what is forgotten", c.Session)
		}
	}
	check(t, f.Apply(later))
}

// Whoever gets an address inherits nothing of who had it: no answer comes to her, with or without masquerading, and what she
// sends is a connection of her own. Who comes back finds hers, and others' go on.
func TestTheFormerHoldersConnections(t *testing.T) {
	for _, masquerade := range []bool{false, true} {
		t.Run(fmt.Sprint("masquerade=", masquerade), func(t *testing.T) {
			r, f := world(t)
			s := setup()
			s.Masquerade = masquerade
			check(t, f.Configure(s))
			check(t, forget(f))
			stadt := list("gerufen", "10.1.0.0/16", "fd00:1::/64")
			stadt.Callers = list("", "10.1.0.40/32").Targets
			anna, zoe := guard(stadt, "10.80.1.1", "fd80:1::1:1"), guard(list("alle", "10.0.0.0/8", "fd00::/16"), "10.80.1.1", "fd80:1::1:1")
			zoe.List.Callers = stadt.Callers
			hand(t, f, 0, Change{"anna", anna})
			own := []flow{udp("10.80.1.1:7", "10.1.2.3:53"), tcp("10.80.1.1:7", "10.1.2.3:80"), udp("[fd80:1::1:1]:7", "[fd00:1::3]:53"), tcp("[fd80:1::1:1]:7", "[fd00:1::3]:80")}
			theirs := udp("10.80.1.2:7", "10.3.0.1:53") // bert's
			call := udp("10.1.0.40:7", "10.80.1.1:5900")
			answer := func(q flow) []byte {
				b := q.back()
				if masquerade {
					outside := map[bool]string{true: "10.1.0.1", false: "fd00:1::1"}[b.to.Addr().Is4()]
					b.to = netip.AddrPortFrom(netip.MustParseAddr(outside), b.to.Port())
				}
				return b.packet(syn | ack)
			}
			for _, q := range append(slices.Clone(own), theirs) {
				r.goes(t, "a question", q.packet(syn), true)
				r.comes(t, "its answer", answer(q), true)
			}
			r.comes(t, "a call", call.packet(), true)

			hand(t, f, 0, Change{"anna", nil})
			hand(t, f, 0, Change{"anna", anna})
			for _, q := range own {
				r.comes(t, "an answer for who came back", answer(q), true)
			}

			hand(t, f, 0, Change{"anna", nil})
			hand(t, f, 1, Change{"zoe", zoe})
			for _, q := range own {
				r.comes(t, fmt.Sprintf("an answer to %v for who has the address now", q), answer(q), false)
			}
			r.goes(t, "her answer to a call to the former one", call.back().packet(), true) // it is her own question
			r.comes(t, "and what comes back", answer(call.back()), true)
			r.comes(t, "an answer to somebody else", answer(theirs), true)
			for i := range own {
				if masquerade { // the stray answers have taken the port outside
					own[i].from = netip.AddrPortFrom(own[i].from.Addr(), 8)
				}
				r.goes(t, "her own question", own[i].packet(syn), true)
				r.comes(t, "its answer", answer(own[i]), true)
			}

			hand(t, f, 1, Change{"anna", anna}, Change{"zoe", nil}) // from one to the other in one step
			for _, q := range own {
				r.comes(t, "an answer for the next who has the address", answer(q), false)
			}
			r.comes(t, "an answer to somebody else", answer(theirs), true)
		})
	}
}

// A process that begins knows nobody who had an address before: what nobody has now is forgotten, and what she has who had it
// goes on, through the table of the former process and the next one's.
func TestConnectionsOverARestart(t *testing.T) {
	r, f := world(t)
	hers, gone := udp("10.80.1.1:7", "10.1.2.3:53"), udp("10.80.1.2:7", "10.3.0.1:53")
	for _, q := range []flow{hers, gone} {
		r.goes(t, "a question", q.packet(), true)
		r.comes(t, "its answer", q.back().packet(), true)
	}
	check(t, f.Leave())
	next, err := Open(func() {})
	check(t, err)
	defer func() { check(t, next.Close()) }()
	check(t, next.Apply([]Change{{"anna", guard(list("stadt", "10.1.0.0/16"), "10.80.1.1", "fd80:1::1:1")}}))
	r.goes(t, "between two processes", hers.packet(), true)
	check(t, next.Configure(setup()))
	r.comes(t, "with the next process's table", hers.back().packet(), true)
	r.goes(t, "of whom it knows nothing", gone.packet(), false)
	hand(t, next, 1, Change{"zoe", guard(list("dorf", "10.3.0.0/16"), "10.80.1.2")})
	r.comes(t, "an answer for the present one", hers.back().packet(), true)
	r.comes(t, "an answer for who has the address now", gone.back().packet(), false)
}

// Without the rights, or a kernel that can, it is said, and nothing counts as done.
func TestForgettingFails(t *testing.T) {
	r, f := world(t)
	r.goes(t, "a question", udp("10.80.1.1:7", "10.1.2.3:53").packet(), true)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var rights, fewer [2]unix.CapUserData
	check(t, unix.Capget(&header, &rights[0]))
	for i := range rights {
		fewer[i].Permitted = rights[i].Permitted
	}
	check(t, unix.Capset(&header, &fewer[0]))
	err := forget(f)
	check(t, unix.Capset(&header, &rights[0]))
	if !errors.Is(err, unix.EPERM) || f.swept {
		t.Errorf("without rights: %v", err)
	}
	check(t, forget(f))
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	end, err := f.Forget(nil)
	check(t, err)
	if err := end(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("somebody wanted it no longer: %v", err)
	}
}

// What the kernel says is read by its lengths, whatever they are.
func FuzzConnection(f *testing.F) {
	attribute := func(kind uint16, content ...byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(content)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), content...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	tuple := attribute(unix.NLA_F_NESTED|attributeAddresses, slices.Concat(attribute(1, 10, 80, 1, 1), attribute(2, 10, 1, 2, 3))...)
	message := slices.Concat([]byte{unix.AF_INET, 0, 0, 0}, attribute(unix.NLA_F_NESTED|attributeOriginal, tuple...), attribute(attributeReply, tuple...), attribute(attributeID, 0, 0, 0, 7))
	f.Add(message)
	f.Add(message[:len(message)-3])
	f.Add([]byte{0, 0, 0, 0, 3, 0, 1, 0})
	hers := netip.MustParseAddr("10.80.1.1")
	if c, found := concerned(message, func(a netip.Addr) bool { return a == hers }); !found || len(c.attributes) != 2 {
		f.Fatalf("a connection is read as %v, %v", c, found)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		size := 0
		c, _ := concerned(b, func(netip.Addr) bool { return true })
		for _, a := range c.attributes {
			size += len(a.Data)
		}
		if size > len(b) {
			t.Errorf("%d bytes were read out of %d", size, len(b))
		}
	})
}

// BenchmarkForget is an address that comes to somebody else, on a gateway over which much or nothing goes.
func BenchmarkForget(b *testing.B) {
	for _, v := range []struct{ connections, addresses int }{{0, 1}, {100_000, 1}, {100_000, 128}} {
		b.Run(fmt.Sprintf("connections=%d/addresses=%d", v.connections, v.addresses), func(b *testing.B) {
			testneed.Root(b)
			isolate(b)
			f, err := Open(func() {})
			if err == nil {
				err = errors.Join(f.Configure(setup()), forget(f), connect(v.connections))
			}
			holders := [2]string{"a", "b"}
			for i := 0; err == nil && b.Loop(); i++ {
				var leave, come []Change
				var addresses []netip.Addr
				for n := range v.addresses {
					a := netip.AddrFrom4([4]byte{10, 80, 255, byte(n)})
					addresses = append(addresses, a)
					leave = append(leave, Change{fmt.Sprint(holders[(i+1)%2], n), nil})
					come = append(come, Change{fmt.Sprint(holders[i%2], n), &Guard{Addresses: []netip.Addr{a}}})
				}
				err = errors.Join(f.Apply(leave), forget(f, addresses...), f.Apply(come))
			}
			if err = errors.Join(err, f.Close()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// connect has the kernel remember connections of laptops.
func connect(n int) error {
	c, err := openConnections()
	if err != nil {
		return err
	}
	nested := func(kind uint16, parts ...[]byte) []byte {
		b, _ := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NLA_F_NESTED | kind, Data: slices.Concat(parts...)}})
		return b
	}
	value := func(kind uint16, data ...byte) []byte {
		b, _ := netlink.MarshalAttributes([]netlink.Attribute{{Type: kind, Data: data}})
		return b
	}
	tuple := func(kind uint16, from, to [4]byte, fromPort, toPort uint16) []byte {
		return nested(kind, nested(attributeAddresses, value(1, from[:]...), value(2, to[:]...)),
			nested(2, value(1, unix.IPPROTO_UDP), value(2, binary.BigEndian.AppendUint16(nil, fromPort)...), value(3, binary.BigEndian.AppendUint16(nil, toPort)...)))
	}
	const timeout = 7
	for i := 0; i < n && err == nil; i++ {
		laptop, server, port := [4]byte{10, 80, byte(i >> 8 & 63), byte(i)}, [4]byte{10, 1, byte(i >> 14), 1}, uint16(1+i%60000)
		err = c.send(subsystem, netlink.Acknowledge|netlink.Create|netlink.Excl, unix.AF_INET, slices.Concat(
			tuple(attributeOriginal, laptop, server, port, 53), tuple(attributeReply, server, laptop, 53, port), value(timeout, 0, 0, 2, 88)))
		if err == nil {
			err = c.answers(context.Background(), func([]byte) {})
		}
	}
	return errors.Join(err, c.close())
}
