package config

import (
	"github.com/heimdraht/heimdraht/provisioner"
)

// metering reads which software is metered, and the agreement with the staff
// council without which nothing is.
func metering(m *mapping, t *provisioner.Tenant) {
	if v, ok := m.ask("works_agreement"); ok {
		if a := v.mapping("works_agreement").under("works_agreement."); a != nil {
			a.needText("reference", &t.WorksAgreement.Reference, atMost(provisioner.MostAgreement))
			a.need("date")
			a.date("date", &t.WorksAgreement.Date, 0)
			a.done()
		}
	}
	v, ok := m.ask("products")
	if !ok {
		return
	}
	t.Products = products(v)
	if _, ok := m.ask("works_agreement"); !ok && !v.emptyList() {
		v.failf("nothing is metered without an agreement with the staff council: name it with works_agreement: {reference: DV 2026-03, date: 2026-03-01}")
	}
}

func products(v value) []provisioner.Product {
	items := v.list("products")
	if len(items) > provisioner.MostProducts {
		v.failf("has %d products; at most %d", len(items), provisioner.MostProducts)
		return nil
	}
	var all []provisioner.Product
	lines := map[string]int{}
	for _, item := range items {
		m := item.mapping("a product")
		if m == nil {
			continue
		}
		m.under("products.")
		var p provisioner.Product
		m.needText("name", &p.Name, name)
		if first, twice := lines[p.Name]; twice && p.Name != "" {
			m.fail(m.line, "products.name: %q is listed already, in line %d", p.Name, first)
		} else {
			lines[p.Name] = m.line
		}
		if processes, ok := m.need("processes"); ok {
			p.Processes = processNames(m, processes)
		}
		m.text("licence_pool", &p.LicencePool, name)
		m.done()
		all = append(all, p)
	}
	return all
}

func processNames(m *mapping, v value) (names []string) {
	switch n := len(v.node.Content); {
	case v.emptyList():
		v.failf("the list is empty: name a program such as wfica32.exe")
	case n > provisioner.MostProcesses:
		v.failf("has %d programs; at most %d", n, provisioner.MostProcesses)
	default:
		m.list("processes", "names of programs", &names, processName)
	}
	return names
}

func processName(v value, s string) (string, bool) {
	if !provisioner.IsProcessName(s) {
		v.failf("%q is not the name of a program such as wfica32.exe: at most %d bytes, without a directory", quoted(s), provisioner.MostProcessName)
		return "", false
	}
	return s, true
}
