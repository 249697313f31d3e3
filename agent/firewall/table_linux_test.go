package firewall

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/heimdraht/heimdraht/internal/testneed"
)

// Whatever somebody else does to our table, it comes back; what is theirs stays.
func TestTheTableComesBack(t *testing.T) {
	r := newRouter(t)
	r.run("nft", "add table inet others; add chain inet others mine { type filter hook forward priority 0; }")
	lost := make(chan struct{}, 1000)
	f := newFilter(t, func() { lost <- struct{}{} })
	check(t, f.Apply([]Change{{"anna", guard(list("stadt", "10.1.0.0/16"), "10.80.1.1")}}))
	p := udp("10.80.1.1:7", "10.1.2.3:53").packet()
	r.goes(t, "a packet", p, true)
	if f.Lost() {
		t.Error("our own changes count as somebody else's")
	}
	for _, change := range []string{
		"flush ruleset", "delete table inet heimdraht", "flush table inet heimdraht", "flush map inet heimdraht sessions4",
		"delete element inet heimdraht sessions4 { 10.80.1.1 }", "flush chain inet heimdraht from_laptops", "insert rule inet heimdraht forward accept",
		"add element inet heimdraht sessions4 { 10.80.1.9 : 2 }",
	} {
		before := r.rules()
		r.run("nft", change)
		select {
		case <-lost:
		case <-time.After(5 * time.Second):
			t.Fatalf("after %q nobody was told", change)
		}
		if !f.Lost() {
			t.Fatalf("after %q nothing is lost", change)
		}
		check(t, f.Restore())
		r.goes(t, "a packet after "+change, p, true)
		r.goes(t, "somebody's after "+change, udp("10.80.1.9:7", "10.1.2.3:53").packet(), false)
		if after := r.rules(); change != "flush ruleset" && before != after {
			t.Errorf("after %q there is\n%s\ninstead of\n%s", change, after, before)
		}
		for len(lost) > 0 {
			<-lost
		}
	}
	r.run("nft", "add table inet others; add chain inet others mine")
	check(t, f.Close())
	if got := r.rules(); strings.Contains(got, "heimdraht") || !strings.Contains(got, "others") {
		t.Errorf("after Close:\n%s", got)
	}
	if f.Lost() {
		t.Error("a change of somebody's own table counts as one of ours")
	}
}

// A session is an element of a map and no rule: ten thousand of them have the
// rules that ten have.
func TestRulesDoNotGrowWithSessions(t *testing.T) {
	r := newRouter(t)
	f := newFilter(t, func() {})
	count := func() int { return strings.Count(r.rules(), "\n\t\t") - strings.Count(r.rules(), "\n\t\t\t") }
	check(t, f.Apply(sessions(0, 10)))
	few := count()
	check(t, f.Apply(sessions(10, 10_000)))
	if many := count(); many != few {
		t.Errorf("%d lines of rules for 10 sessions, %d for 10,000", few, many)
	}
	r.goes(t, "one of ten thousand", udp("10.80.39.15:7", "10.1.2.3:53").packet(), true) // 9999 = 39*256+15
	r.run("nft", "flush", "ruleset")
	start := time.Now()
	check(t, f.Restore())
	t.Logf("ten thousand sessions restored in %v", time.Since(start))
	r.goes(t, "one of ten thousand, restored", udp("10.80.39.15:7", "10.1.2.3:53").packet(), true)
}

// sessions are some of a town's, with two addresses and one of three lists each.
func sessions(from, to int) (changes []Change) {
	lists := []*List{list("bauamt", "10.1.0.0/16", "10.2.0.10/32|443"), list("kasse", "10.1.0.0/16", "10.2.0.11/32|443"), list("alle", "10.1.0.0/16")}
	for i := from; i < to; i++ {
		changes = append(changes, Change{fmt.Sprint(i), &Guard{List: lists[i%3], Addresses: []netip.Addr{
			netip.AddrFrom4([4]byte{10, 80, byte(i >> 8), byte(i)}),
			netip.AddrFrom16([16]byte{0xfd, 0x80, 0, 1, 14: byte(i >> 8), 15: byte(i)}),
		}}})
	}
	return changes
}

func TestMasquerade(t *testing.T) {
	r, f := world(t)
	s := setup()
	for range 2 { // the second call changes nothing
		s.Masquerade = true
		check(t, f.Configure(s))
		got := r.rules()
		for _, want := range []string{
			`ip saddr 10.80.0.0/16 oifname != "hd0" masquerade`, `ip6 saddr fd80:1::/48 oifname != "hd0" masquerade`, "type nat hook postrouting priority srcnat",
		} {
			if strings.Count(got, want) != 1 {
				t.Errorf("%q stands not once in:\n%s", want, got)
			}
		}
	}
	question := tcp("10.80.1.1:7", "10.1.2.3:80")
	r.goes(t, "a question behind the gateway's address", question.packet(syn), true)
	answer := flow{question.protocol, question.to, netip.MustParseAddrPort("10.1.0.1:7")}
	r.comes(t, "its answer", answer.packet(syn|ack), true)
	check(t, f.Apply([]Change{{"anna", nil}}))
	r.comes(t, "its answer after the end", answer.packet(ack), false)
}

func TestConfigureRefusesALongName(t *testing.T) {
	newRouter(t)
	f, err := Open(func() {})
	check(t, err)
	s := setup()
	s.Interface = strings.Repeat("x", 16)
	if err := f.Configure(s); !errors.Is(err, ErrUnusable) {
		t.Errorf("a name that the kernel would cut off gives %v", err)
	}
	check(t, f.Close())
	check(t, f.Close())
}

// Without the rights it is said, in words that lead to what is missing.
func TestWithoutRights(t *testing.T) {
	newRouter(t)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData // this thread alone; it ends with the test
	check(t, unix.Capset(&header, &none[0]))
	f, err := Open(func() {})
	if err == nil {
		err = f.Configure(setup())
	}
	if !errors.Is(err, ErrUnusable) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("without rights: %v", err)
	}
}

// A process that is killed leaves its table, which goes on holding; the next
// one takes it over.
func TestTheFormerProcessesTable(t *testing.T) {
	r, f := world(t)
	check(t, f.Leave()) // as the kernel does for it
	p := udp("10.80.1.1:7", "10.1.2.3:53").packet()
	r.goes(t, "a packet after the process was killed", p, true)
	f, err := Open(func() {})
	check(t, err)
	check(t, f.Configure(setup()))
	r.goes(t, "a packet of a session that nobody has named", p, false)
	check(t, f.Close())
}

// BenchmarkChange opens and ends one session beside others.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			testneed.Root(b)
			isolate(b)
			f, err := Open(func() {})
			if err == nil {
				err = f.Configure(setup())
			}
			if err == nil {
				err = f.Apply(sessions(0, n))
			}
			one := sessions(20_000, 20_001)
			for b.Loop() {
				if err == nil {
					err = errors.Join(f.Apply(one), f.Apply([]Change{{one[0].Session, nil}}))
				}
			}
			if err = errors.Join(err, f.Close()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
