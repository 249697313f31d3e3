// Package seat decides which licence pool a session takes its seat from, who goes
// first where seats are short, and what one tenant may use of what is guaranteed
// to others.
//
// What always holds here: it is pure; no seat is offered above quantity plus
// agreed burst, nor one that is guaranteed to another tenant or reserved for
// another class, as far as that is not lent.
//
// Of a pool three things are counted: the seats held, the guarantees that their
// tenants do not use (as far as they are not lent), and the reserves that their
// classes do not use. Together they are never more than there is. Each seat pays one
// promise: it is out of the class's reserve, else out of the tenant's guarantee, else
// one of those that are promised to nobody. So whoever has some of either left never
// waits.
//
// Not its business: holding seats (store counts them in the transaction that
// opens and closes sessions).
package seat

import (
	"strconv"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Claim is who wants a seat.
type Claim struct {
	Tenant string
	Person string
	Class  provisioner.PriorityClass
}

// Offer is a licence pool as somebody of one tenant and class meets it.
type Offer struct {
	Pool     string
	Model    provisioner.PoolModel
	Quantity provisioner.Quantity // at present
	// Seats held by everybody.
	Held int64
	// Seats guaranteed to tenants that do not hold them, this one included, less
	// what is lent of guarantees.
	UnusedGuarantee int64
	// Seats reserved for classes that do not hold them, this one included.
	UnusedReserve int64
	// This tenant's guarantee, the part of it that is never lent, and how many it holds
	// that are not out of a reserve.
	Guarantee, Protected, TenantHeld int64
	// What is reserved for this class, and how many of that it holds.
	Reserve, ClassHeld int64
	// How many laptops wait that may take its seats.
	Waiting int64
	// Queued are laptops of her tenant that have a place in the queue: those that wait, those
	// that are offered a seat, and those that have lost their connection for a moment. Of
	// others who have one nothing has to be known but that they wait.
	Queued int64
	// TenantBefore and ClassBefore say that people of her tenant wait already, of her class
	// or one before it, and of her class. What is owed to her tenant, or reserved for her
	// class, is theirs first.
	TenantBefore, ClassBefore bool
	// Own: she held one of its seats until this step, so nobody who waits is before her.
	Own bool
	// Assigned: she has a named seat of the pool. Nothing is counted for her session.
	Assigned bool
	// Kept: a named seat of hers was taken back, and is counted on in her tenant's share.
	// It is hers again without one more being counted.
	Kept bool
}

// ownUnused is what this tenant's guarantee still has in store.
func (o Offer) ownUnused() int64 { return max(0, o.Protected-o.TenantHeld) }

// ownReserve is what this class still has in store.
func (o Offer) ownReserve() int64 { return max(0, o.Reserve-o.ClassHeld) }

// Within reports whether the tenant holds less than is guaranteed to it: what is
// lent of that goes back to it first.
func (o Offer) Within() bool { return o.TenantHeld < o.Guarantee }

// Free is how many more seats a tenant may take for people of one class. It is
// zero, never negative, while a pool that shrank below what is held drains.
func (o Offer) Free() int64 {
	left := max(0, o.Quantity.Most()-o.Held)
	return min(left, o.ownUnused()+o.ownReserve()+max(0, left-o.UnusedGuarantee-o.UnusedReserve))
}

// owed reports whether a seat is there for this person whoever else waits: of the
// tenant's guarantee, or of the class's reserve. It is not as long as others wait to
// whom it is owed as well: they get it in a moment.
func (o Offer) owed() bool {
	return o.Held < o.Quantity.Most() && (o.ownUnused() > 0 && !o.TenantBefore || o.ownReserve() > 0 && !o.ClassBefore)
}

// counted reports whether a named seat is counted for her already.
func (o Offer) counted() bool { return o.Assigned || o.Kept }

// Grants reports whether somebody who comes now gets a seat of the pool: of one
// that others wait for only what is her own.
func (o Offer) Grants() bool {
	if o.counted() {
		return o.Quantity.Running > 0
	}
	return o.Own || o.owed() || o.Waiting == 0 && o.Free() > 0
}

// Choose names the pool whose seat a session takes at now: one of which she has a
// named seat; else a pool of concurrent seats, one with a guarantee left for her
// tenant before others, then the one with most free seats; else one that has a
// named seat for her, one of which hers is still counted before others; the first
// by order among equals. It refuses with no-licence
// if no contract runs, and with no-seat if none is there for her.
func Choose(offers []Offer) (pool string, refusal *provisioner.Refusal) {
	var best *Offer
	var running int
	var seats int64
	for i := range offers {
		o := &offers[i]
		if o.Quantity.Running == 0 {
			continue
		}
		running++
		seats += o.Quantity.Most()
		if o.Grants() && (best == nil || better(o, best)) {
			best = o
		}
	}
	switch {
	case running == 0:
		return "", provisioner.Refuse(provisioner.CodeNoLicence)
	case best == nil:
		return "", provisioner.Refuse(provisioner.CodeNoSeat, "seats", strconv.FormatInt(seats, 10)).After(30 * time.Second)
	default:
		return best.Pool, nil
	}
}

// better orders what grants a seat.
func better(a, b *Offer) bool {
	if a.Assigned != b.Assigned {
		return a.Assigned
	}
	if na, nb := a.Model == provisioner.PoolNamed, b.Model == provisioner.PoolNamed; na != nb {
		return nb
	}
	if a.Kept != b.Kept {
		return a.Kept
	}
	if ga, gb := a.ownUnused() > 0, b.ownUnused() > 0; ga != gb {
		return ga
	}
	return a.Free() > b.Free()
}
