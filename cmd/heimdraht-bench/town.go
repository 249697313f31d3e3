//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
)

// Bounds of what can be declared without addresses or names running out.
const (
	maxDevices  = 60_000 // two laptops for each of 30,000 people, on one gateway if need be
	maxGateways = 16     // 100.64.0.0/10 (RFC 6598) has so many /14
	maxTenants  = 1_000
)

const (
	suffix    = "dc=bench,dc=example"
	peopleIn  = "ou=Personal," + suffix
	groupsIn  = "ou=Gruppen," + suffix
	serviceDN = "cn=heimdraht," + suffix

	directoryName = "bench-ldap"
)

// town is who and what there is: a pure function of its fields.
type town struct {
	people, tenants, gateways int
	seed                      uint64
}

// device is the n-th of the fleet, from 0. Its person has another one if there are more devices than people.
func (t town) device(n int) (tenant, login, serial string) {
	person := n % t.people
	return t.tenant(t.tenantOf(person)), login0(person), fmt.Sprintf("BENCH-%06d", n)
}

func login0(person int) string { return fmt.Sprintf("p%05d", person) }

// tenantOf gives two fifths of the people to the first tenant, a city among towns.
func (t town) tenantOf(person int) int {
	if t.tenants == 1 || person%5 < 2 {
		return 0
	}
	return 1 + (person/5*3+person%5-2)%(t.tenants-1)
}

func (t town) tenant(n int) string  { return fmt.Sprintf("bench-%03d", n) }
func (t town) gateway(n int) string { return fmt.Sprintf("bench-gw%02d", n) }
func staffGroup(tenant string) string {
	return "cn=" + tenant + "," + groupsIn
}

// ldif is the directory's content. Everybody has the same password.
func (t town) ldif(service, password string) string {
	draw := rand.New(rand.NewPCG(t.seed, 0))
	first := []string{"Anna", "Bernd", "Cem", "Dörte", "Eva", "Fritz", "Gül", "Hans", "Ida", "Jürgen", "Käthe", "Lars", "Mia", "Nuri", "Olga", "Paul"}
	last := []string{"Acker", "Bäcker", "Çelik", "Dorn", "Eichel", "Fuchs", "Groß", "Huber", "Jung", "Keßler", "Lang", "Müller", "Nowak", "Öztürk", "Pohl", "Roth"}
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nobjectClass: dcObject\nobjectClass: organization\ndc: bench\no: Bench\n\n", suffix)
	for _, ou := range []string{"Personal", "Gruppen"} {
		fmt.Fprintf(&b, "dn: ou=%s,%s\nobjectClass: organizationalUnit\nou: %s\n\n", ou, suffix, ou)
	}
	fmt.Fprintf(&b, "dn: %s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: heimdraht\nuserPassword: %s\n\n", serviceDN, service)
	members := make([]strings.Builder, t.tenants)
	for n := range t.people {
		given, family, login := first[draw.IntN(len(first))], last[draw.IntN(len(last))], login0(n)
		dn := "uid=" + login + "," + peopleIn
		fmt.Fprintf(&b, "dn: %s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s %s\nsn: %s\ndisplayName: %s %s\nmail: %s@bench.example\nentryUUID: 6d1e3a52-0f4b-4c57-9d0e-%012x\nuserPassword: %s\n\n",
			dn, login, given, family, family, given, family, login, n, password)
		fmt.Fprintf(&members[t.tenantOf(n)], "member: %s\n", dn)
	}
	for n := range t.tenants {
		fmt.Fprintf(&b, "dn: %s\nobjectClass: groupOfNames\ncn: %s\n%s\n", staffGroup(t.tenant(n)), t.tenant(n), members[n].String())
	}
	return b.String()
}

// tenantList declares all tenants. edition changes a field of each, so that applying the next one is an import that
// changes every tenant.
func (t town) tenantList(edition int) []*heimdrahtv1.TenantDeclaration {
	list := make([]*heimdrahtv1.TenantDeclaration, t.tenants)
	for n := range list {
		name := t.tenant(n)
		list[n] = &heimdrahtv1.TenantDeclaration{
			Name: name, DisplayName: fmt.Sprintf("Gemeinde %d, Ausgabe %d", n, edition), Land: "HE", Directory: directoryName, StaffGroup: staffGroup(name),
			Policy:   &heimdrahtv1.Policy{DevicesPerPerson: 10, Tunnel: "split"},
			Networks: []*heimdrahtv1.NetworkGrant{{Group: "all", Allow: []string{fmt.Sprintf("10.%d.%d.0/24", n/250, n%250)}}},
		}
	}
	return list
}

// declaration is everything. endpoints are the gateways' own, in order.
func (t town) declaration(ldapURL, ca, passwordFile string, endpoints []string) *heimdrahtv1.Declaration {
	d := &heimdrahtv1.Declaration{
		Directories: []*heimdrahtv1.DirectoryDeclaration{{
			Name: directoryName, Servers: []string{ldapURL}, CaPem: ca, BindDn: serviceDN, BindPasswordFile: passwordFile, Base: peopleIn,
		}},
		Tenants: t.tenantList(0),
	}
	pool := &heimdrahtv1.LicencePoolDeclaration{Name: "bench", Model: "concurrent", Contracts: []*heimdrahtv1.ContractDeclaration{{Seats: 2 * maxDevices}}}
	var names []string
	for n := range t.tenants {
		names = append(names, t.tenant(n))
		pool.Tenants = append(pool.Tenants, &heimdrahtv1.PoolShare{Tenant: t.tenant(n)})
	}
	d.LicencePools = []*heimdrahtv1.LicencePoolDeclaration{pool}
	for n, endpoint := range endpoints {
		d.Gateways = append(d.Gateways, &heimdrahtv1.GatewayDeclaration{
			Name: t.gateway(n), Endpoint: endpoint, Sessions: 2 * maxDevices, Tenants: names,
			AggregateV4: fmt.Sprintf("100.%d.0.0/14", 64+4*n), AggregateV6: fmt.Sprintf("fd80:%x::/48", n+1),
		})
	}
	return d
}
