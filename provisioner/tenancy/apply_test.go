package tenancy_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/heimdraht/heimdraht/provisioner"
	"github.com/heimdraht/heimdraht/provisioner/store"
	"github.com/heimdraht/heimdraht/provisioner/tenancy"
)

func TestApply(t *testing.T) { onEach(t, testApply) }

func testApply(t *testing.T, w *world) {
	t.Helper()
	if _, err := w.Diff(t.Context(), operator(), region()); err != nil {
		t.Fatal(err)
	}
	if n := w.revision(t) + int64(len(w.events(t))); n != 0 {
		t.Errorf("looking at differences changed something")
	}
	want := []tenancy.Difference{
		{Kind: "directory", Name: "ad"}, {Kind: "tenant", Name: "stadt"}, {Kind: "tenant", Name: "dorf"},
		{Kind: "licence pool", Name: "vpn"}, {Kind: "gateway", Name: "gw1"}, {Kind: "gateway", Name: "gw2"},
	}
	if diff := cmp.Diff(want, w.applies(t, region())); diff != "" {
		t.Errorf("first time (-want +got):\n%s", diff)
	}
	log := w.events(t)
	if len(log) != len(want) || !strings.Contains(log[0], `"action":"apply"`) || !strings.Contains(log[0], `"reason":"as agreed"`) {
		t.Errorf("audit log %q", log)
	}

	// Again, in another order of what has no order: nothing.
	again := region()
	again.Pools[0].Shares[0], again.Pools[0].Shares[1] = again.Pools[0].Shares[1], again.Pools[0].Shares[0]
	again.Gateways[0].Tenants = []string{"dorf", "stadt"}
	again.Tenants[0].MailDomains = []string{"Stadt.Example"}
	again.Tenants[0].Policy.DevicesPerPerson, again.Tenants[0].Policy.Tunnel = 0, ""
	revision := w.revision(t)
	if list := w.applies(t, again); len(list) != 0 || w.revision(t) != revision || len(w.events(t)) != len(log) {
		t.Errorf("applying again changed %+v", list)
	}
}

// Each field that can be declared is compared, told under its name in the
// file, and stored.
func TestEveryFieldIsCompared(t *testing.T) { onEach(t, testEveryFieldIsCompared) }

