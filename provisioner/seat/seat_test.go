package seat_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/seat"
)

func pool(name string, seats, burst int64) provisioner.LicencePool {
	return provisioner.LicencePool{Name: name, Model: provisioner.PoolConcurrent, Seats: seats, Burst: burst}
}

func TestChoose(t *testing.T) {
	now := time.Date(2027, 1, 11, 8, 0, 0, 0, time.UTC)
	ended := pool("ended", 10, 0)
	ended.Until = now
	future := pool("future", 10, 0)
	future.From = now.Add(time.Nanosecond)
	for _, c := range []struct {
		name   string
		offers []seat.Offer
		pool   string
		code   provisioner.Code
	}{
		{name: "no pool", code: provisioner.CodeNoLicence},
		{name: "contract over to the instant", offers: []seat.Offer{{Pool: ended}}, code: provisioner.CodeNoLicence},
		{name: "contract to come", offers: []seat.Offer{{Pool: future}}, code: provisioner.CodeNoLicence},
		{name: "last seat", offers: []seat.Offer{{Pool: pool("vpn", 10, 0), Held: 9}}, pool: "vpn"},
		{name: "full", offers: []seat.Offer{{Pool: pool("vpn", 10, 0), Held: 10}}, code: provisioner.CodeNoSeat},
		{name: "burst", offers: []seat.Offer{{Pool: pool("vpn", 10, 1), Held: 10}}, pool: "vpn"},
		{name: "shrunk below what is held", offers: []seat.Offer{{Pool: pool("vpn", 5, 0), Held: 9}}, code: provisioner.CodeNoSeat},
		{name: "the rest is another's guarantee", offers: []seat.Offer{{Pool: pool("vpn", 10, 0), Held: 6, UnusedGuarantee: 4}}, code: provisioner.CodeNoSeat},
		{name: "the rest is one's own guarantee", offers: []seat.Offer{{Pool: pool("vpn", 10, 0), Held: 6, UnusedGuarantee: 4, Guarantee: 5, TenantHeld: 1}}, pool: "vpn"},
		{name: "guarantee before free seats", offers: []seat.Offer{
			{Pool: pool("big", 100, 0)},
			{Pool: pool("own", 10, 0), UnusedGuarantee: 1, Guarantee: 1},
		}, pool: "own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, refusal := seat.Choose(c.offers, now)
			if got != c.pool {
				t.Errorf("pool %q, want %q", got, c.pool)
			}
			if (refusal == nil) != (c.code == "") || refusal != nil && refusal.Code != c.code {
				t.Errorf("refusal %v, want %q", refusal, c.code)
			}
		})
	}
}

// Whatever order tenants come and go in, no seat above quantity plus burst is
// held, and a tenant within its guarantee is never refused.
func TestGuaranteesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pool("vpn", rapid.Int64Range(0, 20).Draw(t, "seats"), rapid.Int64Range(0, 3).Draw(t, "burst"))
		tenants := rapid.IntRange(1, 4).Draw(t, "tenants")
		guarantee, held := make([]int64, tenants), make([]int64, tenants)
		left := p.Seats
		for i := range guarantee {
			guarantee[i] = rapid.Int64Range(0, left).Draw(t, "guarantee")
			left -= guarantee[i]
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			i := rapid.IntRange(0, tenants-1).Draw(t, "tenant")
			if rapid.Bool().Draw(t, "close") {
				held[i] = max(0, held[i]-1)
				continue
			}
			o := seat.Offer{Pool: p, Guarantee: guarantee[i], TenantHeld: held[i]}
			for j := range held {
				o.Held += held[j]
				o.UnusedGuarantee += max(0, guarantee[j]-held[j])
			}
			_, refusal := seat.Choose([]seat.Offer{o}, time.Now())
			if refusal == nil {
				held[i]++
				o.Held++
			} else if held[i] < guarantee[i] {
				t.Fatalf("tenant %d refused within its guarantee: %d of %d", i, held[i], guarantee[i])
			}
			if o.Held > p.Seats+p.Burst {
				t.Fatalf("%d seats held of %d+%d", o.Held, p.Seats, p.Burst)
			}
		}
	})
}
