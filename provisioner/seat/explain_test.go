package seat_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

func TestExplain(t *testing.T) {
	crisis := seat.Claim{Tenant: "stadt", Class: provisioner.PriorityCrisis}
	for _, c := range []struct {
		name   string
		claim  seat.Claim
		offers []seat.Offer
		pool   string
		want   string // ! is against her, * is of all tenants
	}{
		{name: "no pool", claim: seat.Claim{Tenant: "stadt"}, want: `
!No licence pool is declared for the tenant stadt.`},
		{name: "no contract", offers: []seat.Offer{{Pool: "vpn"}}, want: `
!vpn: No contract runs.
!She gets no seat: no contract runs.`},
		{name: "assigned", pool: "names", offers: []seat.Offer{{Pool: "names", Model: provisioner.PoolNamed, Quantity: of(3, 0), Held: 3, Assigned: true}}, want: `
names: Contracts that run: 1, with 3 seats and a burst of 0.
names: A seat is assigned to her. Her sessions are not counted again.
She gets a seat of names.`},
		{name: "taken back and counted on", pool: "names", offers: []seat.Offer{{Pool: "names", Model: provisioner.PoolNamed, Quantity: of(3, 0), Held: 3, Kept: true}}, want: `
names: Contracts that run: 1, with 3 seats and a burst of 0.
names: A seat was taken back from her and is still counted; it would be hers again where there is no other.
She gets a seat of names.`},
		{name: "none to assign", offers: []seat.Offer{{Pool: "names", Model: provisioner.PoolNamed, Quantity: of(3, 1), Held: 4}}, want: `
names: Contracts that run: 1, with 3 seats and a burst of 1.
names: Seats are assigned to people. None is assigned to her; she would get a free one where there is no other.
*names: Held are 4 of 4.
names: Nothing is guaranteed to her tenant; seats that it borrows: 0.
!names: All seats are taken.
!She gets no seat now: no pool has one free for her.`},
		{name: "promised to others", offers: []seat.Offer{{Pool: "vpn", Quantity: of(10, 0), Held: 4, UnusedGuarantee: 4, UnusedReserve: 2, TenantHeld: 2, Guarantee: 2, Protected: 2}}, want: `
vpn: Contracts that run: 1, with 10 seats and a burst of 0.
*vpn: Held are 4 of 10.
vpn: 2 are guaranteed to her tenant, which holds 2: the guarantee is used up.
*vpn: Guaranteed to other tenants, not held by them and not lent: 4.
*vpn: Reserved for other classes and not held: 2.
!vpn: What is free yet is guaranteed to others or reserved for others.
!She gets no seat now: no pool has one free for her.`},
		{name: "others wait", offers: []seat.Offer{{Pool: "vpn", Quantity: of(10, 0), Held: 9, Waiting: 2}}, want: `
vpn: Contracts that run: 1, with 10 seats and a burst of 0.
*vpn: Held are 9 of 10.
vpn: Nothing is guaranteed to her tenant; seats that it borrows: 0.
*vpn: Waiting: 2.
!vpn: One is free, but others wait already.
!She gets no seat now: no pool has one free for her.`},
		{name: "reserved for her", claim: crisis, pool: "vpn", offers: []seat.Offer{{Pool: "vpn", Quantity: of(10, 0), Held: 7, UnusedReserve: 3, Reserve: 3, Guarantee: 5, Protected: 3, TenantHeld: 4}}, want: `
vpn: Contracts that run: 1, with 10 seats and a burst of 0.
*vpn: Held are 7 of 10.
vpn: 5 are guaranteed to her tenant, which holds 4; the rest may be lent.
vpn: 3 are reserved for the crisis team, to which she belongs.
*vpn: Of those 0 are held: she need not wait.
vpn: A seat is free for her.
She gets a seat of vpn.`},
		{name: "others of hers are before her", claim: seat.Claim{Class: provisioner.PriorityCrisis}, offers: []seat.Offer{{
			Pool: "vpn", Quantity: of(5, 0), Held: 3, Guarantee: 2, Protected: 2, TenantHeld: 1, UnusedGuarantee: 1, Reserve: 1, UnusedReserve: 1,
			Waiting: 1, TenantBefore: true, ClassBefore: true,
		}}, want: `
vpn: Contracts that run: 1, with 5 seats and a burst of 0.
*vpn: Held are 3 of 5.
vpn: 2 are guaranteed to her tenant, which holds 1; but others of it wait already.
vpn: 1 are reserved for the crisis team, to which she belongs.
*vpn: Of those 0 are held; but others wait already.
*vpn: Waiting: 1.
!vpn: One is free, but others wait already.
!She gets no seat now: no pool has one free for her.`},
		{name: "drains", offers: []seat.Offer{{Pool: "vpn", Quantity: of(5, 0), Held: 9, Guarantee: 2, Protected: 2, TenantHeld: 1, UnusedGuarantee: 1}}, want: `
vpn: Contracts that run: 1, with 5 seats and a burst of 0.
*vpn: Held are 9 of 5.
*vpn: The pool has shrunk below what is held: whoever is in stays, until it has drained.
vpn: 2 are guaranteed to her tenant, which holds 1.
!vpn: All seats are taken.
!She gets no seat now: no pool has one free for her.`},
	} {
		t.Run(c.name, func(t *testing.T) {
			pool, steps := seat.Explain(c.claim, c.offers)
			var b strings.Builder
			for _, s := range steps {
				b.WriteString("\n")
				if s.Against {
					b.WriteString("!")
				}
				if s.Whole {
					b.WriteString("*")
				}
				if s.Pool != "" {
					b.WriteString(s.Pool + ": ")
				}
				b.WriteString(s.English)
			}
			if diff := cmp.Diff(c.want, b.String()); diff != "" || pool != c.pool {
				t.Errorf("pool %q (-want +got):\n%s", pool, diff)
			}
		})
	}
}

