package app

import (
	"strings"
	"testing"

	"github.com/heimdraht/heimdraht/provisioner"
)

func TestProductPoolsThatSessionsUse(t *testing.T) {
	t.Parallel()
	office := []provisioner.Product{{Name: "office", LicencePool: "office"}}
	pool := func(tenants ...string) (p provisioner.LicencePool) {
		p.Name = "office"
		for _, name := range tenants {
			p.Shares = append(p.Shares, provisioner.PoolShare{Tenant: name})
		}
		return p
	}
	stadt, dorf, weiler := provisioner.Tenant{Name: "stadt", Products: office}, provisioner.Tenant{Name: "dorf"}, provisioner.Tenant{Name: "weiler"}
	for _, c := range []struct {
		name    string
		pool    provisioner.LicencePool
		tenants []provisioner.Tenant
		names   string // empty: nothing is wrong
	}{
		{"of one tenant", pool("stadt"), []provisioner.Tenant{stadt, dorf}, ""},
		{"no product's", pool("dorf", "weiler"), []provisioner.Tenant{dorf, weiler}, ""},
		{"shared with those that list none", pool("stadt", "dorf", "weiler"), []provisioner.Tenant{stadt, dorf, weiler}, "no product of it: dorf, weiler"},
	} {
		f := mixed(c.pool, c.tenants)
		if (f == nil) != (c.names == "") || f != nil && (f.OK || !strings.HasSuffix(f.Detail, c.names)) {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}
