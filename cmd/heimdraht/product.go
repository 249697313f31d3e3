package main

import (
	"context"
	"time"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

type productsCommand struct {
	Tenant   string `placeholder:"NAME" help:"${sessions_tenant}"`
	Versions bool   `help:"${products_versions}"`
}

// productLine is a product, or one version of it.
type productLine struct {
	*heimdrahtv1.ProductUse
	version         string // empty: all together
	sessions, today *heimdrahtv1.Count
	month           *heimdrahtv1.Count
}

// Run tells how much metered products are in use, beside what is owned.
func (c *productsCommand) Run(ctx context.Context, a *app) error {
	return a.withClient(ctx, func(ctx context.Context, k *client) error {
		r, err := k.plan.ListProducts(ctx, &heimdrahtv1.ListProductsRequest{Tenant: c.Tenant})
		if err != nil {
			return err
		}
		var lines []productLine
		var until time.Time
		withheld := false
		for _, p := range r.GetProducts() {
			withheld = withheld || p.GetSessions().GetWithheld() || p.GetHighestToday().GetWithheld() || p.GetHighest_30Days().GetWithheld()
			if p.GetUntil() != nil {
				until = timeOf(p.GetUntil())
			}
			lines = append(lines, productLine{p, "", p.GetSessions(), p.GetHighestToday(), p.GetHighest_30Days()})
			for _, v := range p.GetVersions() {
				if c.Versions {
					lines = append(lines, productLine{p, v.GetVersion(), v.GetSessions(), nil, v.GetHighest_30Days()})
				}
			}
		}
		if err := list(a.printer, "products", productColumns(c.Versions), lines, pair{"at", forPrograms(timeOf(r.GetAt()))}); err != nil {
			return err
		}
		if !until.IsZero() {
			a.hint(words{"„In Benutzung“ zählt die meisten zugleich in der vollen Stunde bis %s. Von weniger als 50 Beschäftigten ist auf 5 aufgerundet.",
				"“In use” counts the most at one time in the full hour until %s. Of fewer than 50 staff, numbers are rounded up to 5."}, a.time(until))
		}
		switch {
		case len(lines) == 0:
			a.hint(words{"Es werden keine Produkte gezählt.", "No products are metered."})
		case withheld:
			a.hint(words{"Verdeckt sind Zahlen unter 5; die erfährt niemand.", "Withheld are numbers below 5; nobody is told those."})
		}
		return nil
	})
}

func productColumns(versions bool) []column[productLine] {
	version := words{}
	if versions {
		version = words{"Version", "version"}
	}
	return []column[productLine]{
		{"tenant", words{"Verwaltung", "tenant"}, func(l productLine) any { return l.GetTenant() }},
		{"product", words{"Produkt", "product"}, func(l productLine) any { return l.GetProduct() }},
		{"version", version, func(l productLine) any { return l.version }},
		{"sessions", words{"in Benutzung", "in use"}, func(l productLine) any { return l.sessions }},
		{"highest_today", words{"heute höchstens", "highest today"}, func(l productLine) any {
			if l.today == nil {
				return nil
			}
			return l.today
		}},
		{"highest_30_days", words{"in 30 Tagen", "in 30 days"}, func(l productLine) any { return l.month }},
		{"licence_pool", words{"Lizenzen", "licence pool"}, func(l productLine) any { return l.GetLicencePool() }},
		{"seats", words{"Plätze", "seats"}, func(l productLine) any {
			if l.GetLicencePool() == "" {
				return nil
			}
			return l.GetSeats()
		}},
		{"works_agreement", words{}, func(l productLine) any { return l.GetAgreementReference() }},
		{"works_agreement_date", words{}, func(l productLine) any { return l.GetAgreementDate() }},
		{"until", words{}, func(l productLine) any { return timeOf(l.GetUntil()) }},
	}
}