// What is explained is what is decided.
func TestExplainAgreesWithChoose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(most int64, name string) int64 { return rapid.Int64Range(0, most).Draw(t, name) }
		var offers []seat.Offer
		for i := range rapid.IntRange(0, 3).Draw(t, "pools") {
			o := seat.Offer{
				Pool: string(rune('a' + i)), Model: rapid.SampledFrom([]provisioner.PoolModel{provisioner.PoolConcurrent, provisioner.PoolNamed}).Draw(t, "model"),
				Quantity: of(n(6, "seats"), n(2, "burst")), Held: n(8, "held"), UnusedGuarantee: n(4, "unused"), UnusedReserve: n(3, "reserve unused"),
				Guarantee: n(4, "guarantee"), TenantHeld: n(4, "tenant held"), Reserve: n(3, "reserve"), ClassHeld: n(3, "class held"), Waiting: n(2, "waiting"),
			}
			o.Protected = o.Guarantee
			o.TenantBefore, o.ClassBefore = o.Waiting > 0 && rapid.Bool().Draw(t, "tenant before"), o.Waiting > 0 && rapid.Bool().Draw(t, "class before")
			o.Assigned = o.Model == provisioner.PoolNamed && rapid.Bool().Draw(t, "assigned")
			o.Kept = o.Model == provisioner.PoolNamed && !o.Assigned && rapid.Bool().Draw(t, "kept")
			offers = append(offers, o)
		}
		want, refusal := seat.Choose(offers)
		pool, steps := seat.Explain(seat.Claim{Tenant: "stadt"}, offers)
		last := steps[len(steps)-1]
		if pool != want || last.Against != (refusal != nil) || last.Pool != "" {
			t.Fatalf("%q and %+v, want %q and %v", pool, last, want, refusal)
		}
		for _, s := range steps {
			if s.German == "" || s.English == "" || strings.Contains(s.German+s.English, "%!") {
				t.Fatalf("%+v", s)
			}
		}
	})
}
