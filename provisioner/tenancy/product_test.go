package tenancy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

// agreed is an agreement with the staff council.
func agreed() provisioner.WorksAgreement {
	return provisioner.WorksAgreement{Reference: "DV 2026-03", Date: provisioner.DayBegins(2026, 3, 1)}
}

// meter has the first tenant meter n products.
func meter(d *tenancy.Declaration, n int) {
	d.Tenants[0].WorksAgreement = agreed()
	for i := range n {
		d.Tenants[0].Products = append(d.Tenants[0].Products, provisioner.Product{Name: fmt.Sprint("p", i), Processes: []string{"wfica", "Citrix Viewer"}})
	}
}

func TestProductsAreCompared(t *testing.T) { onEach(t, testProductsAreCompared) }

func testProductsAreCompared(t *testing.T, w *world) {
	t.Helper()
	d := region()
	w.applies(t, d)
	meter(&d, 1)
	d.Tenants[0].Products[0].LicencePool = "citrix"
	d.Pools = append(d.Pools, provisioner.LicencePool{Name: "citrix", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 3}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}}})
	want := []tenancy.Difference{
		{Kind: "tenant", Name: "stadt", Field: "products", After: "p0: wfica | Citrix Viewer (licence pool citrix)"},
		{Kind: "tenant", Name: "stadt", Field: "works_agreement", After: "DV 2026-03 of 2026-03-01"},
		{Kind: "licence pool", Name: "citrix"},
	}
	if diff := cmp.Diff(want, w.applies(t, d)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if more := w.applies(t, d); len(more) != 0 {
		t.Errorf("it was not stored: %+v", more)
	}
	d.Tenants[0].Products, d.Tenants[0].WorksAgreement = nil, provisioner.WorksAgreement{}
	if list := w.applies(t, d); len(list) != 2 || list[0].After+list[1].After != "" {
		t.Errorf("taken back: %+v", list)
	}
}

// A pool that a product of a tenant names stays the tenant's, and fit for a product, whoever changes it: also where the
// tenant itself is not in the file.
func TestAPoolThatAProductNames(t *testing.T) { onEach(t, testAPoolThatAProductNames) }

func testAPoolThatAProductNames(t *testing.T, w *world) {
	t.Helper()
	d := region()
	meter(&d, 1)
	d.Tenants[0].Products[0].LicencePool = "citrix"
	citrix := provisioner.LicencePool{
		Name: "citrix", Model: provisioner.PoolNamed, Contracts: []provisioner.Contract{{Seats: 3}}, Shares: []provisioner.PoolShare{{Tenant: "stadt"}},
	}
	d.Pools = append(d.Pools, citrix)
	w.applies(t, d)
	without := func(p provisioner.LicencePool, tenant string) provisioner.LicencePool {
		p.Shares = slices.DeleteFunc(slices.Clone(p.Shares), func(s provisioner.PoolShare) bool { return s.Tenant == tenant })
		return p
	}
	unfit, unfitLater := citrix, tenancy.Declaration{Tenants: slices.Clone(d.Tenants[:1]), Pools: []provisioner.LicencePool{citrix}}
	unfit.TakeBackUnused = 30 * 24 * time.Hour
	unfitLater.Pools[0].Name, unfitLater.Pools[0].TakeBackUnused = "office", unfit.TakeBackUnused
	unfitLater.Tenants[0].Products = []provisioner.Product{{Name: "p0", Processes: []string{"writer"}, LicencePool: "office"}}
	gone := tenancy.Declaration{Pools: []provisioner.LicencePool{citrix}}
	gone.Pools[0].Shares = []provisioner.PoolShare{{Tenant: "dorf"}}
	// Shared with one that lists no product of it, whose sessions would take its seats.
	shared := citrix
	shared.Shares = []provisioner.PoolShare{{Tenant: "dorf"}, {Tenant: "stadt"}}
	office := shared
	office.Name = "office"
	another := tenancy.Declaration{Tenants: slices.Clone(d.Tenants[:1]), Pools: []provisioner.LicencePool{office}}
	another.Tenants[0].Products = append(slices.Clone(d.Tenants[0].Products), provisioner.Product{Name: "p1", Processes: []string{"writer"}, LicencePool: "office"})
	both := tenancy.Declaration{Tenants: slices.Clone(d.Tenants[:2]), Pools: []provisioner.LicencePool{shared}}
	both.Tenants[1].Products, both.Tenants[1].WorksAgreement = d.Tenants[0].Products, d.Tenants[0].WorksAgreement
	for name, c := range map[string]struct {
		d    tenancy.Declaration
		want string // empty: it is applied
	}{
		"one comes that lists no product of it":   {tenancy.Declaration{Pools: []provisioner.LicencePool{shared}}, "licence pool citrix is not valid: tenants: the product p0 of the tenant stadt names this pool, and dorf lists no product of it"},
		"one shares it that lists no product":     {another, `tenant stadt is not valid: products.licence_pool: p1 names "office", which tenants share that list no product of it`},
		"both list it":                            {both, ""},
		"it is for the tenant no longer":          {gone, "licence pool citrix is not valid: tenants: the product p0 of the tenant stadt names this pool"},
		"its seats would go back unused":          {tenancy.Declaration{Pools: []provisioner.LicencePool{unfit}}, "licence pool citrix is not valid: take_back_unused: the product p0 of the tenant stadt names this pool"},
		"one is named whose seats go back unused": {unfitLater, `tenant stadt is not valid: products.licence_pool: p0 names "office", whose seats go back`},
		"the tenant's last other pool goes":       {tenancy.Declaration{Pools: []provisioner.LicencePool{without(d.Pools[0], "stadt")}}, "licence pool vpn is not valid: tenants: the tenant stadt would have pools for products only"},
	} {
		_, err := w.Diff(t.Context(), operator(), c.d)
		refusal, _ := provisioner.AsRefusal(err)
		if c.want == "" && err != nil || c.want != "" && (refusal == nil || !strings.Contains(refusal.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// Who shares a product's pool lists the product as long as others do.
	w.applies(t, both)
	drops := tenancy.Declaration{Tenants: slices.Clone(d.Tenants[1:2])}
	_, err := w.Diff(t.Context(), operator(), drops)
	if refusal, _ := provisioner.AsRefusal(err); refusal == nil || !strings.Contains(refusal.Error(), `tenant dorf is not valid: products: the pool "citrix" is a product's to other tenants`) {
		t.Errorf("one drops the product: %v", err)
	}
	drops.Pools = []provisioner.LicencePool{citrix}
	w.applies(t, drops)
	// Both together can be applied: product and pool.
	gone.Tenants = slices.Clone(d.Tenants[:1])
	gone.Tenants[0].Products, gone.Tenants[0].WorksAgreement = nil, provisioner.WorksAgreement{}
	w.applies(t, gone)
}
