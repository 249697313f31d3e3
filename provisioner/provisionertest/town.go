package provisionertest

import (
	"fmt"
	"strings"
	"testing"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
)

// Where people and groups are.
const (
	base   = "dc=stadt,dc=example"
	People = "ou=Personal," + base
	Groups = "ou=Gruppen," + base

	serviceDN = "cn=heimdraht," + base
)

// ServicePassword is that of the service account which searches the directory.
const ServicePassword = "sucht-nur-2027" //nolint:gosec // of a directory that does not exist

// DN is somebody's entry.
func DN(login string) string { return "uid=" + login + "," + People }

// GroupDN is a group's entry.
func GroupDN(name string) string { return "cn=" + name + "," + Groups }

// Login is that of the n-th of the additional staff, from 0.
func Login(n int) string { return fmt.Sprintf("staff%05d", n) }

// Directory is the town's, in memory, with additional staff.
func Directory(t testing.TB, people int) *memory.Directory {
	t.Helper()
	return playing(t, people, "")
}

// playing is the town's directory that plays another flavour.
func playing(t testing.TB, people int, flavour string) *memory.Directory {
	t.Helper()
	m, err := memory.New(memory.Options{Name: "stadt-ldap", Base: People, Flavour: flavour, LDIF: []byte(town(people))})
	if err != nil {
		t.Fatal("reading the town: ", err)
	}
	return m
}

// town is the directory's content.
func town(people int) string {
	staff := []string{Staff, Second, Helpdesk, Disabled}
	all := []string{Staff, Second, Outsider, Helpdesk, Planner, Admin, Stranger, Disabled}
	for n := range people {
		staff, all = append(staff, Login(n)), append(all, Login(n))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "dn: %s\nobjectClass: dcObject\nobjectClass: organization\ndc: stadt\no: Stadt Beispiel\n\n", base)
	for _, ou := range []string{"Personal", "Gruppen"} {
		fmt.Fprintf(&b, "dn: ou=%s,%s\nobjectClass: organizationalUnit\nou: %s\n\n", ou, base, ou)
	}
	fmt.Fprintf(&b, "dn: %s\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: heimdraht\nuserPassword: %s\n\n", serviceDN, ServicePassword)
	for i, login := range all {
		fmt.Fprintf(&b, "dn: %s\nobjectClass: inetOrgPerson\nuid: %s\ncn: %s\nsn: %s\ndisplayName: %s Beispiel\nmail: %s@stadt.example\nentryUUID: 6d1e3a52-0f4b-4c57-9d0e-2f1a%08d\nuserPassword: %s\n",
			DN(login), login, login, login, login, login, i, Password)
		if login == Disabled {
			b.WriteString("pwdAccountLockedTime: 000001010000Z\n")
		}
		b.WriteString("\n")
	}
	for _, g := range []struct {
		name    string
		members []string
	}{
		{"Homeoffice", staff},
		{"Helpdesk", []string{Helpdesk}}, {"Planung", []string{Planner}}, {"Verwaltung", []string{Admin}},
		{"Nachbarn", []string{Stranger}},
	} {
		fmt.Fprintf(&b, "dn: %s\nobjectClass: groupOfNames\ncn: %s\n", GroupDN(g.name), g.name)
		for _, m := range g.members {
			fmt.Fprintf(&b, "member: %s\n", DN(m))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Declaration is what Start applies: both tenants, a pool and a gateway for
// the first one.
func Declaration() *heimdrahtv1.Declaration {
	return &heimdrahtv1.Declaration{
		Directories: []*heimdrahtv1.DirectoryDeclaration{{ //nolint:gosec // a path, no password
			Name: "stadt-ldap", Servers: []string{"ldaps://ldap.stadt.example"}, BindDn: serviceDN,
			BindPasswordFile: "/etc/heimdraht/stadt.pw", Base: People,
		}},
		Tenants: []*heimdrahtv1.TenantDeclaration{
			{
				Name: Tenant, DisplayName: "Stadt Beispiel", Land: "HE", Directory: "stadt-ldap", MailDomains: []string{"stadt.example"},
				StaffGroup: GroupDN("Homeoffice"),
				Roles:      &heimdrahtv1.Roles{Helpdesk: GroupDN("Helpdesk"), Planner: GroupDN("Planung"), TenantAdmin: GroupDN("Verwaltung")},
				Policy:     &heimdrahtv1.Policy{DevicesPerPerson: 2, Tunnel: "split"},
				Networks:   []*heimdrahtv1.NetworkGrant{{Group: "all", Allow: []string{"10.1.0.0/16"}}},
			},
			{
				Name: Other, DisplayName: "Nachbarstadt", Land: "HE", Directory: "stadt-ldap",
				StaffGroup: GroupDN("Nachbarn"), Roles: &heimdrahtv1.Roles{Helpdesk: GroupDN("Nachbarn")},
				Policy: &heimdrahtv1.Policy{DevicesPerPerson: 2, Tunnel: "split"},
			},
		},
		LicencePools: []*heimdrahtv1.LicencePoolDeclaration{{
			Name: "vpn", Model: "concurrent", Contracts: []*heimdrahtv1.ContractDeclaration{{Seats: 3}}, Tenants: []*heimdrahtv1.PoolShare{{Tenant: Tenant}},
		}},
		Gateways: []*heimdrahtv1.GatewayDeclaration{{
			Name: "gw1", Endpoint: "vpn1.stadt.example:51820", Sessions: 100,
			AggregateV4: "10.80.0.0/16", AggregateV6: "fd80:1::/48", Tenants: []string{Tenant},
		}},
	}
}
