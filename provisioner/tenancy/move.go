package tenancy

import (
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
)

// Moved judges a tenant as it is declared for another directory than it has: only what names something in a directory may differ
// from how it is stored, so that whatever else a file changes is applied by itself, before or after. It gives the tenant in
// the form in which it is stored, so that applying the same file later changes nothing, and what differs.
func Moved(was, declared provisioner.Tenant) (provisioner.Tenant, []Difference, error) {
	now := normal(Declaration{Tenants: []provisioner.Tenant{declared}}).Tenants[0]
	if refusal := checkTenant(now); refusal != nil {
		return now, nil, refusal
	}
	if now.Name != was.Name || now.Directory == was.Directory {
		return now, nil, invalid(kindTenant, was.Name, "directory ist schon %s", "directory is %s already", was.Directory)
	}
	differences := compare(kindTenant, now.Name, tenantFields(was), tenantFields(now))
	for _, d := range differences {
		if namesInDirectory(d.Field) || d.Field == fieldNetworks && slices.EqualFunc(was.Networks, now.Networks, sameDestinations) ||
			d.Field == fieldAccess && slices.EqualFunc(was.Policy.Access, now.Policy.Access, sameTimes) {
			continue
		}
		return now, nil, invalid(kindTenant, now.Name, "%s ändert sich auch; wenden Sie das vorher oder nachher an", "%s changes too; apply that before or afterwards", d.Field)
	}
	return now, differences, nil
}

// namesInDirectory lists the fields that are about nothing but the directory.
func namesInDirectory(field string) bool {
	return field == "directory" || field == "base" || field == "staff_group" || field == fieldExternalGroup || strings.HasPrefix(field, "roles.") ||
		strings.HasPrefix(field, fieldPriority)
}

func sameDestinations(a, b provisioner.NetworkGrant) bool {
	return (a.Group == provisioner.GroupAll) == (b.Group == provisioner.GroupAll) && slices.Equal(a.Allow, b.Allow)
}

func sameTimes(a, b provisioner.AccessTime) bool {
	if (a.Group == provisioner.GroupAll) == (b.Group == provisioner.GroupAll) {
		a.Group = b.Group
	}
	return a == b
}

// GroupsMissing refuses a tenant whose groups a directory does not have.
func GroupsMissing(tenant string, groups []string) *provisioner.Refusal {
	list := strings.Join(groups, "; ")
	return invalid(kindTenant, tenant, "das neue Verzeichnis hat diese Gruppen nicht, oder zeigt sie dem Dienstkonto nicht: %s",
		"the new directory does not have these groups, or hides them from the service account: %s", list)
}
