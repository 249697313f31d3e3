package tenancy

import (
	"slices"

	"github.com/heimdraht/heimdraht/provisioner"
)

// checkProducts judges which software a tenant has metered.
func checkProducts(t provisioner.Tenant) *provisioner.Refusal {
	agreed := t.WorksAgreement
	switch {
	case len(t.Products) > provisioner.MostProducts:
		return invalid(kindTenant, t.Name, "products: %d sind zu viele, höchstens %d", "products: %d are too many, at most %d", len(t.Products), provisioner.MostProducts)
	case (agreed.Reference == "") != agreed.Date.IsZero() || tooLong(agreed.Reference):
		return invalid(kindTenant, t.Name, "works_agreement braucht reference und date", "works_agreement needs reference and date")
	case len(t.Products) > 0 && agreed.Reference == "":
		return invalid(kindTenant, t.Name, "products: ohne Vereinbarung mit dem Personalrat wird nichts gezählt; nennen Sie sie mit works_agreement",
			"products: nothing is metered without an agreement with the staff council; name it with works_agreement")
	}
	seen := make(map[string]bool)
	for _, p := range t.Products {
		if !isName(p.Name) || seen[p.Name] || p.LicencePool != "" && !isName(p.LicencePool) {
			return invalid(kindTenant, t.Name, "products.name: jedes braucht einen eigenen Namen aus Kleinbuchstaben, Ziffern und Bindestrichen", "products.name: each needs a name of its own of lower-case letters, digits and hyphens")
		}
		seen[p.Name] = true
		if n := len(p.Processes); n == 0 || n > provisioner.MostProcesses ||
			slices.ContainsFunc(p.Processes, func(s string) bool { return !provisioner.IsProcessName(s) }) {
			return invalid(kindTenant, t.Name, "products.processes: %s braucht 1 bis %d Namen von Programmen, ohne Verzeichnis", "products.processes: %s needs 1 to %d names of programs, without directories", p.Name, provisioner.MostProcesses)
		}
	}
	return nil
}

// checkProductPools sees that the licence pool of a product is there, and this
// tenant's: its seats are shown beside the use. It looks at everything together, and
// not after each slice, because pools name tenants too and come after them.
func (w world) checkProductPools(changes []change) error {
	for _, v := range changes {
		t, _ := v.now.(provisioner.Tenant)
		for _, p := range t.Products {
			if p.LicencePool == "" {
				continue
			}
			pool, exists := w.pools[p.LicencePool]
			if !exists || !slices.ContainsFunc(pool.Shares, func(s provisioner.PoolShare) bool { return s.Tenant == t.Name }) {
				return invalid(kindTenant, t.Name, "products.licence_pool: %s nennt %q, und keinen solchen Lizenzpool gibt es für diese Verwaltung",
					"products.licence_pool: %s names %q, and there is no such licence pool for this tenant", p.Name, p.LicencePool)
			}
		}
		if len(t.Products) > 0 && !w.hasSessionSeats(t) {
			return invalid(kindTenant, t.Name, "products.licence_pool: ein Lizenzpool eines Produkts gibt keine Plätze für Verbindungen, und einen anderen hat die Verwaltung nicht",
				"products.licence_pool: a product's licence pool gives sessions no seats, and the tenant has no other one")
		}
	}
	return nil
}

// hasSessionSeats reports whether products leave a tenant a pool for sessions; it is
// so where they take none.
func (w world) hasSessionSeats(t provisioner.Tenant) bool {
	taken := false
	for _, pool := range w.pools {
		switch {
		case !slices.ContainsFunc(pool.Shares, func(s provisioner.PoolShare) bool { return s.Tenant == t.Name }):
		case t.CountsPool(pool.Name):
			taken = true
		default:
			return true
		}
	}
	return !taken
}