func testEveryFieldIsCompared(t *testing.T, w *world) {
	t.Helper()
	for _, c := range []struct {
		change        func(*tenancy.Declaration)
		kind, field   string
		before, after string
	}{
		{func(d *tenancy.Declaration) { d.Directories[0].Servers = []string{"ldaps://dc3.stadt.example"} }, "directory", "servers", "ldaps://dc1.stadt.example, ldaps://dc2.stadt.example", "ldaps://dc3.stadt.example"},
		{func(d *tenancy.Declaration) { d.Directories[0].CAPEM = "" }, "directory", "ca_file", "*", ""},
		{func(d *tenancy.Declaration) { d.Directories[0].BindDN = "CN=other" }, "directory", "bind.dn", "CN=svc,DC=stadt", "CN=other"},
		{func(d *tenancy.Declaration) { d.Directories[0].BindPasswordFile = "/x" }, "directory", "bind.password_file", "/etc/heimdraht/ad.pw", "/x"},
		{func(d *tenancy.Declaration) { d.Directories[0].Base = "DC=x" }, "directory", "base", "DC=stadt", "DC=x"},
		{func(d *tenancy.Declaration) { d.Directories[0].Flavour = "openldap" }, "directory", "flavour", "", "openldap"},
		{func(d *tenancy.Declaration) { d.Directories[0].Plain = true }, "directory", "tls", "", "none"},
		{func(d *tenancy.Declaration) { d.Tenants[0].DisplayName = "X" }, "tenant", "display_name", "Gemeinde stadt", "X"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Land = "BY" }, "tenant", "land", "HE", "BY"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Base = "OU=x" }, "tenant", "base", "", "OU=x"},
		{func(d *tenancy.Declaration) { d.Tenants[0].MailDomains = []string{"a.example", "b.example"} }, "tenant", "mail_domains", "stadt.example", "a.example, b.example"},
		{func(d *tenancy.Declaration) { d.Tenants[0].StaffGroup = "CN=x" }, "tenant", "staff_group", "CN=stadt", "CN=x"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Roles.Helpdesk = "CN=x" }, "tenant", "roles.helpdesk", "CN=help", "CN=x"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Roles.Planner = "CN=x" }, "tenant", "roles.planner", "", "CN=x"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Roles.TenantAdmin = "CN=x" }, "tenant", "roles.tenant_admin", "", "CN=x"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Priority.Crisis = "CN=x" }, "tenant", "priority.crisis", "", "CN=x"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Priority.Control = "CN=x" }, "tenant", "priority.control", "", "CN=x"},
		{func(d *tenancy.Declaration) {
			d.Tenants[0].Crisis = provisioner.CrisisPlan{Idle: 15 * time.Minute, LiftHours: true}
		}, "tenant", "crisis", "", "idle: 15m, hours: lifted, ordinary: open"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.DevicesPerPerson = 3 }, "tenant", "policy.devices_per_person", "2", "3"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.SignInEvery = 36 * time.Hour }, "tenant", "policy.sign_in_every", "7d", "36h"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.LongestSession = 0 }, "tenant", "policy.longest_session", "12h", "never"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.Idle.After = 90 * time.Minute }, "tenant", "policy.idle.after", "1h", "90m"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.Idle.Below = 500 }, "tenant", "policy.idle.below", "1000", "500"},
		{func(d *tenancy.Declaration) {
			d.Tenants[0].Policy.Conditions = provisioner.ConditionPolicy{Demands: map[provisioner.Condition]provisioner.Demand{provisioner.Firewall: provisioner.DemandRequired}, GraceDays: 7}
		}, "tenant", "policy.conditions", "", "firewall: required, grace: 7d"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.MinimumAgent.Version = "v1.4.0" }, "tenant", "policy.minimum_agent_version.version", "", "v1.4.0"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.SecondFactor.Enrolling = true }, "tenant", "policy.second_factor.enrolling", "false", "true"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.SecondFactor.SigningInAgain = true }, "tenant", "policy.second_factor.signing_in_again", "false", "true"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.Tunnel = provisioner.TunnelFull }, "tenant", "policy.tunnel", "split", "full"},
		{func(d *tenancy.Declaration) {
			d.Tenants[0].Policy.DNSServers = []netip.Addr{netip.MustParseAddr("10.1.0.53")}
		}, "tenant", "policy.dns.servers", "", "10.1.0.53"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.DNSDomains = []string{"stadt.example"} }, "tenant", "policy.dns.domains", "", "stadt.example"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Policy.PasswordExpired = provisioner.PasswordClose }, "tenant", "policy.password_expired", "keep", "close"},
		{func(d *tenancy.Declaration) {
			d.Tenants[0].Networks = []provisioner.NetworkGrant{{Group: "CN=bau", Allow: []provisioner.Destination{{Prefix: netip.MustParsePrefix("10.1.0.10/32"), Port: 443}}}}
		}, "tenant", "networks", "all: 10.1.0.0/16", "CN=bau: 10.1.0.10/32:443"},
		{func(d *tenancy.Declaration) {
			d.Tenants[0].HouseRules = provisioner.NewHouseRules("Sperren.", "", "")
		}, "tenant", "house_rules", "", provisioner.NewHouseRules("Sperren.", "", "").Version},
		{func(d *tenancy.Declaration) { d.Tenants[0].WorksAgreement = agreed() }, "tenant", "works_agreement", "", "DV 2026-03 of 2026-03-01"},
		{func(d *tenancy.Declaration) { d.Pools[0].Contracts[0].Seats = 120 }, "licence pool", "seats", "100", "120"},
		{func(d *tenancy.Declaration) { d.Pools[0].Contracts[0].Burst = 0 }, "licence pool", "burst", "5", "0"},
		{func(d *tenancy.Declaration) { d.Pools[0].Contracts[0].From = time.Time{} }, "licence pool", "from", "2020-01-01", ""},
		{func(d *tenancy.Declaration) { d.Pools[0].Contracts[0].Until = time.Time{} }, "licence pool", "until", "2029-12-31", ""},
		{func(d *tenancy.Declaration) { d.Pools[0].Contracts[0].Reference = "R-1" }, "licence pool", "contract", "R-4711", "R-1"},
		{func(d *tenancy.Declaration) { d.Pools[0].Contracts[0].Price.NetCents = 1905 }, "licence pool", "price", "18.50 EUR a year", "19.05 EUR a year"},
		{func(d *tenancy.Declaration) { d.Pools[0].Shares[0].Guarantee = 0 }, "licence pool", "tenants", "dorf: 0, stadt: 80", "dorf: 0, stadt: 0"},
		{func(d *tenancy.Declaration) { d.Gateways[0].Endpoint = "192.0.2.1:443" }, "gateway", "endpoint", "gw1.stadt.example:51820", "192.0.2.1:443"},
		{func(d *tenancy.Declaration) { d.Gateways[0].Sessions = 7 }, "gateway", "sessions", "100", "7"},
		{func(d *tenancy.Declaration) { d.Gateways[0].AggregateV4 = netip.MustParsePrefix("10.90.0.0/16") }, "gateway", "aggregate.v4", "10.80.0.0/16", "10.90.0.0/16"},
		{func(d *tenancy.Declaration) { d.Gateways[0].AggregateV6 = netip.MustParsePrefix("fd80:1::/48") }, "gateway", "aggregate.v6", "", "fd80:1::/48"},
		{func(d *tenancy.Declaration) { d.Gateways[0].Tenants = []string{"stadt"} }, "gateway", "tenants", "dorf, stadt", "stadt"},
		{func(d *tenancy.Declaration) { d.Gateways[0].Masquerade = true }, "gateway", "masquerade", "false", "true"},
		{func(d *tenancy.Declaration) { d.Gateways[0].Weight = 50 }, "gateway", "weight", "100", "50"},
		{func(d *tenancy.Declaration) { d.Gateways[0].WarnAt = []int64{70, 90} }, "gateway", "warn", "", "70, 90"},
		{func(d *tenancy.Declaration) { d.Pools[0].WarnForecast = []int64{20} }, "licence pool", "warn_forecast", "", "20"},
		{func(d *tenancy.Declaration) { d.Gateways[0].Site = "mitte" }, "gateway", "site", "", "mitte"},
		{func(d *tenancy.Declaration) { d.Gateways[0].Throughput = 2e9 }, "gateway", "throughput", "", "2Gbit"},
		{func(d *tenancy.Declaration) { d.Tenants[0].Site = "mitte" }, "tenant", "site", "", "mitte"},
	} {
		t.Run(c.kind+" "+c.field, func(t *testing.T) {
			w.applies(t, region())
			d := region()
			c.change(&d)
			predicted, err := w.Diff(t.Context(), operator(), d)
			if err != nil {
				t.Fatal(err)
			}
			list := w.applies(t, d)
			if diff := cmp.Diff(predicted, list); diff != "" {
				t.Errorf("predicted otherwise (-predicted +done):\n%s", diff)
			}
			if len(list) != 1 || list[0].Kind != c.kind || list[0].Field != c.field || list[0].After != c.after || c.before != "*" && list[0].Before != c.before {
				t.Errorf("differences %+v", list)
			}
			if more := w.applies(t, d); len(more) != 0 {
				t.Errorf("it was not stored: %+v", more)
			}
		})
	}
}

