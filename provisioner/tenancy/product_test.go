package tenancy_test

import (
	"fmt"
	"testing"

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
