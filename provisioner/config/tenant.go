package config

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/heimdraht/heimdraht/provisioner"
)

// laender of the Federal Republic: their holidays and school holidays differ.
func laender() []string {
	return []string{"BB", "BE", "BW", "BY", "HB", "HE", "HH", "MV", "NI", "NW", "RP", "SH", "SL", "SN", "ST", "TH"}
}

func (l *loader) tenant(m *mapping, dir string) provisioner.Tenant {
	t := provisioner.Tenant{Policy: provisioner.DefaultPolicy()}
	t.Name = l.name(m)
	t.DisplayName = t.Name
	m.text("display_name", &t.DisplayName, atMost(120))
	m.text("land", &t.Land, oneOf(laender()...))
	m.text("site", &t.Site, name)
	m.needText("directory", &t.Directory, name)
	m.text("base", &t.Base, distinguishedName)
	m.list("mail_domains", "domains", &t.MailDomains, func(v value, s string) (string, bool) {
		d, ok := domain(v, s)
		if ok && !slices.Contains(t.MailDomains, d) {
			// The tenant follows from the domain, so it can have only one.
			l.once(v, "mail domain "+d, "tenant "+t.Name)
		}
		return d, ok
	})
	m.needText("staff_group", &t.StaffGroup, distinguishedName)
	if v, ok := m.ask("roles"); ok {
		if r := v.mapping("roles").under("roles."); r != nil {
			r.text("helpdesk", &t.Roles.Helpdesk, distinguishedName)
			r.text("planner", &t.Roles.Planner, distinguishedName)
			r.text("tenant_admin", &t.Roles.TenantAdmin, distinguishedName)
			r.done()
		}
	}
	if v, ok := m.ask("provider"); ok {
		if r := v.mapping("provider").under("provider."); r != nil {
			r.text("operator", &t.Provider.Operator, distinguishedName)
			r.text("helpdesk", &t.Provider.Helpdesk, distinguishedName)
			r.list("tenants", "tenants", &t.Provider.Tenants, name)
			r.done()
		}
	}
	if v, ok := m.ask("priority"); ok {
		if r := v.mapping("priority").under("priority."); r != nil {
			r.text("crisis", &t.Priority.Crisis, distinguishedName)
			r.text("control", &t.Priority.Control, distinguishedName)
			r.done()
		}
	}
	if v, ok := m.ask("policy"); ok {
		if p := v.mapping("policy").under("policy."); p != nil {
			policy(p, &t.Policy)
			p.done()
		}
	}
	if v, ok := m.ask("crisis"); ok {
		crisis(v, &t)
	}
	if v, ok := m.ask("networks"); ok {
		t.Networks = networks(v)
	}
	if v, ok := m.ask("house_rules"); ok {
		if h := v.mapping("house_rules").under("house_rules."); h != nil {
			t.HouseRules = houseRules(h, dir)
			h.done()
		}
	}
	metering(m, &t)
	return t
}

func policy(m *mapping, p *provisioner.Policy) {
	devices := int64(p.DevicesPerPerson)
	m.whole("devices_per_person", &devices, 1, 100)
	p.DevicesPerPerson = int(devices)
	tunnel := string(p.Tunnel)
	m.text("tunnel", &tunnel, oneOf(string(provisioner.TunnelSplit), string(provisioner.TunnelFull)))
	p.Tunnel = provisioner.Tunnel(tunnel)
	local := string(p.LocalNetworks)
	m.text("local_networks", &local, oneOf(string(provisioner.LocalAllowed), string(provisioner.LocalDenied)))
	p.LocalNetworks = provisioner.LocalNetworks(local)
	passwordExpired(m, p)
	approval := string(p.Approval)
	m.text("approval", &approval, oneOf(string(provisioner.ApprovalNone), string(provisioner.ApprovalHelpdesk)))
	p.Approval = provisioner.ApprovalPolicy(approval)
	m.span("sign_in_every", &p.SignInEvery, provisioner.MostSignInDays)
	m.span("longest_session", &p.LongestSession, provisioner.MostSessionDays)
	idle(m, &p.Idle)
	secondFactor(m, &p.SecondFactor)
	conditions(m, &p.Conditions)
	m.text("external_group", &p.ExternalGroup, distinguishedName)
	if v, ok := m.ask("access"); ok {
		p.Access = accessTimes(v)
	}
	minimumAgent(m, &p.MinimumAgent)
	if v, ok := m.ask("callers"); ok {
		p.Callers = destinations(v)
	}
	v, ok := m.ask("dns")
	if !ok {
		return
	}
	d := v.mapping("dns").under(m.prefix + "dns.")
	if d == nil {
		return
	}
	var servers []string
	d.list("servers", "IP addresses", &servers, nameServer)
	for _, s := range servers {
		p.DNSServers = append(p.DNSServers, netip.MustParseAddr(s))
	}
	d.list("domains", "domains", &p.DNSDomains, searchDomain)
	if len(p.DNSDomains) > 0 && len(p.DNSServers) == 0 {
		d.fail(d.line, "%s needs %q: the servers that know the domains", d.what, "policy.dns.servers")
	}
	d.done()
}

// accessTimes reads when people may be connected.
func accessTimes(v value) (all []provisioner.AccessTime) {
	for _, item := range v.list("times") {
		m := item.mapping("a time")
		if m == nil {
			continue
		}
		m.under("policy.access.")
		var a provisioner.AccessTime
		m.needText("group", &a.Group, groupOrAll)
		var days, hours string
		m.text("days", &days, func(v value, s string) (string, bool) {
			var err error
			if a.Days, err = provisioner.ParseWeekdays(s); err != nil {
				v.failf("%v", err)
			}
			return s, err == nil
		})
		m.text("hours", &hours, func(v value, s string) (string, bool) {
			var err error
			if a.Begin, a.End, err = provisioner.ParseHours(s); err != nil {
				v.failf("%v", err)
			}
			return s, err == nil
		})
		m.date("from", &a.From, 0)
		m.date("until", &a.Until, 1) // included in the file, exclusive in the type
		if v, _ := m.ask("until"); !a.From.IsZero() && !a.Until.IsZero() && !a.From.Before(a.Until) {
			v.failf("%s is before from", v.node.Value)
		}
		m.done()
		all = append(all, a)
	}
	return all
}