// passwordOnly is a policy that leaves one host while a password has expired.
func passwordOnly(host string) provisioner.Policy {
	p := provisioner.DefaultPolicy()
	p.PasswordExpired, p.PasswordHosts = provisioner.PasswordHostsOnly, []provisioner.Destination{{Prefix: netip.MustParsePrefix(host), Port: 88}}
	return p
}

// A tenant's administrator decides about expired passwords, but grants nothing that the operator has not.
func TestPasswordHosts(t *testing.T) {
	w := newWorld(t)
	w.applies(t, region())
	admin := as(provisioner.RoleTenantAdmin, "stadt")
	for _, c := range []struct {
		host string
		who  provisioner.Actor
		want provisioner.Code
	}{
		{"10.1.0.5/32", admin, ""}, {"10.4.0.5/32", admin, provisioner.CodeDeclarationInvalid}, {"10.0.0.0/8", admin, provisioner.CodeDeclarationInvalid},
		{"10.4.0.5/32", operator(), ""},
	} {
		d := tenancy.Declaration{Tenants: region().Tenants[:1]}
		d.Tenants[0].Policy = passwordOnly(c.host)
		if _, err := w.Apply(t.Context(), c.who, d, "x"); codeOf(err) != c.want {
			t.Errorf("%s by %s: %v", c.host, c.who.ID, err)
		}
	}
	d := region()
	d.Tenants[0].Policy = passwordOnly("10.1.0.6/32")
	list := w.applies(t, d)
	if len(list) != 1 || list[0].Field != "policy.password_hosts" || list[0].Before != "10.4.0.5/32:88" || list[0].After != "10.1.0.6/32:88" {
		t.Errorf("differences %+v", list)
	}
	stored := read(t, w, func(tx *store.Reader) (provisioner.Tenant, error) { return tx.Tenant("stadt") })
	if diff := cmp.Diff(d.Tenants[0].Policy, stored.Policy, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("stored otherwise:\n%s", diff)
	}
}

// Gateways let everybody ask the tenant's name servers, so that its administrator names none
// beyond what the operator has granted.
func TestNameServers(t *testing.T) {
	w := newWorld(t)
	w.applies(t, region())
	for _, c := range []struct {
		server string
		who    provisioner.Actor
		want   provisioner.Code
	}{
		{"10.1.0.53", as(provisioner.RoleTenantAdmin, "stadt"), ""}, {"10.4.0.53", as(provisioner.RoleTenantAdmin, "stadt"), provisioner.CodeDeclarationInvalid},
		{"10.4.0.53", operator(), ""}, {"10.4.0.53", as(provisioner.RoleTenantAdmin, "stadt"), ""},
	} {
		d := tenancy.Declaration{Tenants: region().Tenants[:1]}
		d.Tenants[0].Policy.DNSServers = []netip.Addr{netip.MustParseAddr(c.server)}
		if _, err := w.Apply(t.Context(), c.who, d, "x"); codeOf(err) != c.want {
			t.Errorf("%s by %s: %v", c.server, c.who.ID, err)
		}
	}
}

