package seat_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

func of(seats, burst int64) provisioner.Quantity {
	return provisioner.Quantity{Seats: seats, Burst: burst, Running: 1}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name   string
		offers []seat.Offer
		pool   string
		code   provisioner.Code
	}{
		{name: "no pool", code: provisioner.CodeNoLicence},
		{name: "no contract runs", offers: []seat.Offer{{Pool: "vpn"}}, code: provisioner.CodeNoLicence},
		{name: "last seat", offers: []seat.Offer{{Pool: "vpn", Quantity: of(10, 0), Held: 9}}, pool: "vpn"},
		{name: "full", offers: []seat.Offer{{Pool: "vpn", Quantity: of(10, 0), Held: 10}}, code: provisioner.CodeNoSeat},
		{name: "burst", offers: []seat.Offer{{Pool: "vpn", Quantity: of(10, 1), Held: 10}}, pool: "vpn"},
		{name: "shrunk below what is held", offers: []seat.Offer{{Pool: "vpn", Quantity: of(5, 0), Held: 9}}, code: provisioner.CodeNoSeat},
		{name: "shrunk, and within a guarantee", offers: []seat.Offer{{Pool: "vpn", Quantity: of(5, 0), Held: 9, Protected: 5, Guarantee: 5, UnusedGuarantee: 5}}, code: provisioner.CodeNoSeat},
		{name: "the rest is another's guarantee", offers: []seat.Offer{{Pool: "vpn", Quantity: of(10, 0), Held: 6, UnusedGuarantee: 4}}, code: provisioner.CodeNoSeat},
		{name: "the rest is one's own guarantee", offers: []seat.Offer{
			{Pool: "vpn", Quantity: of(10, 0), Held: 6, UnusedGuarantee: 4, Guarantee: 5, Protected: 5, TenantHeld: 1},
		}, pool: "vpn"},
		{name: "the rest is reserved", offers: []seat.Offer{{Pool: "vpn", Quantity: of(10, 0), Held: 8, UnusedReserve: 2}}, code: provisioner.CodeNoSeat},
		{name: "the rest is reserved for her class", offers: []seat.Offer{
			{Pool: "vpn", Quantity: of(10, 0), Held: 8, UnusedReserve: 2, Reserve: 3, ClassHeld: 1},
		}, pool: "vpn"},
		{name: "guarantee before free seats", offers: []seat.Offer{
			{Pool: "big", Quantity: of(100, 0)},
			{Pool: "own", Quantity: of(10, 0), UnusedGuarantee: 1, Guarantee: 1, Protected: 1},
		}, pool: "own"},
		{name: "who comes does not pass who waits", offers: []seat.Offer{{Pool: "vpn", Quantity: of(10, 0), Held: 9, Waiting: 1}}, code: provisioner.CodeNoSeat},
		{name: "who waits is nothing to a guarantee", offers: []seat.Offer{
			{Pool: "vpn", Quantity: of(10, 0), Held: 9, Waiting: 9, UnusedGuarantee: 1, Guarantee: 1, Protected: 1},
		}, pool: "vpn"},
		{name: "unless they are of her own", offers: []seat.Offer{
			{Pool: "vpn", Quantity: of(10, 0), Held: 9, Waiting: 9, UnusedGuarantee: 1, Guarantee: 1, Protected: 1, TenantBefore: true},
		}, code: provisioner.CodeNoSeat},
		{name: "of her class, for which it is reserved", offers: []seat.Offer{
			{Pool: "vpn", Quantity: of(10, 0), Held: 9, Waiting: 1, UnusedReserve: 1, Reserve: 1, ClassBefore: true},
		}, code: provisioner.CodeNoSeat},
		{name: "her named seat first", offers: []seat.Offer{
			{Pool: "vpn", Quantity: of(10, 0)}, {Pool: "names", Model: provisioner.PoolNamed, Quantity: of(5, 0), Held: 5, Assigned: true},
		}, pool: "names"},
		{name: "a seat for a session before one for a name", offers: []seat.Offer{
			{Pool: "names", Model: provisioner.PoolNamed, Quantity: of(5, 0)}, {Pool: "vpn", Quantity: of(10, 0), Held: 9},
		}, pool: "vpn"},
		{name: "a seat for a name where there is no other", offers: []seat.Offer{
			{Pool: "names", Model: provisioner.PoolNamed, Quantity: of(5, 0)}, {Pool: "vpn", Quantity: of(10, 0), Held: 10},
		}, pool: "names"},
		{name: "her named seat of a contract that is over", offers: []seat.Offer{{Pool: "names", Model: provisioner.PoolNamed, Assigned: true}}, code: provisioner.CodeNoLicence},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, refusal := seat.Choose(c.offers)
			if got != c.pool {
				t.Errorf("pool %q, want %q", got, c.pool)
			}
			if (refusal == nil) != (c.code == "") || refusal != nil && refusal.Code != c.code {
				t.Errorf("refusal %v, want %q", refusal, c.code)
			}
		})
	}
}

