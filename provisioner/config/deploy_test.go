package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestExamples: the files in deploy/ are what these readers read.
func TestExamples(t *testing.T) {
	t.Run("agent.yaml", func(t *testing.T) {
		written := filepath.Join(t.TempDir(), "agent.yaml")
		if err := WriteAgent(written, DefaultAgent()); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(written)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("../../deploy/agent.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("deploy/agent.yaml is not what WriteAgent makes of the defaults:\n%s", want)
		}
	})
	t.Run("declaration.yaml", func(t *testing.T) {
		d, err := LoadDeclaration("../../deploy/declaration.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Directories) != 1 || len(d.Tenants) != 1 || len(d.Pools) != 2 || len(d.Gateways) != 1 {
			t.Fatalf("declares %+v", d)
		}
		tenant := d.Tenants[0]
		if tenant.Directory != d.Directories[0].Name || d.Pools[0].Shares[0].Tenant != tenant.Name || tenant.Products[0].LicencePool != d.Pools[1].Name ||
			!slices.Equal(d.Gateways[0].Tenants, []string{tenant.Name}) {
			t.Errorf("names what it does not declare: %+v", d)
		}
	})
}
