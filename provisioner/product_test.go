package provisioner_test

import (
	"strings"
	"testing"
	"time"

	"github.com/heimdraht/heimdraht/provisioner"
)

func TestNothingIsMeteredWithoutAgreement(t *testing.T) {
	day := provisioner.DayBegins(2026, 3, 1)
	products := []provisioner.Product{{Name: "citrix", Processes: []string{"wfica"}}}
	agreement := provisioner.WorksAgreement{Reference: "DV 2026-03", Date: day}
	for _, c := range []struct {
		name   string
		tenant provisioner.Tenant
		at     time.Time
		want   int
	}{
		{"nothing", provisioner.Tenant{}, day, 0},
		{"no agreement", provisioner.Tenant{Products: products}, day, 0},
		{"no reference", provisioner.Tenant{Products: products, WorksAgreement: provisioner.WorksAgreement{Date: day}}, day, 0},
		{"no date", provisioner.Tenant{Products: products, WorksAgreement: provisioner.WorksAgreement{Reference: "DV"}}, day, 0},
		{"no products", provisioner.Tenant{WorksAgreement: agreement}, day, 0},
		{"the day before", provisioner.Tenant{Products: products, WorksAgreement: agreement}, day.Add(-time.Second), 0},
		{"the day", provisioner.Tenant{Products: products, WorksAgreement: agreement}, day, 1},
	} {
		m := c.tenant.Metering(c.at)
		if len(m.Products) != c.want || (m.Agreement.Reference != "") != (c.want > 0) {
			t.Errorf("%s: %+v", c.name, m)
		}
	}
}

func TestProcessNames(t *testing.T) {
	for _, good := range []string{"wfica", "wfica32.exe", "Citrix Viewer", "zürich", strings.Repeat("x", 64)} {
		if !provisioner.IsProcessName(good) {
			t.Errorf("%q is none", good)
		}
	}
	for _, bad := range []string{"", ".", "..", " x", "x ", "a/b", `a\b`, "a\nb", "a\x1bb", "\xff", strings.Repeat("x", 65)} {
		if provisioner.IsProcessName(bad) {
			t.Errorf("%q is one", bad)
		}
	}
	for _, bad := range []string{"", "1 2", "1;2", "ü", strings.Repeat("1", 33), "1\n"} {
		if provisioner.IsProductVersion(bad) {
			t.Errorf("%q is a version", bad)
		}
	}
}