// house is a pool with everybody who holds seats of it.
type house struct {
	pool    provisioner.LicencePool
	now     provisioner.Quantity
	tenants []int64 // held, but for those out of reserves
	classes map[provisioner.PriorityClass]int64
	held    map[holder][]provisioner.PriorityClass // out of which reserve
}

type holder struct {
	tenant int
	class  provisioner.PriorityClass
}

func (h *house) total() (n int64) {
	for _, list := range h.held {
		n += int64(len(list))
	}
	return n
}

func (h *house) offer(who holder) seat.Offer {
	o := seat.Offer{Pool: h.pool.Name, Quantity: h.now, Held: h.total(), TenantHeld: h.tenants[who.tenant], Guarantee: h.pool.Shares[who.tenant].Guarantee}
	o.Protected = h.pool.Protected(o.Guarantee)
	for i, s := range h.pool.Shares {
		o.UnusedGuarantee += max(0, h.pool.Protected(s.Guarantee)-h.tenants[i])
	}
	for _, r := range h.pool.Reserved {
		o.UnusedReserve += max(0, r.Seats-h.classes[r.Class])
		if r.Class == who.class {
			o.Reserve, o.ClassHeld = r.Seats, h.classes[r.Class]
		}
	}
	return o
}

// take gives a seat, out of the class's reserve while there is some.
func (h *house) take(who holder) {
	o := h.offer(who)
	paid := provisioner.PriorityOrdinary
	if o.ClassHeld < o.Reserve {
		paid = who.class
		h.classes[who.class]++
	} else {
		h.tenants[who.tenant]++
	}
	h.held[who] = append(h.held[who], paid)
}

// give takes a seat back from somebody, if there is one.
func (h *house) give(who holder) {
	list := h.held[who]
	if len(list) == 0 {
		return
	}
	if paid := list[0]; paid == provisioner.PriorityOrdinary {
		h.tenants[who.tenant]--
	} else {
		h.classes[paid]--
	}
	h.held[who] = list[1:]
}

// Whatever order tenants and classes come and go in, and however the pool shrinks
// and grows: no seat above quantity plus burst is granted; as long as there are as
// many seats as are promised, nobody waits who is within what is protected of her
// tenant's guarantee or within her class's reserve; nobody is refused while a seat
// is free that is promised to no other; and Free counts as many as are granted.
func TestPromisesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seats := rapid.Int64Range(0, 20).Draw(t, "seats")
		h := house{
			pool:    provisioner.LicencePool{Name: "vpn", LendGuaranteed: rapid.SampledFrom([]int64{0, 0, 25, 50, 100}).Draw(t, "lend")},
			now:     of(seats, rapid.Int64Range(0, 3).Draw(t, "burst")),
			classes: map[provisioner.PriorityClass]int64{}, held: map[holder][]provisioner.PriorityClass{},
		}
		left := seats
		for _, class := range []provisioner.PriorityClass{provisioner.PriorityCrisis, provisioner.PriorityControl} {
			n := rapid.Int64Range(0, min(left, 4)).Draw(t, "reserve")
			h.pool.Reserved = append(h.pool.Reserved, provisioner.Reserve{Class: class, Seats: n})
			left -= n
		}
		for range rapid.IntRange(1, 4).Draw(t, "tenants") {
			n := rapid.Int64Range(0, left).Draw(t, "guarantee")
			h.pool.Shares = append(h.pool.Shares, provisioner.PoolShare{Guarantee: n})
			h.tenants = append(h.tenants, 0)
			left -= n
		}
		shrunk := false
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			who := holder{rapid.IntRange(0, len(h.tenants)-1).Draw(t, "tenant"), rapid.SampledFrom(provisioner.PriorityClasses()).Draw(t, "class")}
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2:
				h.give(who)
				continue
			case 3:
				h.now.Seats = rapid.SampledFrom([]int64{seats, seats / 2}).Draw(t, "now")
				shrunk = shrunk || h.now.Seats < seats
				continue
			}
			o := h.offer(who)
			_, refusal := seat.Choose([]seat.Offer{o})
			if (refusal == nil) != (o.Free() > 0) {
				t.Fatalf("%d free, and %v", o.Free(), refusal)
			}
			if refusal == nil {
				h.take(who)
				if h.total() > h.now.Most() {
					t.Fatalf("%d seats held of %d", h.total(), h.now.Most())
				}
				if after := h.offer(who).Free(); after != o.Free()-1 {
					t.Fatalf("%d free, one of them was taken, %d free", o.Free(), after)
				}
				continue
			}
			if o.Held < h.now.Most() && (o.TenantHeld < o.Protected || o.ClassHeld < o.Reserve) {
				t.Fatalf("refused within what is hers: %+v", o)
			}
			if !shrunk && (o.TenantHeld < o.Protected || o.ClassHeld < o.Reserve) {
				t.Fatalf("refused within what is hers, and the pool never shrank: %+v", o)
			}
			if promised := o.UnusedGuarantee + o.UnusedReserve; o.Held+promised < h.now.Most() {
				t.Fatalf("refused, and a seat is free that is promised to nobody: %+v", o)
			}
		}
	})
}
