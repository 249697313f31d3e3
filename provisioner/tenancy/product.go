package tenancy

import (
	"maps"
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

// checkProductPools sees that the licence pool of a product is there, and its tenant's: its
// seats are shown beside the use. A pool that changes is held against the products of all
// tenants, or a provider would take it from one that is not in his file. It looks at
// everything together, and not after each slice, because pools name tenants too and come
// after them.
func (w world) checkProductPools(changes []change) error {
	for _, v := range changes {
		switch now := v.now.(type) {
		case provisioner.Tenant:
			for _, p := range now.Products {
				if err := w.checkPoolOf(p, now.Name); err != nil {
					return err
				}
			}
			if err := w.checkSharing(v.was.(provisioner.Tenant), now); err != nil {
				return err
			}
			if len(now.Products) > 0 && !w.hasSessionSeats(now) {
				return invalid(kindTenant, now.Name, "products.licence_pool: ein Lizenzpool eines Produkts gibt keine Plätze für Verbindungen, und einen anderen hat die Verwaltung nicht",
					"products.licence_pool: a product's licence pool gives sessions no seats, and the tenant has no other one")
			}
		case provisioner.LicencePool:
			if err := w.checkPoolChange(now, sharers(v.was.(provisioner.LicencePool))); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPoolOf judges the pool that a product of a tenant names, if it names one.
func (w world) checkPoolOf(p provisioner.Product, tenant string) error {
	if p.LicencePool == "" {
		return nil
	}
	pool, exists := w.pools[p.LicencePool]
	switch {
	case !exists || !slices.Contains(sharers(pool), tenant):
		return invalid(kindTenant, tenant, "products.licence_pool: %s nennt %q, und keinen solchen Lizenzpool gibt es für diese Verwaltung",
			"products.licence_pool: %s names %q, and there is no such licence pool for this tenant", p.Name, p.LicencePool)
	case pool.TakeBackUnused > 0:
		return invalid(kindTenant, tenant, "products.licence_pool: %s nennt %q, dessen Plätze nach take_back_unused zurückgehen; ob jemand ein Produkt benutzt, wird ohne den Menschen gezählt",
			"products.licence_pool: %s names %q, whose seats go back after take_back_unused; whether somebody uses a product is counted without the person", p.Name, p.LicencePool)
	}
	return nil
}

// checkSharing sees that a product's pool is one to all who share it: sessions of a tenant that
// does not list the product would take its seats. It judges what a change of a tenant makes of
// that, and names nobody else.
func (w world) checkSharing(was, now provisioner.Tenant) error {
	for _, p := range now.Products {
		if p.LicencePool != "" && !was.CountsPool(p.LicencePool) && w.sharesWithout(p.LicencePool) != "" {
			return invalid(kindTenant, now.Name, "products.licence_pool: %s nennt %q, den auch Verwaltungen haben, die kein Produkt daraus führen; deren Verbindungen nähmen die Plätze. Alle nennen ihn in einer Datei, oder er ist nur für diese",
				"products.licence_pool: %s names %q, which tenants share that list no product of it; their sessions would take its seats. Let all of them name it in one file, or share it with these alone", p.Name, p.LicencePool)
		}
	}
	for _, p := range was.Products {
		if p.LicencePool == "" || now.CountsPool(p.LicencePool) || !slices.Contains(sharers(w.pools[p.LicencePool]), now.Name) {
			continue
		}
		if other, _ := w.productOf(p.LicencePool); other != "" {
			return invalid(kindTenant, now.Name, "products: der Vorrat %q ist bei anderen Verwaltungen der eines Produkts; ohne %s nähmen Verbindungen seine Plätze. Zuerst ist diese Verwaltung aus dem Vorrat zu nehmen (licence_pools, tenants)",
				"products: the pool %q is a product's to other tenants; without %s sessions would take its seats. First take this tenant out of the pool (licence_pools, tenants)", p.LicencePool, p.Name)
		}
	}
	return nil
}

// productOf names a tenant, and its product, that has a pool for it; empty: none has.
func (w world) productOf(pool string) (tenant, product string) {
	for _, name := range slices.Sorted(maps.Keys(w.tenants)) {
		for _, p := range w.tenants[name].Products {
			if p.LicencePool == pool {
				return name, p.Name
			}
		}
	}
	return "", ""
}

// sharesWithout names a tenant that shares a pool and lists no product of it; empty: none.
func (w world) sharesWithout(pool string) string {
	for _, name := range sharers(w.pools[pool]) {
		if t, ok := w.tenants[name]; ok && !t.CountsPool(pool) {
			return name
		}
	}
	return ""
}

// checkPoolChange judges a pool as it is to be by the products of all tenants, of which
// some shared it before.
func (w world) checkPoolChange(pool provisioner.LicencePool, before []string) error {
	now := sharers(pool)
	for _, name := range slices.Sorted(maps.Keys(w.tenants)) {
		t := w.tenants[name]
		i := slices.IndexFunc(t.Products, func(p provisioner.Product) bool { return p.LicencePool == pool.Name })
		switch {
		case i >= 0 && !slices.Contains(now, name):
			return invalid(kindPool, pool.Name, "tenants: das Produkt %s der Verwaltung %s nennt diesen Vorrat (products.licence_pool), und er wäre nicht mehr für sie",
				"tenants: the product %s of the tenant %s names this pool (products.licence_pool), which would be for it no longer", t.Products[i].Name, name)
		case i >= 0 && pool.TakeBackUnused > 0:
			return invalid(kindPool, pool.Name, "take_back_unused: das Produkt %s der Verwaltung %s nennt diesen Vorrat, und ob jemand ein Produkt benutzt, wird ohne den Menschen gezählt",
				"take_back_unused: the product %s of the tenant %s names this pool, and whether somebody uses a product is counted without the person", t.Products[i].Name, name)
		case len(t.Products) > 0 && slices.Contains(before, name) && !w.hasSessionSeats(t):
			return invalid(kindPool, pool.Name, "tenants: die Verwaltung %s hätte nur noch Vorräte für Produkte (products.licence_pool), und die geben keine Plätze für Verbindungen",
				"tenants: the tenant %s would have pools for products only (products.licence_pool), and those give sessions no seats", name)
		}
	}
	if owner, product := w.productOf(pool.Name); owner != "" {
		if other := w.sharesWithout(pool.Name); other != "" && !slices.Contains(before, other) {
			return invalid(kindPool, pool.Name, "tenants: das Produkt %s der Verwaltung %s nennt diesen Vorrat, und %s führt kein Produkt daraus; deren Verbindungen nähmen die Plätze",
				"tenants: the product %s of the tenant %s names this pool, and %s lists no product of it; its sessions would take the seats", product, owner, other)
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
