// Package licensing is what people see of licence pools and do with their seats: how
// many are in use, what contracts they come from, whose the named ones are, and why
// somebody gets a seat or does not.
//
// What always holds here:
//   - Planners are told counts. How many seats sessions hold now is counted for those who may
//     list the sessions anyway; others are told what usage tells, by full hours, and of named
//     seats no count below capacity.Smallest, nor one from which such a count follows.
//   - What is said of all tenants' seats, and of contracts' prices, is told only to who
//     sees all tenants that share the pool.
//   - Assigning a seat and taking it back are recorded in the transaction that does it.
//
// Not its business: who gets a seat (seat), counting them (store), and when named seats
// go back by themselves (session).
package licensing

import (
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// Count is a number that may be withheld; then Value is zero.
type Count struct {
	Value    int64
	Withheld bool
}

// Service is the use cases of licences.
type Service struct {
	store *store.Store
}

// New makes the service.
func New(s *store.Store) *Service { return &Service{store: s} }

// view is a pool with what a caller may be told of it.
type view struct {
	store.PoolState
	quantity provisioner.Quantity // now
	shares   []store.PoolShare    // of tenants that the caller asks about
	others   []store.PoolShare    // the rest
	whole    bool                 // the caller may see all that share it
	withheld bool                 // what counts the tenants asked about now is
	hidden   bool                 // what counts all of them now is
}

// views lists the pools that the actor may see, by name; of one tenant, or of all if that is
// empty.
func views(tx *store.Reader, actor provisioner.Actor, tenant string, now time.Time) ([]view, error) {
	if err := tx.TenantNamed(tenant); err != nil {
		return nil, err
	}
	pools, err := tx.Pools()
	if err != nil {
		return nil, err
	}
	all, err := tx.PoolShares()
	if err != nil {
		return nil, err
	}
	scope := provisioner.ScopeOf(actor, provisioner.ActionReadConcurrency)
	shares, others := make(map[string][]store.PoolShare), make(map[string][]store.PoolShare)
	for _, s := range all {
		if scope.Narrow(tenant).Includes(s.Tenant) {
			shares[s.Pool] = append(shares[s.Pool], s)
		} else {
			others[s.Pool] = append(others[s.Pool], s)
		}
	}
	small, err := withheld(tx, actor, scope, all)
	var list []view
	for _, p := range pools {
		v := view{PoolState: p, quantity: p.Pool.At(now), shares: shares[p.Pool.Name], others: others[p.Pool.Name]}
		if len(v.shares) == 0 {
			continue
		}
		v.whole = !slices.ContainsFunc(v.others, func(s store.PoolShare) bool { return !scope.Includes(s.Tenant) })
		// Sessions come and go, so that a count that may be asked for at any time would tell who
		// does. Named seats stay.
		comesAndGoes := p.Pool.Model == provisioner.PoolConcurrent
		mine, all := allOpen(actor, v.shares), allOpen(actor, v.shares) && allOpen(actor, v.others)
		v.withheld = !mine && (comesAndGoes || small[p.Pool.Name])
		v.hidden = !v.whole || !all && comesAndGoes || small[p.Pool.Name]
		list = append(list, v)
	}
	return list, err
}

// withheld names the pools whose counts the actor is not told.
func withheld(tx *store.Reader, actor provisioner.Actor, scope provisioner.Scope, all []store.PoolShare) (map[string]bool, error) {
	onNamed, err := tx.OnNamedSeats(scope)
	if err != nil {
		return nil, err
	}
	parts := onNamed
	for _, s := range all {
		if scope.Includes(s.Tenant) {
			parts = append(parts, capacity.Held{Pool: s.Pool, Tenant: s.Tenant, Seats: s.Held})
		}
	}
	var tenants []string
	var judged []capacity.Held
	for _, p := range parts {
		if !open(actor, p.Tenant) {
			tenants, judged = append(tenants, p.Tenant), append(judged, p)
		}
	}
	_, pools := capacity.Withheld(tenants, judged)
	return pools, nil
}

// open reports whether the actor may list a tenant's sessions one by one.
func open(actor provisioner.Actor, tenant string) bool {
	return provisioner.Allow(actor, provisioner.ActionListSessions, provisioner.Object{Tenant: tenant}) == nil
}

func allOpen(actor provisioner.Actor, shares []store.PoolShare) bool {
	return !slices.ContainsFunc(shares, func(s store.PoolShare) bool { return !open(actor, s.Tenant) })
}

// count is a number of seats of the tenants that the caller asks about.
func (v view) count(n int64) Count {
	if v.withheld {
		return Count{Withheld: true}
	}
	return Count{Value: n}
}

// of is a number of seats of all tenants, for who may see all of them.
func (v view) of(n int64) Count {
	if v.hidden {
		return Count{Withheld: true}
	}
	return Count{Value: n}
}
