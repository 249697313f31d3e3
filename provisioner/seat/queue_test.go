package seat_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

func TestNext(t *testing.T) {
	const ordinary, crisis = provisioner.PriorityOrdinary, provisioner.PriorityCrisis
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	free := seat.Offer{Pool: "vpn", Quantity: of(10, 0), Held: 9}
	full := seat.Offer{Pool: "vpn", Quantity: of(10, 0), Held: 10}
	lent := seat.Offer{Pool: "vpn", Quantity: of(10, 0), Held: 9, Guarantee: 4, TenantHeld: 3}
	named := seat.Offer{Pool: "names", Model: provisioner.PoolNamed, Quantity: of(10, 0)}
	waits := func(device string, class provisioner.PriorityClass, after time.Duration, offers ...seat.Offer) seat.Waiting {
		return seat.Waiting{Entry: seat.Entry{Claim: seat.Claim{Tenant: "stadt", Class: class}, Device: device, Since: at.Add(after)}, Offers: offers}
	}
	for _, c := range []struct {
		name string
		list []seat.Waiting
		next string // empty: nobody
	}{
		{"nobody waits", nil, ""},
		{"nothing is free", []seat.Waiting{waits("a", crisis, 0, full)}, ""},
		{"who came first", []seat.Waiting{waits("a", ordinary, time.Second, free), waits("b", ordinary, 0, free)}, "b"},
		{"at one time, by device", []seat.Waiting{waits("b", ordinary, 0, free), waits("a", ordinary, 0, free)}, "a"},
		{"class before time", []seat.Waiting{waits("a", ordinary, 0, free), waits("b", crisis, time.Hour, free)}, "b"},
		{"what was lent goes back before class", []seat.Waiting{waits("a", crisis, 0, free), waits("b", ordinary, time.Hour, lent)}, "b"},
		{"who is first and gets none is passed", []seat.Waiting{waits("a", crisis, 0, full), waits("b", ordinary, 0, free)}, "b"},
		{"a named seat", []seat.Waiting{waits("a", ordinary, 0, named)}, "a"},
		{"of a contract that is over", []seat.Waiting{waits("a", ordinary, 0, seat.Offer{Pool: "vpn", Quantity: provisioner.Quantity{Seats: 5}})}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, _ := seat.Next(c.list, nil)
			if got := nameOf(next); got != c.next {
				t.Errorf("next is %q, want %q", got, c.next)
			}
		})
	}
}

func nameOf(w *seat.Waiting) string {
	if w == nil {
		return ""
	}
	return w.Device
}

// queue is a house before whose door people wait.
type queue struct {
	house
	waiting []place
	held    []holder // sessions
	came    int
}

type place struct {
	holder
	seat.Entry
	lost bool // it keeps its place, and is passed
}

func (q *queue) list() (list []seat.Waiting) {
	for _, p := range q.waiting {
		if !p.lost {
			list = append(list, seat.Waiting{Entry: p.Entry, Offers: []seat.Offer{q.offer(p.holder)}})
		}
	}
	return list
}

func (q *queue) offer(who holder) seat.Offer {
	o := q.house.offer(who)
	for _, p := range q.waiting {
		if p.lost {
			continue
		}
		o.Waiting++
		if p.tenant == who.tenant {
			o.ClassBefore = o.ClassBefore || p.class == who.class
			o.TenantBefore = o.TenantBefore || p.class.Rank() <= who.class.Rank()
		}
	}
	return o
}

// come opens a session for somebody, or has her wait.
func (q *queue) come(who holder) (opened bool) {
	q.came++
	if _, refusal := seat.Choose([]seat.Offer{q.offer(who)}); refusal == nil {
		q.take(who)
		q.held = append(q.held, who)
		return true
	}
	q.waiting = append(q.waiting, place{holder: who, Entry: seat.Entry{
		Claim:  seat.Claim{Tenant: fmt.Sprint(who.tenant), Class: who.class},
		Device: fmt.Sprintf("device%04d", q.came), Since: time.Unix(int64(q.came), 0),
	}})
	return false
}

// Whatever order people come, wait, lose their connection and go in, and whatever is
// guaranteed, lent and reserved: who comes within what is protected of her tenant's
// guarantee never waits, but behind others who were about to get that; while somebody waits who is connected and entitled, no seat
// is idle that is promised to nobody else; a seat that comes free goes first to whom
// part of a guarantee is missing, then by class, then to who came first; nobody loses a
// session by it; and nobody passes who waits but with what is her own, and nobody of her
// tenant and class at all.
func TestTheQueueIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seats := rapid.Int64Range(0, 12).Draw(t, "seats")
		q := queue{house: house{
			pool:    provisioner.LicencePool{Name: "vpn", LendGuaranteed: rapid.SampledFrom([]int64{0, 50, 100}).Draw(t, "lend")},
			now:     of(seats, 0),
			classes: map[provisioner.PriorityClass]int64{}, held: map[holder][]provisioner.PriorityClass{},
		}}
		left := seats
		crisis := rapid.Int64Range(0, min(left, 2)).Draw(t, "reserve")
		q.pool.Reserved = []provisioner.Reserve{{Class: provisioner.PriorityCrisis, Seats: crisis}}
		left -= crisis
		for range rapid.IntRange(1, 3).Draw(t, "tenants") {
			n := rapid.Int64Range(0, left).Draw(t, "guarantee")
			q.pool.Shares = append(q.pool.Shares, provisioner.PoolShare{Guarantee: n})
			q.tenants = append(q.tenants, 0)
			left -= n
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1, 2:
				who := holder{rapid.IntRange(0, len(q.tenants)-1).Draw(t, "tenant"), rapid.SampledFrom(provisioner.PriorityClasses()).Draw(t, "class")}
				before := q.offer(who)
				opened := q.come(who)
				if opened && before.ClassBefore {
					t.Fatalf("passed one of her tenant and class who waits: %+v", before)
				}
				if opened && before.Waiting > 0 && before.TenantHeld >= before.Protected && before.ClassHeld >= before.Reserve {
					t.Fatalf("passed %d who wait: %+v", before.Waiting, before)
				} else if !opened && (before.TenantHeld < before.Protected && !before.TenantBefore || before.ClassHeld < before.Reserve && !before.ClassBefore) {
					t.Fatalf("waits within what is hers: %+v", before)
				}
			case 3, 4:
				if len(q.held) > 0 {
					i := rapid.IntRange(0, len(q.held)-1).Draw(t, "goes")
					q.give(q.held[i])
					q.held = slices.Delete(q.held, i, i+1)
				}
			case 5:
				if len(q.waiting) > 0 {
					p := &q.waiting[rapid.IntRange(0, len(q.waiting)-1).Draw(t, "loses")]
					p.lost = !p.lost
				}
			}
			if rapid.IntRange(0, 2).Draw(t, "is looked at") > 0 {
				q.dispatch(t)
			}
		}
	})
}