// Local networks are denied in full tunnels only, and where there are name servers to ask instead of those at home.
func TestLocalNetworks(t *testing.T) {
	w := newWorld(t)
	w.applies(t, region())
	for _, c := range []struct {
		policy  provisioner.LocalNetworks
		tunnel  provisioner.Tunnel
		servers int
		want    provisioner.Code
	}{
		{provisioner.LocalDenied, provisioner.TunnelFull, 1, ""}, {provisioner.LocalAllowed, provisioner.TunnelFull, 0, ""}, {"", provisioner.TunnelSplit, 0, ""},
		{provisioner.LocalDenied, provisioner.TunnelFull, 0, provisioner.CodeDeclarationInvalid},
		{provisioner.LocalDenied, provisioner.TunnelSplit, 1, provisioner.CodeDeclarationInvalid},
		{"sometimes", provisioner.TunnelFull, 1, provisioner.CodeDeclarationInvalid},
	} {
		d := tenancy.Declaration{Tenants: region().Tenants[:1]}
		p := &d.Tenants[0].Policy
		p.LocalNetworks, p.Tunnel, p.DNSServers = c.policy, c.tunnel, make([]netip.Addr, c.servers)
		for i := range p.DNSServers {
			p.DNSServers[i] = netip.MustParseAddr("10.1.0.53")
		}
		if _, err := w.Apply(t.Context(), operator(), d, "x"); codeOf(err) != c.want {
			t.Errorf("%q, %s, %d name servers: %v", c.policy, c.tunnel, c.servers, err)
		}
	}
}

// Nor does the administrator let in a neighbour to call laptops.
func TestCallers(t *testing.T) {
	w := newWorld(t)
	w.applies(t, region())
	for _, c := range []struct {
		caller string
		who    provisioner.Actor
		want   provisioner.Code
	}{
		{"10.1.0.40/32", as(provisioner.RoleTenantAdmin, "stadt"), ""}, {"10.4.0.40/32", as(provisioner.RoleTenantAdmin, "stadt"), provisioner.CodeDeclarationInvalid},
		{"10.4.0.40/32", operator(), ""}, {"0.0.0.0/0", operator(), provisioner.CodeDeclarationInvalid},
	} {
		d := tenancy.Declaration{Tenants: region().Tenants[:1]}
		d.Tenants[0].Policy.Callers = []provisioner.Destination{{Prefix: netip.MustParsePrefix(c.caller), Port: 3389}}
		if _, err := w.Apply(t.Context(), c.who, d, "x"); codeOf(err) != c.want {
			t.Errorf("%s by %s: %v", c.caller, c.who.ID, err)
		}
	}
}

// What a tenant's people reach takes a revision for each gateway that serves it, and nothing else of its file does.
func TestNetworksAreToldToGateways(t *testing.T) {
	w := newWorld(t)
	w.applies(t, region())
	told := func(change func(*provisioner.Tenant)) (gateways []string) {
		before := read(t, w, (*store.Reader).Position)
		d := region()
		change(&d.Tenants[0])
		w.applies(t, d)
		for _, c := range read(t, w, func(tx *store.Reader) ([]provisioner.Change, error) { return tx.Changes(before.Revision, 100) }) {
			if c.Kind != provisioner.ChangeGateway || c.Tenant != d.Tenants[0].Name {
				t.Errorf("another change: %+v", c)
			}
			gateways = append(gateways, c.Gateway)
		}
		return gateways
	}
	var serving []string
	for _, g := range region().Gateways {
		if slices.Contains(g.Tenants, region().Tenants[0].Name) {
			serving = append(serving, g.Name)
		}
	}
	if got := told(func(t *provisioner.Tenant) { t.DisplayName = "Anders" }); got != nil {
		t.Errorf("another name is told to %v", got)
	}
	if got := told(func(t *provisioner.Tenant) { t.Networks[0].Allow[0].Port = 443 }); !slices.Equal(got, serving) || len(got) == 0 {
		t.Errorf("other networks are told to %v, want %v", got, serving)
	}
}

// Every declaration that is refused leaves everything as it was.
func TestApplyRefuses(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			worlds := map[bool]*world{false: newWorldOn(t, e.make(t)), true: newWorldOn(t, e.make(t))}
			worlds[true].applies(t, region())
			testApplyRefuses(t, worlds)
		})
	}
}