// passwordExpired reads what holds while a password has expired, and what can be reached meanwhile.
func passwordExpired(m *mapping, p *provisioner.Policy) {
	expired := string(p.PasswordExpired)
	m.text("password_expired", &expired,
		oneOf(string(provisioner.PasswordKeep), string(provisioner.PasswordHostsOnly), string(provisioner.PasswordClose)))
	p.PasswordExpired = provisioner.PasswordPolicy(expired)
	hosts, given := m.ask("password_hosts")
	if given {
		p.PasswordHosts = destinations(hosts)
	}
	only := p.PasswordExpired == provisioner.PasswordHostsOnly
	switch {
	case only && !given:
		v, _ := m.ask("password_expired")
		v.failf("password_only needs %q: where people change their password, such as 10.1.0.5/32:88", "policy.password_hosts")
	case given && !only:
		hosts.failf("are for %q only", "password_expired: password_only")
	}
}

// idle reads when nobody works in a session.
func idle(m *mapping, p *provisioner.IdlePolicy) {
	v, ok := m.ask("idle")
	if !ok {
		return
	}
	if i := v.mapping("idle"); i != nil {
		i.under(m.prefix + "idle.")
		i.shortSpan("after", &p.After, "never")
		i.whole("below", &p.Below, 1, provisioner.MostIdleBelow)
		i.done()
	}
}

// minimumAgent reads from which version on laptops' agents may open sessions.
func minimumAgent(m *mapping, a *provisioner.MinimumAgent) {
	v, ok := m.ask("minimum_agent_version")
	if !ok {
		return
	}
	if f := v.mapping("minimum_agent_version"); f != nil {
		f.under(m.prefix + "minimum_agent_version.")
		f.needText("version", &a.Version, func(v value, s string) (string, bool) {
			version, ok := provisioner.ParseAgentVersion(s)
			if !ok {
				v.failf("%q is no version: three numbers such as 1.4.0", s)
			}
			return version, ok
		})
		f.date("refuse_from", &a.From, 0)
		f.done()
	}
}

// secondFactor reads for what employees show a code from their phone too.
func secondFactor(m *mapping, p *provisioner.SecondFactorPolicy) {
	v, ok := m.ask("second_factor")
	if !ok {
		return
	}
	if f := v.mapping("second_factor"); f != nil {
		f.under(m.prefix + "second_factor.")
		f.flag("enrolling", &p.Enrolling)
		f.flag("signing_in_again", &p.SigningInAgain)
		f.done()
	}
}

func nameServer(v value, s string) (string, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
		v.failf("%q is not the IP address of a name server", quoted(s))
		return "", false
	}
	return a.String(), true
}

// searchDomain may be a single label, as networks of the house often are.
func searchDomain(v value, s string) (string, bool) {
	d := strings.ToLower(s)
	if !isHostName(d) || isAddress(d) {
		v.failf("%q is not a domain such as stadt.example (umlauts as xn--...)", quoted(s))
		return "", false
	}
	return d, true
}

func networks(v value) []provisioner.NetworkGrant {
	var all []provisioner.NetworkGrant
	lines := map[string]int{}
	for _, item := range v.list("networks") {
		m := item.mapping("a network")
		if m == nil {
			continue
		}
		m.under("networks.")
		var g provisioner.NetworkGrant
		m.needText("group", &g.Group, groupOrAll)
		if first, twice := lines[strings.ToLower(g.Group)]; twice && g.Group != "" {
			m.fail(m.line, "networks.group: %q has networks already, in line %d: list all of a group's in one place", quoted(g.Group), first)
		} else {
			lines[strings.ToLower(g.Group)] = m.line
		}
		if allow, ok := m.need("allow"); ok {
			g.Allow = destinations(allow)
		}
		m.done()
		all = append(all, g)
	}
	return all
}

func groupOrAll(v value, s string) (string, bool) {
	if s == provisioner.GroupAll {
		return s, true
	}
	return distinguishedName(v, s)
}

func destinations(v value) []provisioner.Destination {
	if v.emptyList() {
		v.failf("the list is empty: name a network such as 10.1.0.0/16 or 10.1.0.7/32:443")
	}
	var all []provisioner.Destination
	v.texts("networks", func(item value) (string, bool) {
		s, ok := item.text()
		if !ok {
			return "", false
		}
		d, ok := destination(item, s)
		if !ok {
			return "", false
		}
		all = append(all, d)
		return s, true
	})
	return all
}

// destination is a network, or a network:port. In IPv6 too the last colon
// behind the length begins the port.
func destination(v value, s string) (provisioner.Destination, bool) {
	var d provisioner.Destination
	network, length, found := strings.Cut(s, "/")
	if found {
		bits, port, hasPort := strings.Cut(length, ":")
		if n, ok := portNumber(port); hasPort && (!ok || n == 0) {
			v.failf("%q: the port must be a number from 1 to 65535", quoted(s))
			return d, false
		} else {
			d.Port = n
		}
		s = network + "/" + bits
	}
	p, ok := prefix(v, s)
	if ok && p.Addr().IsMulticast() {
		v.failf("%q is a multicast network: no tunnel carries it", s)
		return d, false
	}
	d.Prefix = p
	return d, ok
}