// among those who may be next are those that are listed as first.
func among(list []seat.Waiting, first []seat.Entry) []seat.Waiting {
	return slices.DeleteFunc(slices.Clone(list), func(w seat.Waiting) bool {
		return !slices.ContainsFunc(first, func(e seat.Entry) bool { return e.Device == w.Device })
	})
}

// dispatch gives away what there is, and judges each step.
func (q *queue) dispatch(t *rapid.T) {
	var first []seat.Entry
	var last *seat.Turn
	for {
		sessions := len(q.held)
		list := q.list()
		next, pool := seat.Next(list, nil)
		if some, _ := seat.Next(among(list, first), last); some != nil && some.Device != next.Device {
			t.Fatalf("%s of those who were first before, and %s of all", some.Device, next.Device)
		} else if some == nil {
			first, last = seat.First(list, 3)
			if some, _ := seat.Next(among(list, first), last); nameOf(some) != nameOf(next) {
				t.Fatalf("%q of the first ones, and %q of all", nameOf(some), nameOf(next))
			}
		}
		if next == nil {
			for _, w := range list {
				o := w.Offers[0]
				if o.Held < o.Quantity.Most() && (o.Held+o.UnusedGuarantee+o.UnusedReserve < o.Quantity.Most() || o.TenantHeld < o.Protected || o.ClassHeld < o.Reserve) {
					t.Fatalf("a seat idles that %s may have: %+v", w.Device, o)
				}
			}
			return
		}
		if pool != "vpn" {
			t.Fatalf("of pool %q", pool)
		}
		for _, w := range list {
			if w.Offers[0].Free() == 0 || w.Device == next.Device {
				continue
			}
			lent, first := w.Offers[0].Within(), next.Offers[0].Within()
			if lent && !first || lent == first && (w.Class.Rank() < next.Class.Rank() || w.Class.Rank() == next.Class.Rank() && w.Since.Before(next.Since)) {
				t.Fatalf("%+v before %+v", *next, w)
			}
		}
		i := slices.IndexFunc(q.waiting, func(p place) bool { return p.Device == next.Device })
		who := q.waiting[i].holder
		q.take(who)
		q.held = append(q.held, who)
		q.waiting = slices.Delete(q.waiting, i, i+1)
		if q.total() > q.now.Most() {
			t.Fatalf("%d seats held of %d", q.total(), q.now.Most())
		}
		if len(q.held) != sessions+1 {
			t.Fatal("somebody lost a session")
		}
	}
}

func TestPositions(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	entry := func(device, tenant string, class provisioner.PriorityClass, after int) seat.Entry {
		return seat.Entry{Claim: seat.Claim{Tenant: tenant, Class: class}, Device: device, Since: at.Add(time.Duration(after) * time.Second)}
	}
	got := seat.Positions([]seat.Entry{
		entry("late", "stadt", provisioner.PriorityOrdinary, 2), entry("early", "stadt", provisioner.PriorityOrdinary, 1),
		entry("crisis", "stadt", provisioner.PriorityCrisis, 3), entry("lender", "dorf", provisioner.PriorityOrdinary, 4),
		entry("nobody's", "weiler", provisioner.PriorityOrdinary, 0),
	}, map[string][]seat.Entitled{"dorf": {{Pool: "vpn", Within: true}, {Pool: "dorf"}}, "stadt": {{Pool: "vpn"}}})
	want := map[string]map[string]int64{"vpn": {"lender": 1, "crisis": 2, "early": 3, "late": 4}, "dorf": {"lender": 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHowLongSheWaits(t *testing.T) {
	for _, c := range []struct {
		freed    seat.Freed
		position int64
		wait     time.Duration
	}{
		{seat.Freed{}, 1, 0},
		{seat.Freed{Lately: 4, Known: 4}, 1, 0},
		{seat.Freed{Known: 60}, 1, 0}, // none in the last half hour: nobody can tell
		{seat.Freed{Lately: 30, Known: 31}, 1, time.Minute},
		{seat.Freed{Lately: 5, Known: 5}, 2, 12 * time.Minute},
	} {
		if got := c.freed.Wait(c.position); got != c.wait {
			t.Errorf("%+v at %d: %v, want %v", c.freed, c.position, got, c.wait)
		}
	}
}