func testApplyRefuses(t *testing.T, worlds map[bool]*world) {
	t.Helper()
	prefix := netip.MustParsePrefix
	for _, c := range []struct {
		name   string
		change func(*tenancy.Declaration)
		object string
	}{
		{"unnamed directory", func(d *tenancy.Declaration) { d.Directories[0].Name = "" }, "directory (unnamed)"},
		{"name of a tenant with a slash", func(d *tenancy.Declaration) { d.Tenants[0].Name = "a/b" }, "tenant (unnamed)"},
		{"endless name", func(d *tenancy.Declaration) { d.Gateways[0].Name = strings.Repeat("a", 64) }, "gateway (unnamed)"},
		{"no servers", func(d *tenancy.Declaration) { d.Directories[0].Servers = nil }, "directory ad"},
		{"http server", func(d *tenancy.Declaration) { d.Directories[0].Servers = []string{"http://x"} }, "directory ad"},
		{"password file without a path", func(d *tenancy.Declaration) { d.Directories[0].BindPasswordFile = "ad.pw" }, "directory ad"},
		{"line break in a DN", func(d *tenancy.Declaration) { d.Tenants[0].StaffGroup = "CN=a\nCN=b" }, "tenant stadt"},
		{"unknown directory", func(d *tenancy.Declaration) { d.Tenants[0].Directory = "nirgends" }, "tenant stadt"},
		{"no staff group", func(d *tenancy.Declaration) { d.Tenants[0].StaffGroup = "" }, "tenant stadt"},
		{"a short span", func(d *tenancy.Declaration) { d.Tenants[0].Policy.SignInEvery = time.Minute }, "tenant stadt"},
		{"a negative span", func(d *tenancy.Declaration) { d.Tenants[0].Policy.LongestSession = -time.Second }, "tenant stadt"},
		{"a long span", func(d *tenancy.Declaration) { d.Tenants[0].Policy.SignInEvery = 9000 * time.Hour }, "tenant stadt"},
		{"negative devices", func(d *tenancy.Declaration) { d.Tenants[0].Policy.DevicesPerPerson = -1 }, "tenant stadt"},
		{"unknown tunnel", func(d *tenancy.Declaration) { d.Tenants[0].Policy.Tunnel = "half" }, "tenant stadt"},
		{"a mail domain of two tenants", func(d *tenancy.Declaration) { d.Tenants[1].MailDomains = []string{"STADT.example"} }, "tenant dorf"},
		{"a mail domain twice", func(d *tenancy.Declaration) { d.Tenants[0].MailDomains = []string{"a.example", "A.example"} }, "tenant stadt"},
		{"a network with host bits", func(d *tenancy.Declaration) { d.Tenants[0].Networks[0].Allow[0].Prefix = prefix("10.1.0.1/16") }, "tenant stadt"},
		{"everything as a network", func(d *tenancy.Declaration) { d.Tenants[0].Networks[0].Allow[0].Prefix = prefix("0.0.0.0/0") }, "tenant stadt"},
		{"endless house rules", func(d *tenancy.Declaration) {
			d.Tenants[0].HouseRules = provisioner.NewHouseRules(strings.Repeat("x", provisioner.HouseRulesLimit+1), "", "")
		}, "tenant stadt"},
		{"house rules that steer a terminal", func(d *tenancy.Declaration) { d.Tenants[0].HouseRules = provisioner.NewHouseRules("\x1b[2J", "", "") }, "tenant stadt"},
		{"house rules that are no text", func(d *tenancy.Declaration) { d.Tenants[0].HouseRules = provisioner.NewHouseRules("x", "\xff", "") }, "tenant stadt"},
		{"house rules at no address", func(d *tenancy.Declaration) {
			d.Tenants[0].HouseRules = provisioner.NewHouseRules("x", "", "javascript:alert(1)")
		}, "tenant stadt"},
		{"products without an agreement", func(d *tenancy.Declaration) {
			meter(d, 1)
			d.Tenants[0].WorksAgreement = provisioner.WorksAgreement{}
		}, "tenant stadt"},
		{"an agreement without a date", func(d *tenancy.Declaration) { d.Tenants[0].WorksAgreement.Reference = "DV" }, "tenant stadt"},
		{"ten thousand products", func(d *tenancy.Declaration) { meter(d, 10_000) }, "tenant stadt"},
		{"a product twice", func(d *tenancy.Declaration) { meter(d, 2); d.Tenants[0].Products[1].Name = "p0" }, "tenant stadt"},
		{"a product without programs", func(d *tenancy.Declaration) { meter(d, 1); d.Tenants[0].Products[0].Processes = nil }, "tenant stadt"},
		{"a program with a directory", func(d *tenancy.Declaration) {
			meter(d, 1)
			d.Tenants[0].Products[0].Processes = []string{`C:\wfica32.exe`}
		}, "tenant stadt"},
		{"a product's unknown pool", func(d *tenancy.Declaration) { meter(d, 1); d.Tenants[0].Products[0].LicencePool = "nirgends" }, "tenant stadt"},
		{"a product's pool of another tenant", func(d *tenancy.Declaration) {
			meter(d, 1)
			d.Pools = append(d.Pools, provisioner.LicencePool{Name: "citrix", Model: provisioner.PoolConcurrent, Contracts: []provisioner.Contract{{Seats: 3}}, Shares: []provisioner.PoolShare{{Tenant: "dorf"}}})
			d.Tenants[0].Products[0].LicencePool = "citrix"
		}, "tenant stadt"},
		{"a product that takes the last seats of sessions", func(d *tenancy.Declaration) { meter(d, 1); d.Tenants[0].Products[0].LicencePool = "vpn" }, "tenant stadt"},
		{"unknown password policy", func(d *tenancy.Declaration) { d.Tenants[0].Policy.PasswordExpired = "lock" }, "tenant stadt"},
		{"password_only without hosts", func(d *tenancy.Declaration) { d.Tenants[0].Policy.PasswordExpired = provisioner.PasswordHostsOnly }, "tenant stadt"},
		{"password hosts without password_only", func(d *tenancy.Declaration) {
			d.Tenants[0].Policy.PasswordHosts = []provisioner.Destination{{Prefix: prefix("10.1.0.5/32")}}
		}, "tenant stadt"},
		{"a password host with host bits", func(d *tenancy.Declaration) { d.Tenants[0].Policy = passwordOnly("10.1.0.5/16") }, "tenant stadt"},
		{"a password host in another tenant's network", func(d *tenancy.Declaration) { d.Tenants[1].Policy = passwordOnly("10.1.0.5/32") }, "gateway gw1"},
		{"another model", func(d *tenancy.Declaration) { d.Pools[0].Model = "floating" }, "licence pool vpn"},
		{"negative seats", func(d *tenancy.Declaration) { d.Pools[0].Contracts[0].Seats = -1 }, "licence pool vpn"},
		{"more guaranteed than there is", func(d *tenancy.Declaration) { d.Pools[0].Shares[1].Guarantee = 21 }, "licence pool vpn"},
		{"a tenant twice in a pool", func(d *tenancy.Declaration) { d.Pools[0].Shares[1].Tenant = "stadt" }, "licence pool vpn"},
		{"an unknown tenant in a pool", func(d *tenancy.Declaration) { d.Pools[0].Shares[1].Tenant = "nirgends" }, "licence pool vpn"},
		{"a pool that ends before it begins", func(d *tenancy.Declaration) { d.Pools[0].Contracts[0].Until = d.Pools[0].Contracts[0].From }, "licence pool vpn"},
		{"an endpoint without a port", func(d *tenancy.Declaration) { d.Gateways[0].Endpoint = "vpn1.stadt.example" }, "gateway gw1"},
		{"port 0", func(d *tenancy.Declaration) { d.Gateways[0].Endpoint = "vpn1.stadt.example:0" }, "gateway gw1"},
		{"no sessions", func(d *tenancy.Declaration) { d.Gateways[0].Sessions = 0 }, "gateway gw1"},
		{"no aggregate", func(d *tenancy.Declaration) { d.Gateways[0].AggregateV4 = netip.Prefix{} }, "gateway gw1"},
		{"an unknown tenant on a gateway", func(d *tenancy.Declaration) { d.Gateways[0].Tenants = []string{"nirgends"} }, "gateway gw1"},
		{"an object twice", func(d *tenancy.Declaration) { d.Gateways[1] = d.Gateways[0] }, "gateway gw1"},
		{"aggregates that overlap", func(d *tenancy.Declaration) { d.Gateways[1].AggregateV4 = prefix("10.80.128.0/17") }, "gateway gw2"},
		{"tenants' networks that overlap on a gateway", func(d *tenancy.Declaration) { d.Tenants[1].Networks[0].Allow[0].Prefix = prefix("10.1.2.0/24") }, "gateway gw1"},
		{"a network within the aggregate", func(d *tenancy.Declaration) { d.Tenants[1].Networks[0].Allow[0].Prefix = prefix("10.80.2.0/24") }, "gateway gw1"},
	} {
		for _, stored := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stored %v", c.name, stored), func(t *testing.T) {
				w := worlds[stored]
				revision, events := w.revision(t), len(w.events(t))
				d := region()
				d.Tenants[0].DisplayName = "changed besides"
				c.change(&d)
				_, err := w.Apply(t.Context(), operator(), d, "x")
				refusal, _ := provisioner.AsRefusal(err)
				if codeOf(err) != provisioner.CodeDeclarationInvalid || refusal.Args["object"] != c.object || refusal.Args["why"] == "" ||
					refusal.German["object"] == c.object || refusal.German["why"] == "" {
					t.Fatalf("got %v", err)
				}
				same, err := w.Diff(t.Context(), operator(), d)
				if predicted, _ := provisioner.AsRefusal(err); predicted == nil || cmp.Diff(refusal.Args, predicted.Args) != "" {
					t.Errorf("the difference was shown, or refused otherwise: %v, %v", same, err)
				}
				if w.revision(t) != revision || len(w.events(t)) != events {
					t.Error("something of it was kept")
				}
				tenants := read(t, w, func(tx *store.Reader) ([]provisioner.Tenant, error) { return tx.Tenants(provisioner.Everywhere()) })
				for _, v := range tenants {
					if v.DisplayName == "changed besides" {
						t.Error("half of it was kept")
					}
				}
			})
		}
	}
}

