package rpc_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	heimdrahtv1 "github.com/heimdraht/heimdraht/proto/heimdraht/v1"
	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/directory"
	"github.com/heimdraht/heimdraht/provisioner/directory/memory"
	"github.com/heimdraht/heimdraht/provisioner/provisionertest"
)

// The neighbours have a directory of their own, and run the helpdesk of a village.
const (
	neighbours      = "dc=nachbar,dc=example"
	village         = "dorf"
	neighboursAdmin = "nils"
	villagesHelp    = "petra"
	neighboursID    = "7d1e3a52-0f4b-4c57-9d0e-2f1a0000000" // of people, but for the last digit
)

// neighbourhood is their directory.
func neighbourhood(t *testing.T) *memory.Directory {
	t.Helper()
	ldif := "dn: " + neighbours + "\nobjectClass: dcObject\nobjectClass: organization\ndc: nachbar\no: Nachbarstadt\n\n"
	group := func(name string, members ...string) {
		ldif += "dn: cn=" + name + "," + neighbours + "\nobjectClass: groupOfNames\ncn: " + name + "\n"
		for _, m := range members {
			ldif += "member: uid=" + m + "," + neighbours + "\n"
		}
		ldif += "\n"
	}
	everybody := []string{provisionertest.Stranger, neighboursAdmin, villagesHelp}
	for n, login := range everybody {
		ldif += fmt.Sprintf("dn: uid=%[1]s,%s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\ndisplayName: %[1]s Nachbar\nuserPassword: %[3]s\nentryUUID: %[4]s%[5]d\n\n",
			login, neighbours, provisionertest.Password, neighboursID, n)
	}
	group("Nachbarn", everybody...)
	group("Helpdesk", provisionertest.Stranger)
	group("Verwaltung", neighboursAdmin)
	group("Dienst", villagesHelp)
	m, err := memory.New(memory.Options{Name: "nachbar-ldap", Base: neighbours, LDIF: []byte(ldif)})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// neighbourly is a declaration with them, and with one more directory of the town.
func neighbourly() *heimdrahtv1.Declaration {
	d := provisionertest.Declaration()
	theirs, next := proto.CloneOf(d.GetDirectories()[0]), proto.CloneOf(d.GetDirectories()[0])
	theirs.Name, theirs.Base, next.Name = "nachbar-ldap", neighbours, "neu-ldap"
	d.Directories = append(d.Directories, theirs, next)
	dn := func(group string) string { return "cn=" + group + "," + neighbours }
	other := d.GetTenants()[1]
	other.Directory, other.StaffGroup = theirs.GetName(), dn("Nachbarn")
	other.Roles = &heimdrahtv1.Roles{Helpdesk: dn("Helpdesk"), TenantAdmin: dn("Verwaltung")}
	third := proto.CloneOf(other)
	third.Name, third.DisplayName, third.Roles = village, "Dorf", &heimdrahtv1.Roles{}
	other.Provider = &heimdrahtv1.ProviderRoles{Helpdesk: dn("Dienst"), Tenants: []string{village}}
	d.Tenants = append(d.Tenants, third)
	return d
}

// An administrator whose file names what is another tenant's is told what he is told of
// what does not exist.
func TestNothingIsToldByDeclarations(t *testing.T) {
	ours, theirs := provisionertest.Directory(t, 0), neighbourhood(t)
	s := provisionertest.StartWith(t, provisionertest.Options{Declaration: neighbourly(), OpenDirectory: opening(ours, theirs)})
	admin := provisionertest.As(t.Context(), s.Login(provisionertest.Other, neighboursAdmin))
	client := heimdrahtv1.NewAdminServiceClient(s.Dial(nil))
	own := func() *heimdrahtv1.Declaration {
		return &heimdrahtv1.Declaration{Tenants: []*heimdrahtv1.TenantDeclaration{neighbourly().GetTenants()[1]}}
	}
	if _, err := client.Diff(admin, &heimdrahtv1.DiffRequest{Declaration: own()}); err != nil {
		t.Fatal("his own: ", err)
	}
	pool, gateway, followed := neighbourly().GetLicencePools()[0], neighbourly().GetGateways()[0], neighbourly().GetDirectories()[0]
	for kind, c := range map[string]struct {
		foreign, nobodys string
		name             func(*heimdrahtv1.Declaration, string)
	}{
		"tenant": {provisionertest.Tenant, "nirgends", func(d *heimdrahtv1.Declaration, id string) { d.Tenants[0].Name = id }},
		"tenant, with what it has": {provisionertest.Tenant, "nirgends", func(d *heimdrahtv1.Declaration, id string) {
			d.Tenants[0] = proto.CloneOf(neighbourly().GetTenants()[0])
			d.Tenants[0].Name = id
		}},
		"one more tenant": {provisionertest.Tenant, "nirgends", func(d *heimdrahtv1.Declaration, id string) {
			d.Tenants = append(d.Tenants, &heimdrahtv1.TenantDeclaration{Name: id, DisplayName: "x", Directory: "nachbar-ldap", StaffGroup: "cn=x", Policy: d.Tenants[0].GetPolicy()})
		}},
		"directory of a tenant": {"stadt-ldap", "nirgends-ldap", func(d *heimdrahtv1.Declaration, id string) { d.Tenants[0].Directory = id }},
		"mail domain":           {"stadt.example", "nirgends.example", func(d *heimdrahtv1.Declaration, id string) { d.Tenants[0].MailDomains = []string{id} }},
		"helped tenant": {provisionertest.Tenant, "nirgends", func(d *heimdrahtv1.Declaration, id string) {
			d.Tenants[0].Provider.Tenants = []string{village, id}
		}},
		"directory": {"stadt-ldap", "nirgends-ldap", func(d *heimdrahtv1.Declaration, id string) {
			v := proto.CloneOf(followed)
			v.Name = id
			d.Directories = append(d.Directories, v)
		}},
		"licence pool": {"vpn", "none", func(d *heimdrahtv1.Declaration, id string) {
			v := proto.CloneOf(pool)
			v.Name = id
			d.LicencePools = append(d.LicencePools, v)
		}},
		"share of a pool": {provisionertest.Tenant, "nirgends", func(d *heimdrahtv1.Declaration, id string) {
			v := proto.CloneOf(pool)
			v.Name, v.Tenants[0].Tenant = "mine", id
			d.LicencePools = append(d.LicencePools, v)
		}},
		"gateway": {"gw1", "gw9", func(d *heimdrahtv1.Declaration, id string) {
			v := proto.CloneOf(gateway)
			v.Name = id
			d.Gateways = append(d.Gateways, v)
		}},
	} {
		for _, dry := range []bool{true, false} {
			ask := func(id string) string {
				d := own()
				c.name(d, id)
				var answer proto.Message
				var err error
				if dry {
					answer, err = client.Diff(admin, &heimdrahtv1.DiffRequest{Declaration: d})
				} else {
					answer, err = client.Apply(admin, &heimdrahtv1.ApplyRequest{Declaration: d, Reason: "x"})
				}
				if err == nil {
					t.Errorf("%s: %s is let through: %v", kind, id, answer)
				}
				r := refusalOf(err)
				return strings.ReplaceAll(r.GetCode()+": "+r.GetSentence()+" "+r.GetNextStep(), id, "ID")
			}
			if there, missing := ask(c.foreign), ask(c.nobodys); there != missing {
				t.Errorf("%s of another tenant: %s\none that nobody has: %s", kind, there, missing)
			}
		}
	}
}

// opening opens the town's directories, and the neighbours'.
func opening(ours, theirs directory.Directory) func(provisioner.Directory) (directory.Directory, error) {
	return func(d provisioner.Directory) (directory.Directory, error) {
		if d.Name == "nachbar-ldap" {
			return theirs, nil
		}
		return ours, nil
	}
}
