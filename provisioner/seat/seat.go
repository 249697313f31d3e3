// Package seat decides which licence pool a session takes its seat from.
//
// What always holds here: it is pure, and no seat is offered above quantity
// plus agreed burst, nor one that is guaranteed to another tenant.
//
// Not its business: holding seats (store counts them in the transaction that
// opens and closes sessions).
package seat

import (
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Offer is a licence pool as one tenant meets it.
type Offer struct {
	Pool provisioner.LicencePool
	// Seats held by everybody.
	Held int64
	// Seats guaranteed to tenants that do not hold them, this one included.
	UnusedGuarantee int64
	// This tenant's guarantee, and how many it holds.
	Guarantee, TenantHeld int64
}

// ownUnused is what this tenant's guarantee still has in store.
func (o Offer) ownUnused() int64 { return max(0, o.Guarantee-o.TenantHeld) }

// Free is how many more seats the tenant may take: what is neither held nor
// guaranteed to somebody else. It is zero, never negative, while a pool that
// shrank below what is held drains.
func (o Offer) Free() int64 {
	othersUnused := max(0, o.UnusedGuarantee-o.ownUnused())
	return max(0, o.Pool.Seats+o.Pool.Burst-o.Held-othersUnused)
}

// Choose names the pool whose seat a session of the tenant takes at now: one
// with a guarantee left for it if there is any, else the one with most free
// seats; the first by order among equals. It refuses with no-licence if no
// contract runs, and with no-seat if all seats are taken.
func Choose(offers []Offer, now time.Time) (pool string, refusal *provisioner.Refusal) {
	var best *Offer
	var valid int
	var seats int64
	for i := range offers {
		o := &offers[i]
		if !o.Pool.ValidAt(now) {
			continue
		}
		valid++
		seats += o.Pool.Seats + o.Pool.Burst
		if o.Free() > 0 && (best == nil || better(o, best)) {
			best = o
		}
	}
	switch {
	case valid == 0:
		return "", provisioner.Refuse(provisioner.CodeNoLicence)
	case best == nil:
		return "", provisioner.Refuse(provisioner.CodeNoSeat, "seats", strconv.FormatInt(seats, 10)).After(30 * time.Second)
	default:
		return best.Pool.Name, nil
	}
}

func better(a, b *Offer) bool {
	if ga, gb := a.ownUnused() > 0, b.ownUnused() > 0; ga != gb {
		return ga
	}
	return a.Free() > b.Free()
}