// Networks of tenants that share no gateway may overlap.
func TestOverlapOnDifferentGateways(t *testing.T) {
	w := newWorld(t)
	d := region()
	d.Gateways[0].Tenants, d.Gateways[1].Tenants = []string{"dorf"}, []string{"stadt"}
	d.Tenants[1].Networks[0].Allow[0].Prefix = netip.MustParsePrefix("10.1.0.0/16")
	w.applies(t, d)
	d.Gateways[0].Tenants = []string{"dorf", "stadt"}
	_, err := w.Apply(t.Context(), operator(), tenancy.Declaration{Gateways: d.Gateways[:1]}, "x")
	refusal, is := provisioner.AsRefusal(err)
	if !is || refusal.Code != provisioner.CodeDeclarationInvalid {
		t.Fatalf("put together afterwards: %v", err)
	}
	for _, why := range []string{refusal.Args["why"], refusal.German["why"]} {
		for _, part := range []string{"10.1.0.0/16", "stadt", "dorf"} {
			if !strings.Contains(why, part) {
				t.Errorf("%q does not name %s", why, part)
			}
		}
	}
}

func TestWhatUseForbids(t *testing.T) { onEach(t, testWhatUseForbids) }

func testWhatUseForbids(t *testing.T, w *world) {
	t.Helper()
	w.applies(t, region())
	w.opens(t)
	second := region().Directories[0]
	second.Name = "ad2"
	w.applies(t, tenancy.Declaration{Directories: []provisioner.Directory{second}})
	for name, change := range map[string]func(*tenancy.Declaration){
		"the directory of a tenant with people":      func(d *tenancy.Declaration) { d.Tenants[0].Directory = "ad2" },
		"the aggregate of a gateway with a session":  func(d *tenancy.Declaration) { d.Gateways[0].AggregateV4 = netip.MustParsePrefix("10.90.0.0/16") },
		"an aggregate more, while a session is open": func(d *tenancy.Declaration) { d.Gateways[0].AggregateV6 = netip.MustParsePrefix("fd80::/48") },
	} {
		d := region()
		change(&d)
		if _, err := w.Apply(t.Context(), operator(), d, "x"); codeOf(err) != provisioner.CodeDeclarationInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := region()
	d.Tenants[0].Directory = "ad2"
	_, err := w.Apply(t.Context(), operator(), d, "x")
	if refusal, is := provisioner.AsRefusal(err); !is || !strings.Contains(fmt.Sprint(refusal), "people have enrolled from ad; heimdraht directory migrate --to-directory carries them over") {
		t.Errorf("it does not say what to do: %v", err)
	}
	d = region()
	d.Tenants[1].Directory = "ad2"
	d.Gateways[1].AggregateV4 = netip.MustParsePrefix("10.90.0.0/16")
	if list := w.applies(t, d); len(list) != 2 {
		t.Errorf("what nobody uses may change: %+v", list)
	}
}

func TestWhoMayApply(t *testing.T) {
	w := newWorld(t)
	only := func(d tenancy.Declaration) tenancy.Declaration {
		return tenancy.Declaration{Tenants: d.Tenants[:1]}
	}
	for _, c := range []struct {
		name   string
		actor  provisioner.Actor
		change func(tenancy.Declaration) tenancy.Declaration
		want   provisioner.Code
	}{
		{"nobody", provisioner.Actor{}, only, provisioner.CodeNotSignedIn},
		{"staff", as(provisioner.RoleStaff, "stadt"), only, provisioner.CodeNotAllowed},
		{"helpdesk", as(provisioner.RoleHelpdesk, "stadt"), only, provisioner.CodeNotAllowed},
		{"planner", as(provisioner.RolePlanner, "stadt"), only, provisioner.CodeNotAllowed},
		{"a gateway", as(provisioner.RoleGateway, ""), only, provisioner.CodeNotAllowed},
		{"administrator: policy, roles, group and name", as(provisioner.RoleTenantAdmin, "stadt"), func(d tenancy.Declaration) tenancy.Declaration {
			v := &d.Tenants[0]
			v.DisplayName, v.StaffGroup, v.Roles.Planner, v.Policy.Tunnel = "X", "CN=x", "CN=y", provisioner.TunnelFull
			v.HouseRules = provisioner.NewHouseRules("Sperren.", "", "https://intranet.stadt.example")
			return only(d)
		}, ""},
		{"administrator: the whole file, as it is stored, but for the other tenant", as(provisioner.RoleTenantAdmin, "stadt"), func(d tenancy.Declaration) tenancy.Declaration {
			d.Tenants[0].DisplayName = "X"
			d.Tenants = d.Tenants[:1]
			return d
		}, ""},
		{"administrator: networks", as(provisioner.RoleTenantAdmin, "stadt"), func(d tenancy.Declaration) tenancy.Declaration {
			d.Tenants[0].Networks = nil
			return only(d)
		}, provisioner.CodeNotAllowed},
		{"administrator: mail domains", as(provisioner.RoleTenantAdmin, "stadt"), func(d tenancy.Declaration) tenancy.Declaration {
			d.Tenants[0].MailDomains = []string{"dorf.example"}
			return only(d)
		}, provisioner.CodeNotAllowed},
		{"administrator: base", as(provisioner.RoleTenantAdmin, "stadt"), func(d tenancy.Declaration) tenancy.Declaration {
			d.Tenants[0].Base = "OU=dorf"
			return only(d)
		}, provisioner.CodeNotAllowed},
		{"administrator: another tenant", as(provisioner.RoleTenantAdmin, "stadt"), func(d tenancy.Declaration) tenancy.Declaration {
			d.Tenants[1].DisplayName = "X"
			return tenancy.Declaration{Tenants: d.Tenants[1:]}
		}, provisioner.CodeNotAllowed},
		{"administrator: another tenant, as it is stored", as(provisioner.RoleTenantAdmin, "stadt"), func(d tenancy.Declaration) tenancy.Declaration {
			return tenancy.Declaration{Tenants: d.Tenants[1:]}
		}, provisioner.CodeNotAllowed},
		{"administrator: a new tenant", as(provisioner.RoleTenantAdmin, "stadt"), func(tenancy.Declaration) tenancy.Declaration {
			return tenancy.Declaration{Tenants: []provisioner.Tenant{tenantOf("neu")}}
		}, provisioner.CodeNotAllowed},
		{"administrator: directory", as(provisioner.RoleTenantAdmin, "stadt"), func(d tenancy.Declaration) tenancy.Declaration {
			d.Directories[0].Servers = []string{"ldaps://evil.example"}
			return tenancy.Declaration{Directories: d.Directories}
		}, provisioner.CodeNotAllowed},
		{"administrator: licences", as(provisioner.RoleTenantAdmin, "stadt"), func(d tenancy.Declaration) tenancy.Declaration {
			d.Pools[0].Contracts[0].Seats = 1000
			return tenancy.Declaration{Pools: d.Pools}
		}, provisioner.CodeNotAllowed},
		{"administrator: gateway", as(provisioner.RoleTenantAdmin, "stadt"), func(d tenancy.Declaration) tenancy.Declaration {
			d.Gateways[0].Masquerade = true
			return tenancy.Declaration{Gateways: d.Gateways}
		}, provisioner.CodeNotAllowed},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.applies(t, region())
			events := len(w.events(t))
			d := c.change(region())
			if _, err := w.Diff(t.Context(), c.actor, d); codeOf(err) != c.want {
				t.Errorf("diff: got %v, want %q", err, c.want)
			}
			if _, err := w.Apply(t.Context(), c.actor, d, "x"); codeOf(err) != c.want {
				t.Errorf("apply: got %v, want %q", err, c.want)
			}
			if changed := len(w.events(t)) > events; changed != (c.want == "") {
				t.Errorf("something changed: %v", changed)
			}
		})
	}
}

