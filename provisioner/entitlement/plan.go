package entitlement

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/mirror"
)

// plan is what the tenants of one directory ask of it, laid out so that what somebody is costs the same beside one
// tenant and beside 500.
type plan struct {
	tenants []provisioner.Tenant
	byBase  map[string][]int        // tenants by the folded DN of their base
	byGroup map[string][]groupAsked // by the folded DN of a group
}

type groupAsked struct {
	tenant int
	dn     string // as the tenant spells it
}

func newPlan(d provisioner.Directory, tenants []provisioner.Tenant) *plan {
	p := &plan{tenants: tenants, byBase: map[string][]int{}, byGroup: map[string][]groupAsked{}}
	for i, t := range tenants {
		base := fold(baseOf(d, t))
		p.byBase[base] = append(p.byBase[base], i)
		for _, dn := range t.GroupsAsked() {
			p.byGroup[fold(dn)] = append(p.byGroup[fold(dn)], groupAsked{i, dn})
		}
	}
	return p
}

func baseOf(d provisioner.Directory, t provisioner.Tenant) string {
	if t.Base != "" {
		return t.Base
	}
	return d.Base
}

// fold is the form in which DNs are compared. One that is none leads to nobody, as the directory itself has it.
func fold(dn string) string {
	folded, err := directory.FoldDN(norm.NFC.String(dn))
	if err != nil {
		return dn
	}
	return folded
}

// interest is what has to be followed for these tenants.
func (p *plan) interest(d provisioner.Directory) directory.Interest {
	var i directory.Interest
	for _, t := range p.tenants {
		i.Bases = append(i.Bases, baseOf(d, t))
		i.Groups = append(i.Groups, t.GroupsAsked()...)
	}
	slices.Sort(i.Bases)
	slices.Sort(i.Groups)
	i.Bases, i.Groups = slices.Compact(i.Bases), slices.Compact(i.Groups)
	return i
}

// missing lists, by tenant, the groups asked for that the directory does not have.
func (p *plan) missing(m *mirror.Mirror) map[int][]string {
	missing := map[int][]string{}
	for folded, asked := range p.byGroup {
		if m.HasGroup(folded) {
			continue
		}
		for _, a := range asked {
			missing[a.tenant] = append(missing[a.tenant], a.dn)
		}
	}
	return missing
}

// membership is the groups of one tenant that somebody is in.
type membership struct {
	tenant int
	groups []string
}

// tenantsOf gives the tenants among whose people somebody is, with the groups asked for that she is in.
func (p *plan) tenantsOf(m *mirror.Mirror, person directory.Person) []membership {
	var list []membership
	for _, t := range p.basesOf(m.FoldedDN(person.StableID)) {
		list = append(list, membership{tenant: t})
	}
	if len(list) == 0 {
		return nil
	}
	for group := range m.Memberships(person.StableID) {
		for _, a := range p.byGroup[group] {
			if i := slices.IndexFunc(list, func(v membership) bool { return v.tenant == a.tenant }); i >= 0 {
				list[i].groups = append(list[i].groups, a.dn)
			}
		}
	}
	return list
}

// basesOf gives the tenants below whose bases somebody with that folded DN is.
func (p *plan) basesOf(dn string) []int {
	list := slices.Clone(p.byBase[""])
	for base := dn; ; {
		list = append(list, p.byBase[base]...)
		_, above, found := strings.Cut(base, ",") // in a folded DN a comma is always a separator
		if !found {
			return list
		}
		base = above
	}
}
