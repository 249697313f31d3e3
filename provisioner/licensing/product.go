package licensing

import (
	"fmt"
	"slices"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/capacity"
	"github.com/heimdraht/heimdraht/provisioner/metering"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// meters are the tenants in whose file products stand, by name.
type meters map[string]provisioner.Tenant

func metersIn(tx *store.Reader, scope provisioner.Scope) (meters, error) {
	tenants, err := tx.Tenants(scope)
	if err != nil {
		return nil, fmt.Errorf("reading tenants: %w", err)
	}
	m := make(meters)
	for _, t := range tenants {
		if len(t.Products) > 0 {
			m[t.Name] = t
		}
	}
	return m, nil
}

// count reports whether a pool is that of a product of a tenant.
func (m meters) count(tenant, pool string) bool { return m[tenant].CountsPool(pool) }

// countAny reports whether a pool is that of a product of a tenant that is asked about.
func (m meters) countAny(v view) bool {
	return slices.ContainsFunc(v.shares, func(s store.PoolShare) bool { return m.count(s.Tenant, v.Pool.Name) })
}

// products are what tenants meter, and how much of it was in use.
type products struct {
	meters
	highest map[string]map[string]int64 // by tenant and product
}

// productsOf reads what tenants in scope meter.
func productsOf(tx *store.Reader, actor provisioner.Actor, scope provisioner.Scope, now time.Time) (p products, err error) {
	if p.meters, err = metersIn(tx, scope); err == nil && len(p.meters) > 0 {
		p.highest, err = metering.Highest(tx, actor, scope, now)
	}
	return p, err
}

// most is how many seats of a pool products of a tenant have taken at one time; zero: it is
// told to nobody. Of several products that share the seats it is the one with most: somebody
// may use all of them on one.
func (p products) most(tenant, pool string) (n int64) {
	for _, v := range p.meters[tenant].Products {
		if v.LicencePool == pool {
			n = max(n, p.highest[tenant][v.Name])
		}
	}
	return n
}

// unusedOfProduct tells how many seats of a product's pool lie unused at most: what is
// owned, less the most that were in use at one time. Nobody of one tenant is of another, so
// tenants' numbers add up, from whatever times they are.
func (v view) unusedOfProduct(actor provisioner.Actor, p products) Unused {
	use := ProductUse{Owned: v.quantity.Seats}
	if len(v.others) > 0 {
		use.Owned = 0
		for _, s := range v.shares {
			use.Owned += s.Guarantee
		}
	}
	for _, s := range v.shares {
		n := p.most(s.Tenant, v.Pool.Name)
		switch {
		case p.count(s.Tenant, v.Pool.Name):
			use.Highest.Withheld = use.Highest.Withheld || n == 0
		default: // it does not meter: whoever has a seat may use it
			n = s.Held
			use.Highest.Withheld = use.Highest.Withheld || !open(actor, s.Tenant) && n < capacity.Smallest
		}
		use.Highest.Value += n
	}
	if use.Highest.Withheld {
		use.Highest.Value = 0
	}
	u := Unused{Pool: v.Pool.Name, Product: &use, Seats: Count{Withheld: true}}
	if use.Owned > 0 && !use.Highest.Withheld {
		u.Seats = Count{Value: max(0, use.Owned-use.Highest.Value)}
	}
	return u
}