// Any sequence of declarations: what Diff says is what Apply does, a second
// time there is nothing, and what is refused changes nothing.
func TestApplyIsIdempotent(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 4).Draw(rt, "declarations") {
			d := region()
			d.Tenants[0].Policy.DevicesPerPerson = rapid.IntRange(-1, 3).Draw(rt, "devices")
			d.Pools[0].Contracts[0].Seats = rapid.Int64Range(70, 90).Draw(rt, "seats")
			d.Gateways[1].AggregateV4 = netip.MustParsePrefix(rapid.SampledFrom([]string{"10.80.0.0/17", "10.81.0.0/16", "10.2.0.0/20"}).Draw(rt, "aggregate"))
			d.Gateways[1].Tenants = rapid.SampledFrom([][]string{{"stadt"}, {"dorf"}, {"dorf", "stadt"}}).Draw(rt, "tenants")
			before := w.revision(t)
			predicted, refused := w.Diff(t.Context(), operator(), d)
			done, err := w.Apply(t.Context(), operator(), d, "x")
			if codeOf(err) != codeOf(refused) || cmp.Diff(predicted, done) != "" {
				rt.Fatalf("predicted %v, %v; done %v, %v", predicted, refused, done, err)
			}
			if err != nil {
				if codeOf(err) != provisioner.CodeDeclarationInvalid || w.revision(t) != before {
					rt.Fatalf("refused with %v at revision %d after %d", err, w.revision(t), before)
				}
				continue
			}
			after, events := w.revision(t), len(w.events(t))
			if more, err := w.Apply(t.Context(), operator(), d, "x"); err != nil || len(more) != 0 || w.revision(t) != after || len(w.events(t)) != events {
				rt.Fatalf("again: %v, %v", more, err)
			}
		}
	})
}

