package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/heimdraht/heimdraht/provisioner"
)

func TestLoadDeclaration(t *testing.T) {
	got, err := LoadDeclaration("testdata/stadt.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile("testdata/ad-ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	want := Declaration{
		Directories: []provisioner.Directory{{
			Name:             "stadt-ad",
			Servers:          []string{"ldaps://dc1.stadt.example", "ldaps://dc2.stadt.example"},
			CAPEM:            string(ca),
			BindDN:           "CN=svc-vpn,OU=Dienste,DC=stadt,DC=example",
			BindPasswordFile: "/etc/heimdraht/stadt-ad.pw",
			Base:             "OU=Personal,DC=stadt,DC=example",
		}},
		Tenants: []provisioner.Tenant{{
			Name:        "stadt",
			DisplayName: "Stadt Beispiel",
			Land:        "HE",
			Directory:   "stadt-ad",
			MailDomains: []string{"stadt.example"},
			StaffGroup:  "CN=Homeoffice,OU=Gruppen,DC=stadt,DC=example",
			Roles:       provisioner.RoleGroups{Helpdesk: "CN=Helpdesk,...", Planner: "CN=Planung,...", TenantAdmin: "CN=VPN-Admins,..."},
			Policy: provisioner.Policy{
				DevicesPerPerson: 2,
				Tunnel:           provisioner.TunnelSplit,
				DNSServers:       []netip.Addr{netip.MustParseAddr("10.1.0.53")},
				DNSDomains:       []string{"stadt.example"},
				SignInEvery:      7 * 24 * time.Hour,
				LongestSession:   12 * time.Hour,
				Idle:             provisioner.IdlePolicy{After: time.Hour, Below: 1000},
			},
			Networks: []provisioner.NetworkGrant{
				{Group: "all", Allow: []provisioner.Destination{{Prefix: netip.MustParsePrefix("10.1.0.0/16")}}},
				{Group: "CN=Bauamt,...", Allow: []provisioner.Destination{{Prefix: netip.MustParsePrefix("10.2.0.10/32"), Port: 443}}},
			},
		}},
		Pools: []provisioner.LicencePool{{
			Name: "vpn", Model: provisioner.PoolConcurrent,
			Contracts: []provisioner.Contract{{
				Reference: "R-4711", Seats: 1200, Burst: 50, Price: provisioner.Price{NetCents: 1850, Period: provisioner.PerYear},
				From:  time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC), // midnight in Germany
				Until: time.Date(2029, 12, 31, 23, 0, 0, 0, time.UTC), // the end of the 31st
			}},
			Shares: []provisioner.PoolShare{{Tenant: "stadt", Guarantee: 800}},
		}},
		Gateways: []provisioner.Gateway{{
			Name: "gw1", Endpoint: "vpn1.stadt.example:51820", Sessions: 1500,
			AggregateV4: netip.MustParsePrefix("10.80.0.0/16"), AggregateV6: netip.MustParsePrefix("fd80:1::/48"),
			Tenants: []string{"stadt"},
		}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

func TestLoadDeclarationForms(t *testing.T) {
	dir := t.TempDir()
	one := writeFile(t, dir, "one.yaml", `
directories:
- {name: d, servers: ["LDAP://DC1.Stadt.Example:3389", "ldaps://[2001:db8::5]"], bind: {dn: svc@stadt.example, password_file: /etc/pw}, base: "o=x", flavour: openldap}
- {name: e, servers: ["ldap://10.0.0.1"], bind: {dn: 'STADT\svc', password_file: 'C:\pw'}, base: "o=x", plain: true}
tenants:
- name: t
  directory: d
  mail_domains: [STADT.Example]
  staff_group: "cn=a"
  priority: {crisis: "cn=b", control: "cn=c"}
  crisis: {idle: 2h, hours: lifted, ordinary: closed}
  policy: {tunnel: full, local_networks: deny, dns: {servers: ["fd00::53"], domains: [intern]}, password_expired: password_only, password_hosts: ["fd00::5/128:88", "10.0.0.5/32"], callers: ["10.0.0.40/32:3389"], sign_in_every: 36h, longest_session: never, idle: {after: never, below: 500}, second_factor: {signing_in_again: true}}
  networks: [{group: all, allow: ["fd00::/64:443", "0.0.0.0/0"]}]
  products: [{name: citrix, processes: [wfica, wfica32.exe, "Citrix Viewer"], licence_pool: p}, {name: phone, processes: [sipp]}]
  works_agreement: {reference: "DV 2026-03", date: 2026-03-01}
`)
	two := writeFile(t, dir, "two.yaml", `
licence_pools:
- {name: p, model: concurrent, seats: 3, until: "2027-03-28", eur_per_seat_year: 7, tenants: {b: , a: {}, c: {guarantee: 3}}}
- {name: q, model: concurrent, seats: 3, eur_per_seat_year: 0.5, tenants: {b: {guarantee: 0}}}
- name: many
  model: concurrent
  contracts:
  - {reference: R-1, seats: 500, burst: 5, until: 2027-12-31, notice: 2027-09-30, price: {net: 1.55, gross: 1.84, per: month}}
  - {reference: R-2, seats: 300, from: 2027-07-01, price: {gross: 20}}
  lend_guaranteed: 25
  recall: 30m
  reserved: {control: 10, crisis: 20}
  warn: [70, 90, 99]
  warn_forecast: [10, 99]
  tenants: {a: {guarantee: 700}}
- {name: names, model: named, seats: 40, take_back_unused: 90d, hold_at_least: 30d, tenants: {a: }}
gateways:
- {name: g, endpoint: "2001:DB8::1", sessions: 64, aggregate: {v6: "fd80::/122"}, masquerade: true, weight: 50, site: mitte, throughput: 2Gbit, warn: [60]}
`)
	got, err := LoadDeclaration(one, two)
	if err != nil {
		t.Fatal(err)
	}
	want := Declaration{
		Directories: []provisioner.Directory{
			{Name: "d", Servers: []string{"ldap://dc1.stadt.example:3389", "ldaps://[2001:db8::5]"}, BindDN: "svc@stadt.example", BindPasswordFile: "/etc/pw", Base: "o=x", Flavour: "openldap"},
			{Name: "e", Servers: []string{"ldap://10.0.0.1"}, BindDN: `STADT\svc`, BindPasswordFile: `C:\pw`, Base: "o=x", Plain: true},
		},
		Tenants: []provisioner.Tenant{{
			Name: "t", DisplayName: "t", Directory: "d", MailDomains: []string{"stadt.example"}, StaffGroup: "cn=a",
			Priority: provisioner.PriorityGroups{Crisis: "cn=b", Control: "cn=c"},
			Crisis:   provisioner.CrisisPlan{Idle: 2 * time.Hour, LiftHours: true, CloseOrdinary: true},
			Policy: provisioner.Policy{DevicesPerPerson: 2, Tunnel: provisioner.TunnelFull, LocalNetworks: provisioner.LocalDenied, DNSServers: []netip.Addr{netip.MustParseAddr("fd00::53")}, DNSDomains: []string{"intern"},
				SignInEvery: 36 * time.Hour, Idle: provisioner.IdlePolicy{Below: 500}, SecondFactor: provisioner.SecondFactorPolicy{SigningInAgain: true},
				PasswordExpired: provisioner.PasswordHostsOnly, PasswordHosts: []provisioner.Destination{
					{Prefix: netip.MustParsePrefix("fd00::5/128"), Port: 88}, {Prefix: netip.MustParsePrefix("10.0.0.5/32")}},
				Callers: []provisioner.Destination{{Prefix: netip.MustParsePrefix("10.0.0.40/32"), Port: 3389}}},
			Networks: []provisioner.NetworkGrant{{Group: "all", Allow: []provisioner.Destination{
				{Prefix: netip.MustParsePrefix("fd00::/64"), Port: 443}, {Prefix: netip.MustParsePrefix("0.0.0.0/0")}}}},
			Products: []provisioner.Product{
				{Name: "citrix", Processes: []string{"wfica", "wfica32.exe", "Citrix Viewer"}, LicencePool: "p"}, {Name: "phone", Processes: []string{"sipp"}},
			},
			WorksAgreement: provisioner.WorksAgreement{Reference: "DV 2026-03", Date: time.Date(2026, 2, 28, 23, 0, 0, 0, time.UTC)},
		}},
		Pools: []provisioner.LicencePool{
			{Name: "p", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 3, Until: time.Date(2027, 3, 28, 22, 0, 0, 0, time.UTC), Price: provisioner.Price{NetCents: 700, Period: provisioner.PerYear}}},
				Shares: []provisioner.PoolShare{{Tenant: "a"}, {Tenant: "b"}, {Tenant: "c", Guarantee: 3}}},
			{Name: "q", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 3, Price: provisioner.Price{NetCents: 50, Period: provisioner.PerYear}}}, Shares: []provisioner.PoolShare{{Tenant: "b"}}},
			seatsOfMany(),
			seatsOfNames(),
		},
		Gateways: []provisioner.Gateway{{Name: "g", Endpoint: "[2001:db8::1]:51820", Sessions: 64, AggregateV6: netip.MustParsePrefix("fd80::/122"), Masquerade: true, Weight: 50, Site: "mitte", Throughput: 2_000_000_000, WarnAt: []int64{60}}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

func seatsOfMany() provisioner.LicencePool {
	return provisioner.LicencePool{
		Name: "many", Model: provisioner.PoolConcurrent, LendGuaranteed: 25, Recall: 30 * time.Minute, WarnAt: []int64{70, 90, 99}, WarnForecast: []int64{10, 99},
		Contracts: []provisioner.Contract{
			{
				Reference: "R-1", Seats: 500, Burst: 5, Until: time.Date(2027, 12, 31, 23, 0, 0, 0, time.UTC), NoticeBy: time.Date(2027, 9, 30, 22, 0, 0, 0, time.UTC),
				Price: provisioner.Price{NetCents: 155, GrossCents: 184, Period: provisioner.PerMonth},
			},
			{Reference: "R-2", Seats: 300, From: time.Date(2027, 6, 30, 22, 0, 0, 0, time.UTC), Price: provisioner.Price{GrossCents: 2000, Period: provisioner.PerYear}},
		},
		Reserved: []provisioner.Reserve{{Class: provisioner.PriorityCrisis, Seats: 20}, {Class: provisioner.PriorityControl, Seats: 10}},
		Shares:   []provisioner.PoolShare{{Tenant: "a", Guarantee: 700}},
	}
}

func seatsOfNames() provisioner.LicencePool {
	return provisioner.LicencePool{
		Name: "names", Model: provisioner.PoolNamed, Contracts: []provisioner.Contract{{Seats: 40}},
		TakeBackUnused: 90 * 24 * time.Hour, HoldAtLeast: 30 * 24 * time.Hour, Shares: []provisioner.PoolShare{{Tenant: "a"}},
	}
}

// TestLoadDeclarationTellsAll says that the mistakes of all files come
// together, in the order of files and lines.
func TestLoadDeclarationTellsAll(t *testing.T) {
	dir := t.TempDir()
	a := writeFile(t, dir, "a.yaml", "tenant:\n- x\ngateways: 3\n")
	b := writeFile(t, dir, "b.yaml", "licence_pools:\n- {name: P}\n")
	_, err := LoadDeclaration(b, a)
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	want := strings.ReplaceAll(`DIR/b.yaml:2: name: "P" is not a name: 1 to 63 lower-case letters, digits and '-', not at an end
DIR/b.yaml:2: a licence pool needs "model"
DIR/b.yaml:2: a licence pool needs "seats"
DIR/b.yaml:2: a licence pool needs "tenants"
DIR/a.yaml:1: unknown key "tenant" in the file; did you mean "tenants"?
DIR/a.yaml:3: gateways: wanted a list of gateways, not the number 3`, "DIR", dir)
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestLoadDeclarationWithoutFile(t *testing.T) {
	_, err := LoadDeclaration(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestManyProblemsAreCut(t *testing.T) {
	_, err := parseFile("f", []byte(strings.Repeat("a: 1\n", 30)), parseControlPlane)
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 21 || lines[20] != "and 10 more" {
		t.Errorf("got %d lines, the last: %s", len(lines), lines[len(lines)-1])
	}
}

func writeFile(t testing.TB, dir, name, content string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// FuzzLoadDeclaration demands of any bytes: no panic, no endless work, and
// what is accepted is within the bounds that everybody behind relies on.
func FuzzLoadDeclaration(f *testing.F) {
	example, err := os.ReadFile("testdata/stadt.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	for _, c := range badDeclarations() {
		f.Add([]byte(c.file))
	}
	f.Add([]byte(strings.Repeat("[", 100_000)))
	f.Add([]byte("a: &a [x,x]\nb: &b [*a,*a]\ntenants: [*b,*b]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		l := loader{seen: map[string]seen{}}
		// A directory that does not exist: no fuzzed path may open anything.
		l.add("/nonexistent/f.yaml", content)
		d, err := l.result([]string{"/nonexistent/f.yaml"})
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		for _, x := range d.Tenants {
			if x.Name == "" || x.Directory == "" || x.StaffGroup == "" || x.Policy.DevicesPerPerson < 1 {
				t.Errorf("accepted %+v", x)
			}
			if len(x.Products) > provisioner.MostProducts || len(x.Products) > 0 && (x.WorksAgreement.Reference == "" || x.WorksAgreement.Date.IsZero()) {
				t.Errorf("accepted %+v", x)
			}
			for _, n := range x.Networks {
				for _, to := range n.Allow {
					if !to.Prefix.IsValid() || to.Prefix.Masked() != to.Prefix {
						t.Errorf("accepted %+v", to)
					}
				}
			}
		}
		for _, x := range d.Pools {
			if x.Name == "" || len(x.Contracts) == 0 || len(x.Shares) == 0 || x.LendGuaranteed < 0 || x.LendGuaranteed > 100 {
				t.Errorf("accepted %+v", x)
			}
			for _, c := range x.Contracts {
				if c.Seats < 1 || c.Burst < 0 || c.Price.NetCents < 0 || !c.Until.IsZero() && !c.From.Before(c.Until) {
					t.Errorf("accepted %+v", x)
				}
			}
		}
		for _, x := range d.Gateways {
			if x.Name == "" || x.Endpoint == "" || x.Sessions < 1 || !x.AggregateV4.IsValid() && !x.AggregateV6.IsValid() {
				t.Errorf("accepted %+v", x)
			}
		}
		for _, x := range d.Directories {
			if x.Name == "" || len(x.Servers) == 0 || x.BindDN == "" || x.BindPasswordFile == "" || x.Base == "" {
				t.Errorf("accepted %+v", x)
			}
		}
	})
}
