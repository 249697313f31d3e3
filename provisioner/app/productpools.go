package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
)

// lookAtProductPools names the licence pools of products whose seats sessions take too: those
// of tenants that share the pool and list no product of it. A declaration of that kind is refused;
// one that was stored before it was stands until it is changed.
func lookAtProductPools(ctx context.Context, s *store.Store) (list []Finding, err error) {
	err = s.View(ctx, func(tx *store.Reader) error {
		list = nil
		tenants, err := tx.Tenants(provisioner.Everywhere())
		if err != nil {
			return err
		}
		pools, err := tx.Pools()
		if err != nil {
			return err
		}
		for _, p := range pools {
			if f := mixed(p.Pool, tenants); f != nil {
				list = append(list, *f)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking at the licence pools of products: %w", err)
	}
	return list, nil
}

// mixed is what is wrong with a pool; nil: nothing.
func mixed(p provisioner.LicencePool, tenants []provisioner.Tenant) *Finding {
	counts := func(t provisioner.Tenant) bool { return t.CountsPool(p.Name) }
	if !slices.ContainsFunc(tenants, counts) {
		return nil
	}
	var without []string
	for _, t := range tenants {
		if _, shares := p.Share(t.Name); shares && !counts(t) {
			without = append(without, t.Name)
		}
	}
	if len(without) == 0 {
		return nil
	}
	return &Finding{
		What: "licence pool " + p.Name, Code: "product-pool-shared",
		Detail: "it is a product's, and sessions take its seats of tenants that list no product of it: " + strings.Join(without, ", "),
		Next:   "Have those tenants list the product, or take them out of the pool, and apply it: heimdraht apply -f FILE",
	}
}