// Sessions and people hold seats in different ways: a pool is of one model while any is held.
func TestAPoolsModelStaysWhileSeatsAreHeld(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.applies(t, region())
		session := w.opens(t)
		named := region()
		named.Pools[0].Model = provisioner.PoolNamed
		_, err := w.Apply(t.Context(), operator(), named, "x")
		refusal, ok := provisioner.AsRefusal(err)
		if !ok || !strings.Contains(refusal.Error(), "its model cannot change while 1 seats are held") {
			t.Fatalf("%v %v", err, refusal)
		}
		if err := w.store.Update(t.Context(), func(tx *store.Writer) error {
			_, err := tx.CloseSession(session, provisioner.CodeSessionClosed)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Apply(t.Context(), operator(), named, "x"); err != nil {
			t.Error(err)
		}
	})
}

// A pool that shrinks below what is held cuts nobody off, and whoever shrinks it hears so,
// before and after.
func TestAPoolThatDrainsIsToldOf(t *testing.T) {
	onEach(t, func(t *testing.T, w *world) {
		w.applies(t, region())
		w.opens(t)
		less := region()
		less.Pools[0].Contracts[0].Seats, less.Pools[0].Contracts[0].Burst, less.Pools[0].Shares[0].Guarantee = 0, 0, 0
		want := tenancy.Difference{
			Kind: "licence pool", Name: "vpn", Field: "held", Before: "1", After: "drains: nobody is cut off, and no seat is given until 1 have come back",
		}
		for _, ask := range []func() ([]tenancy.Difference, error){
			func() ([]tenancy.Difference, error) { return w.Diff(t.Context(), operator(), less) },
			func() ([]tenancy.Difference, error) { return w.Apply(t.Context(), operator(), less, "x") },
		} {
			list, err := ask()
			if err != nil || !slices.Contains(list, want) {
				t.Errorf("told %v, %v", list, err)
			}
		}
	})
}
